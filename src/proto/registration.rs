//! Register, its answers and its end: a client claims a service with proof of its token, the server proves back.
//!
//! ```text
//! Register     stream field: the client's number for it
//! | protocol: 8 | name length: 8 | name … | fields: `terms` … | proof: 32 bytes |
//! Registered   the same number
//! | proof: 32 bytes | fields …        1 = public address (text), 2 = a member of a group (no value)
//! Declined     the same number
//! | code: 16 | fields …               1 = reason (text)
//! Unregister   the same number        Renew        stream field 0
//! (no payload)                        (no payload)
//! Health       the same number
//! | healthy: 8 | failures in a row: 32 |
//! ```
//! A proof covers the Register frame, header included, up to where the client's proof begins.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use embedded_io::Write;

use super::fault::Fault;
use super::frame::{Kind, Reader, Transmit};
use super::hello::put_text;
use super::proof::{End, PROOF, Transcript};
use super::terms::Terms;
use crate::limits::{FRAME_HEADER, MAX_CONTROL, MAX_NAME, MAX_REASON};

/// What a service carries; the numbers are IP's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Protocol {
    Tcp = 6,
    Udp = 17,
}

/// Why a registration was declined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decline {
    /// Unknown service or wrong token; or, on a link that has proven something, one of both in words.
    Unproven = 1,
    /// The service is of the other protocol.
    WrongProtocol = 2,
    /// Another client holds it, and is alive.
    Taken = 3,
    /// Its public address cannot be bound.
    Unavailable = 4,
    /// The server cannot take more.
    Full = 5,
    /// It is no longer registered; the service may have changed.
    Withdrawn = 6,
    /// A reason that this version does not know.
    Other = 0,
}

impl Decline {
    fn from_wire(code: u16) -> Decline {
        const ALL: [Decline; 6] = [
            Decline::Unproven,
            Decline::WrongProtocol,
            Decline::Taken,
            Decline::Unavailable,
            Decline::Full,
            Decline::Withdrawn,
        ];
        ALL.into_iter()
            .find(|decline| *decline as u16 == code)
            .unwrap_or(Decline::Other)
    }
}

const PUBLIC: u8 = 0x01;
const MEMBER: u8 = 0x02;
const REASON: u8 = 0x01;

/// A registration as the server reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// The client's number for it.
    pub id: u16,
    /// What it wants to carry.
    pub protocol: Protocol,
    /// The service's name.
    pub name: String,
    /// What else it asks for.
    pub terms: Terms,
    covered: Box<[u8]>,
    proof: [u8; PROOF],
}

impl Registration {
    /// Reads a Register frame's payload.
    pub fn parse(id: u16, payload: &[u8]) -> Result<Registration, Fault> {
        let (body, proof) = payload.split_last_chunk::<PROOF>().ok_or(Fault::Truncated)?;
        let mut reader = Reader::new(body);
        let protocol = match reader.u8()? {
            6 => Protocol::Tcp,
            17 => Protocol::Udp,
            _ => return Err(Fault::Invalid(Kind::Register)),
        };
        let length = reader.u8()?;
        let name = core::str::from_utf8(reader.take(length.into())?).map_err(|_| Fault::Invalid(Kind::Register))?;
        let name = String::from(name);
        let mut terms = Terms::default();
        while let Some(field) = reader.field()? {
            terms.take(&field)?;
        }
        let mut covered = Vec::with_capacity(FRAME_HEADER + body.len());
        covered.extend_from_slice(&header(id, payload.len()));
        covered.extend_from_slice(body);
        Ok(Registration {
            id,
            protocol,
            name,
            terms,
            covered: covered.into(),
            proof: *proof,
        })
    }

    pub(super) fn proof(&self) -> &[u8; PROOF] {
        &self.proof
    }

    /// Whether the client has shown that it knows `token`.
    pub fn is_proven(&self, transcript: &Transcript, token: &[u8]) -> bool {
        transcript.verify(End::Client, token, &self.covered, &self.proof)
    }

    /// What the client asks for, with the hash of its group's key.
    pub fn terms(&self, transcript: &Transcript, token: &[u8]) -> Terms {
        let mut terms = self.terms.clone();
        terms.uncover(transcript, token);
        terms
    }

    /// The server's own proof.
    pub fn answer(&self, transcript: &Transcript, token: &[u8]) -> [u8; PROOF] {
        transcript.prove(End::Server, token, &self.covered)
    }
}

fn header(id: u16, length: usize) -> [u8; FRAME_HEADER] {
    let [l0, l1] = (length as u16).to_be_bytes();
    let [i0, i1] = id.to_be_bytes();
    [l0, l1, Kind::Register as u8, 0, 0, 0, i0, i1]
}

/// A Register frame, and the proof that the server must answer with.
pub(super) fn register(
    transcript: &Transcript,
    id: u16,
    protocol: Protocol,
    name: &str,
    token: &[u8],
    terms: &Terms,
) -> Option<(Box<[u8]>, [u8; PROOF])> {
    let length = u8::try_from(name.len()).ok().filter(|_| name.len() <= MAX_NAME)?;
    let mut body = Vec::with_capacity(2 + name.len());
    body.extend_from_slice(&[protocol as u8, length]);
    body.extend_from_slice(name.as_bytes());
    terms.put(&mut body, transcript, token);
    if body.len() + PROOF > MAX_CONTROL {
        return None;
    }
    let mut frame = Vec::with_capacity(FRAME_HEADER + body.len() + PROOF);
    frame.extend_from_slice(&header(id, body.len() + PROOF));
    frame.extend_from_slice(&body);
    let expected = transcript.prove(End::Server, token, &frame);
    let proof = transcript.prove(End::Client, token, &frame);
    frame.extend_from_slice(&proof);
    Some((frame.into(), expected))
}

/// A Registered frame.
pub(super) fn registered(id: u16, proof: &[u8; PROOF], public: &str, is_member: bool) -> Box<[u8]> {
    encode(Kind::Registered, id, &|out| {
        out.write_all(proof)?;
        put_text(out, PUBLIC, public)?;
        out.write_all(if is_member { &[MEMBER, 0, 0] } else { &[] })
    })
}

/// A Declined frame.
pub(super) fn declined(id: u16, code: Decline, reason: &str) -> Box<[u8]> {
    encode(Kind::Declined, id, &|out| {
        out.write_all(&(code as u16).to_be_bytes())?;
        put_text(out, REASON, reason)
    })
}

/// An Unregister frame.
pub(super) fn unregister(id: u16) -> Box<[u8]> {
    encode(Kind::Unregister, id, &|_| Ok(()))
}

/// A Renew frame.
pub(super) fn renew() -> Box<[u8]> {
    encode(Kind::Renew, 0, &|_| Ok(()))
}

/// A Health frame.
pub(super) fn health(id: u16, is_healthy: bool, failures: u32) -> Box<[u8]> {
    encode(Kind::Health, id, &|out| {
        out.write_all(&[is_healthy.into()])?;
        out.write_all(&failures.to_be_bytes())
    })
}

/// Reads Health: whether the local service is well, and how often in a row it was found not to be.
pub(super) fn parse_health(payload: &[u8]) -> Result<(bool, u32), Fault> {
    let mut reader = Reader::new(payload);
    Ok((reader.u8()? != 0, reader.u32()?))
}

/// Reads Registered: the server's proof, the service's public address in words, whether it is one member of several.
pub(super) fn parse_registered(payload: &[u8]) -> Result<([u8; PROOF], String, bool), Fault> {
    let mut reader = Reader::new(payload);
    let proof = reader.array()?;
    let (mut public, mut is_member) = (String::new(), false);
    while let Some(field) = reader.field()? {
        match field.tag {
            PUBLIC => public = String::from_utf8_lossy(field.value).into_owned(),
            MEMBER => is_member = true,
            _ => field.unknown(Kind::Registered)?,
        }
    }
    Ok((proof, public, is_member))
}

/// Reads Declined.
pub(super) fn parse_declined(payload: &[u8]) -> Result<(Decline, String), Fault> {
    let mut reader = Reader::new(payload);
    let code = Decline::from_wire(reader.u16()?);
    let reason = text(&mut reader, REASON, Kind::Declined)?;
    Ok((code, reason))
}

/// The text field `tag` among the fields that are left.
pub(super) fn text(reader: &mut Reader<'_>, tag: u8, frame: Kind) -> Result<String, Fault> {
    let mut text = String::new();
    while let Some(field) = reader.field()? {
        match field.tag {
            known if known == tag => text = String::from_utf8_lossy(field.value).into_owned(),
            _ => field.unknown(frame)?,
        }
    }
    Ok(text)
}

/// As much of `reason` as may be sent.
pub(super) fn cut(reason: &str) -> &str {
    let mut end = reason.len().min(MAX_REASON);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    reason.split_at(end).0
}

fn encode(kind: Kind, id: u16, fill: &dyn Fn(&mut Transmit) -> super::frame::Written) -> Box<[u8]> {
    let mut frame = Transmit::new(FRAME_HEADER + MAX_CONTROL);
    frame.control(kind, id.into(), fill);
    frame.as_bytes().into()
}
