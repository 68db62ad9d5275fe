//! Received bytes to pieces of frames, however the transport cut them. Payload of data frames passes through as it
//! comes and is never held back; of any other frame at most `MAX_CONTROL` bytes wait here for the rest.

use alloc::borrow::Cow;
use alloc::vec::Vec;

use super::fault::Fault;
use super::frame::{FIN, Header, Kind, StreamId};
use crate::limits::FRAME_HEADER;

/// What came.
pub(super) enum Piece<'a> {
    /// A whole frame, not of data.
    Control(Header, Cow<'a, [u8]>),
    /// A data frame begins.
    DataStart(Header),
    /// Some of its payload; `fin`: the last of the direction.
    Data {
        stream: StreamId,
        bytes: &'a [u8],
        fin: bool,
    },
}

/// Where in a frame the last bytes ended.
#[derive(Default)]
pub(super) struct Inbox {
    held: Vec<u8>,
    body: Option<Body>,
}

struct Body {
    stream: StreamId,
    left: usize,
    fin: bool,
}

impl Inbox {
    /// Takes the next piece off the front of `input`; `None`: all of it was taken.
    pub fn next<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<Piece<'a>>, Fault> {
        if self.body.is_some() {
            return Ok(self.next_data(input));
        }
        self.fill(input, FRAME_HEADER);
        let Some(raw) = self.held.first_chunk() else {
            return Ok(None);
        };
        let header = Header::parse(*raw)?;
        if header.kind == Some(Kind::Data) {
            return self.start_data(header).map(Some);
        }
        Ok(self
            .payload(header.payload(), input)
            .map(|payload| Piece::Control(header, payload)))
    }

    fn start_data<'a>(&mut self, header: Header) -> Result<Piece<'a>, Fault> {
        let fin = header.flags & FIN != 0;
        if header.length == 0 && !fin {
            return Err(Fault::Length(Kind::Data as u8, 0));
        }
        self.held.clear();
        self.body = Some(Body {
            stream: StreamId::from_wire(header.stream),
            left: header.payload(),
            fin,
        });
        Ok(Piece::DataStart(header))
    }

    fn next_data<'a>(&mut self, input: &mut &'a [u8]) -> Option<Piece<'a>> {
        let body = self.body.as_mut()?;
        if body.left > 0 && input.is_empty() {
            return None;
        }
        let (bytes, rest) = input.split_at(body.left.min(input.len()));
        *input = rest;
        body.left -= bytes.len();
        let whole = body.left == 0;
        let piece = Piece::Data {
            stream: body.stream,
            bytes,
            fin: whole && body.fin,
        };
        if whole {
            self.body = None;
        }
        Some(piece)
    }

    /// The payload of the frame whose header is held: from `input` as it stands, if it is all there.
    fn payload<'a>(&mut self, length: usize, input: &mut &'a [u8]) -> Option<Cow<'a, [u8]>> {
        if let Some((payload, rest)) = input
            .split_at_checked(length)
            .filter(|_| self.held.len() == FRAME_HEADER)
        {
            self.held.clear();
            *input = rest;
            return Some(Cow::Borrowed(payload));
        }
        self.fill(input, FRAME_HEADER + length);
        if self.held.len() < FRAME_HEADER + length {
            return None;
        }
        let payload = self.held.split_off(FRAME_HEADER);
        self.held.clear();
        Some(Cow::Owned(payload))
    }

    fn fill(&mut self, input: &mut &[u8], whole: usize) {
        let missing = whole.saturating_sub(self.held.len());
        let (head, rest) = input.split_at(missing.min(input.len()));
        self.held.extend_from_slice(head);
        *input = rest;
    }
}
