//! Who is registered for which service, and who gets the next visitor. A pure state machine: no socket, no clock.
//!
//! A service has at most one member here. A second client that wants its place contests it: the incumbent is asked
//! whether it is alive, and only a dead one makes room. The same client's newer link always replaces its older one.
use crate::proto::sorted::SortedMap;

/// Names a service, through all changes of the configuration; none is used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServiceId(pub u32);

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
    /// The place was free; it is the claimant's.
    Granted,
    /// It is the claimant's; this older registration of the same client is void.
    Replaced(Member),
    /// This member holds it: see whether it is alive, then call [`Registry::settle`].
    Contested(Member),
    /// It is held, and contested already, or held over the same link.
    Busy,
}

/// Who holds what.
#[derive(Default)]
pub struct Registry {
    places: SortedMap<ServiceId, Place>,
}

#[derive(Default)]
struct Place {
    member: Option<Member>,
    /// Who wants it from its member.
    claimant: Option<Member>,
}

impl Registry {
    /// A service without members.
    pub fn add(&mut self, service: ServiceId) {
        self.places.insert(service, Place::default());
    }

    /// There is no such service any more. Gives who held it.
    pub fn remove(&mut self, service: ServiceId) -> Option<Member> {
        self.places.remove(&service)?.member
    }

    /// Whatever is registered for it is void. Gives who held it.
    pub fn vacate(&mut self, service: ServiceId) -> Option<Member> {
        self.places.get_mut(&service)?.member.take()
    }

    /// Who gets the next visitor.
    pub fn pick(&self, service: ServiceId) -> Option<Member> {
        self.places.get(&service)?.member
    }

    /// Somebody whose token is proven wants the service.
    pub fn claim(&mut self, service: ServiceId, member: Member) -> Claim {
        let Some(place) = self.places.get_mut(&service) else {
            return Claim::Busy;
        };
        match place.member {
            None => {
                place.member = Some(member);
                Claim::Granted
            }
            Some(old) if old.link == member.link => Claim::Busy,
            Some(old) if old.instance == member.instance => {
                place.member = Some(member);
                Claim::Replaced(old)
            }
            Some(_) if place.claimant.is_some() => Claim::Busy,
            Some(old) => {
                place.claimant = Some(member);
                Claim::Contested(old)
            }
        }
    }

    /// Ends a contest. True: the place is `claimant`'s, whatever `incumbent` held is void.
    pub fn settle(&mut self, service: ServiceId, incumbent: Member, alive: bool, claimant: Member) -> bool {
        let Some(place) = self.places.get_mut(&service) else {
            return false;
        };
        if place.claimant.take_if(|known| *known == claimant).is_none() {
            // The claimant has left.
            return false;
        }
        let free = place.member.is_none_or(|member| member == incumbent && !alive);
        if free {
            place.member = Some(claimant);
        }
        free
    }

    /// A registration is void. True: it was not void before.
    pub fn withdraw(&mut self, service: ServiceId, member: Member) -> bool {
        let place = self.places.get_mut(&service);
        place.is_some_and(|place| place.member.take_if(|held| *held == member).is_some())
    }

    /// The client withdraws what it registered over `link` as `id`. Gives the service that lost its last member by it.
    pub fn unregister(&mut self, link: LinkId, id: u16) -> Option<ServiceId> {
        self.void(&|member| member.link == link && member.id == id).pop()
    }

    /// A link is gone. Gives the services that lost their last member by it.
    pub fn leave(&mut self, link: LinkId) -> Vec<ServiceId> {
        self.void(&|member| member.link == link)
    }

    fn void(&mut self, is_void: &dyn Fn(&Member) -> bool) -> Vec<ServiceId> {
        for place in self.places.values_mut() {
            place.claimant.take_if(|member| is_void(member));
        }
        let places = self.places.iter_mut();
        let left =
            places.filter_map(|(&service, place)| place.member.take_if(|member| is_void(member)).map(|_| service));
        left.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: ServiceId = ServiceId(1);
    const TWO: ServiceId = ServiceId(2);

    fn registry() -> Registry {
        let mut registry = Registry::default();
        registry.add(ONE);
        registry.add(TWO);
        registry
    }

    fn member(link: LinkId, client: u8) -> Member {
        Member {
            link,
            instance: [client; 16],
            id: 0,
        }
    }

    #[test]
    fn the_first_client_has_the_service_until_it_leaves() {
        let mut registry = registry();
        assert_eq!(registry.claim(TWO, member(1, 1)), Claim::Granted);
        assert_eq!(registry.pick(TWO), Some(member(1, 1)));
        assert_eq!(registry.pick(ONE), None);
        assert_eq!(registry.leave(1), [TWO]);
        assert_eq!(registry.claim(TWO, member(2, 2)), Claim::Granted);
    }

    #[test]
    fn a_client_that_comes_back_replaces_its_own_stale_link() {
        let mut registry = registry();
        registry.claim(ONE, member(1, 1));
        assert_eq!(registry.claim(ONE, member(2, 1)), Claim::Replaced(member(1, 1)));
        assert_eq!(registry.leave(1), []);
        assert_eq!(registry.pick(ONE), Some(member(2, 1)));
    }

    #[test]
    fn another_client_gets_the_place_of_a_dead_one_only() {
        let mut registry = registry();
        registry.claim(ONE, member(1, 1));
        assert_eq!(registry.claim(ONE, member(2, 2)), Claim::Contested(member(1, 1)));
        assert_eq!(registry.claim(ONE, member(3, 3)), Claim::Busy);
        assert!(!registry.settle(ONE, member(1, 1), true, member(2, 2)));
        assert_eq!(registry.claim(ONE, member(3, 3)), Claim::Contested(member(1, 1)));
        assert!(registry.settle(ONE, member(1, 1), false, member(3, 3)));
        assert_eq!(registry.pick(ONE), Some(member(3, 3)));
    }

    #[test]
    fn a_contest_is_void_when_somebody_else_has_come_meanwhile() {
        let mut registry = registry();
        registry.claim(ONE, member(1, 1));
        registry.claim(ONE, member(2, 2));
        registry.leave(1);
        registry.claim(ONE, member(3, 3));
        assert!(!registry.settle(ONE, member(1, 1), false, member(2, 2)));
        assert_eq!(registry.pick(ONE), Some(member(3, 3)));
    }

    #[test]
    fn a_contest_ends_with_its_claimant() {
        let mut registry = registry();
        registry.claim(ONE, member(1, 1));
        assert_eq!(registry.claim(ONE, member(2, 2)), Claim::Contested(member(1, 1)));
        assert_eq!(registry.leave(2), []);
        assert_eq!(registry.claim(ONE, member(3, 3)), Claim::Contested(member(1, 1)));
        assert_eq!(registry.unregister(3, 0), None);
        assert!(!registry.settle(ONE, member(1, 1), false, member(3, 3)));
        assert_eq!(registry.pick(ONE), Some(member(1, 1)));
        assert_eq!(registry.claim(ONE, member(4, 4)), Claim::Contested(member(1, 1)));
    }

    #[test]
    fn one_link_cannot_hold_a_service_twice() {
        let mut registry = registry();
        registry.claim(ONE, member(1, 1));
        assert_eq!(registry.claim(ONE, Member { id: 7, ..member(1, 1) }), Claim::Busy);
    }

    #[test]
    fn a_service_that_is_removed_has_no_place() {
        let mut registry = registry();
        registry.claim(ONE, member(1, 1));
        assert_eq!(registry.remove(ONE), Some(member(1, 1)));
        assert_eq!(registry.remove(ONE), None);
        assert_eq!(registry.pick(ONE), None);
        assert_eq!(registry.claim(ONE, member(1, 1)), Claim::Busy);
        assert_eq!(registry.leave(1), []);
    }

    #[test]
    fn a_service_that_is_vacated_is_free() {
        let mut registry = registry();
        registry.claim(ONE, member(1, 1));
        assert_eq!(registry.vacate(ONE), Some(member(1, 1)));
        assert_eq!(registry.vacate(ONE), None);
        assert_eq!(registry.claim(ONE, member(2, 2)), Claim::Granted);
    }

    #[test]
    fn a_registration_is_withdrawn_by_its_number() {
        let mut registry = registry();
        let second = Member { id: 7, ..member(1, 1) };
        registry.claim(ONE, member(1, 1));
        registry.claim(TWO, second);
        assert_eq!(registry.unregister(1, 9), None);
        assert_eq!(registry.unregister(2, 7), None);
        assert_eq!(registry.unregister(1, 7), Some(TWO));
        assert!(!registry.withdraw(TWO, second) && registry.withdraw(ONE, member(1, 1)));
    }
}
