//! Bytes that are known by their seed, and their hashes.

use std::io::{self, Read, Write};

use sha2::{Digest, Sha256};

/// What [`send`] and [`receive`] return.
pub type Hash = [u8; 32];

/// Bytes of one piece.
pub const PIECE: u64 = 64 * 1024;

/// A stream of bytes that its seed decides: one random piece, stamped with its number each time it is repeated.
pub struct Payload {
    piece: Vec<u8>,
    number: u64,
}

impl Payload {
    /// The stream of `seed`.
    pub fn new(seed: u64) -> Payload {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let words = (0..PIECE / 8).flat_map(|_| xorshift(&mut state).to_le_bytes());
        Payload {
            piece: words.collect(),
            number: 0,
        }
    }

    /// Its first `length` bytes.
    pub fn bytes(seed: u64, length: usize) -> Vec<u8> {
        let mut payload = Payload::new(seed);
        let mut bytes = Vec::with_capacity(length + PIECE as usize);
        while bytes.len() < length {
            bytes.extend_from_slice(payload.next_piece());
        }
        bytes.truncate(length);
        bytes
    }

    /// The next 64 KiB.
    pub fn next_piece(&mut self) -> &[u8] {
        self.piece[..8].copy_from_slice(&self.number.to_le_bytes());
        self.number += 1;
        &self.piece
    }
}

/// Writes `length` bytes of `seed` and returns their hash.
pub fn send(mut to: impl Write, seed: u64, length: u64) -> io::Result<Hash> {
    let mut payload = Payload::new(seed);
    let mut hash = Sha256::new();
    let mut left = length;
    while left > 0 {
        let piece = &payload.next_piece()[..left.min(PIECE) as usize];
        hash.update(piece);
        to.write_all(piece)?;
        left -= piece.len() as u64;
    }
    Ok(hash.finalize().into())
}

/// Reads exactly `length` bytes and returns their hash.
pub fn receive(mut from: impl Read, length: u64) -> io::Result<Hash> {
    let mut buffer = vec![0; PIECE as usize];
    let mut hash = Sha256::new();
    let mut left = length;
    while left > 0 {
        let count = from.read(&mut buffer[..left.min(PIECE) as usize])?;
        if count == 0 {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                format!("{left} of {length} bytes are missing"),
            ));
        }
        hash.update(&buffer[..count]);
        left -= count as u64;
    }
    Ok(hash.finalize().into())
}

fn xorshift(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}
