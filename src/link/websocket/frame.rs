//! Frames of WebSocket: RFC 6455, section 5. Payload is handed on as it comes, so that a frame may have any length.
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-+-----+-------+-+-------------+-------------------------------+
//! |F|  0  |opcode |M|   length    |  126: 16 bits, 127: 64 bits   |
//! +-+-----+-------+-+-------------+-------------------------------+
//! |  a client's frames: 32 bits that its payload is masked with   |
//! +---------------------------------------------------------------+
//! ```

use crate::limits::MAX_CONTROL_PAYLOAD;

pub const CONTINUATION: u8 = 0;
pub const TEXT: u8 = 1;
pub const BINARY: u8 = 2;
pub const CLOSE: u8 = 8;
pub const PING: u8 = 9;
pub const PONG: u8 = 10;

/// Codes of Close.
pub const NORMAL: u16 = 1000;
const PROTOCOL_ERROR: u16 = 1002;
const UNSUPPORTED: u16 = 1003;

/// A frame between those that carry the byte stream.
#[derive(Debug, PartialEq, Eq)]
pub enum Control {
    Ping(Vec<u8>),
    Pong,
    Close,
}

/// Why a frame ends the connection, with the code that the peer is told.
#[derive(Debug, PartialEq, Eq)]
pub struct Breach {
    pub code: u16,
    pub text: &'static str,
}

/// Takes frames apart.
pub struct Reader {
    /// Whether the peer masks, as clients must and servers must not.
    is_masked: bool,
    header: Vec<u8>,
    frame: Option<Frame>,
    /// Within a message of several frames.
    is_inside: bool,
    control: Vec<u8>,
}

/// The frame whose payload is coming.
struct Frame {
    opcode: u8,
    left: u64,
    mask: [u8; 4],
}

impl Reader {
    pub fn new(is_masked: bool) -> Reader {
        Reader {
            is_masked,
            header: Vec::new(),
            frame: None,
            is_inside: false,
            control: Vec::new(),
        }
    }

    /// Takes bytes off the front of `input` and adds what they carry to `payload`, up to the next control frame.
    pub fn read(&mut self, input: &mut &[u8], payload: &mut Vec<u8>) -> Result<Option<Control>, Breach> {
        while self.frame.is_some() || self.begin(input)? {
            let Some(frame) = &mut self.frame else { break };
            frame.take(input, if frame.is_control() { &mut self.control } else { payload });
            if frame.left > 0 {
                break;
            }
            if let Some(control) = self.end() {
                return Ok(Some(control));
            }
        }
        Ok(None)
    }

    /// Whether a header is whole, and its frame begins.
    fn begin(&mut self, input: &mut &[u8]) -> Result<bool, Breach> {
        while let Some((&byte, rest)) = input.split_first() {
            *input = rest;
            self.header.push(byte);
            if let [first, second] = self.header[..] {
                self.check(first, second)?;
            }
            if let Some(frame) = Frame::parse(&self.header)? {
                self.header.clear();
                self.frame = Some(frame);
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn check(&mut self, first: u8, second: u8) -> Result<(), Breach> {
        let (is_last, opcode, length) = (first & 0x80 != 0, first & 0x0F, second & 0x7F);
        if first & 0x70 != 0 {
            return Err(breach("uses an extension that was not agreed on"));
        }
        if (second & 0x80 != 0) != self.is_masked {
            return Err(breach(if self.is_masked {
                "sends unmasked frames"
            } else {
                "sends masked frames"
            }));
        }
        match opcode {
            TEXT => {
                return Err(Breach {
                    code: UNSUPPORTED,
                    text: "sends text",
                });
            }
            CONTINUATION if !self.is_inside => return Err(breach("continues no message")),
            BINARY if self.is_inside => return Err(breach("begins a message within another")),
            CONTINUATION | BINARY => self.is_inside = !is_last,
            CLOSE | PING | PONG if is_last && usize::from(length) <= MAX_CONTROL_PAYLOAD => {}
            CLOSE | PING | PONG => return Err(breach("sends a control frame that is too large")),
            _ => return Err(breach("sends frames of an unknown kind")),
        }
        Ok(())
    }

    fn end(&mut self) -> Option<Control> {
        let frame = self.frame.take()?;
        let payload = core::mem::take(&mut self.control);
        match frame.opcode {
            PING => Some(Control::Ping(payload)),
            PONG => Some(Control::Pong),
            CLOSE => Some(Control::Close),
            _ => None,
        }
    }
}

impl Frame {
    /// `None`: the header is not whole.
    fn parse(header: &[u8]) -> Result<Option<Frame>, Breach> {
        let [first, second, rest @ ..] = header else {
            return Ok(None);
        };
        let (length, rest) = match second & 0x7F {
            126 => rest
                .split_first_chunk()
                .map(|(length, rest)| (u16::from_be_bytes(*length).into(), rest)),
            127 => rest
                .split_first_chunk()
                .map(|(length, rest)| (u64::from_be_bytes(*length), rest)),
            length => Some((length.into(), rest)),
        }
        .unzip();
        let (Some(left), Some(rest)) = (length, rest) else {
            return Ok(None);
        };
        if left > i64::MAX as u64 {
            return Err(breach("sends a frame of an impossible length"));
        }
        let mask = if second & 0x80 == 0 {
            Some([0; 4])
        } else {
            rest.first_chunk().copied()
        };
        Ok(mask.map(|mask| Frame {
            opcode: first & 0x0F,
            left,
            mask,
        }))
    }

    fn is_control(&self) -> bool {
        self.opcode >= CLOSE
    }

    fn take(&mut self, input: &mut &[u8], into: &mut Vec<u8>) {
        let count = usize::try_from(self.left).map_or(input.len(), |left| left.min(input.len()));
        let (bytes, rest) = input.split_at(count);
        *input = rest;
        self.left -= count as u64;
        let start = into.len();
        into.extend_from_slice(bytes);
        apply(self.mask, into.split_at_mut(start).1);
        self.mask.rotate_left(count % 4);
    }
}

/// Adds one whole frame to `out`; a client gives a `mask` that nobody can foresee.
pub fn put(out: &mut Vec<u8>, opcode: u8, payload: &[u8], mask: Option<[u8; 4]>) {
    let masked = if mask.is_some() { 0x80 } else { 0 };
    out.push(0x80 | opcode);
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(length @ ..=125), _) => out.push(masked | length),
        (_, Ok(length)) => {
            out.push(masked | 126);
            out.extend_from_slice(&length.to_be_bytes());
        }
        _ => {
            out.push(masked | 127);
            out.extend_from_slice(&(payload.len() as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(mask.as_ref().map_or(&[], |mask| &mask[..]));
    let start = out.len();
    out.extend_from_slice(payload);
    if let Some(mask) = mask {
        apply(mask, out.split_at_mut(start).1);
    }
}

/// Masks, or takes the mask off.
fn apply(mask: [u8; 4], bytes: &mut [u8]) {
    let [a, b, c, d] = mask;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (words, rest) = bytes.as_chunks_mut();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    rest.iter_mut()
        .zip([a, b, c, d, a, b, c])
        .for_each(|(byte, key)| *byte ^= key);
}

fn breach(text: &'static str) -> Breach {
    Breach {
        code: PROTOCOL_ERROR,
        text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(is_masked: bool, pieces: &[&[u8]]) -> Result<(Vec<u8>, Vec<Control>), Breach> {
        let (mut reader, mut payload, mut controls) = (Reader::new(is_masked), Vec::new(), Vec::new());
        for mut input in pieces.iter().copied() {
            while let Some(control) = reader.read(&mut input, &mut payload)? {
                controls.push(control);
            }
            assert!(input.is_empty());
        }
        Ok((payload, controls))
    }

    /// The examples of RFC 6455, section 5.7, as far as they carry bytes.
    #[test]
    fn the_examples_of_the_rfc() {
        let masked_ping = [0x89, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
        let hello = Control::Ping(b"Hello".to_vec());
        assert_eq!(read(true, &[&masked_ping]), Ok((vec![], vec![hello])));
        let long = [&[0x82, 0x7E, 0x01, 0x00][..], &[7; 256]].concat();
        assert_eq!(read(false, &[&long]), Ok((vec![7; 256], vec![])));
        let longer = [&[0x82, 0x7F, 0, 0, 0, 0, 0, 1, 0, 0][..], &[7; 65536]].concat();
        assert_eq!(read(false, &[&longer]), Ok((vec![7; 65536], vec![])));
    }

    #[test]
    fn a_message_in_pieces_with_a_ping_between() {
        let bytes = [
            0x02, 2, b'a', b'b', 0x89, 1, b'!', 0x00, 1, b'c', 0x80, 1, b'd', 0x8A, 0, 0x88, 2, 3, 0xE8,
        ];
        let all = (
            b"abcd".to_vec(),
            vec![Control::Ping(b"!".to_vec()), Control::Pong, Control::Close],
        );
        assert_eq!(read(false, &[&bytes]), Ok(all));
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(read(false, &single), read(false, &[&bytes]));
    }

    #[test]
    fn what_is_put_is_read_whatever_the_pieces() {
        for length in [0, 1, 125, 126, 127, 1000, 65_535, 65_536, 70_001] {
            for mask in [None, Some([1, 2, 3, 0xFF])] {
                let payload: Vec<u8> = (0..length).map(|n| n as u8).collect();
                let mut wire = Vec::new();
                put(&mut wire, BINARY, &payload, mask);
                put(&mut wire, PING, b"x", mask);
                for size in [1, 3, 1000, wire.len()] {
                    let pieces: Vec<&[u8]> = wire.chunks(size).collect();
                    let expected = (payload.clone(), vec![Control::Ping(b"x".to_vec())]);
                    assert_eq!(read(mask.is_some(), &pieces), Ok(expected));
                }
            }
        }
    }

    #[test]
    fn breaches() {
        let code = |is_masked, bytes: &[u8]| read(is_masked, &[bytes]).expect_err("a breach").code;
        assert_eq!(code(false, &[0x81, 0]), UNSUPPORTED, "text");
        for (is_masked, bytes) in [
            (true, &[0x82, 0][..]),
            (false, &[0x82, 0x80]),
            (false, &[0xC2, 0]),
            (false, &[0x80, 0]),
            (false, &[0x02, 0, 0x82, 0]),
            (false, &[0x09, 0]),
            (false, &[0x89, 126]),
            (false, &[0x83, 0]),
            (false, &[0x8B, 0]),
            (false, &[0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0]),
        ] {
            assert_eq!(code(is_masked, bytes), PROTOCOL_ERROR, "{bytes:?}");
        }
    }
}
