//! Who is registered for which service, and who gets the next visitor. A pure state machine: no socket, no clock.
//!
//! A service has at most one member here. A second client that wants its place contests it: the incumbent is asked
//! whether it is alive, and only a dead one makes room. The same client's newer link always replaces its older one.

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

/// All services of a server, by their place in its configuration.
pub struct Registry {
    places: Vec<Place>,
}

#[derive(Clone, Default)]
struct Place {
    member: Option<Member>,
    contested: bool,
}

impl Registry {
    /// Of `services` services without members.
    pub fn new(services: usize) -> Self {
        Registry {
            places: vec![Place::default(); services],
        }
    }

    /// Who gets the next visitor.
    pub fn pick(&self, service: usize) -> Option<Member> {
        self.places.get(service)?.member
    }

    /// Somebody whose token is proven wants the service.
    pub fn claim(&mut self, service: usize, member: Member) -> Claim {
        let Some(place) = self.places.get_mut(service) else {
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
            Some(_) if place.contested => Claim::Busy,
            Some(old) => {
                place.contested = true;
                Claim::Contested(old)
            }
        }
    }

    /// Ends a contest. True: the place is `claimant`'s, whatever `incumbent` held is void.
    pub fn settle(&mut self, service: usize, incumbent: Member, alive: bool, claimant: Member) -> bool {
        let Some(place) = self.places.get_mut(service) else {
            return false;
        };
        place.contested = false;
        let free = place.member.is_none_or(|member| member == incumbent && !alive);
        if free {
            place.member = Some(claimant);
        }
        free
    }

    /// A registration is void.
    pub fn withdraw(&mut self, service: usize, member: Member) {
        if let Some(place) = self.places.get_mut(service) {
            place.member.take_if(|held| *held == member);
        }
    }

    /// A link is gone. Gives the services that lost their last member by it.
    pub fn leave(&mut self, link: LinkId) -> Vec<usize> {
        let left = self.places.iter_mut().enumerate();
        left.filter_map(|(service, place)| place.member.take_if(|member| member.link == link).map(|_| service))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(link: LinkId, client: u8) -> Member {
        Member {
            link,
            instance: [client; 16],
            id: 0,
        }
    }

    #[test]
    fn the_first_client_has_the_service_until_it_leaves() {
        let mut registry = Registry::new(2);
        assert_eq!(registry.claim(1, member(1, 1)), Claim::Granted);
        assert_eq!(registry.pick(1), Some(member(1, 1)));
        assert_eq!(registry.pick(0), None);
        assert_eq!(registry.leave(1), [1]);
        assert_eq!(registry.claim(1, member(2, 2)), Claim::Granted);
    }

    #[test]
    fn a_client_that_comes_back_replaces_its_own_stale_link() {
        let mut registry = Registry::new(1);
        registry.claim(0, member(1, 1));
        assert_eq!(registry.claim(0, member(2, 1)), Claim::Replaced(member(1, 1)));
        assert_eq!(registry.leave(1), [0; 0]);
        assert_eq!(registry.pick(0), Some(member(2, 1)));
    }

    #[test]
    fn another_client_gets_the_place_of_a_dead_one_only() {
        let mut registry = Registry::new(1);
        registry.claim(0, member(1, 1));
        assert_eq!(registry.claim(0, member(2, 2)), Claim::Contested(member(1, 1)));
        assert_eq!(registry.claim(0, member(3, 3)), Claim::Busy);
        assert!(!registry.settle(0, member(1, 1), true, member(2, 2)));
        assert_eq!(registry.claim(0, member(3, 3)), Claim::Contested(member(1, 1)));
        assert!(registry.settle(0, member(1, 1), false, member(3, 3)));
        assert_eq!(registry.pick(0), Some(member(3, 3)));
    }

    #[test]
    fn a_contest_is_void_when_somebody_else_has_come_meanwhile() {
        let mut registry = Registry::new(1);
        registry.claim(0, member(1, 1));
        registry.claim(0, member(2, 2));
        registry.leave(1);
        registry.claim(0, member(3, 3));
        assert!(!registry.settle(0, member(1, 1), false, member(2, 2)));
        assert_eq!(registry.pick(0), Some(member(3, 3)));
    }

    #[test]
    fn one_link_cannot_hold_a_service_twice() {
        let mut registry = Registry::new(1);
        registry.claim(0, member(1, 1));
        assert_eq!(registry.claim(0, Member { id: 7, ..member(1, 1) }), Claim::Busy);
    }
}
