//! Frames: the unit of the protocol. One table of kinds says which lengths are right; [`Reader`] takes a payload
//! apart, [`Transmit`] puts frames together.
//!
//! ```text
//!  0               1               2               3
//! +-------+-------+-------+-------+-------+-------+-------+-------+
//! | length of payload             | kind          | flags         |
//! +---------------+---------------+---------------+---------------+
//! | stream, registration, or 0                                    |
//! +---------------+---------------+---------------+---------------+
//! | payload: `length` bytes …
//! ```
//! Numbers are big endian. Fields behind a payload's fixed part ([`Reader::field`]) stand in any order; of two with the
//! same tag the later one counts. What stands as a stream where none is meant ("0") is not looked at.

use alloc::boxed::Box;
use alloc::vec;
use core::fmt;

use embedded_io::{ErrorType, SliceWriteError, Write};

use super::fault::Fault;
use crate::limits::{FRAME_HEADER, MAX_CONTROL, MAX_DATAGRAM, MAX_PAYLOAD};

/// What a frame is. The numbers are the wire's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum Kind {
    Hello = 0x01,
    Register = 0x02,
    Registered = 0x03,
    Declined = 0x04,
    Unregister = 0x05,
    Open = 0x10,
    Opened = 0x11,
    Refused = 0x12,
    Data = 0x13,
    Datagram = 0x14,
    Credit = 0x15,
    Reset = 0x16,
    Closed = 0x17,
    Ping = 0x20,
    Pong = 0x21,
    Goodbye = 0x22,
    Renew = 0x23,
    Health = 0x80,
}

/// Kinds that a receiver skips when it does not know them.
pub const IGNORABLE: core::ops::RangeInclusive<u8> = 0x80..=0xBF;

/// Every kind with the least and the largest payload, in bytes.
const KINDS: [(Kind, usize, usize); 18] = [
    (Kind::Hello, 80, MAX_CONTROL),
    (Kind::Register, 35, MAX_CONTROL),
    (Kind::Registered, 32, MAX_CONTROL),
    (Kind::Declined, 2, MAX_CONTROL),
    (Kind::Unregister, 0, 0),
    (Kind::Open, 2, MAX_CONTROL),
    (Kind::Opened, 0, 0),
    (Kind::Refused, 2, MAX_CONTROL),
    (Kind::Data, 0, MAX_PAYLOAD),
    (Kind::Datagram, 0, MAX_DATAGRAM),
    (Kind::Credit, 8, 8),
    (Kind::Reset, 2, 2),
    (Kind::Closed, 0, 0),
    (Kind::Ping, 16, 16),
    (Kind::Pong, 16, 16),
    (Kind::Goodbye, 6, MAX_CONTROL),
    (Kind::Renew, 0, 0),
    (Kind::Health, 5, MAX_CONTROL),
];

/// Flag of a data frame: these are the direction's last bytes.
pub const FIN: u8 = 0x01;

/// A frame's fixed part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Bytes of payload.
    pub length: u16,
    /// `None`: unknown, but to be skipped.
    pub kind: Option<Kind>,
    /// Bits that only [`Kind::Data`] has.
    pub flags: u8,
    /// A [`StreamId`], a registration, or 0: what the kind says.
    pub stream: u32,
}

impl Header {
    /// Takes a header apart; unknown kinds, flags and lengths are faults.
    pub fn parse(raw: [u8; FRAME_HEADER]) -> Result<Header, Fault> {
        let [l0, l1, kind, flags, s0, s1, s2, s3] = raw;
        let length = u16::from_be_bytes([l0, l1]);
        let header = Header {
            length,
            kind: None,
            flags,
            stream: u32::from_be_bytes([s0, s1, s2, s3]),
        };
        let known = KINDS.iter().find(|row| row.0 as u8 == kind);
        let (kind, least, most) = match known {
            Some(&(kind, least, most)) => (Some(kind), least, most),
            None if IGNORABLE.contains(&kind) => (None, 0, MAX_CONTROL),
            None => return Err(Fault::UnknownKind(kind)),
        };
        let allowed = if kind == Some(Kind::Data) { FIN } else { 0 };
        if flags & !allowed != 0 && kind.is_some() {
            return Err(Fault::UnknownFlags(flags));
        }
        if usize::from(length) < least || usize::from(length) > most {
            return Err(Fault::Length(raw[2], length));
        }
        Ok(Header { kind, ..header })
    }

    /// Bytes of the payload.
    pub fn payload(&self) -> usize {
        usize::from(self.length)
    }
}

/// Names a stream: a slot below the opener's limit, and how often that slot was used before (wrapping), so that a
/// late frame for the slot's earlier stream is told apart.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct StreamId {
    /// Which of the session's slots.
    pub slot: u16,
    /// Which stream in that slot.
    pub generation: u16,
}

impl StreamId {
    /// As in a frame's header: generation in the upper half.
    pub fn to_wire(self) -> u32 {
        u32::from(self.generation) << 16 | u32::from(self.slot)
    }

    /// Back from a frame's header.
    pub fn from_wire(raw: u32) -> StreamId {
        StreamId {
            slot: raw as u16,
            generation: (raw >> 16) as u16,
        }
    }

    /// Place of the slot in a list.
    pub fn index(self) -> usize {
        usize::from(self.slot)
    }
}

impl fmt::Debug for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.slot, self.generation)
    }
}

/// Takes bytes off the front of a payload. Nothing here can be out of bounds.
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Reads `payload` from its start.
    pub fn new(payload: &'a [u8]) -> Self {
        Reader { rest: payload }
    }

    /// The next `n` bytes.
    pub fn take(&mut self, n: usize) -> Result<&'a [u8], Fault> {
        let (head, rest) = self.rest.split_at_checked(n).ok_or(Fault::Truncated)?;
        self.rest = rest;
        Ok(head)
    }

    /// The next `N` bytes.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let (head, rest) = self.rest.split_first_chunk().ok_or(Fault::Truncated)?;
        self.rest = rest;
        Ok(*head)
    }

    #[allow(missing_docs)]
    pub fn u8(&mut self) -> Result<u8, Fault> {
        Ok(u8::from_be_bytes(self.array()?))
    }

    #[allow(missing_docs)]
    pub fn u16(&mut self) -> Result<u16, Fault> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    #[allow(missing_docs)]
    pub fn u32(&mut self) -> Result<u32, Fault> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    #[allow(missing_docs)]
    pub fn u64(&mut self) -> Result<u64, Fault> {
        Ok(u64::from_be_bytes(self.array()?))
    }

    /// What is left.
    pub fn rest(self) -> &'a [u8] {
        self.rest
    }

    /// The next typed field: its tag and value; `None` at the end.
    ///
    /// ```text
    /// | C | tag: 7 bits | length: 16 bits | value … |      C: a receiver that does not know the tag must refuse
    /// ```
    pub fn field(&mut self) -> Result<Option<Field<'a>>, Fault> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let tag = self.u8()?;
        let length = self.u16()?;
        let value = self.take(usize::from(length))?;
        Ok(Some(Field {
            tag: tag & !CRITICAL,
            critical: tag & CRITICAL != 0,
            value,
        }))
    }
}

/// The bit of a field's first byte that forbids skipping it.
pub const CRITICAL: u8 = 0x80;

/// A typed field of Hello, Register, Open, Goodbye and of the answers.
pub struct Field<'a> {
    /// What it is, in the frame it stands in.
    pub tag: u8,
    /// Not to be skipped.
    pub critical: bool,
    /// Its bytes.
    pub value: &'a [u8],
}

impl Field<'_> {
    /// What to do with a field that `frame` does not know: skip it, or name it.
    pub fn unknown(&self, frame: Kind) -> Result<(), Fault> {
        if self.critical {
            Err(Fault::Critical(frame, self.tag))
        } else {
            Ok(())
        }
    }
}

/// Frames to be sent, gathered for one write in one place of fixed size.
pub struct Transmit {
    place: Box<[u8]>,
    len: usize,
    has_payload: bool,
}

impl Transmit {
    /// Room for `capacity` bytes.
    pub fn new(capacity: usize) -> Self {
        Transmit {
            place: vec![0; capacity].into_boxed_slice(),
            len: 0,
            has_payload: false,
        }
    }

    /// What was gathered.
    pub fn as_bytes(&self) -> &[u8] {
        self.place.split_at(self.len).0
    }

    #[allow(missing_docs)]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes gathered.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether bytes or datagrams of visitors are among it.
    pub fn has_payload(&self) -> bool {
        self.has_payload
    }

    /// Forgets what was gathered.
    pub fn clear(&mut self) {
        self.len = 0;
        self.has_payload = false;
    }

    /// Bytes of payload that a further frame may have.
    pub fn room(&self) -> usize {
        (self.place.len() - self.len).saturating_sub(FRAME_HEADER)
    }

    /// Adds one control frame whose payload `fill` writes. False, and nothing added, if there is no room.
    pub fn control(&mut self, kind: Kind, stream: u32, fill: &dyn Fn(&mut Transmit) -> Written) -> bool {
        let start = self.len;
        let written = self.write_all(&[0; FRAME_HEADER]).and_then(|()| fill(self));
        let length = self.len.saturating_sub(start + FRAME_HEADER);
        if written.is_err() || length > MAX_CONTROL {
            self.len = start;
            return false;
        }
        self.patch(start, kind, length, 0, stream);
        true
    }

    /// Adds a datagram, at most [`Self::room`] bytes.
    pub fn datagram(&mut self, stream: StreamId, datagram: &[u8]) {
        let start = self.len;
        let n = datagram.len();
        let place = self.reserve(n);
        if place.len() == n {
            place.copy_from_slice(datagram);
            self.len = start + FRAME_HEADER + n;
            self.has_payload = true;
            self.patch(start, Kind::Datagram, n, 0, stream.to_wire());
        }
    }

    /// Lends the place of a data frame's payload: at most `n` bytes behind room for the header. Nothing is added until
    /// [`Self::commit`].
    pub fn reserve(&mut self, n: usize) -> &mut [u8] {
        let free = self.place.split_at_mut(self.len).1;
        let area = free.split_at_mut(FRAME_HEADER.min(free.len())).1;
        let n = n.min(MAX_PAYLOAD).min(area.len());
        area.split_at_mut(n).0
    }

    /// Adds a data frame of the first `n` bytes that were put into the place that [`Self::reserve`] lent.
    pub fn commit(&mut self, stream: StreamId, n: usize, fin: bool) {
        let start = self.len;
        self.len = self.place.len().min(start + FRAME_HEADER + n);
        self.has_payload = true;
        self.patch(start, Kind::Data, n, if fin { FIN } else { 0 }, stream.to_wire());
    }

    fn patch(&mut self, start: usize, kind: Kind, length: usize, flags: u8, stream: u32) {
        let [l0, l1] = (length as u16).to_be_bytes();
        let [s0, s1, s2, s3] = stream.to_be_bytes();
        if let Some(place) = self.place.get_mut(start..start + FRAME_HEADER) {
            place.copy_from_slice(&[l0, l1, kind as u8, flags, s0, s1, s2, s3]);
        }
    }
}

/// Whether there was room.
pub type Written = Result<(), SliceWriteError>;

impl ErrorType for Transmit {
    type Error = SliceWriteError;
}

impl Write for Transmit {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, SliceWriteError> {
        let free = self.place.split_at_mut(self.len).1;
        let (place, _) = free.split_at_mut_checked(bytes.len()).ok_or(SliceWriteError::Full)?;
        place.copy_from_slice(bytes);
        self.len += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Written {
        Ok(())
    }
}
