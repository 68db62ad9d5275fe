//! Who of a service's members gets a visitor: the registry's choice, as long as that has a link with room.

use std::rc::Rc;

use crate::limits;
use crate::net::link::Link;
use crate::proto::{StreamId, Visit};

use super::Server;
use super::registry::Member;
use super::services::Service;

/// A stream to a member.
pub struct Given {
    /// Whose.
    pub link: Rc<Link>,
    /// For the visitor.
    pub stream: StreamId,
    /// Nobody else could have had it.
    pub is_last: bool,
}

impl Server {
    /// A stream for a visitor, over the link of a member that is none of `tried`, of which it is one then.
    pub(super) fn dispatch(&self, service: &Service, visit: Visit, tried: &mut Vec<Member>) -> Option<Given> {
        let source = visit.from.map(|from| from.ip());
        while tried.len() < limits::MAX_TRIES {
            let member = self
                .registry
                .borrow()
                .pick(service.id, source, self.random.next(), tried)?;
            tried.push(member);
            let Some(link) = self.link(member.link) else { continue };
            let Some(stream) = link.open(member.id, visit) else {
                continue;
            };
            let mut registry = self.registry.borrow_mut();
            registry.count(service.id, member, true);
            let is_last = registry.pick(service.id, source, 0, tried).is_none();
            return Some(Given { link, stream, is_last });
        }
        None
    }

    /// A visitor came back from the one that was tried last.
    pub(super) fn take_back(&self, service: &Service, tried: &[Member]) {
        if let Some(&member) = tried.last() {
            self.registry.borrow_mut().count(service.id, member, false);
        }
    }

    /// Whether one more visitor may come now.
    pub(super) fn may_come(&self, service: &Service) -> bool {
        let limits = &self.config().tunnels;
        let has_room = limits.max_visitors == 0 || service.counters.open.get() < limits.max_visitors;
        has_room && self.is_in_rate(service)
    }

    /// Whether one more visitor, or datagram, is within what may come in a second.
    pub(super) fn is_in_rate(&self, service: &Service) -> bool {
        let rate = self.config().tunnels.rate;
        rate == 0 || service.rate.borrow_mut().take(self.process.now(), rate)
    }
}
