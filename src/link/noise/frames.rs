//! A stream of bytes, cut where the lengths in it say. Holds one piece that is not whole, at most.

use crate::limits::NOISE_HEADER;

/// What came and is not whole yet.
#[derive(Default)]
pub struct Frames {
    /// A length and what there is behind it.
    held: Vec<u8>,
    /// `held` was given; it is in the way only now.
    given: bool,
    /// `held` was in use since memory was last asked back.
    used: bool,
}

impl Frames {
    /// The length of the next piece, as far as it is known.
    pub fn length(&self, input: &[u8]) -> Option<usize> {
        let held = if self.given { &[] } else { self.held.as_slice() };
        let mut bytes = held.iter().chain(input);
        Some(usize::from(u16::from_be_bytes([*bytes.next()?, *bytes.next()?])))
    }

    /// Takes the next piece off the front of what is held and `input`, without its length; `None`: all of `input` is
    /// held now.
    pub fn next<'a, 'b: 'a>(&'a mut self, input: &mut &'b [u8]) -> Option<&'a [u8]> {
        let length = self.length(input);
        let whole = NOISE_HEADER + length.unwrap_or_default();
        if core::mem::take(&mut self.given) {
            self.held.clear();
        }
        if self.held.is_empty() && length.is_some() && input.len() >= whole {
            let (piece, rest) = input.split_at(whole);
            *input = rest;
            return Some(piece.split_at(NOISE_HEADER).1);
        }
        self.hold(whole, input);
        self.given = length.is_some() && self.held.len() == whole;
        self.given.then(|| self.held.split_at(NOISE_HEADER).1)
    }

    /// Bytes held at most when the next piece is asked for.
    pub fn held(&self) -> usize {
        self.held.len()
    }

    /// Lets go of memory that was not in use since this was last called: a busy link would ask for it again at once.
    pub fn relax(&mut self) {
        if !core::mem::take(&mut self.used) && (self.given || self.held.is_empty()) {
            *self = Frames::default();
        }
    }

    fn hold(&mut self, whole: usize, input: &mut &[u8]) {
        if input.is_empty() {
            return;
        }
        let missing = whole.saturating_sub(self.held.len());
        let (head, rest) = input.split_at(missing.min(input.len()));
        self.held.reserve_exact(missing);
        self.held.extend_from_slice(head);
        self.used = true;
        *input = rest;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::NOISE_RECORD;

    #[test]
    fn pieces_are_the_same_however_they_come() {
        let stream = [0, 3, 1, 2, 3, 0, 0, 0, 1, 9, 1, 0]
            .iter()
            .copied()
            .chain([7; 256])
            .collect::<Vec<u8>>();
        for step in 1..=stream.len() {
            let mut frames = Frames::default();
            let mut pieces = Vec::new();
            for mut part in stream.chunks(step) {
                while let Some(piece) = frames.next(&mut part) {
                    pieces.push(piece.to_vec());
                }
                assert!(part.is_empty());
            }
            assert_eq!(
                pieces,
                [vec![1, 2, 3], vec![], vec![9], vec![7; 256]],
                "in steps of {step}"
            );
        }
    }

    #[test]
    fn no_more_is_held_than_one_record() {
        let mut frames = Frames::default();
        for byte in [0xff; NOISE_RECORD + 1] {
            assert_eq!(frames.next(&mut [byte].as_slice()), None);
        }
        assert!(frames.held.capacity() <= NOISE_HEADER + NOISE_RECORD);
        assert!(frames.next(&mut [0xff].as_slice()).is_some());
        frames.relax();
        assert!(frames.held.capacity() > 0, "it may be needed again at once");
        frames.relax();
        assert_eq!(frames.held.capacity(), 0);
    }
}
