//! Records of Noise with the pattern that is the default and its handshake, and with the cipher of CPUs that have AES.

use std::hint::black_box;

use pinhole::config::{Noise, Secret};
use pinhole::link::{Cover, Setup, decode_key, generate};
use pinhole::proto::End;

use super::Operation;

pub fn operations() -> Vec<Operation> {
    // There are no keys in a build without Noise.
    let Some(ends) = ends_of("ChaChaPoly") else {
        return Vec::new();
    };
    // Nor has every build AES-GCM.
    let aes = ends_of("AESGCM").map(|ends| seal_and_open("noise: 64 KiB sealed and opened, AES-GCM", 64 * 1024, &ends));
    let mut all = vec![
        seal("noise: 64 KiB sealed", 64 * 1024, &ends),
        seal_and_open("noise: 64 KiB sealed and opened", 64 * 1024, &ends),
        seal("noise: 64 bytes sealed", 64, &ends),
        seal_and_open("noise: 64 bytes sealed and opened", 64, &ends),
        Operation::new("noise: handshake, both ends", 0, move || {
            black_box(ends.link());
        }),
    ];
    all.extend(aes);
    all
}

fn ends_of(cipher: &str) -> Option<Ends> {
    let (private, public) = generate().ok()?;
    let server = Noise {
        local_private_key: Some(Secret::from(private.as_str())),
        ..noise(cipher)
    };
    let client = Noise {
        remote_public_key: decode_key(&public).ok().map(|key| *key),
        ..noise(cipher)
    };
    Some(Ends {
        client: Setup::noise(&client, End::Client).ok()?,
        server: Setup::noise(&server, End::Server).ok()?,
    })
}

fn noise(cipher: &str) -> Noise {
    Noise {
        pattern: format!("Noise_NK_25519_{cipher}_BLAKE2s"),
        any_cipher: false,
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
