//! A session's registrations: what a client claims, and what the server says to it.

use super::{Event, Session};
use crate::limits;
use crate::proto::fault::Fault;
use crate::proto::frame::Kind;
use crate::proto::proof::{PROOF, same};
use crate::proto::registration::{self, Decline, Protocol, Registration};

/// A registration in use.
pub struct Claim {
    protocol: Protocol,
    standing: Standing,
    /// The server's proof; on a server that has not answered yet the client's.
    proof: [u8; PROOF],
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Standing {
    Asked,
    Held,
    /// A client has withdrawn it, and waits to hear that it is over.
    Left,
}

impl Session {
    /// Client: claims a service under the number `id`. False if the name is too long or `id` is in use.
    pub fn register(&mut self, id: u16, protocol: Protocol, name: &str, token: &[u8]) -> bool {
        if id >= limits::MAX_SERVICES || self.claims.contains_key(&id) {
            return false;
        }
        let Some((frame, expected)) = registration::register(&self.transcript, id, protocol, name, token) else {
            return false;
        };
        let claim = Claim {
            protocol,
            standing: Standing::Asked,
            proof: expected,
        };
        self.claims.insert(id, claim);
        self.outbox.push_back(frame);
        true
    }

    /// Client: withdraws the registration `id`: no more visitors come for it, those that are there stay. Its number is
    /// in use until the server has answered.
    pub fn unregister(&mut self, id: u16) {
        if let Some(claim) = self
            .claims
            .get_mut(&id)
            .filter(|claim| claim.standing != Standing::Left)
        {
            claim.standing = Standing::Left;
            self.outbox.push_back(registration::unregister(id));
        }
    }

    /// Server: whether the client has shown that it knows `token`. One such proof makes the link no stranger's. `None`,
    /// for a service that does not exist, costs the same work.
    pub fn prove(&mut self, registration: &Registration, token: Option<&[u8]>) -> bool {
        let shown = registration.is_proven(&self.transcript, token.unwrap_or_default());
        let proven = shown && token.is_some();
        self.proven |= proven;
        proven
    }

    /// Server: takes a proven registration; `public` says where visitors find it. Nothing happens if it was answered
    /// before.
    pub fn accept(&mut self, registration: &Registration, token: &[u8], public: &str) {
        let is_asked = |claim: &&mut Claim| claim.standing == Standing::Asked && claim.proof == *registration.proof();
        if let Some(claim) = self.claims.get_mut(&registration.id).filter(is_asked) {
            claim.standing = Standing::Held;
            claim.proof = registration.answer(&self.transcript, token);
            self.announce(registration.id, public);
        }
    }

    /// Server: says where visitors of the registration `id` find it from now on.
    pub fn announce(&mut self, id: u16, public: &str) {
        if let Some(claim) = self.claims.get(&id).filter(|claim| claim.standing == Standing::Held) {
            self.outbox
                .push_back(registration::registered(id, &claim.proof, public));
        }
    }

    /// Server: takes it not, or no longer. Nothing happens if the client was told before.
    pub fn decline(&mut self, id: u16, code: Decline, reason: &str) {
        if self.claims.remove(&id).is_some() {
            self.outbox.push_back(registration::declined(id, code, reason));
        }
    }

    /// What the registration `id` carries, if both ends have agreed on it.
    pub(super) fn accepted_as(&self, id: u16) -> Option<Protocol> {
        let claim = self.claims.get(&id).filter(|claim| claim.standing == Standing::Held)?;
        Some(claim.protocol)
    }

    pub(super) fn on_register(&mut self, raw: u32, payload: &[u8]) -> Result<Option<Event<'static>>, Fault> {
        let id = registration_id(raw, Kind::Register)?;
        if self.outbox.len() > usize::from(limits::MAX_SERVICES) {
            return Err(Fault::TooManyClaims);
        }
        let registration = Registration::parse(id, payload)?;
        let claim = Claim {
            protocol: registration.protocol,
            standing: Standing::Asked,
            proof: *registration.proof(),
        };
        if self.claims.insert(id, claim).is_some() {
            return Err(Fault::BadId(Kind::Register));
        }
        if !self.proven {
            self.unproven += 1;
            if self.unproven > limits::MAX_UNPROVEN {
                return Err(Fault::TooManyClaims);
            }
        }
        Ok(Some(Event::Register(registration)))
    }

    pub(super) fn on_registered(&mut self, raw: u32, payload: &[u8]) -> Result<Option<Event<'static>>, Fault> {
        let id = registration_id(raw, Kind::Registered)?;
        let (proof, public) = registration::parse_registered(payload)?;
        let claim = self.claims.get_mut(&id).ok_or(Fault::BadId(Kind::Registered))?;
        if !same(&proof, &claim.proof) {
            return Err(Fault::BadProof);
        }
        self.proven = true;
        if claim.standing == Standing::Left {
            return Ok(None);
        }
        claim.standing = Standing::Held;
        Ok(Some(Event::Registered(id, public)))
    }

    /// One that the server has declined meanwhile is over already.
    pub(super) fn on_unregister(&mut self, raw: u32) -> Result<Option<Event<'static>>, Fault> {
        let id = registration_id(raw, Kind::Unregister)?;
        let known = self.claims.contains_key(&id);
        self.decline(id, Decline::Withdrawn, "");
        Ok(known.then_some(Event::Unregister(id)))
    }

    pub(super) fn on_declined(&mut self, raw: u32, payload: &[u8]) -> Result<Option<Event<'static>>, Fault> {
        let id = registration_id(raw, Kind::Declined)?;
        let (code, reason) = registration::parse_declined(payload)?;
        let claim = self.claims.remove(&id).ok_or(Fault::BadId(Kind::Declined))?;
        Ok((claim.standing != Standing::Left).then_some(Event::Declined(id, code, reason)))
    }
}

fn registration_id(raw: u32, kind: Kind) -> Result<u16, Fault> {
    u16::try_from(raw)
        .ok()
        .filter(|&id| id < limits::MAX_SERVICES)
        .ok_or(Fault::BadId(kind))
}
