//! Records: what a link's bytes are after the handshake.

use std::cell::RefCell;
use std::rc::Rc;

use crate::limits::{NOISE_HEADER, NOISE_RECORD, NOISE_SPARE, NOISE_TAG};

use super::Torn;
use super::direction::Direction;
use super::frames::Frames;

/// Bytes that one record carries at most.
const MOST: usize = NOISE_RECORD - NOISE_TAG;

/// Seals and opens one link's records.
pub struct Records {
    outward: Direction,
    inward: Direction,
    spare: Rc<Spare>,
    sealed: Vec<u8>,
    plain: Vec<u8>,
}

/// Buffers that no link needs now. Links that are busy one after the other use the same ones.
#[derive(Default)]
pub struct Spare(RefCell<Vec<Vec<u8>>>);

impl Records {
    /// With both directions of a handshake: this end's, then the peer's.
    pub fn new([outward, inward]: [Direction; 2], spare: &Rc<Spare>) -> Records {
        Records {
            outward,
            inward,
            spare: spare.clone(),
            sealed: Vec::new(),
            plain: Vec::new(),
        }
    }

    /// `plain` in as few records as possible, of about the same size.
    pub fn seal(&mut self, plain: &[u8]) -> &[u8] {
        let count = plain.len().div_ceil(MOST).max(1);
        let size = plain.len().div_ceil(count).max(1);
        let out = self
            .spare
            .room(&mut self.sealed, plain.len() + count * (NOISE_HEADER + NOISE_TAG));
        let mut at = 0;
        for part in plain.chunks(size) {
            let (header, body) = out[at..].split_at_mut(NOISE_HEADER);
            let length = self.outward.seal(part, body);
            header.copy_from_slice(&u16::try_from(length).unwrap_or_default().to_be_bytes());
            at += NOISE_HEADER + length;
        }
        &out[..at]
    }

    /// What the records carry that are whole with `input`.
    pub fn open<'a>(&'a mut self, frames: &mut Frames, mut input: &[u8]) -> Result<&'a [u8], Torn> {
        let out = self.spare.room(&mut self.plain, frames.held() + input.len());
        let mut at = 0;
        while let Some(record) = frames.next(&mut input) {
            if record.len() <= NOISE_TAG {
                return Err(Torn("a record without content: the other end is not pinhole".into()));
            }
            let opened = self.inward.open(record, &mut out[at..]);
            at += opened.ok_or_else(|| Torn(SPOILT.into()))?;
        }
        Ok(&out[..at])
    }

    /// Bytes of buffers that it has for itself now.
    #[cfg(test)]
    pub fn held(&self) -> usize {
        self.sealed.capacity() + self.plain.capacity()
    }

    /// Gives the buffers back.
    pub fn relax(&mut self) {
        self.spare.put(&mut self.sealed);
        self.spare.put(&mut self.plain);
    }
}

impl Spare {
    /// Makes `buffer` hold `size` bytes, of whatever content: a buffer that did before is not filled anew.
    fn room<'a>(&self, buffer: &'a mut Vec<u8>, size: usize) -> &'a mut [u8] {
        if buffer.is_empty() {
            *buffer = self.0.borrow_mut().pop().unwrap_or_default();
        }
        if buffer.len() < size {
            buffer.reserve_exact(size - buffer.len());
            buffer.resize(size, 0);
        }
        &mut buffer[..size]
    }

    fn put(&self, buffer: &mut Vec<u8>) {
        let buffer = core::mem::take(buffer);
        let mut spare = self.0.borrow_mut();
        if !buffer.is_empty() && spare.len() < NOISE_SPARE {
            spare.push(buffer);
        }
    }
}

const SPOILT: &str = "a record was changed, lost or repeated on its way";
