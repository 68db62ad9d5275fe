//! One link as the client's business: what is registered over it, the visitors that come, its end.

use std::cell::{Cell, OnceCell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use log::{debug, info};

use crate::config::{HostPort, Kind};
use crate::limits;
use crate::net::link::{Ended, Link, Owner};
use crate::net::pump;
use crate::net::task::{self, Flag, Owned};
use crate::net::wire::Wire;
use crate::proto::sorted::SortedMap;
use crate::proto::{Cause, Decline, Leave, Protocol, StreamId, Visit};

use super::services::Service;
use super::{Client, probe, services, udp};

/// A link and what the client has to do with it.
pub struct Seat {
    client: Rc<Client>,
    /// The link itself.
    pub link: Rc<Link>,
    /// Which of the server's addresses it leads to.
    pub rank: usize,
    /// Services by the numbers of their registrations.
    pub(super) held: RefCell<SortedMap<u16, Rc<Service>>>,
    next_number: Cell<u16>,
    /// The server has asked for a new link in this one's place.
    renewing: Cell<bool>,
    /// The server has refused a service.
    refused: Cell<bool>,
    ended: Cell<Option<Ended>>,
    over: Cell<bool>,
    end: Flag,
    task: OnceCell<Owned>,
    draining: OnceCell<Owned>,
}

impl Seat {
    /// Of a link that was just made; its task runs from now on.
    pub fn new(client: &Rc<Client>, link: Rc<Link>, rank: usize, wire: Wire, early: Vec<u8>) -> Rc<Seat> {
        let seat = Rc::new(Seat {
            client: client.clone(),
            link,
            rank,
            held: RefCell::default(),
            next_number: Cell::new(0),
            renewing: Cell::new(false),
            refused: Cell::new(false),
            ended: Cell::default(),
            over: Cell::new(false),
            end: Flag::default(),
            task: OnceCell::new(),
            draining: OnceCell::new(),
        });
        let _ = seat.task.set(Owned::spawn(seat.clone().serve(wire, early)));
        seat
    }

    async fn serve(self: Rc<Self>, wire: Wire, early: Vec<u8>) {
        let ended = pump::run(&self.link, wire, &*self, early, None).await;
        self.ended.set(Some(ended));
        self.end.raise();
    }

    /// Waits for the end, and says how it came. Once.
    pub async fn ended(&self) -> Ended {
        loop {
            if let Some(ended) = self.ended.take() {
                return ended;
            }
            self.end.raised().await;
        }
    }

    /// Whether the link is over.
    pub fn is_over(&self) -> bool {
        self.over.get()
    }

    /// For how long the link has been there.
    pub fn lived(&self) -> Duration {
        Duration::from_micros(self.link.process.now().since(self.link.since))
    }

    /// Whether the server took none of the services that it was asked for.
    pub fn was_in_vain(&self) -> bool {
        self.refused.get() && !self.link.is_proven()
    }

    fn is_in_use(&self) -> bool {
        self.client.seat().is_some_and(|seat| std::ptr::eq(&*seat, self))
    }

    /// Asks for a service, unless it has.
    pub fn register(&self, service: &Rc<Service>) {
        service.renew(None);
        if self.held.borrow().values().any(|held| Rc::ptr_eq(held, service)) {
            return;
        }
        let config = service.config();
        let terms = service.terms();
        let protocol = match config.kind {
            Kind::Tcp => Protocol::Tcp,
            Kind::Udp => Protocol::Udp,
        };
        for _ in 0..limits::MAX_SERVICES {
            let number = self.next_number.get();
            self.next_number.set((number + 1) % limits::MAX_SERVICES);
            if self
                .link
                .register(number, protocol, &config.name, config.token.as_bytes(), &terms)
            {
                self.held.borrow_mut().insert(number, service.clone());
                service.on_asked();
                return;
            }
        }
        debug!("service cannot be asked for service={}", config.name);
    }

    /// Withdraws a service, or the question for it.
    pub fn unregister(&self, service: &Rc<Service>) {
        let mut held = self.held.borrow_mut();
        held.retain(|&number, held| {
            let stays = !Rc::ptr_eq(held, service);
            if !stays {
                self.link.unregister(number);
            }
            stays
        });
    }

    /// The server knows its own addresses, this client the one by which it can be reached.
    fn announce(&self, service: &Service, public: &str) {
        let config = self.client.config();
        let (Some(announce), Some(at)) = (self.client.announce, config.remote_addr.get(self.rank)) else {
            return;
        };
        let address = public
            .split(',')
            .next()
            .and_then(|address| address.parse::<SocketAddr>().ok());
        let Some(address) = address else { return };
        let kind = service.config().kind.name();
        let at = HostPort {
            host: match address.ip().is_unspecified() {
                true => at.host.clone(),
                false => address.ip().to_string(),
            },
            port: address.port(),
        };
        announce(&format!("{kind}://{at}"));
    }

    fn held(&self, number: u16) -> Option<Rc<Service>> {
        self.held.borrow().get(&number).cloned()
    }

    /// Takes no more visitors once another link is there for them, and ends the link when the last one has left.
    pub fn drain(self: &Rc<Self>) {
        let seat = self.clone();
        self.draining
            .get_or_init(|| Owned::spawn(async move { seat.part().await }));
    }

    async fn part(&self) {
        let second = Duration::from_secs(1);
        let since = self.link.process.now();
        self.link.hasten();
        for passed in 0..limits::DRAIN_TIME {
            if passed == limits::CONTEST_TIME && self.link.heard() <= since {
                debug!("link does not answer server={}", self.link.peer);
                return self.leave();
            }
            if passed == limits::RENEW_TIME {
                let held = core::mem::take(&mut *self.held.borrow_mut());
                held.iter().for_each(|(&number, _)| self.link.unregister(number));
            }
            if self.link.is_idle() || self.is_over() {
                break;
            }
            tokio::time::sleep(second).await;
        }
        debug!("link is no longer needed server={}", self.link.peer);
        self.leave();
    }

    /// Ends it: others are in its place.
    pub fn leave(&self) {
        self.link
            .leave(Leave::Replaced, "a newer link has taken this one's place");
    }
}

impl Owner for Seat {
    fn on_registered(&self, _link: &Rc<Link>, id: u16, public: &str, is_member: bool) {
        let Some(service) = self.held(id) else { return };
        if self.is_in_use() {
            if service.on_registered(public, is_member) {
                self.announce(&service, public);
            }
            probe::attend(&self.client, &service);
            let replaced = self.client.replaced.borrow();
            replaced.iter().for_each(|seat| seat.unregister(&service));
        }
    }

    fn on_declined(&self, _link: &Rc<Link>, id: u16, code: Decline, reason: &str) {
        let Some(service) = self.held.borrow_mut().remove(&id) else {
            return;
        };
        self.refused.set(true);
        if self.is_in_use() {
            let wait = service.on_declined(code, reason);
            let (client, again) = (self.client.clone(), service.clone());
            service.renew(Some(Owned::spawn(async move {
                tokio::time::sleep(wait).await;
                if let Some(seat) = client.seat() {
                    seat.register(&again);
                }
            })));
        }
    }

    fn on_open(&self, link: &Rc<Link>, stream: StreamId, id: u16, visit: Visit) {
        let Some(service) = self.held(id) else { return };
        if link.process.is_crowded() {
            return link.refuse(stream, Cause::Full);
        }
        let config = service.config();
        debug!("visitor service={} peer={visit}", config.name);
        if config.kind == Kind::Udp {
            return udp::join(&self.client, link, stream, &service, visit);
        }
        let visitor = link.join(stream, &service.counters);
        task::detach(services::attend(
            self.client.clone(),
            visitor,
            link.clone(),
            service,
            visit,
        ));
    }

    fn on_renew(&self, link: &Rc<Link>) {
        if self.is_in_use() && !self.renewing.replace(true) {
            info!("the server asks for a new link server={}", link.peer);
            self.client.wanted.raise();
        }
    }

    fn on_ended(&self, _link: &Rc<Link>) {
        self.over.set(true);
        if self.is_in_use() {
            self.client.seat.borrow_mut().take();
            let services = self.client.services.borrow();
            services.iter().for_each(|service| service.on_link_down());
        }
    }
}
