//! The small frames: Open and its answers, Credit, Reset, Closed, Ping, Pong, Goodbye.
//!
//! ```text
//! Open     stream                 Opened, Closed   stream
//! | registration: 16 | fields …   (no payload)
//!   1 = visitor's address          both: port, 16 bits, then 4 or 16 bytes of address
//!   2 = public address that it asked
//! Refused  stream                 Reset            stream
//! | cause: 16 | fields …          | cause: 16 |
//! Credit   stream
//! | offset up to which bytes are taken: 64 |
//! Ping, Pong       stream field 0
//! | time of the Ping, as its sender counts: 64 | bytes received on this link before this frame was made: 64 |
//! Goodbye          stream field 0
//! | code: 16 | streams accepted: 32 | fields …            1 = reason (text)
//! ```
//! What a Ping or Pong counts are the bytes behind the peer's Hello. What Goodbye counts are the Opens that its sender
//! has read, wrapping: the streams of later ones were never seen.

use alloc::string::String;
use core::fmt;
use core::net::{IpAddr, SocketAddr};

use embedded_io::Write;

use super::fault::Fault;
use super::frame::{Kind, Reader, StreamId, Transmit, Written};
use super::hello::put_text;
use super::registration::text;
use super::stream::{Cause, Ending};

/// Why a session ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leave {
    /// The process ends.
    Shutdown = 1,
    /// The peer broke the protocol.
    Fault = 2,
    /// A newer link of the same client took its place.
    Replaced = 3,
    /// The peer had nothing to say in time, or nothing that was proven.
    Unproven = 4,
    /// Nothing is left to be served.
    Idle = 5,
    /// Too many links.
    Full = 6,
    /// A code that this version does not know.
    Other = 0,
}

impl Leave {
    fn from_wire(code: u16) -> Leave {
        const ALL: [Leave; 6] = [
            Leave::Shutdown,
            Leave::Fault,
            Leave::Replaced,
            Leave::Unproven,
            Leave::Idle,
            Leave::Full,
        ];
        ALL.into_iter()
            .find(|leave| *leave as u16 == code)
            .unwrap_or(Leave::Other)
    }
}

/// A Goodbye as read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Farewell {
    /// Why.
    pub code: Leave,
    /// Streams that the peer has accepted, all told: those opened after that many were never seen.
    pub last: u32,
    /// Why, in words.
    pub reason: String,
}

/// Where a visitor comes from, and the public address that it asked; what is not known is not told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Visit {
    /// The visitor's own address.
    pub from: Option<SocketAddr>,
    /// The one it connected to.
    pub to: Option<SocketAddr>,
}

impl fmt::Display for Visit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.from {
            Some(from) => from.fmt(f),
            None => f.write_str("unknown"),
        }
    }
}

const VISITOR: u8 = 0x01;
const PUBLIC: u8 = 0x02;
const REASON: u8 = 0x01;

/// Adds a frame that stands ready.
pub(super) fn put_raw(out: &mut Transmit, frame: &[u8]) -> bool {
    out.write_all(frame).is_ok()
}

pub(super) fn put_open(out: &mut Transmit, id: StreamId, registration: u16, visit: Visit) -> bool {
    out.control(Kind::Open, id.to_wire(), &|out| {
        out.write_all(&registration.to_be_bytes())?;
        put_address(out, VISITOR, visit.from)?;
        put_address(out, PUBLIC, visit.to)
    })
}

fn put_address(out: &mut Transmit, tag: u8, address: Option<SocketAddr>) -> Written {
    let Some(address) = address else { return Ok(()) };
    let port = address.port();
    let v4;
    let v6;
    let address: &[u8] = match address.ip().to_canonical() {
        IpAddr::V4(ip) => {
            v4 = ip.octets();
            &v4
        }
        IpAddr::V6(ip) => {
            v6 = ip.octets();
            &v6
        }
    };
    out.write_all(&[tag, 0, 2 + address.len() as u8])?;
    out.write_all(&port.to_be_bytes())?;
    out.write_all(address)
}

/// The registration that the visitor is for, and what was told of it.
pub(super) fn parse_open(payload: &[u8]) -> Result<(u16, Visit), Fault> {
    let mut reader = Reader::new(payload);
    let registration = reader.u16()?;
    let mut visit = Visit::default();
    while let Some(field) = reader.field()? {
        match field.tag {
            VISITOR => visit.from = Some(address(field.value)?),
            PUBLIC => visit.to = Some(address(field.value)?),
            _ => field.unknown(Kind::Open)?,
        }
    }
    Ok((registration, visit))
}

fn address(value: &[u8]) -> Result<SocketAddr, Fault> {
    let mut reader = Reader::new(value);
    let port = reader.u16()?;
    let ip = match value.len() {
        6 => IpAddr::from(reader.array::<4>()?),
        18 => IpAddr::from(reader.array::<16>()?),
        _ => return Err(Fault::Invalid(Kind::Open)),
    };
    Ok(SocketAddr::new(ip, port))
}

pub(super) fn put_empty(out: &mut Transmit, kind: Kind, id: StreamId) -> bool {
    out.control(kind, id.to_wire(), &|_| Ok(()))
}

pub(super) fn put_ending(out: &mut Transmit, id: StreamId, ending: Ending) -> bool {
    let (kind, cause) = match ending {
        Ending::Closed => return put_empty(out, Kind::Closed, id),
        Ending::Reset(cause) => (Kind::Reset, cause),
        Ending::Refused(cause) => (Kind::Refused, cause),
    };
    out.control(kind, id.to_wire(), &|out| out.write_all(&(cause as u16).to_be_bytes()))
}

pub(super) fn parse_cause(payload: &[u8]) -> Result<Cause, Fault> {
    let mut reader = Reader::new(payload);
    let cause = Cause::from_wire(reader.u16()?);
    while let Some(field) = reader.field()? {
        field.unknown(Kind::Refused)?;
    }
    Ok(cause)
}

pub(super) fn put_credit(out: &mut Transmit, id: StreamId, limit: u64) -> bool {
    out.control(Kind::Credit, id.to_wire(), &|out| out.write_all(&limit.to_be_bytes()))
}

pub(super) fn parse_credit(payload: &[u8]) -> Result<u64, Fault> {
    Reader::new(payload).u64()
}

/// Payload of a Ping or Pong.
pub(super) fn beat(time: u64, received: u64) -> [u8; 16] {
    let mut beat = [0; 16];
    let (head, tail) = beat.split_at_mut(8);
    head.copy_from_slice(&time.to_be_bytes());
    tail.copy_from_slice(&received.to_be_bytes());
    beat
}

pub(super) fn beat_time(payload: &[u8]) -> Result<u64, Fault> {
    Reader::new(payload).u64()
}

pub(super) fn put_beat(out: &mut Transmit, kind: Kind, beat: [u8; 16]) -> bool {
    out.control(kind, 0, &|out| out.write_all(&beat))
}

pub(super) fn put_goodbye(out: &mut Transmit, code: Leave, accepted: u32, reason: &str) -> bool {
    out.control(Kind::Goodbye, 0, &|out| {
        out.write_all(&(code as u16).to_be_bytes())?;
        out.write_all(&accepted.to_be_bytes())?;
        put_text(out, REASON, reason)
    })
}

pub(super) fn parse_goodbye(payload: &[u8]) -> Result<Farewell, Fault> {
    let mut reader = Reader::new(payload);
    let code = Leave::from_wire(reader.u16()?);
    let last = reader.u32()?;
    let reason = text(&mut reader, REASON, Kind::Goodbye)?;
    Ok(Farewell { code, last, reason })
}
