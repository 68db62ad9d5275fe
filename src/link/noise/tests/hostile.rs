//! What a peer of Noise that means harm can send.

use super::*;

/// What stands between the ends changes something: what arrives before is the truth, then the link is torn.
#[test]
fn whatever_is_changed_on_the_way_tears_the_link() {
    let setups = setups(NK);
    for seed in 0..300 {
        let mut random = Random(seed);
        let (mut client, mut server) = covers(&setups);
        shake(&mut client, &mut server).expect("a handshake");
        let mut records: Vec<Vec<u8>> = Vec::new();
        let mut sent = Vec::new();
        for _ in 0..6 {
            let plain = random.bytes(1000);
            sent.extend_from_slice(&plain);
            records.push(client.seal(&plain).expect("a record").to_vec());
        }
        let at = random.below(5);
        match random.below(5) {
            0 => records.swap(at, at + 1),
            1 => drop(records.remove(at)),
            2 => records.insert(at, records[at].clone()),
            3 => {
                let byte = NOISE_HEADER + random.below(records[at].len() - NOISE_HEADER);
                records[at][byte] ^= 1 << random.below(8);
            }
            _ => {
                let to = 1 + random.below(records[at].len() - 1);
                records[at].truncate(to);
            }
        }
        let wire = records.concat();
        let step = 1 + random.below(wire.len());
        let (mut received, mut torn) = (Vec::new(), false);
        for part in wire.chunks(step) {
            match server.open(part) {
                Ok(plain) => received.extend_from_slice(plain),
                Err(_) => {
                    torn = true;
                    break;
                }
            }
        }
        assert!(sent.starts_with(&received), "seed {seed}");
        assert!(torn || received.len() < sent.len(), "seed {seed}");
    }
}

#[test]
fn records_without_content_tear_the_link() {
    for length in 0..=NOISE_TAG {
        let (_, mut server) = ready(NK);
        let record = [(length as u16).to_be_bytes().as_slice(), &vec![0; length]].concat();
        let torn = server.open(&record).expect_err("a torn link").to_string();
        assert!(torn.contains("without content"), "{torn}");
    }
}

/// In the first message of XX the offer is there for all to see, and to change.
#[test]
fn who_changes_an_offer_tears_the_handshake() {
    for offers in [[AES, AES], [AES, 0], [0, AES], [0, 0]] {
        let ends = [End::Client, End::Server].map(|end| offering(XX, end, offers[end as usize]));
        let (mut client, mut server) = covers(&ends);
        let mut wire = Vec::new();
        client.poll_output(&mut wire);
        assert_eq!(wire.last(), Some(&offers[0]));
        *wire.last_mut().expect("an offer") ^= AES;
        server.open(&wire).expect("a first message");
        wire.clear();
        server.poll_output(&mut wire);
        assert!(client.open(&wire).is_err(), "{offers:?}");
    }
}

#[test]
fn no_bytes_make_it_panic() {
    let setups = [NK, XX, "Noise_NNpsk0_25519_ChaChaPoly_BLAKE2s"].map(setups);
    for seed in 0..2000 {
        let mut random = Random(seed);
        let (mut client, mut server) = covers(&setups[random.below(3)]);
        let mut wire = Vec::new();
        for _ in 0..4 {
            client.poll_output(&mut wire);
            mutate(&mut wire, &mut random);
            if server.open(&wire).is_err() {
                break;
            }
            wire.clear();
            server.poll_output(&mut wire);
            mutate(&mut wire, &mut random);
            if client.open(&wire).is_err() {
                break;
            }
            wire.clear();
        }
        assert!(server.frames.held() <= 128 || server.is_ready());
    }
}

fn mutate(wire: &mut Vec<u8>, random: &mut Random) {
    match random.below(6) {
        0 => wire.truncate(random.below(wire.len() + 1)),
        1 => wire.extend(random.bytes(200)),
        2 if !wire.is_empty() => {
            let at = random.below(wire.len());
            wire[at] ^= 1 << random.below(8);
        }
        3 => *wire = random.bytes(100),
        _ => {}
    }
}

#[test]
fn strangers_are_called_by_their_name() {
    let mut pinhole = b"pinhole\x01".to_vec();
    pinhole.extend_from_slice(&[0, 60, 1, 0, 0, 0, 0, 0]);
    for (first, words) in [
        (b"GET / HTTP/1.1\r\n\r\n".as_slice(), "HTTP"),
        (&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc], "TLS"),
        (b"SSH-2.0-OpenSSH_9.2p1\r\n", "SSH"),
        (&[0, 0, 0, 0, 1, 7, 7, 7], "rathole"),
        (&[0x30, 0, 7, 7, 7, 7, 7, 7], "rathole"),
        (&pinhole, "same transport"),
        (&[0, 32, 1, 2, 3], "not NK"),
        (b"some words", "no Noise at all"),
    ] {
        let (_, mut server) = ends(NK);
        let torn = server.open(first).expect_err("a stranger").to_string();
        assert!(torn.contains(words), "{first:?}: {torn}");
        assert!(
            server
                .handshake
                .as_ref()
                .is_some_and(|handshake| handshake.state.is_none()),
            "no arithmetic"
        );
    }
}
