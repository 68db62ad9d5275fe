//! One direction of a link: a cipher, its key, and how many records there were.

use snow::params::CipherChoice;
use snow::types::Cipher;

use crate::limits::NOISE_REKEY;

use super::{Key, crypto};

/// Seals the records of this end, or opens the peer's.
pub struct Direction {
    cipher: Box<dyn Cipher>,
    /// Records so far; the number of the next one is its nonce.
    count: u64,
}

impl Direction {
    /// With a key of a handshake; `None`: this build has no such cipher.
    pub fn new(cipher: CipherChoice, key: &Key) -> Option<Direction> {
        let mut cipher = crypto::resolver().resolve_cipher(&cipher)?;
        cipher.set(key);
        Some(Direction { cipher, count: 0 })
    }

    /// Puts `plain` and its tag into the front of `out`, which has room for both. Gives their length.
    pub fn seal(&mut self, plain: &[u8], out: &mut [u8]) -> usize {
        let length = self.cipher.encrypt(self.count, &[], plain, out);
        self.go_on();
        length
    }

    /// Puts what the next record carries into the front of `out`, which has room for the whole record. Gives its length;
    /// `None`: it is not the next record as the peer sealed it.
    pub fn open(&mut self, record: &[u8], out: &mut [u8]) -> Option<usize> {
        let length = self.cipher.decrypt(self.count, &[], record, out).ok()?;
        self.go_on();
        Some(length)
    }

    fn go_on(&mut self) {
        self.count += 1;
        if self.count.is_multiple_of(NOISE_REKEY) {
            self.cipher.rekey();
        }
    }
}
