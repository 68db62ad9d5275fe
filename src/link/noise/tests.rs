//! Two ends beside each other, and what an attacker between them can do.

mod hostile;

use std::rc::Rc;

use snow::params::SUPPORTED_HANDSHAKE_PATTERNS;

use super::key::encode_key;
use super::pattern::Keys;
use super::*;
use crate::config::{AuthorizedKey, Secret};
use crate::limits::{NOISE_HEADER, NOISE_RECORD, NOISE_REKEY, NOISE_TAG, TRANSMIT_BUFFER};

/// Private keys.
const CLIENT: Key = [1; 32];
const SERVER: Key = [2; 32];
const PSK: Key = [5; 32];

fn public(private: &Key) -> Key {
    let pattern = Pattern::parse("Noise_XX_25519_ChaChaPoly_BLAKE2s").expect("a pattern");
    let keys = Keys {
        local: Some(private),
        remote: None,
        psk: None,
    };
    let mut speaker = pattern
        .builder(End::Server, &keys)
        .and_then(|builder| builder.build_responder())
        .expect("keys");
    let mut hearer = pattern
        .builder(End::Client, &keys)
        .and_then(|builder| builder.build_initiator())
        .expect("keys");
    let (mut message, mut nothing) = ([0; 128], [0; 128]);
    let length = hearer.write_message(&[], &mut message).expect("the first message");
    speaker
        .read_message(&message[..length], &mut nothing)
        .expect("the first message");
    let length = speaker.write_message(&[], &mut message).expect("the second message");
    hearer
        .read_message(&message[..length], &mut nothing)
        .expect("the second message");
    hearer
        .get_remote_static()
        .and_then(|key| key.try_into().ok())
        .expect("a key")
}

/// What `end` needs for `name`.
fn config(name: &str, end: End) -> config::Noise {
    let pattern = Pattern::parse(name).expect(name);
    let (own, other, peer) = match end {
        End::Client => (CLIENT, SERVER, End::Server),
        End::Server => (SERVER, CLIENT, End::Client),
    };
    config::Noise {
        pattern: name.to_owned(),
        any_cipher: false,
        local_private_key: Some(Secret::from(encode_key(&own).as_str())),
        remote_public_key: pattern.is_known_before(peer).then(|| public(&other)),
        psk: Some(Secret::from(encode_key(&PSK).as_str())),
        authorized_keys: None,
    }
}

fn setup(config: &config::Noise, end: End) -> Rc<Setup> {
    Rc::new(Setup::new(config, end).expect("a setup"))
}

/// One that offers `offer`, whatever this machine has.
fn offering(name: &str, end: End, offer: u8) -> Rc<Setup> {
    let mut setup = Setup::new(&config(name, end), end).expect("a setup");
    setup.offer = offer;
    Rc::new(setup)
}

fn setups(name: &str) -> [Rc<Setup>; 2] {
    [End::Client, End::Server].map(|end| setup(&config(name, end), end))
}

fn covers(setups: &[Rc<Setup>; 2]) -> (Cover, Cover) {
    let cover = |end: End| Cover::new(&setups[end as usize], end).expect("a cover");
    (cover(End::Client), cover(End::Server))
}

fn ends(name: &str) -> (Cover, Cover) {
    covers(&setups(name))
}

/// Lets both ends say what they have to until they are ready or one is torn.
fn shake(client: &mut Cover, server: &mut Cover) -> Result<(), Torn> {
    let mut wire = Vec::new();
    while !(client.is_ready() && server.is_ready()) {
        client.poll_output(&mut wire);
        assert!(server.open(&wire)?.is_empty());
        wire.clear();
        server.poll_output(&mut wire);
        assert!(client.open(&wire)?.is_empty());
        wire.clear();
    }
    assert_eq!(client.channel().binding, server.channel().binding);
    Ok(())
}

fn ready(name: &str) -> (Cover, Cover) {
    let (mut client, mut server) = ends(name);
    shake(&mut client, &mut server).expect(name);
    (client, server)
}

const NK: &str = "Noise_NK_25519_ChaChaPoly_BLAKE2s";
const XX: &str = "Noise_XX_25519_ChaChaPoly_BLAKE2s";

// ---- what the specification says ------------------------------------------------------------------------------------

#[test]
fn known_answers() {
    let mut count = 0;
    for case in include_str!("vectors.txt").split("\n\n").skip(1) {
        let (name, lines) = case.split_once('\n').expect("a name");
        let needs_aes = lines.contains("offer 01") && Pattern::parse("Noise_NK_25519_AESGCM_BLAKE2s").is_err();
        if Pattern::parse(name).is_err() || needs_aes {
            continue;
        }
        count += 1;
        let values = |what: &str| {
            lines
                .lines()
                .filter_map(|line| line.strip_prefix(what))
                .map(bytes)
                .collect::<Vec<_>>()
        };
        let offer = values("offer ").first().map_or(0, |offer| offer[0]);
        let (mut client, mut server) = (
            fixed(name, End::Client, [3; 32], offer),
            fixed(name, End::Server, [4; 32], offer),
        );
        for (turn, expected) in values("message ").iter().enumerate() {
            let (from, to) = if turn % 2 == 0 {
                (&mut client, &mut server)
            } else {
                (&mut server, &mut client)
            };
            let mut said = Vec::new();
            from.poll_output(&mut said);
            assert_eq!(said, *expected, "{name}: message {turn}");
            to.open(&said).expect(name);
        }
        assert_eq!(
            [client.channel().binding, server.channel().binding],
            [values("hash ")[0].clone(), values("hash ")[0].clone()]
        );
        let records = values("record ");
        assert_eq!(client.seal(b"from the client").expect("a record"), records[0], "{name}");
        assert_eq!(client.seal(b"and more").expect("a record"), records[1], "{name}");
        assert_eq!(server.seal(b"from the server").expect("a record"), records[2], "{name}");
        assert_eq!(
            server.open(&records[..2].concat()).expect("records"),
            b"from the clientand more"
        );
        assert_eq!(client.open(&records[2]).expect("a record"), b"from the server");
    }
    let least = if cfg!(feature = "noise-all") { 11 } else { 5 };
    assert!(count >= least, "{count} of the vectors' patterns");
}

/// A cover with an ephemeral key that is no secret.
fn fixed(name: &str, end: End, ephemeral: Key, offer: u8) -> Cover {
    let setup = offering(name, end, offer);
    let keys = Keys {
        local: setup.local.as_deref(),
        remote: setup.remote.as_ref(),
        psk: setup.psk.as_deref(),
    };
    let builder = setup
        .pattern
        .builder(end, &keys)
        .expect(name)
        .fixed_ephemeral_key_for_testing_only(&ephemeral);
    let state = if end == End::Client {
        builder.build_initiator()
    } else {
        builder.build_responder()
    };
    let state = Some(Box::new(state.expect(name)));
    let mut cover = Cover::new(&setup, End::Server).expect("a cover");
    cover.handshake = Some(Handshake {
        setup: setup.clone(),
        end,
        state,
        turn: 0,
        offer: 0,
    });
    cover.go_on().expect("a first message");
    cover
}

fn bytes(hex: &str) -> Vec<u8> {
    let digit = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex");
    (0..hex.len()).step_by(2).map(digit).collect()
}

#[test]
fn every_handshake_of_two_ways_works() {
    let mut count = 0;
    for handshake in SUPPORTED_HANDSHAKE_PATTERNS {
        for psk in ["", "psk0", "psk1", "psk2", "psk3", "psk4", "psk0+psk2"] {
            let name = format!("Noise_{}{psk}_25519_ChaChaPoly_BLAKE2s", handshake.as_str());
            match Pattern::parse(&name) {
                Ok(pattern) => {
                    let (mut client, mut server) = ready(&name);
                    assert_eq!(server.peer().is_some(), pattern.has_static(End::Client), "{name}");
                    let sealed = server.seal(&[7; 100]).expect("a record").to_vec();
                    assert_eq!(client.open(&sealed).expect("a record"), [7; 100], "{name}");
                    count += 1;
                }
                Err(error) => assert!(handshake.is_oneway() || psk == "psk3" || psk == "psk4", "{error}"),
            }
        }
    }
    assert!(count > 170, "{count}");
}

#[test]
fn what_is_no_pattern_is_said_in_words() {
    for (name, words) in [
        ("", "expected one like Noise_NK_25519"),
        ("NK", "expected one like"),
        ("Noise_NK_25519_ChaChaPoly", "expected one like"),
        ("Noise_NK_25519_ChaChaPoly_BLAKE2s_more", "expected one like"),
        (
            "Noise_NK_448_ChaChaPoly_BLAKE2s",
            "has the DH function `448`, which is not in this build; there is: 25519",
        ),
        (
            "Noise_NK_25519_Salsa_BLAKE2s",
            "has the cipher `Salsa`, which is not known; there is: ChaChaPoly",
        ),
        (
            "Noise_NK_25519_ChaChaPoly_MD5",
            "has the hash `MD5`, which is not known; there is: BLAKE2s",
        ),
        ("Noise_K_25519_ChaChaPoly_BLAKE2s", "one-way"),
        ("Noise_Kpsk0_25519_ChaChaPoly_BLAKE2s", "one-way"),
        ("Noise_ZZ_25519_ChaChaPoly_BLAKE2s", "handshake `ZZ`"),
        ("Noise_NKpsk9_25519_ChaChaPoly_BLAKE2s", "handshake `NKpsk9`"),
        ("Noise_NKpsk255_25519_ChaChaPoly_BLAKE2s", "handshake `NKpsk255`"),
        ("Noise_XXfallback_25519_ChaChaPoly_BLAKE2s", "handshake `XXfallback`"),
        ("Noise_NKä_25519_ChaChaPoly_BLAKE2s", "handshake `NKä`"),
    ] {
        let error = Pattern::parse(name).err().unwrap_or_default();
        assert!(error.contains(words), "{name}: {error}");
    }
}

// ---- keys -----------------------------------------------------------------------------------------------------------

#[test]
fn other_keys_do_not_meet() {
    for (name, at) in [
        (NK, End::Client),
        ("Noise_KK_25519_ChaChaPoly_BLAKE2s", End::Server),
        ("Noise_KK_25519_ChaChaPoly_BLAKE2s", End::Client),
        (XX, End::Client),
        (XX, End::Server),
    ] {
        let mut configs = [End::Client, End::Server].map(|end| config(name, end));
        configs[at as usize].remote_public_key = Some(public(&[9; 32]));
        let torn = meet(&configs).map(drop).expect_err(name).to_string();
        assert!(
            torn.contains("both ends need") || torn.contains("key is not"),
            "{name}: {torn}"
        );
    }
}

#[test]
fn another_psk_or_pattern_does_not_meet() {
    let configs = |client: &str, server: &str| [config(client, End::Client), config(server, End::Server)];
    for name in [
        "Noise_NKpsk0_25519_ChaChaPoly_BLAKE2s",
        "Noise_XXpsk3_25519_ChaChaPoly_BLAKE2s",
    ] {
        let mut configs = configs(name, name);
        configs[0].psk = Some(Secret::from(encode_key(&[6; 32]).as_str()));
        assert!(
            meet(&configs)
                .map(drop)
                .expect_err(name)
                .to_string()
                .contains("same psk")
        );
    }
    for (client, server, words) in [
        (NK, XX, "not XX"),
        (XX, NK, "not NK"),
        (NK, "Noise_KK_25519_ChaChaPoly_BLAKE2s", "same pattern"),
        (NK, "Noise_NK_25519_ChaChaPoly_BLAKE2b", "same pattern"),
        (XX, "Noise_NN_25519_ChaChaPoly_BLAKE2s", "not XX"),
    ] {
        // Not every build has BLAKE2b.
        if Pattern::parse(server).is_err() {
            continue;
        }
        let torn = meet(&configs(client, server)).map(drop).expect_err(client).to_string();
        assert!(torn.contains(words), "{client} and {server}: {torn}");
    }
}

#[test]
fn who_is_not_authorized_does_not_come_in() {
    for name in [
        XX,
        "Noise_IK_25519_ChaChaPoly_BLAKE2s",
        "Noise_KK_25519_ChaChaPoly_BLAKE2s",
    ] {
        let mut configs = [End::Client, End::Server].map(|end| config(name, end));
        let laptop = AuthorizedKey {
            name: "laptop".into(),
            key: public(&CLIENT),
        };
        configs[1].authorized_keys = Some(vec![laptop.clone()]);
        let peer = meet(&configs).expect(name).1.peer();
        assert_eq!(
            peer,
            Some(Peer {
                key: laptop.key,
                name: Some("laptop".into())
            })
        );
        assert!(setup(&configs[1], End::Server).is_authorized(&laptop.key));

        configs[1].authorized_keys = Some(Vec::new());
        let torn = meet(&configs).map(drop).expect_err(name).to_string();
        assert_eq!(
            torn,
            format!("the client's key is not authorized: {}", encode_key(&laptop.key))
        );
        assert!(!setup(&configs[1], End::Server).is_authorized(&laptop.key));
    }
}

fn meet(configs: &[config::Noise; 2]) -> Result<(Cover, Cover), Torn> {
    let mut client = Cover::new(&setup(&configs[0], End::Client), End::Client)?;
    let mut server = Cover::new(&setup(&configs[1], End::Server), End::Server)?;
    shake(&mut client, &mut server).map(|()| (client, server))
}

// ---- streams --------------------------------------------------------------------------------------------------------

#[test]
fn bytes_arrive_however_they_are_cut() {
    for (seed, name) in [(1, NK), (2, XX), (3, NK), (4, "Noise_NKpsk0_25519_ChaChaPoly_BLAKE2s")] {
        let mut random = Random(seed);
        let (mut client, mut server) = ready(name);
        let (mut wire, mut sent, mut received) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..60 {
            let most = [10, 3000, TRANSMIT_BUFFER][random.below(3)];
            let plain = random.bytes(most);
            wire.extend_from_slice(client.seal(&plain).expect("records"));
            sent.extend_from_slice(&plain);
            client.relax();
            while wire.len() > 100_000 {
                let rest = wire.split_off(random.below(wire.len() + 1).min(1 + random.below(70_000)));
                received.extend_from_slice(server.open(&wire).expect("records"));
                wire = rest;
                if random.below(4) == 0 {
                    server.relax();
                }
            }
        }
        received.extend_from_slice(server.open(&wire).expect("records"));
        assert!(received == sent, "seed {seed}");
    }
}

#[test]
fn handshake_and_first_records_may_come_byte_by_byte_or_at_once() {
    for step in [1, 2, 3, 50, 1000] {
        let (mut client, mut server) = ends(XX);
        let (mut to_server, mut to_client) = (Vec::new(), Vec::new());
        client.poll_output(&mut to_server);
        to_server
            .chunks(step)
            .for_each(|part| assert!(server.open(part).expect("a part").is_empty()));
        server.poll_output(&mut to_client);
        to_client
            .chunks(step)
            .for_each(|part| assert!(client.open(part).expect("a part").is_empty()));
        to_server.clear();
        client.poll_output(&mut to_server);
        to_server.extend_from_slice(client.seal(b"at once").expect("a record"));
        let mut received = Vec::new();
        to_server
            .chunks(step)
            .for_each(|part| received.extend_from_slice(server.open(part).expect("a part")));
        assert_eq!(received, b"at once");
    }
}

#[test]
fn few_records_of_about_the_same_size() {
    let (mut client, _) = ready(NK);
    for (plain, records) in [
        (1, 1),
        (NOISE_RECORD - NOISE_TAG, 1),
        (NOISE_RECORD - NOISE_TAG + 1, 2),
        (TRANSMIT_BUFFER, 3),
    ] {
        let sealed = client.seal(&vec![0; plain]).expect("records");
        assert_eq!(sealed.len(), plain + records * (NOISE_HEADER + NOISE_TAG), "{plain}");
    }
    assert_eq!(client.seal(&[]).expect("nothing"), b"");
}

/// Whoever has no quick AES, or was told a cipher, has the pattern's own.
#[test]
fn another_cipher_wants_both_ends() {
    for offers in [[0, 0], [0, AES], [AES, 0], [0xfe, AES], [AES, AES], [0xff, AES]] {
        let (mut client, mut server) = covers(&[
            offering(NK, End::Client, offers[0]),
            offering(NK, End::Server, offers[1]),
        ]);
        // A build without AES-GCM never offers it.
        if offers[0] & offers[1] == AES && !cfg!(feature = "noise-all") {
            continue;
        }
        shake(&mut client, &mut server).expect("a handshake");
        for (from, to) in [(0, 1), (1, 0)] {
            let ends = &mut [&mut client, &mut server];
            let sealed = ends[from].seal(b"some words").expect("a record").to_vec();
            assert_eq!(ends[to].open(&sealed).expect("a record"), b"some words", "{offers:?}");
        }
    }
}

#[test]
fn only_who_left_the_pattern_open_offers_another_cipher() {
    let offer = |any_cipher| {
        let config = config::Noise {
            any_cipher,
            ..config(NK, End::Client)
        };
        setup(&config, End::Client).offer
    };
    assert_eq!(offer(false), 0);
    assert_eq!(offer(true) == AES, crypto::has_fast_aes());
}

#[test]
fn keys_are_renewed_on_both_ends() {
    renew(ready(NK));
    if cfg!(feature = "noise-all") {
        let (mut client, mut server) = covers(&[End::Client, End::Server].map(|end| offering(NK, end, AES)));
        shake(&mut client, &mut server).expect("a handshake");
        renew((client, server));
    }
}

fn renew((mut client, mut server): (Cover, Cover)) {
    for n in 0..2 * NOISE_REKEY + 10 {
        let sealed = client.seal(&[1]).expect("a record");
        assert_eq!(server.open(sealed).expect("a record"), [1], "{n}");
    }
    let sealed = server.seal(&[2]).expect("a record");
    assert_eq!(client.open(sealed).expect("a record"), [2]);
}

#[test]
fn idle_covers_hold_no_buffers() {
    let (mut client, mut server) = ready(NK);
    let sealed = client.seal(&[0; 100_000]).expect("records").to_vec();
    server.open(&sealed).expect("records");
    for cover in [&mut client, &mut server] {
        cover.relax();
        assert!(cover.records.as_ref().is_some_and(|records| records.held() == 0));
        assert_eq!(cover.frames.held(), 0);
    }
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// 1 to `most` of them.
    fn bytes(&mut self, most: usize) -> Vec<u8> {
        (0..=self.below(most)).map(|_| self.next() as u8).collect()
    }
}
