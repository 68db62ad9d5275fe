//! Records of Noise with the pattern that is the default, and its handshake.

use std::hint::black_box;

use pinhole::config::{Noise, Secret};
use pinhole::link::{Cover, Setup, decode_key, generate};
use pinhole::proto::End;

use super::Operation;

const PATTERN: &str = "Noise_NK_25519_ChaChaPoly_BLAKE2s";

pub fn operations() -> Vec<Operation> {
    // There are no keys in a build without Noise.
    let Ok((private, public)) = generate() else {
        return Vec::new();
    };
    let server = Noise {
        local_private_key: Some(Secret::from(private.as_str())),
        ..noise()
    };
    let client = Noise {
        remote_public_key: decode_key(&public).ok().map(|key| *key),
        ..noise()
    };
    let ends = Ends {
        client: Setup::noise(&client, End::Client).expect("a setup"),
        server: Setup::noise(&server, End::Server).expect("a setup"),
    };
    vec![
        seal("noise: 64 KiB sealed", 64 * 1024, &ends),
        seal_and_open("noise: 64 KiB sealed and opened", 64 * 1024, &ends),
        seal("noise: 64 bytes sealed", 64, &ends),
        seal_and_open("noise: 64 bytes sealed and opened", 64, &ends),
        Operation::new("noise: handshake, both ends", 0, move || {
            black_box(ends.link());
        }),
    ]
}

fn noise() -> Noise {
    Noise {
        pattern: PATTERN.to_owned(),
        local_private_key: None,
        remote_public_key: None,
        psk: None,
        authorized_keys: None,
    }
}

fn seal(name: &'static str, size: usize, ends: &Ends) -> Operation {
    let (mut from, _) = ends.link();
    let plain = vec![0x5A; size];
    Operation::new(name, size, move || {
        black_box(from.seal(black_box(&plain)).expect("sealed"));
    })
}

fn seal_and_open(name: &'static str, size: usize, ends: &Ends) -> Operation {
    let (mut from, mut to) = ends.link();
    let plain = vec![0x5A; size];
    Operation::new(name, size, move || {
        let wire = from.seal(black_box(&plain)).expect("sealed");
        assert_eq!(to.open(wire).expect("opened").len(), size);
    })
}

/// What both processes know before.
struct Ends {
    client: Setup,
    server: Setup,
}

impl Ends {
    /// The covers of a new link, which is ready.
    fn link(&self) -> (Cover, Cover) {
        let mut client = self.client.cover(End::Client, "", 0).expect("a cover");
        let mut server = self.server.cover(End::Server, "", 0).expect("a cover");
        while !(client.is_ready() && server.is_ready()) {
            speak(&mut client, &mut server);
            speak(&mut server, &mut client);
        }
        (client, server)
    }
}

fn speak(from: &mut Cover, to: &mut Cover) {
    let mut wire = Vec::new();
    from.poll_output(&mut wire);
    to.open(&wire).expect("a handshake");
}
