//! Arbitrary bytes to a Noise cover before its handshake is over, and handshakes of real ends with changes on the way.

use pinhole::config;
use pinhole::link::{Cover, Setup, Torn};
use pinhole::proto::End;

use crate::pair::Bytes;

const HANDSHAKES: [&str; 4] = ["NK", "XX", "NNpsk0", "KK"];
const ENDS: [End; 2] = [End::Client, End::Server];
/// Of [1; 32]: whose private key that is does not matter here.
const PUBLIC: [u8; 32] = [
    0xa4, 0xe0, 0x92, 0x92, 0xb6, 0x51, 0xc2, 0x78, 0xb9, 0x77, 0x2c, 0x56, 0x9f, 0x5f, 0xa9, 0xbb, 0x13, 0xd9, 0x06,
    0xb4, 0x6a, 0xb6, 0x8c, 0x9d, 0xf9, 0xdc, 0x2b, 0x44, 0x09, 0xf8, 0xa2, 0x09,
];
const PRIVATE: &str = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";

thread_local! {
    static SETUPS: Vec<[Setup; 2]> = HANDSHAKES.iter().filter_map(|handshake| setups(handshake)).collect();
}

/// `data`: which handshake, which end, then pieces for it.
pub fn run(data: &[u8]) {
    let mut bytes = Bytes(data);
    let (choice, way) = (bytes.byte(), bytes.byte());
    SETUPS.with(|setups| {
        // None in a build without Noise.
        let Some(setups) = setups.get(usize::from(choice) % HANDSHAKES.len()) else {
            return;
        };
        let torn = match way % 3 {
            2 => between(setups, &mut bytes),
            end => alone(&setups[usize::from(end)], ENDS[usize::from(end)], &mut bytes),
        };
        assert!(torn.err().is_none_or(|torn| !torn.to_string().is_empty()));
    });
}

fn setups(handshake: &str) -> Option<[Setup; 2]> {
    let has = |end: End, letter: &str| handshake.get(end as usize..=end as usize) == Some(letter);
    let setup = |end: End, other: End| {
        let config = config::Noise {
            pattern: format!("Noise_{handshake}_25519_ChaChaPoly_BLAKE2s"),
            any_cipher: true,
            local_private_key: (!has(end, "N")).then(|| PRIVATE.into()),
            remote_public_key: has(other, "K").then_some(PUBLIC),
            psk: handshake.contains("psk").then(|| PRIVATE.into()),
            authorized_keys: None,
        };
        Setup::noise(&config, end).ok()
    };
    Some([setup(End::Client, End::Server)?, setup(End::Server, End::Client)?])
}

fn alone(setup: &Setup, end: End, bytes: &mut Bytes<'_>) -> Result<(), Torn> {
    let mut cover = setup.cover(end, "", 0)?;
    while !bytes.is_empty() {
        let n = 1 + bytes.number();
        assert!(cover.open(bytes.take(n))?.is_empty());
        // A stranger can bring no handshake to its end but one that needs no key of the other side.
        say(&mut cover);
    }
    Ok(())
}

fn between(setups: &[Setup; 2], bytes: &mut Bytes<'_>) -> Result<(), Torn> {
    let mut client = setups[0].cover(End::Client, "", 0)?;
    let mut server = setups[1].cover(End::Server, "", 0)?;
    for _ in 0..4 {
        server.open(&change(say(&mut client), bytes))?;
        client.open(&change(say(&mut server), bytes))?;
    }
    Ok(())
}

/// A handshake has four messages at most.
fn say(cover: &mut Cover) -> Vec<u8> {
    let mut said = Vec::new();
    cover.poll_output(&mut said);
    assert!(said.len() <= 2 * 130);
    said
}

fn change(mut said: Vec<u8>, bytes: &mut Bytes<'_>) -> Vec<u8> {
    let (what, at, value) = (bytes.byte(), usize::from(bytes.byte()), bytes.byte());
    match what % 8 {
        0 => said.truncate(at),
        1 => said.extend_from_slice(bytes.take(at)),
        2 if at < said.len() => said[at] ^= value,
        3 => said.insert(at.min(said.len()), value),
        _ => {}
    }
    said
}
