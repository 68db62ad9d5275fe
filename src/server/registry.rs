//! Who is registered for which service, and who gets the next visitor. A pure state machine: no socket, no clock.
//!
//! A client that does not name a group has a service for itself. A second one that wants its place contests it: the
//! incumbent is asked whether it is alive, and only a dead one makes room. The same client's newer link always replaces
//! its older one. Clients that name the same group, and have its key, share a service ([`group`](super::group)).
//!
//! Some services only their clients name: these have a place here from their first member to their last, and a port of a
//! range while they do.

use std::net::IpAddr;

use crate::config::{Kind, Ports};
use crate::limits::MAX_MEMBERS;
use crate::proto::sorted::SortedMap;
use crate::proto::{KeyHash, Terms, Time, Wish};

use super::group::{Group, hash};

/// Names a service, through all changes of the configuration; none is used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServiceId(pub u64);

/// Names a link of this server; a later one has a larger number.
pub type LinkId = u64;

/// One client's registration for a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// Over which link.
    pub link: LinkId,
    /// Which process.
    pub instance: [u8; 16],
    /// The client's number for the registration.
    pub id: u16,
}

/// What came of wanting a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// There was a place; it is the claimant's.
    Granted,
    /// It is the claimant's; this older registration of the same client is void.
    Replaced(Member),
    /// This member holds it: see whether it is alive, then call [`Registry::settle`].
    Contested(Member),
    /// It is held, and contested already, or held over the same link.
    Busy,
    /// A group has it, and the claimant names none.
    InUse,
    /// A group has it, and the claimant's key is not that of the group; or one client has it for itself.
    WrongKey,
    /// A group has it, which takes no more members.
    Crowded,
}

/// A group of which nobody is healthy any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fall {
    /// Which service.
    pub service: ServiceId,
    /// The group's name.
    pub group: String,
    /// Of its first member.
    pub key: KeyHash,
    /// Members that are left.
    pub members: usize,
    /// Whom members want to be told, each once.
    pub webhooks: Vec<String>,
}

/// What the end of registrations has brought.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Left {
    /// Services that lost their last member.
    pub empty: Vec<ServiceId>,
    /// Groups that lost their last healthy one.
    pub falls: Vec<Fall>,
}

/// What makes a service that only clients name the same one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tunnel {
    kind: Kind,
    /// The group's; without one the registration's.
    name: String,
    /// Whose it is, unless it is a group's.
    owner: Option<[u8; 16]>,
}

impl Tunnel {
    /// The one that a registration is for.
    pub fn of(kind: Kind, instance: [u8; 16], name: &str, terms: &Terms) -> Tunnel {
        Tunnel {
            kind,
            name: terms.group.as_ref().map_or(name, |group| &group.name).to_owned(),
            owner: terms.group.is_none().then_some(instance),
        }
    }
}

/// Who holds what.
#[derive(Default)]
pub struct Registry {
    places: SortedMap<ServiceId, Place>,
}

#[derive(Default)]
struct Place {
    tunnel: Option<Tunnel>,
    port: Option<u16>,
    /// Keys that members of the group may have; none: the first one's.
    accepted: Vec<KeyHash>,
    is_sticky: bool,
    group: Group,
    /// Who wants it from its only member.
    claimant: Option<Member>,
}

impl Registry {
    /// A service without members; `tunnel`: that only clients name.
    pub fn add(&mut self, service: ServiceId, tunnel: Option<Tunnel>) {
        let place = Place {
            tunnel,
            ..Place::default()
        };
        self.places.insert(service, place);
    }

    /// What the configuration says of its group. Gives who is none of it any more.
    pub fn configure(&mut self, service: ServiceId, accepted: &[KeyHash], is_sticky: bool) -> Vec<Member> {
        let Some(place) = self.places.get_mut(&service) else {
            return Vec::new();
        };
        accepted.clone_into(&mut place.accepted);
        place.is_sticky = is_sticky;
        match accepted {
            [] => Vec::new(),
            _ => place.group.strangers(accepted),
        }
    }

    /// There is no such service any more. Gives who held it.
    pub fn remove(&mut self, service: ServiceId) -> Vec<Member> {
        self.places.remove(&service).map_or(Vec::new(), |place| members(&place))
    }

    /// Whatever is registered for it is void. Gives who held it.
    pub fn vacate(&mut self, service: ServiceId) -> Vec<Member> {
        let place = self.places.get_mut(&service);
        place.map_or(Vec::new(), |place| {
            let held = members(place);
            place.group = Group::default();
            // Who contests it has proven what counts no more.
            place.claimant = None;
            held
        })
    }

    /// Who is there.
    pub fn group(&self, service: ServiceId) -> Option<&Group> {
        self.places.get(&service).map(|place| &place.group)
    }

    /// Whether `member` is one of those who serve it.
    pub fn holds(&self, service: ServiceId, member: Member) -> bool {
        let group = self.group(service);
        group.is_some_and(|group| group.seats().iter().any(|seat| seat.member == member))
    }

    /// Who serves it.
    pub fn members(&self, service: ServiceId) -> Vec<Member> {
        self.places.get(&service).map_or(Vec::new(), members)
    }

    /// Who gets the next visitor, who comes from `source`, of those that were not `tried`.
    pub fn pick(&self, service: ServiceId, source: Option<IpAddr>, random: u32, tried: &[Member]) -> Option<Member> {
        let place = self.places.get(&service)?;
        let is_sticky = place.is_sticky || place.group.identity.as_ref().is_some_and(|group| group.is_sticky);
        place.group.pick(source.filter(|_| is_sticky), random, tried)
    }

    /// It was given to `member`, or came back from it unserved.
    pub fn count(&mut self, service: ServiceId, member: Member, given: bool) {
        if let Some(place) = self.places.get_mut(&service) {
            place.group.count(member, given);
        }
    }

    // ---- coming ---------------------------------------------------------------------------------------------------

    /// The service that a registration is for, if only clients name it and somebody is there. Of one that belongs to
    /// another client alone: if that has the port which the newcomer `wish`es, the two may have to settle it.
    pub fn tunnel(&self, wanted: &Tunnel, wish: Wish) -> Option<ServiceId> {
        let mut places = self.places.iter();
        let same = places.find(|(_, place)| place.tunnel.as_ref() == Some(wanted));
        let contested = |tunnel: &Tunnel, place: &Place| {
            let is_wish = wish.is_must && place.port == Some(wish.port);
            let is_alike = tunnel.kind == wanted.kind && tunnel.name == wanted.name;
            is_wish && is_alike && tunnel.owner.is_some() && wanted.owner.is_some()
        };
        let other = || {
            let mut places = self.places.iter();
            places.find(|(_, place)| place.tunnel.as_ref().is_some_and(|tunnel| contested(tunnel, place)))
        };
        same.or_else(other).map(|(&service, _)| service)
    }

    /// How many services that only clients name `instance` has.
    pub fn tunnels_of(&self, instance: &[u8; 16]) -> usize {
        let named = self.places.values().filter(|place| place.tunnel.is_some());
        let seats = named.flat_map(|place| place.group.seats());
        seats.filter(|seat| seat.member.instance == *instance).count()
    }

    /// Somebody whose token is proven wants the service, under `name`.
    pub fn claim(&mut self, now: Time, service: ServiceId, member: Member, name: &str, terms: &Terms) -> Claim {
        let Some(place) = self.places.get_mut(&service) else {
            return Claim::Busy;
        };
        let group = &mut place.group;
        let own = group.own(&member.instance, name);
        let others = group.seats().len() - usize::from(own.is_some());
        let has_key = terms
            .group
            .as_ref()
            .is_none_or(|wanted| group.takes(wanted, &place.accepted, others));
        let is_group = group.identity.is_some();
        match own {
            Some(old) if old.link == member.link => Claim::Busy,
            _ if !has_key => Claim::WrongKey,
            Some(old) if others == 0 || is_group == terms.group.is_some() => {
                group.replace(old, member, terms);
                Claim::Replaced(old)
            }
            _ if others >= MAX_MEMBERS => Claim::Crowded,
            _ if group.seats().is_empty() || terms.group.is_some() => {
                group.add(now, member, name, terms);
                Claim::Granted
            }
            _ if is_group => Claim::InUse,
            _ if place.claimant.is_some() => Claim::Busy,
            _ => match group.seats().first() {
                Some(seat) => {
                    place.claimant = Some(member);
                    Claim::Contested(seat.member)
                }
                None => Claim::Busy,
            },
        }
    }

    /// Ends a contest. True: the place is `claimant`'s, whatever `incumbent` held is void.
    pub fn settle(
        &mut self,
        now: Time,
        service: ServiceId,
        (incumbent, alive): (Member, bool),
        claimant: Member,
        (name, terms): (&str, &Terms),
    ) -> bool {
        let Some(place) = self.places.get_mut(&service) else {
            return false;
        };
        if place.claimant.take_if(|known| *known == claimant).is_none() {
            // The claimant has left.
            return false;
        }
        let held = place.group.seats().first().map(|seat| seat.member);
        let free = held.is_none_or(|member| member == incumbent && !alive);
        if free {
            place.group = Group::default();
            place.group.add(now, claimant, name, terms);
            if let Some(tunnel) = &mut place.tunnel {
                tunnel.owner = Some(claimant.instance);
            }
        }
        free
    }

    // ---- ports ----------------------------------------------------------------------------------------------------

    /// Whether no such service has the port.
    pub fn is_free(&self, kind: Kind, port: u16) -> bool {
        let is_there = |place: &Place| place.port == Some(port) && place.kind() == Some(kind);
        !self.places.values().any(is_there)
    }

    /// It is bound, for `service`.
    pub fn assign(&mut self, service: ServiceId, port: u16) {
        if let Some(place) = self.places.get_mut(&service) {
            place.port = Some(port);
        }
    }

    // ---- going ----------------------------------------------------------------------------------------------------

    /// A registration is void. True: it was not void before.
    pub fn withdraw(&mut self, now: Time, service: ServiceId, member: Member, left: &mut Left) -> bool {
        let Some(place) = self.places.get_mut(&service) else {
            return false;
        };
        let is_gone = place.group.remove(now, service, member, &mut left.falls);
        if is_gone && place.group.seats().is_empty() {
            left.empty.push(service);
        }
        is_gone
    }

    /// The client withdraws what it registered over `link` as `id`.
    pub fn unregister(&mut self, now: Time, link: LinkId, id: u16) -> Left {
        self.void(now, &|member| member.link == link && member.id == id)
    }

    /// A link is gone.
    pub fn leave(&mut self, now: Time, link: LinkId) -> Left {
        self.void(now, &|member| member.link == link)
    }

    fn void(&mut self, now: Time, is_void: &dyn Fn(&Member) -> bool) -> Left {
        let (mut gone, mut left) = (Vec::new(), Left::default());
        for (&service, place) in self.places.iter_mut() {
            place.claimant.take_if(|member| is_void(member));
            let void = place.group.seats().iter().map(|seat| seat.member).filter(is_void);
            gone.extend(void.map(|member| (service, member)));
        }
        for (service, member) in gone {
            self.withdraw(now, service, member, &mut left);
        }
        left
    }

    /// A client says how the local service of what it registered over `link` as `id` is. Some: that is news of this
    /// service, by which its group may fall.
    pub fn report(&mut self, now: Time, link: LinkId, id: u16, is_healthy: bool, failures: u32) -> Option<Report> {
        let is_its = |member: &Member| member.link == link && member.id == id;
        let (&service, group, member) = self.places.iter_mut().find_map(|(service, place)| {
            let mut members = place.group.seats().iter().map(|seat| seat.member);
            let member = members.find(is_its)?;
            Some((service, &mut place.group, member))
        })?;
        let is_news = group.report(now, member, is_healthy, failures);
        is_news.then(|| Report {
            service,
            fall: group.fall(service, None),
            healthy: group.healthy(),
            members: group.seats().len(),
        })
    }
}

/// What a change of a member's health has brought.
#[derive(Debug, PartialEq, Eq)]
pub struct Report {
    /// Whose.
    pub service: ServiceId,
    /// Nobody of its group is healthy any more.
    pub fall: Option<Fall>,
    /// Members that are healthy now.
    pub healthy: usize,
    /// Members that are there.
    pub members: usize,
}

impl Place {
    fn kind(&self) -> Option<Kind> {
        self.tunnel.as_ref().map(|tunnel| tunnel.kind)
    }
}

fn members(place: &Place) -> Vec<Member> {
    place.group.seats().iter().map(|seat| seat.member).collect()
}

/// The ports of `range` in the order in which a tunnel called `name` tries them: first what it wishes, then from a place
/// that its name decides, so that it finds its port again after everything was restarted.
pub fn candidates(range: Ports, wish: Wish, name: &str) -> impl Iterator<Item = u16> {
    let count = u32::from(range.last - range.first) + 1;
    let start = hash(&[name.as_bytes()]) % count;
    let others = (0..count).map(move |n| range.first + ((start + n) % count) as u16);
    let wished = Some(wish.port).filter(|&port| range.contains(port));
    wished.into_iter().chain(others.filter(move |_| !wish.is_must))
}

#[cfg(test)]
mod tests;
