//! The members of one service, and who of them gets the next visitor. Pure: time and randomness are arguments.
//!
//! A service that one client has for itself is a group of one without a name: its health informs, and decides nothing.

use std::collections::VecDeque;
use std::net::IpAddr;

use sha2::{Digest, Sha256};

use crate::limits::{MAX_ALERTS, MAX_CHANGES};
use crate::proto::proof::same;
use crate::proto::{Check, KeyHash, Membership, Terms, Time};

use super::registry::{Fall, Member, ServiceId};

/// Everybody who serves one service.
#[derive(Default)]
pub struct Group {
    /// What the first member said it is; `None`: one client has the service for itself.
    pub identity: Option<Membership>,
    seats: Vec<Seated>,
    /// Somebody was healthy since the last alert.
    is_armed: bool,
    next_number: u32,
    changes: VecDeque<Change>,
    /// Visitors that were given to members.
    pub dispatched: u64,
    /// Bad news of members' health.
    pub failures: u64,
}

/// A member, and how it stands.
pub struct Seated {
    /// Who.
    pub member: Member,
    /// What it is called in the list of changes.
    pub number: u32,
    /// The name of its registration: a client can be several members.
    name: String,
    /// How its health is looked after; `None`: it is always healthy.
    pub check: Option<Check>,
    /// Whether it gets visitors.
    pub is_healthy: bool,
    /// Its share of them.
    pub weight: u16,
    /// Visitors that it was given.
    pub dispatched: u64,
    key: Option<KeyHash>,
    webhook: String,
}

/// What happened to a member.
pub struct Change {
    /// When.
    pub at: Time,
    /// To which.
    pub number: u32,
    /// What.
    pub what: News,
}

/// Kinds of changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum News {
    Registered,
    /// Registered, and not healthy before the first good probe.
    Awaited,
    Recovered,
    /// So many probes failed in a row.
    Failed(u32),
    Left,
}

impl Change {
    /// Whether the member is healthy after it.
    pub fn is_healthy(&self) -> bool {
        matches!(self.what, News::Registered | News::Recovered)
    }
}

impl Seated {
    fn new(member: Member, number: u32, name: &str, terms: &Terms) -> Seated {
        Seated {
            member,
            number,
            name: name.to_owned(),
            check: terms.check,
            is_healthy: terms.check.is_none(),
            weight: terms.group.as_ref().map_or(1, |group| group.weight),
            dispatched: 0,
            key: terms.group.as_ref().map(|group| group.key),
            webhook: terms.webhook.clone(),
        }
    }

    /// How good it is for `source`: the member with the least gets it (weighted rendezvous hashing). Whoever else comes
    /// or goes, that changes for no source whose member stays the best.
    fn rank(&self, source: IpAddr) -> u64 {
        let source = match source.to_canonical() {
            IpAddr::V4(v4) => v4.to_ipv6_mapped(),
            IpAddr::V6(v6) => v6,
        };
        let hash = hash(&[&source.octets(), &self.member.instance, self.name.as_bytes()]);
        // -log2 of a number between 0 and 1 is spread exponentially; divided by the weight, as that many of them.
        (u64::from(minus_log2(hash)) << 16) / u64::from(self.weight)
    }
}

/// A number that `parts` decide, and that looks random.
pub fn hash(parts: &[&[u8]]) -> u32 {
    let mut hash = Sha256::new();
    parts.iter().for_each(|part| hash.update(part));
    let hash: [u8; 32] = hash.finalize().into();
    let [a, b, c, d, ..] = hash;
    u32::from_be_bytes([a, b, c, d])
}

/// -log2((x + 1) / 2^32) in 2^-16ths.
fn minus_log2(x: u32) -> u32 {
    let x = u64::from(x) + 1;
    let whole = x.ilog2();
    // Between 1 and 2, in 2^-31ths; squaring it gives its logarithm bit by bit.
    let mut mantissa = x << 31 >> whole;
    let mut log = whole;
    for _ in 0..16 {
        mantissa = (mantissa * mantissa) >> 31;
        let bit = (mantissa >> 32) as u32;
        mantissa >>= bit;
        log = log << 1 | bit;
    }
    (32 << 16) - log
}

impl Group {
    /// Its members, the oldest first.
    pub fn seats(&self) -> &[Seated] {
        &self.seats
    }

    /// The last changes, the oldest first.
    pub fn changes(&self) -> impl Iterator<Item = &Change> {
        self.changes.iter()
    }

    /// Members that get visitors.
    pub fn healthy(&self) -> usize {
        self.seats.iter().filter(|seat| seat.is_healthy).count()
    }

    /// Whether the only member is well, if one client has the service for itself and looks after it.
    pub fn lone_health(&self) -> Option<bool> {
        let lone = self
            .seats
            .first()
            .filter(|seat| self.identity.is_none() && seat.check.is_some());
        lone.map(|seat| seat.is_healthy)
    }

    /// The member that is this client's registration of that name.
    pub fn own(&self, instance: &[u8; 16], name: &str) -> Option<Member> {
        let mut seats = self.seats.iter();
        let own = seats.find(|seat| seat.member.instance == *instance && seat.name == name);
        own.map(|seat| seat.member)
    }

    /// Whether `wanted` names this group, and has its key, which is one of `accepted` if there are any. Without `others`
    /// it may be any group.
    pub fn takes(&self, wanted: &Membership, accepted: &[KeyHash], others: usize) -> bool {
        let is_named = match &self.identity {
            _ if others == 0 => true,
            Some(own) => own.name == wanted.name && (!accepted.is_empty() || same(&own.key, &wanted.key)),
            None => false,
        };
        // All of them are looked at, whichever it is.
        let known = accepted.iter().filter(|key| same(*key, &wanted.key)).count();
        is_named && (accepted.is_empty() || known > 0)
    }

    /// One more member.
    pub fn add(&mut self, now: Time, member: Member, name: &str, terms: &Terms) {
        if self.seats.is_empty() {
            *self = Group {
                identity: terms.group.clone(),
                ..Group::default()
            };
        }
        let seat = Seated::new(member, self.next_number, name, terms);
        self.next_number += 1;
        let news = if seat.is_healthy {
            News::Registered
        } else {
            News::Awaited
        };
        if self.identity.is_some() {
            self.note(now, seat.number, news);
        }
        self.seats.push(seat);
        self.is_armed |= self.healthy() > 0;
    }

    /// The same client comes over another link, maybe with other terms: what was known of its health still holds.
    pub fn replace(&mut self, old: Member, new: Member, terms: &Terms) {
        if self.seats.len() == 1 {
            self.identity = terms.group.clone();
        }
        if let Some(seat) = self.seats.iter_mut().find(|seat| seat.member == old) {
            let fresh = Seated::new(new, seat.number, &seat.name, terms);
            *seat = Seated {
                is_healthy: fresh.is_healthy || seat.is_healthy && seat.check.is_some(),
                dispatched: seat.dispatched,
                ..fresh
            };
        }
        self.is_armed |= self.healthy() > 0;
    }

    /// The member is none any more. Gives whether it was one.
    pub fn remove(&mut self, now: Time, service: ServiceId, member: Member, falls: &mut Vec<Fall>) -> bool {
        let Some(index) = self.seats.iter().position(|seat| seat.member == member) else {
            return false;
        };
        let gone = self.seats.remove(index);
        if self.identity.is_some() {
            self.note(now, gone.number, News::Left);
        }
        falls.extend(self.fall(service, Some(&gone)));
        true
    }

    /// What a member's client says of its health. Gives whether that is news.
    pub fn report(&mut self, now: Time, member: Member, is_healthy: bool, failures: u32) -> bool {
        let seat = self.seats.iter_mut().find(|seat| seat.member == member);
        let Some(seat) = seat.filter(|seat| seat.check.is_some()) else {
            return false;
        };
        self.failures += u64::from(!is_healthy);
        if seat.is_healthy == is_healthy {
            return false;
        }
        seat.is_healthy = is_healthy;
        let (number, news) = match is_healthy {
            true => (seat.number, News::Recovered),
            false => (seat.number, News::Failed(failures)),
        };
        self.note(now, number, news);
        self.is_armed |= is_healthy;
        true
    }

    /// Whether nobody is healthy any more, for the first time since somebody was.
    pub fn fall(&mut self, service: ServiceId, gone: Option<&Seated>) -> Option<Fall> {
        let identity = self.identity.as_ref()?;
        if !self.is_armed || self.healthy() > 0 {
            return None;
        }
        self.is_armed = false;
        let mut webhooks: Vec<String> = Vec::new();
        for seat in self.seats.iter().chain(gone) {
            let is_one = !seat.webhook.is_empty() && webhooks.len() < MAX_ALERTS;
            if is_one && !webhooks.contains(&seat.webhook) {
                webhooks.push(seat.webhook.clone());
            }
        }
        Some(Fall {
            service,
            group: identity.name.clone(),
            key: identity.key,
            members: self.seats.len(),
            webhooks,
        })
    }

    /// Members whose key is none of `accepted`.
    pub fn strangers(&self, accepted: &[KeyHash]) -> Vec<Member> {
        let is_stranger = |seat: &&Seated| {
            seat.key
                .is_some_and(|key| !accepted.iter().any(|known| same(known, &key)))
        };
        self.seats.iter().filter(is_stranger).map(|seat| seat.member).collect()
    }

    /// Who gets a visitor from `source`, if that matters, of those that are not among `tried`.
    pub fn pick(&self, source: Option<IpAddr>, random: u32, tried: &[Member]) -> Option<Member> {
        let decides = self.identity.is_some();
        let fits = |seat: &&Seated| (seat.is_healthy || !decides) && !tried.contains(&seat.member);
        let seats = || self.seats.iter().filter(fits);
        if let Some(source) = source {
            return seats().min_by_key(|seat| seat.rank(source)).map(|seat| seat.member);
        }
        let all: u32 = seats().map(|seat| u32::from(seat.weight)).sum();
        let mut rest = ((u64::from(random) * u64::from(all)) >> 32) as u32;
        for seat in seats() {
            match rest.checked_sub(seat.weight.into()) {
                Some(less) => rest = less,
                None => return Some(seat.member),
            }
        }
        None
    }

    /// A visitor was given to `member`, or has come back from it unserved.
    pub fn count(&mut self, member: Member, given: bool) {
        let Some(seat) = self.seats.iter_mut().find(|seat| seat.member == member) else {
            return;
        };
        for counter in [&mut seat.dispatched, &mut self.dispatched] {
            *counter = if given { *counter + 1 } else { counter.saturating_sub(1) };
        }
    }

    fn note(&mut self, at: Time, number: u32, what: News) {
        if self.changes.len() == MAX_CHANGES {
            self.changes.pop_front();
        }
        self.changes.push_back(Change { at, number, what });
    }
}
