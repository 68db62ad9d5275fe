//! Links whose time is over, but not that of their visitors: the client has come again over a newer link, or is to do so
//! because keys have changed.
//!
//! Such a link takes no new visitor, and lives until the client ends it, which it does when the last visitor has left;
//! unless the client does not answer there any more: then the link is dead, and a visitor is better told so.

use std::rc::Rc;
use std::time::Duration;

use crate::limits;
use crate::net::link::Link;
use crate::net::task::Owned;
use crate::proto::{Decline, Leave};

use super::Server;
use super::registry::{LinkId, Member};

impl Server {
    /// A newer link of the same client has taken over what `old` had registered.
    pub(super) fn displace(self: &Rc<Self>, old: Member) {
        if let Some(link) = self.link(old.link) {
            link.decline(old.id, Decline::Withdrawn, "registered over a newer link");
            self.retire(old.link, retire_displaced(link));
        }
    }

    /// Asks all clients to come again.
    pub(super) fn renew_links(&self) {
        let mut links = self.links.borrow_mut();
        for entry in links.values_mut().filter(|entry| !entry.is_stranger()) {
            if let Some(link) = entry.link.clone() {
                link.renew();
                entry.retiring.get_or_insert_with(|| Owned::spawn(retire_renewed(link)));
            }
        }
    }

    /// Ends the link of a client whose place another one has taken.
    pub(super) fn supersede(&self, old: LinkId) {
        if let Some(link) = self.link(old) {
            supersede(&link);
        }
    }

    /// Whether a link takes no new registration.
    pub(super) fn is_retiring(&self, id: LinkId) -> bool {
        self.links
            .borrow()
            .get(&id)
            .is_some_and(|entry| entry.retiring.is_some())
    }

    fn retire(&self, id: LinkId, end: impl Future<Output = ()> + 'static) {
        if let Some(entry) = self.links.borrow_mut().get_mut(&id) {
            entry.retiring = Some(Owned::spawn(end));
        }
    }
}

async fn retire_renewed(link: Rc<Link>) {
    tokio::time::sleep(Duration::from_secs(limits::DRAIN_TIME)).await;
    link.leave(Leave::Replaced, "this link's keys are out of date");
}

async fn retire_displaced(link: Rc<Link>) {
    let asked = link.process.now();
    link.hasten();
    // In the same moment as its last bytes would not count as an answer.
    tokio::time::sleep(Duration::from_secs(limits::CONTEST_TIME)).await;
    if link.heard() > asked {
        tokio::time::sleep(Duration::from_secs(limits::DRAIN_TIME)).await;
    }
    supersede(&link);
}

fn supersede(link: &Link) {
    link.leave(Leave::Replaced, "a newer link has taken this one's place");
}
