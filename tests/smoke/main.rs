//! The bodies of the fuzz targets (tests/fuzz), on some thousands of seeds: what a fuzzer would find at once is found
//! here. `PINHOLE_SEEDS=n` runs so many, `PINHOLE_SEED=n` that one alone.

mod covers;
mod decode;
mod noise;
mod operations;
mod pair;
#[cfg(feature = "proxy")]
mod proxies;

const SEEDS: u64 = 4000;

#[test]
fn decode_anything() {
    for_seeds("decode_anything", |rng| decode::run(&anything(rng)));
}

#[test]
fn decode_frames() {
    for_seeds("decode_frames", |rng| decode::run(&frames(rng)));
}

#[test]
fn operations_of_any_kind() {
    for_seeds("operations_of_any_kind", |rng| operations::run(&anything(rng)));
}

#[test]
fn strangers_to_noise() {
    for_seeds("strangers_to_noise", |rng| noise::run(&anything(rng)));
}

#[test]
fn strangers_to_covers() {
    for_seeds("strangers_to_covers", |rng| covers::run(&anything(rng)));
}

#[test]
fn strangers_to_websocket() {
    for_seeds("strangers_to_websocket", |rng| covers::run(&heads_and_frames(rng)));
}

#[cfg(feature = "proxy")]
#[test]
fn proxies_of_any_kind() {
    for_seeds("proxies_of_any_kind", |rng| proxies::run(&nearly(rng)));
}

fn for_seeds(name: &str, body: fn(&mut Rng)) {
    let number = |key: &str| std::env::var(key).ok().and_then(|value| value.parse::<u64>().ok());
    let seeds = match number("PINHOLE_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("PINHOLE_SEEDS").unwrap_or(SEEDS),
    };
    for seed in seeds {
        if let Err(panic) = std::panic::catch_unwind(|| body(&mut Rng(seed))) {
            eprintln!("seed {seed} failed. That one alone: PINHOLE_SEED={seed} cargo test --test smoke {name}");
            std::panic::resume_unwind(panic);
        }
    }
}

/// splitmix64.
struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn bytes(&mut self, n: u64) -> Vec<u8> {
        (0..n).map(|_| self.next() as u8).collect()
    }
}

fn anything(rng: &mut Rng) -> Vec<u8> {
    let length = rng.next() % 2000;
    rng.bytes(length)
}

/// What proxies say, with some bytes that are wrong, and cut or with more behind it.
#[cfg(feature = "proxy")]
fn nearly(rng: &mut Rng) -> Vec<u8> {
    const SAID: [&[u8]; 5] = [
        b"PROXY TCP6 2001:db8::1 ::1 65535 1\r\n",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x01\x02\x03\x04\x05\x06\x07\x08\0\x01\0\x02",
        b"\x28HTTP/1.1 200 OK\r\nA: b\r\n\r\n",
        b"\x02\x05\x02\x02\x01\0\x0a\x05\0\0\x01\x01\x02\x03\x04\0\x01",
        b"\x01\x05\x01\0\x05\x05\0\0\x03\x04\x06name\0\x01",
    ];
    let mut said = SAID[rng.next() as usize % SAID.len()].to_vec();
    let more = rng.next() % 4;
    said.extend(rng.bytes(more * more * 100));
    for _ in 0..rng.next() % 3 {
        let at = rng.next() as usize % said.len();
        said[at] = rng.next() as u8;
    }
    if rng.next().is_multiple_of(3) {
        said.truncate(rng.next() as usize % said.len());
    }
    said
}

/// What WebSocket begins with and goes on with, with some bytes that are wrong, each piece behind its length.
fn heads_and_frames(rng: &mut Rng) -> Vec<u8> {
    const SAID: [&[u8]; 12] = [
        b"GET /a HTTP/1.1\r\nHost: b\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n",
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n",
        b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
        b"HTTP/1.1 502 Bad Gateway\r\n\r\n",
        b"\x82\x03abc",
        b"\x82\x83\x01\x02\x03\x04abc",
        b"\x02\x80\0\0\0\0\x89\x81\0\0\0\0!\x80\x81\0\0\0\0x",
        b"\x89\x02hi\x8a\0",
        b"\x88\x02\x03\xe8",
        b"\x82\xfe\x00\x80\x01\x02\x03\x04",
        b"\x82\x7f\0\0\0\0\0\x01\0\0",
    ];
    let mut all = rng.bytes(1);
    for _ in 0..1 + rng.next() % 6 {
        let mut said = SAID[rng.next() as usize % SAID.len()].to_vec();
        if rng.next().is_multiple_of(4) {
            let at = rng.next() as usize % said.len();
            said[at] = rng.next() as u8;
        }
        all.extend([8, (said.len() - 1) as u8]);
        all.extend(said);
    }
    all
}

/// Frames whose headers are nearly right, each behind the decisions that [`decode`] takes from the same bytes.
fn frames(rng: &mut Rng) -> Vec<u8> {
    const KINDS: [(u8, u64); 16] = [
        (0x01, 80),
        (0x02, 40),
        (0x03, 32),
        (0x04, 5),
        (0x10, 2),
        (0x11, 0),
        (0x12, 2),
        (0x13, 30),
        (0x14, 30),
        (0x15, 8),
        (0x16, 2),
        (0x17, 0),
        (0x20, 16),
        (0x21, 16),
        (0x22, 6),
        (0x81, 9),
    ];
    let mut all = rng.bytes(1);
    for _ in 0..1 + rng.next() % 20 {
        let (kind, length) = KINDS[rng.next() as usize % KINDS.len()];
        let stream = [0, 0, 0, rng.next() as u8 % 5];
        let flags = u8::from(kind == 0x13 && rng.next().is_multiple_of(3));
        let payload = rng.bytes(length);
        // Some behaviour, then the number of bytes that follow, less one.
        all.extend([rng.next() as u8, 8, 7 + length as u8]);
        all.extend([0, length as u8, kind, flags]);
        all.extend(stream);
        all.extend(payload);
    }
    all
}
