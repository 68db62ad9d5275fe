//! Arbitrary bytes to WebSocket and to TLS: before the handshake is over at either end, and frames after it.

use pinhole::config;
use pinhole::link::{Cover, Setup, Torn};
use pinhole::proto::End;

use crate::pair::Bytes;

const ENDS: [End; 2] = [End::Client, End::Server];

thread_local! {
    /// Client and server of WebSocket, and of TLS.
    static SETUPS: [Option<[Setup; 2]>; 2] = [websocket(), tls()];
}

/// `data`: where it goes, then pieces for it.
pub fn run(data: &[u8]) {
    let mut bytes = Bytes(data);
    let way = usize::from(bytes.byte());
    SETUPS.with(|setups| {
        // None in a build without it.
        let Some(setups) = &setups[way / 4 % 2] else { return };
        let end = way % 2;
        let torn = match way % 4 {
            0 | 1 => alone(&setups[end], ENDS[end], &mut bytes),
            _ => after(setups, end, &mut bytes),
        };
        assert!(torn.err().is_none_or(|torn| !torn.to_string().is_empty()));
    });
}

fn websocket() -> Option<[Setup; 2]> {
    let config = config::Websocket {
        path: Some("/a".into()),
        ..config::Websocket::default()
    };
    Some([
        Setup::websocket(&config, Setup::Plain).ok()?,
        Setup::websocket(&config, Setup::Plain).ok()?,
    ])
}

fn tls() -> Option<[Setup; 2]> {
    let file = |key, text: &str| config::File {
        key,
        bytes: text.into(),
    };
    let client = config::Tls {
        trusted_root: Some(file("tls.trusted_root", include_str!("../configs/tls/ca.pem"))),
        ..config::Tls::default()
    };
    let certificate = file("tls.certificate", include_str!("../configs/tls/server.pem"));
    let private_key = file("tls.private_key", include_str!("../configs/tls/server.key"));
    let server = config::Tls {
        identity: Some(config::Identity::Pem(certificate, private_key)),
        ..config::Tls::default()
    };
    Some([
        Setup::tls(&client, End::Client).ok()?,
        Setup::tls(&server, End::Server).ok()?,
    ])
}

fn cover(setup: &Setup, end: End) -> Result<Cover, Torn> {
    setup.cover(end, "server.test", 443)
}

fn alone(setup: &Setup, end: End, bytes: &mut Bytes<'_>) -> Result<(), Torn> {
    let mut cover = cover(setup, end)?;
    feed(&mut cover, bytes)
}

/// At one `end` of a link whose handshake is over.
fn after(setups: &[Setup; 2], end: usize, bytes: &mut Bytes<'_>) -> Result<(), Torn> {
    let mut covers = [cover(&setups[0], End::Client)?, cover(&setups[1], End::Server)?];
    for _ in 0..4 {
        for from in 0..2 {
            let said = say(&mut covers[from]);
            assert!(covers[1 - from].open(&said)?.is_empty());
        }
    }
    assert!(covers.iter().all(Cover::is_ready));
    feed(&mut covers[end], bytes)
}

fn feed(cover: &mut Cover, bytes: &mut Bytes<'_>) -> Result<(), Torn> {
    while !bytes.is_empty() {
        let n = 1 + bytes.number();
        let wire = bytes.take(n);
        let opened = cover.open(wire).map(<[u8]>::len);
        say(cover);
        assert!(opened? <= wire.len() + 64 * 1024);
    }
    Ok(())
}

/// What it says by itself is small, whatever it was asked.
fn say(cover: &mut Cover) -> Vec<u8> {
    let mut said = Vec::new();
    cover.poll_output(&mut said);
    assert!(said.len() <= 4096, "{}", said.len());
    said
}
