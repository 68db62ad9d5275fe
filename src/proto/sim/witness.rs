//! A third party that reads both directions of the wire as they are sent, knows nothing but the documentation, and
//! holds every frame against it.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::{CLIENT, SERVER};
use crate::limits::INITIAL_WINDOW;

/// What was seen of one link.
#[derive(Default)]
pub(super) struct Witness {
    rest: [Vec<u8>; 2],
    streams: BTreeMap<u32, Seen>,
    /// The last generation that was opened in each slot.
    slots: BTreeMap<u16, u16>,
    left: [bool; 2],
}

/// What was seen of a stream, by who sent it.
#[derive(Default)]
struct Seen {
    opened: bool,
    bytes: [u64; 2],
    /// Up to where that end may send.
    credit: [u64; 2],
    fin: [bool; 2],
    /// That end has said its last word.
    over: [bool; 2],
}

impl Witness {
    /// The node `from` has sent `bytes`.
    pub fn see(&mut self, from: usize, bytes: &[u8]) {
        self.rest[from].extend_from_slice(bytes);
        let all = core::mem::take(&mut self.rest[from]);
        let mut rest = &all[..];
        while let Some((header, tail)) = rest.split_first_chunk::<8>() {
            let length = usize::from(u16::from_be_bytes([header[0], header[1]]));
            let Some((payload, tail)) = tail.split_at_checked(length) else {
                break;
            };
            let stream = u32::from_be_bytes([header[4], header[5], header[6], header[7]]);
            self.judge(from, header[2], header[3], stream, payload);
            rest = tail;
        }
        self.rest[from] = rest.to_vec();
    }

    fn judge(&mut self, from: usize, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        assert!(flags == 0 || (kind == 0x13 && flags == 1));
        match kind {
            0x02 | 0x05 => assert!(from == CLIENT && stream < 4096),
            0x03 | 0x04 => assert!(from == SERVER && stream < 4096),
            0x10 => self.open(from, stream),
            0x11..=0x17 => self.speak(from, kind, flags, stream, payload),
            0x20 | 0x21 => assert!(payload.len() == 16 && stream == 0),
            0x22 => assert!(!core::mem::replace(&mut self.left[from], true), "two goodbyes"),
            _ => panic!("a frame of kind {kind:#x} in a session"),
        }
    }

    fn open(&mut self, from: usize, stream: u32) {
        assert!(from == SERVER && !self.left[SERVER], "who opens");
        let (slot, generation) = (stream as u16, (stream >> 16) as u16);
        let due = match self.slots.insert(slot, generation) {
            None => 0,
            Some(last) => {
                let last_id = u32::from(last) << 16 | u32::from(slot);
                let over = self.streams[&last_id].over;
                assert!(over[CLIENT] || over[SERVER], "the slot is in use");
                last.wrapping_add(1)
            }
        };
        assert_eq!(generation, due, "a generation is left out");
        let credit = [INITIAL_WINDOW.into(); 2];
        self.streams.insert(
            stream,
            Seen {
                credit,
                ..Seen::default()
            },
        );
    }

    fn speak(&mut self, from: usize, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let seen = self.streams.get_mut(&stream).expect("a stream that was never opened");
        let number = payload.iter().take(8).fold(0, |sum, byte| sum << 8 | u64::from(*byte));
        assert!(!seen.over[from], "a word behind the last one");
        let mut over = false;
        match kind {
            0x11 => assert!(from == CLIENT && !core::mem::replace(&mut seen.opened, true)),
            0x12 => {
                assert!(from == CLIENT && !seen.opened && seen.bytes[CLIENT] == 0);
                over = true;
            }
            0x13 => seen.data(from, flags == 1, payload.len() as u64),
            0x14 => assert!(seen.is_flow()),
            0x15 => {
                assert!(number >= seen.credit[1 - from] && number < seen.bytes[1 - from] + (1 << 32));
                seen.credit[1 - from] = number;
            }
            0x16 => over = true,
            _ => {
                assert!(from == CLIENT && seen.fin == [true; 2], "closed too early");
                over = true;
            }
        }
        seen.over[from] = over;
    }
}

impl Seen {
    /// Whether nothing was seen that only streams of bytes have.
    fn is_flow(&self) -> bool {
        !self.opened && self.bytes == [0; 2] && self.fin == [false; 2]
    }

    fn data(&mut self, from: usize, fin: bool, length: u64) {
        assert!(!self.fin[from], "data behind the end");
        assert!(length > 0 || fin, "data without bytes");
        self.bytes[from] += length;
        assert!(self.bytes[from] <= self.credit[from], "more than the credit");
        self.fin[from] = fin;
    }
}
