//! A session's registrations: what a client claims, and what the server says to it.

use super::{Event, Session};
use crate::limits;
use crate::proto::fault::Fault;
use crate::proto::frame::Kind;
use crate::proto::proof::{PROOF, same};
use crate::proto::registration::{self, Decline, Protocol, Registration};
use crate::proto::terms::Terms;

/// A registration in use.
pub struct Claim {
    protocol: Protocol,
    standing: Standing,
    /// The server's proof; on a server that has not answered yet the client's.
    proof: [u8; PROOF],
    /// Server: one of several.
    is_member: bool,
    /// Client: what the server is to hear of the local service.
    health: Option<(bool, u32)>,
}

impl Claim {
    fn new(protocol: Protocol, proof: [u8; PROOF]) -> Claim {
        Claim {
            protocol,
            standing: Standing::Asked,
            proof,
            is_member: false,
            health: None,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Standing {
    Asked,
    Held,
    /// A client has withdrawn it, and waits to hear that it is over.
    Left,
}

impl Session {
    /// Client: claims a service under the number `id`. False if there is too much to say or `id` is in use.
    pub fn register(&mut self, id: u16, protocol: Protocol, name: &str, token: &[u8], terms: &Terms) -> bool {
        if id >= limits::MAX_SERVICES || self.claims.contains_key(&id) {
            return false;
        }
        let mut terms = terms.clone();
        if let Some(group) = &mut terms.group {
            group.count = self.asked;
        }
        self.asked = self.asked.wrapping_add(1);
        let registered = registration::register(&self.transcript, id, protocol, name, token, &terms);
        let Some((frame, expected)) = registered else {
            return false;
        };
        self.claims.insert(id, Claim::new(protocol, expected));
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

    /// Client: says how the local service of the registration `id` is. Of several words the last one is sent.
    pub fn report(&mut self, id: u16, is_healthy: bool, failures: u32) {
        if let Some(claim) = self.claims.get_mut(&id) {
            claim.health = Some((is_healthy, failures));
            self.health_due = true;
        }
    }

    /// Puts what is to be said of local services behind the registrations.
    pub(super) fn gather_health(&mut self) {
        if !core::mem::take(&mut self.health_due) {
            return;
        }
        for (&id, claim) in self.claims.iter_mut() {
            if claim.standing != Standing::Held {
                // It is said when the server has answered.
                self.health_due |= claim.health.is_some();
            } else if let Some((is_healthy, failures)) = claim.health.take() {
                self.outbox.push_back(registration::health(id, is_healthy, failures));
            }
        }
    }

    /// Server: what a proven registration asks for.
    pub fn terms(&self, registration: &Registration, token: &[u8]) -> Terms {
        registration.terms(&self.transcript, token)
    }

    /// Server: takes a proven registration; `public` says where visitors find it. Nothing happens if it was answered
    /// before.
    pub fn accept(&mut self, registration: &Registration, token: &[u8], public: &str, is_member: bool) {
        let is_asked = |claim: &&mut Claim| claim.standing == Standing::Asked && claim.proof == *registration.proof();
        if let Some(claim) = self.claims.get_mut(&registration.id).filter(is_asked) {
            claim.standing = Standing::Held;
            claim.proof = registration.answer(&self.transcript, token);
            claim.is_member = is_member;
            self.announce(registration.id, public);
        }
    }

    /// Server: says where visitors of the registration `id` find it from now on.
    pub fn announce(&mut self, id: u16, public: &str) {
        if let Some(claim) = self.claims.get(&id).filter(|claim| claim.standing == Standing::Held) {
            self.outbox
                .push_back(registration::registered(id, &claim.proof, public, claim.is_member));
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
        let claim = Claim::new(registration.protocol, *registration.proof());
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
        let (proof, public, is_member) = registration::parse_registered(payload)?;
        let claim = self.claims.get_mut(&id).ok_or(Fault::BadId(Kind::Registered))?;
        if !same(&proof, &claim.proof) {
            return Err(Fault::BadProof);
        }
        self.proven = true;
        if claim.standing == Standing::Left {
            return Ok(None);
        }
        claim.standing = Standing::Held;
        Ok(Some(Event::Registered(id, public, is_member)))
    }

    /// Of a registration that is not held nothing is of interest.
    pub(super) fn on_health(&mut self, raw: u32, payload: &[u8]) -> Result<Option<Event<'static>>, Fault> {
        let id = registration_id(raw, Kind::Health)?;
        let (is_healthy, failures) = registration::parse_health(payload)?;
        let is_held = self
            .claims
            .get(&id)
            .is_some_and(|claim| claim.standing == Standing::Held);
        Ok(is_held.then_some(Event::Health(id, is_healthy, failures)))
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
