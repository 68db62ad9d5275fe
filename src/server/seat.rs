//! One link's place at the server: what its client registers, and what becomes of it.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use log::{Level, debug};

use crate::config::Kind;
use crate::limits;
use crate::net::link::{Link, Owner};
use crate::net::task::Owned;
use crate::net::visitor::{Visitor, add};
use crate::proto::{Cause, Decline, Leave, Protocol, Registration};

use super::port::{self, Candidates, Port};
use super::registry::{Claim, LinkId, Member, ServiceId};
use super::services::Service;
use super::{Server, public, udp};

/// A link as the server's business.
pub struct Seat {
    server: Rc<Server>,
    id: LinkId,
    /// Answers that take their time; they end with the link.
    pending: RefCell<Vec<Owned>>,
}

/// What a client is to hear, and what the log says.
struct No<'a> {
    code: Decline,
    to_client: &'a str,
    to_log: &'a str,
}

const FULL: &str = "the server has too many clients";
const UNPROVEN: &str = "unknown service or wrong token";

impl Seat {
    /// Of the link `id`.
    pub fn new(server: &Rc<Server>, id: LinkId) -> Seat {
        Seat {
            server: server.clone(),
            id,
            pending: RefCell::default(),
        }
    }

    fn later(&self, work: impl Future<Output = ()> + 'static) {
        let mut pending = self.pending.borrow_mut();
        pending.retain(|task| !task.is_over());
        pending.push(Owned::spawn(work));
    }

    /// The service that a registration has proven its token for.
    fn prove(&self, link: &Rc<Link>, registration: &Registration) -> Result<Rc<Service>, No<'static>> {
        let found = self.server.services.named(&registration.name);
        let config = found.as_ref().map(|service| service.config());
        // An unknown name costs the same work as a wrong token.
        let proven = link.prove(registration, config.as_ref().map(|config| config.token.as_bytes()));
        let wrong = if found.is_some() {
            "wrong token"
        } else {
            "unknown service"
        };
        match found.filter(|_| proven) {
            Some(service) => Ok(service),
            None => {
                let to_client = if link.is_proven() { wrong } else { UNPROVEN };
                Err(No {
                    code: Decline::Unproven,
                    to_client,
                    to_log: wrong,
                })
            }
        }
    }

    fn check(&self, registration: &Registration, service: &Service) -> Result<(), No<'static>> {
        let (same, words) = match (service.config().kind, registration.protocol) {
            (Kind::Tcp, Protocol::Tcp) | (Kind::Udp, Protocol::Udp) => (true, ""),
            (Kind::Udp, _) => (false, "wrong type: the service is udp at the server"),
            _ => (false, "wrong type: the service is tcp at the server"),
        };
        let no = |code, words| {
            Err(No {
                code,
                to_client: words,
                to_log: words,
            })
        };
        match () {
            () if !same => no(Decline::WrongProtocol, words),
            () if self.server.is_retiring(self.id) => no(Decline::Unavailable, "this link's keys are out of date"),
            () if self.server.is_full() => no(Decline::Full, FULL),
            () => Ok(()),
        }
    }

    fn claim(&self, link: &Rc<Link>, registration: Registration, service: Rc<Service>) -> Result<(), No<'static>> {
        let member = Member {
            link: self.id,
            instance: link.instance(),
            id: registration.id,
        };
        let claim = self.server.registry.borrow_mut().claim(service.id, member);
        let server = self.server.clone();
        let link = link.clone();
        match claim {
            Claim::Granted => {}
            Claim::Replaced(old) => server.displace(old),
            Claim::Busy => return Err(TAKEN),
            Claim::Contested(incumbent) => {
                self.later(async move { server.contest(&link, &registration, &service, member, incumbent).await });
                return Ok(());
            }
        }
        self.later(async move { server.establish(&link, &registration, &service, member).await });
        Ok(())
    }

    /// Says no; to a link that has proven nothing after a while.
    fn refuse(&self, link: &Rc<Link>, registration: &Registration, no: &No<'_>) {
        self.server.log_refusal(link, registration, no);
        let (id, code) = (registration.id, no.code);
        if link.is_proven() {
            return link.decline(id, code, no.to_client);
        }
        let delay = self.server.delay(link.peer.ip());
        let (link, words) = (link.clone(), no.to_client.to_owned());
        self.later(async move {
            tokio::time::sleep(delay).await;
            link.decline(id, code, &words);
        });
    }
}

const TAKEN: No<'static> = No {
    code: Decline::Taken,
    to_client: "another client has this service and is alive",
    to_log: "another client has this service and is alive",
};

impl Owner for Seat {
    fn on_register(&self, link: &Rc<Link>, registration: Registration) {
        let asked = self
            .prove(link, &registration)
            .and_then(|service| self.check(&registration, &service).map(|()| service));
        let refused = match asked {
            Ok(service) => self.claim(link, registration.clone(), service),
            Err(no) => Err(no),
        };
        if let Err(no) = refused {
            self.refuse(link, &registration, &no);
            if no.code == Decline::Full {
                link.leave(Leave::Full, FULL);
            }
        }
    }

    fn on_unregister(&self, _link: &Rc<Link>, id: u16) {
        let left = self.server.registry.borrow_mut().unregister(self.id, id);
        left.into_iter().for_each(|service| self.server.close(service));
    }

    fn on_refused(&self, link: &Rc<Link>, visitor: &Visitor, cause: Cause) {
        add(&visitor.counters().refused, 1);
        debug!(
            "visitor is refused by the client peer={} cause={}",
            link.who(),
            cause as u16
        );
    }

    fn on_ended(&self, _link: &Rc<Link>) {
        self.pending.borrow_mut().clear();
        let left = self.server.registry.borrow_mut().leave(self.id);
        left.into_iter().for_each(|service| self.server.close(service));
    }
}

impl Server {
    /// Sees to it that the service is public, then tells its new member.
    async fn establish(
        self: Rc<Self>,
        link: &Rc<Link>,
        registration: &Registration,
        service: &Rc<Service>,
        member: Member,
    ) {
        let opened = self.publish(service, member).await;
        if self.registry.borrow().pick(service.id) != Some(member) {
            return;
        }
        let config = service.config();
        match opened {
            Ok(address) => {
                service.last_error.borrow_mut().clear();
                service.declines.borrow_mut().forget();
                let level = match service.ups.borrow_mut().spend() {
                    true => Level::Info,
                    false => Level::Debug,
                };
                let (name, peer) = (&config.name, link.who());
                log::log!(level, "service is up service={name} addr={address} peer={peer}");
                link.accept(registration, config.token.as_bytes(), &address);
            }
            Err(error) => {
                self.registry.borrow_mut().withdraw(service.id, member);
                let words = format!("cannot listen at {}: {error}", config.bind_addr);
                let no = No {
                    code: Decline::Unavailable,
                    to_client: &words,
                    to_log: &words,
                };
                self.log_refusal(link, registration, &no);
                link.decline(registration.id, no.code, no.to_client);
            }
        }
    }

    /// Binds the service's address unless it is bound; gives it in words.
    async fn publish(self: &Rc<Self>, service: &Rc<Service>, member: Member) -> std::io::Result<String> {
        let mut config = service.config();
        let mut found = port::resolve(&self.process.names, &config.bind_addr).await?;
        while !Rc::ptr_eq(&config, &service.config()) {
            config = service.config();
            found = port::resolve(&self.process.names, &config.bind_addr).await?;
        }
        let mut port = service.port.borrow_mut();
        if port.is_none() && self.registry.borrow().pick(service.id) == Some(member) {
            *port = Some(self.open(service, config.kind, &found)?);
        }
        Ok(port.as_ref().map(Port::to_string).unwrap_or_default())
    }

    /// Takes visitors at `found`.
    pub(super) fn open(
        self: &Rc<Self>,
        service: &Rc<Service>,
        kind: Kind,
        found: &[Candidates<'_>],
    ) -> std::io::Result<Port> {
        let open = match kind {
            Kind::Tcp => public::open,
            Kind::Udp => udp::open,
        };
        Port::open(found, &|address, v6_only| open(self, service, address, v6_only))
    }

    /// Closes the address of a service without members.
    fn close(&self, service: ServiceId) {
        if let Some(service) = self.services.get(service) {
            service.close();
        }
    }

    /// The incumbent has some seconds to show that it is alive.
    async fn contest(
        self: Rc<Self>,
        link: &Rc<Link>,
        registration: &Registration,
        service: &Rc<Service>,
        claimant: Member,
        incumbent: Member,
    ) {
        let asked = self.process.now();
        if let Some(holder) = self.link(incumbent.link) {
            holder.hasten();
            // In the same moment as its last bytes would not count as an answer.
            tokio::time::sleep(Duration::from_secs(limits::CONTEST_TIME)).await;
        }
        let alive = self.link(incumbent.link).is_some_and(|holder| holder.heard() > asked);
        let won = self
            .registry
            .borrow_mut()
            .settle(service.id, incumbent, alive, claimant);
        if !won {
            self.log_refusal(link, registration, &TAKEN);
            return link.decline(registration.id, TAKEN.code, TAKEN.to_client);
        }
        self.supersede(incumbent.link);
        self.establish(link, registration, service, claimant).await;
    }

    /// Warns; but not each time the same.
    fn log_refusal(&self, link: &Rc<Link>, registration: &Registration, no: &No<'_>) {
        let level = match self.services.named(&registration.name) {
            Some(service) => {
                service.last_error.replace(no.to_log.into());
                service.declines.borrow_mut().level(no.to_log)
            }
            None if self.strangers.borrow_mut().may_log(self.process.now()) => Level::Warn,
            None => Level::Debug,
        };
        let (name, peer, reason) = (&registration.name, link.who(), no.to_log);
        log::log!(
            level,
            "registration is refused service={name} peer={peer} reason=\"{reason}\""
        );
    }
}
