//! What a client asks of a registration besides its service's name: fields of Register, none of which must be there.
//!
//! ```text
//! 1 = wish       | port: 16 | must: 8 |         the client names this tunnel itself. 0: any port; must 0: rather than none
//! 2 = group      | count: 32 | key: 32 bytes | weight: 16 | sticky: 8 | name (text) … |
//! 3 = check      | kind: 8 |                    6: TCP, 1: HTTP. Not healthy until a Health says so
//! 4 = webhook    URL (text)                     told when no member of the group is healthy
//! ```
//! The key is the SHA-256 of the group's key, covered: XORed with HMAC-SHA256(token, "pinhole group key" ‖ transcript ‖
//! count). A client counts its Registers on a link, so that no cover is used twice. So the hash is on no wire, and the
//! server has it, which it must: a group that only its clients name has its key from its first member. A server that
//! does not balance ignores 2 to 4.

use alloc::string::String;
use alloc::vec::Vec;

use sha2::{Digest, Sha256};

use super::fault::Fault;
use super::frame::{Field, Kind, Reader};
use super::proof::{PROOF, Transcript};

/// SHA-256 of a group's key: all that a server knows of it.
pub type KeyHash = [u8; PROOF];

/// What a client asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// The client names this tunnel, and wants a public port for it; `None`: the server has a service of this name.
    pub wish: Option<Wish>,
    /// To be one of several.
    pub group: Option<Membership>,
    /// How the client looks whether its local service is well.
    pub check: Option<Check>,
    /// Whom to tell when no member of the group is healthy; empty: nobody.
    pub webhook: String,
}

/// A public port for a tunnel that only its client names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wish {
    /// 0: any.
    pub port: u16,
    /// This one or none.
    pub is_must: bool,
}

/// Membership of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    /// The group's name.
    pub name: String,
    /// As sent: covered. Before and after that way: the hash itself.
    pub key: KeyHash,
    /// Visitors that this member gets, relative to the others; never 0.
    pub weight: u16,
    /// Visitors from one address get the same member.
    pub is_sticky: bool,
    /// Which Register of its link it stands in.
    pub count: u32,
}

/// Kinds of health checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Check {
    Tcp = 6,
    Http = 1,
}

impl Check {
    /// As the configuration spells it.
    pub fn name(self) -> &'static str {
        match self {
            Check::Tcp => "tcp",
            Check::Http => "http",
        }
    }
}

/// SHA-256 of a group's `key`.
pub fn key_hash(key: &[u8]) -> KeyHash {
    Sha256::digest(key).into()
}

const WISH: u8 = 1;
const GROUP: u8 = 2;
const CHECK: u8 = 3;
const WEBHOOK: u8 = 4;

impl Terms {
    /// Adds the fields to a Register frame; the key is covered by what `token` makes of the `transcript`.
    pub(super) fn put(&self, out: &mut Vec<u8>, transcript: &Transcript, token: &[u8]) {
        if let Some(wish) = self.wish {
            let [p0, p1] = wish.port.to_be_bytes();
            put(out, WISH, &[&[p0, p1, wish.is_must.into()]]);
        }
        if let Some(group) = &self.group {
            let key = cover(group.key, transcript, token, group.count);
            let (count, weight) = (group.count.to_be_bytes(), group.weight.to_be_bytes());
            let rest = [u8::from(group.is_sticky)];
            put(out, GROUP, &[&count, &key, &weight, &rest, group.name.as_bytes()]);
        }
        if let Some(check) = self.check {
            put(out, CHECK, &[&[check as u8]]);
        }
        if !self.webhook.is_empty() {
            put(out, WEBHOOK, &[self.webhook.as_bytes()]);
        }
    }

    /// Takes in one field of a Register frame.
    pub(super) fn take(&mut self, field: &Field<'_>) -> Result<(), Fault> {
        let mut reader = Reader::new(field.value);
        match field.tag {
            WISH => {
                self.wish = Some(Wish {
                    port: reader.u16()?,
                    is_must: reader.u8()? != 0,
                });
            }
            GROUP => {
                self.group = Some(Membership {
                    count: reader.u32()?,
                    key: reader.array()?,
                    weight: reader.u16()?.max(1),
                    is_sticky: reader.u8()? != 0,
                    name: text(reader.rest())?,
                });
            }
            CHECK => {
                self.check = match reader.u8()? {
                    6 => Some(Check::Tcp),
                    1 => Some(Check::Http),
                    _ => return Err(Fault::Invalid(Kind::Register)),
                };
            }
            WEBHOOK => self.webhook = text(field.value)?,
            _ => field.unknown(Kind::Register)?,
        }
        Ok(())
    }

    /// Puts the hash of the group's key in the place of what was sent.
    pub(super) fn uncover(&mut self, transcript: &Transcript, token: &[u8]) {
        if let Some(group) = &mut self.group {
            group.key = cover(group.key, transcript, token, group.count);
        }
    }
}

/// Covers, and uncovers.
fn cover(mut key: KeyHash, transcript: &Transcript, token: &[u8], count: u32) -> KeyHash {
    let cover = transcript.cover(token, count);
    key.iter_mut().zip(cover).for_each(|(byte, cover)| *byte ^= cover);
    key
}

fn put(out: &mut Vec<u8>, tag: u8, parts: &[&[u8]]) {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let [l0, l1] = (length as u16).to_be_bytes();
    out.extend_from_slice(&[tag, l0, l1]);
    parts.iter().for_each(|part| out.extend_from_slice(part));
}

fn text(bytes: &[u8]) -> Result<String, Fault> {
    let text = core::str::from_utf8(bytes).map_err(|_| Fault::Invalid(Kind::Register))?;
    Ok(text.into())
}
