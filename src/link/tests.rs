//! Covers against each other, without a socket: any pieces, any damage.

use super::{Cover, Setup};
use crate::config;
use crate::proto::End;

/// Two ends of one link.
struct Pair {
    client: Cover,
    server: Cover,
}

impl Pair {
    fn new(client: &Setup, server: &Setup) -> Pair {
        Pair {
            client: client.cover(End::Client, "server.test", 2333).expect("a cover"),
            server: server.cover(End::Server, "", 0).expect("a cover"),
        }
    }

    /// Lets both talk, in pieces of `size`, until neither has more to say.
    fn meet(&mut self, size: usize) -> Result<(), String> {
        loop {
            let moved =
                pass(&mut self.client, &mut self.server, size)? + pass(&mut self.server, &mut self.client, size)?;
            if moved == 0 {
                return Ok(());
            }
        }
    }
}

/// What `from` has to say itself, heard by `to`.
fn pass(from: &mut Cover, to: &mut Cover, size: usize) -> Result<usize, String> {
    let mut wire = Vec::new();
    from.poll_output(&mut wire);
    for piece in wire.chunks(size) {
        let opened = to.open(piece).map_err(|torn| torn.to_string())?;
        assert_eq!(opened, b"", "a cover's own words carry nothing");
    }
    Ok(wire.len())
}

/// What `plain` is at the other end, when it comes in pieces of `size`.
fn carry(from: &mut Cover, to: &mut Cover, plain: &[u8], size: usize) -> Vec<u8> {
    let wire = from.seal(plain).expect("sealed").to_vec();
    wire.chunks(size)
        .flat_map(|piece| to.open(piece).expect("opened").to_vec())
        .collect()
}

/// The pairs of setups that this build has, with the certificates of the examples.
fn setups() -> Vec<(Setup, Setup)> {
    let mut setups = vec![(Setup::Plain, Setup::Plain)];
    setups.extend(tls());
    for (client, server) in [Some((Setup::Plain, Setup::Plain)), tls()].into_iter().flatten() {
        setups.extend(websocket(client, server));
    }
    setups
}

fn tls() -> Option<(Setup, Setup)> {
    let file = |key, bytes: &str| config::File {
        key,
        bytes: bytes.into(),
    };
    let certificate = file("tls.certificate", include_str!("../../tests/configs/tls/server.pem"));
    let private_key = file("tls.private_key", include_str!("../../tests/configs/tls/server.key"));
    let root = file("tls.trusted_root", include_str!("../../tests/configs/tls/ca.pem"));
    let server = config::Tls {
        identity: Some(config::Identity::Pem(certificate, private_key)),
        ..config::Tls::default()
    };
    let client = config::Tls {
        trusted_root: Some(root),
        ..config::Tls::default()
    };
    Some((
        Setup::tls(&client, End::Client).ok()?,
        Setup::tls(&server, End::Server).ok()?,
    ))
}

fn websocket(client: Setup, server: Setup) -> Option<(Setup, Setup)> {
    let config = config::Websocket::default();
    Some((
        Setup::websocket(&config, client).ok()?,
        Setup::websocket(&config, server).ok()?,
    ))
}

#[test]
fn all_are_here() {
    let has = |name| config::available(config::Group::Transport).contains(&name);
    let expected = match (has("tls"), has("websocket")) {
        (true, true) => 4,
        (false, false) => 1,
        _ => 2,
    };
    assert_eq!(setups().len(), expected);
}

#[test]
fn both_ends_see_one_channel_and_no_other_pair_sees_it() {
    for (client, server) in setups() {
        let channels = [1, 100, 1_000_000].map(|size| {
            let mut pair = Pair::new(&client, &server);
            assert_eq!(pair.meet(size), Ok(()));
            assert!(pair.client.is_ready() && pair.server.is_ready());
            let (one, other) = (pair.client.channel(), pair.server.channel());
            assert_eq!((one.label, &one.binding), (other.label, &other.binding));
            one
        });
        match client.is_open() {
            true => assert!(channels.iter().all(|channel| channel.binding.is_empty())),
            false => {
                assert!(channels.iter().all(|channel| channel.binding.len() == 32));
                assert_ne!(channels[0].binding, channels[1].binding);
            }
        }
    }
}

#[test]
fn bytes_arrive_whatever_the_pieces() {
    for (client, server) in setups() {
        let mut pair = Pair::new(&client, &server);
        assert_eq!(pair.meet(1000), Ok(()));
        for length in [0, 1, 125, 126, 16_384, 65_535, 65_536, 200_000] {
            let plain: Vec<u8> = (0..length).map(|n| (n % 251) as u8).collect();
            for size in [1000, 7001, 1_000_000] {
                assert_eq!(carry(&mut pair.client, &mut pair.server, &plain, size), plain);
                assert_eq!(carry(&mut pair.server, &mut pair.client, &plain, size), plain);
            }
            pair.client.relax();
            pair.server.relax();
        }
        assert_eq!(
            carry(&mut pair.client, &mut pair.server, b"in single bytes", 1),
            b"in single bytes"
        );
    }
}

#[test]
fn one_end_closes_and_the_other_knows() {
    for (client, server) in setups() {
        let mut pair = Pair::new(&client, &server);
        assert_eq!(pair.meet(1000), Ok(()));
        pair.client.close();
        pair.client.close();
        assert_eq!(pair.meet(1000), Ok(()));
        assert_eq!(pair.server.is_over(), !matches!(pair.server, Cover::Plain));
    }
}

/// A relay between two channels cannot make them look like one.
#[test]
fn a_relay_with_the_servers_own_key_is_seen() {
    let Some((client, server)) = tls() else { return };
    let (mut near, mut far) = (Pair::new(&client, &server), Pair::new(&client, &server));
    assert_eq!((near.meet(1000), far.meet(1000)), (Ok(()), Ok(())));
    assert_ne!(near.client.channel().binding, far.server.channel().binding);

    let (Some((client, server)), Some(relay)) = (websocket(client, server), tls()) else {
        return;
    };
    let mut near = client.cover(End::Client, "server.test", 443).expect("a cover");
    let mut far = server.cover(End::Server, "", 0).expect("a cover");
    // In TLS of its own towards both, it passes every byte of WebSocket on.
    let mut to_near = relay.1.cover(End::Server, "", 0).expect("a cover");
    let mut to_far = relay.0.cover(End::Client, "server.test", 443).expect("a cover");
    let (mut up, mut down) = (Vec::new(), Vec::new());
    let mut torn = None;
    for _ in 0..20 {
        match talk(&mut near, &mut to_near, &mut down) {
            Ok(bytes) => up.extend(bytes),
            Err(words) => torn = torn.or(Some(words)),
        }
        down.extend(talk(&mut far, &mut to_far, &mut up).expect("the server sees nothing wrong"));
    }
    assert!(torn.is_some_and(|words| words.contains("TLS ends before the server")));
}

/// Lets `end` and its side of a relay talk, which has `pending` for it; gives what `end` says.
fn talk(end: &mut Cover, relay: &mut Cover, pending: &mut Vec<u8>) -> Result<Vec<u8>, String> {
    let mut wire = Vec::new();
    relay.poll_output(&mut wire);
    if relay.is_ready() {
        wire.extend_from_slice(relay.seal(&core::mem::take(pending)).expect("sealed"));
    }
    end.open(&wire).map_err(|torn| torn.to_string())?;
    wire.clear();
    end.poll_output(&mut wire);
    Ok(relay.open(&wire).expect("opened").to_vec())
}

/// Damage anywhere, before and after the handshake: at worst the link is torn, and nothing grows beyond what came.
#[test]
fn damage_is_survived() {
    for (client, server) in setups() {
        for seed in 1..=1500 {
            let mut random = Random(seed);
            let mut pair = Pair::new(&client, &server);
            while random.below(16) > 0 && step(&mut pair, &mut random) {}
        }
    }
}

/// Both ends say something; some of it is damaged. Whether neither is torn.
fn step(Pair { client, server }: &mut Pair, random: &mut Random) -> bool {
    say(client, server, random) && say(server, client, random)
}

fn say(from: &mut Cover, to: &mut Cover, random: &mut Random) -> bool {
    let mut wire = Vec::new();
    from.poll_output(&mut wire);
    if from.is_ready() && random.below(2) == 0 {
        wire.extend_from_slice(from.seal(&vec![7; random.below(400)]).expect("sealed"));
    }
    if random.below(6) == 0 {
        damage(&mut wire, random);
    }
    let size = 1 + random.below(wire.len() + 1);
    let is_taken = wire.chunks(size).all(|piece| match to.open(piece) {
        Ok(opened) => opened.len() <= wire.len() + 400,
        Err(_) => false,
    });
    let mut last_words = Vec::new();
    if !is_taken {
        to.poll_output(&mut last_words);
    }
    assert!(last_words.len() < 4096);
    is_taken
}

fn damage(wire: &mut Vec<u8>, random: &mut Random) {
    let at = random.below(wire.len() + 1);
    match random.below(4) {
        0 => wire.truncate(at),
        1 => wire.insert(at, random.below(256) as u8),
        2 => wire
            .splice(at..at, (0..random.below(40)).map(|n| n as u8))
            .for_each(drop),
        _ => {
            if let Some(byte) = wire.get_mut(at) {
                *byte ^= 1 << random.below(8);
            }
        }
    }
}

/// xorshift64*
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % end
    }
}
