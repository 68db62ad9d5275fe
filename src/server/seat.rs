//! One link's place at the server: what its client registers, and what becomes of it.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use log::{debug, info, warn};

use crate::config::Kind;
use crate::limits;
use crate::net::link::{Link, Owner};
use crate::net::task::Owned;
use crate::net::visitor::{Visitor, add};
use crate::proto::{Cause, Decline, Leave, Protocol, Registration};

use super::registry::{Claim, LinkId, Member};
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
    fn prove(&self, link: &Rc<Link>, registration: &Registration) -> Result<usize, No<'static>> {
        let services = &self.server.services;
        let found = services
            .iter()
            .position(|service| service.config.name == registration.name);
        let token = found
            .and_then(|number| services.get(number))
            .map(|service| service.config.token.as_bytes());
        // An unknown name costs the same work as a wrong token.
        let proven = link.prove(registration, token);
        let wrong = if found.is_some() {
            "wrong token"
        } else {
            "unknown service"
        };
        match found.filter(|_| proven) {
            Some(number) => Ok(number),
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

    fn check(&self, registration: &Registration, number: usize) -> Result<(), No<'static>> {
        let kind = self.server.services.get(number).map(|service| service.config.kind);
        let (same, words) = match (kind, registration.protocol) {
            (Some(Kind::Tcp), Protocol::Tcp) | (Some(Kind::Udp), Protocol::Udp) => (true, ""),
            (Some(Kind::Udp), _) => (false, "wrong type: the service is udp at the server"),
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
            () if self.server.clients().len() > limits::MAX_LINKS => {
                no(Decline::Full, "the server has too many clients")
            }
            () => Ok(()),
        }
    }

    fn claim(&self, link: &Rc<Link>, registration: Registration, number: usize) -> Result<(), No<'static>> {
        let member = Member {
            link: self.id,
            instance: link.instance(),
            id: registration.id,
        };
        let claim = self.server.registry.borrow_mut().claim(number, member);
        let server = self.server.clone();
        let link = link.clone();
        match claim {
            Claim::Granted => {}
            Claim::Replaced(old) => server.replace(old),
            Claim::Busy => return Err(TAKEN),
            Claim::Contested(incumbent) => {
                self.later(async move { server.contest(&link, &registration, number, member, incumbent).await });
                return Ok(());
            }
        }
        self.later(async move { server.establish(&link, &registration, number, member).await });
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
            .and_then(|number| self.check(&registration, number).map(|()| number));
        let refused = match asked {
            Ok(number) => self.claim(link, registration.clone(), number),
            Err(no) => Err(no),
        };
        if let Err(no) = refused {
            self.refuse(link, &registration, &no);
        }
    }

    fn on_refused(&self, link: &Rc<Link>, visitor: &Visitor, cause: Cause) {
        add(&visitor.counters().refused, 1);
        debug!(
            "visitor is refused by the client peer={} cause={}",
            link.peer, cause as u16
        );
    }

    fn on_ended(&self, _link: &Rc<Link>) {
        self.pending.borrow_mut().clear();
        let left = self.server.registry.borrow_mut().leave(self.id);
        left.into_iter().for_each(|number| self.server.close(number));
    }
}

impl Server {
    /// Sees to it that the service is public, then tells its new member.
    async fn establish(self: Rc<Self>, link: &Rc<Link>, registration: &Registration, number: usize, member: Member) {
        let Some(service) = self.services.get(number) else {
            return;
        };
        let opened = self.publish(number, member).await;
        if self.registry.borrow().pick(number) != Some(member) {
            return;
        }
        match opened {
            Ok(address) => {
                service.last_error.borrow_mut().clear();
                info!(
                    "service is up service={} addr={address} peer={}",
                    service.config.name, link.peer
                );
                link.accept(registration, service.config.token.as_bytes(), &address);
            }
            Err(error) => {
                self.registry.borrow_mut().withdraw(number, member);
                let words = format!("cannot listen at {}: {error}", service.config.bind_addr);
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
    async fn publish(self: &Rc<Self>, number: usize, member: Member) -> std::io::Result<String> {
        let Some(service) = self.services.get(number) else {
            return Err(std::io::ErrorKind::NotFound.into());
        };
        let at = &service.config.bind_addr;
        let addresses = self.process.names.resolve(&at.host, at.port, false).await?;
        let mut public = service.public.borrow_mut();
        if public.is_none() && self.registry.borrow().pick(number) == Some(member) {
            *public = Some(match service.config.kind {
                Kind::Tcp => public::open(self, number, &addresses)?,
                Kind::Udp => udp::open(self, number, &addresses)?,
            });
        }
        Ok(public
            .as_ref()
            .map(|public| public.address.to_string())
            .unwrap_or_default())
    }

    /// Closes the address of a service without members.
    fn close(&self, number: usize) {
        let Some(service) = self.services.get(number) else {
            return;
        };
        if let Some(public) = service.public.borrow_mut().take() {
            info!(
                "service is down service={} addr={}",
                service.config.name, public.address
            );
        }
    }

    /// The incumbent has some seconds to show that it is alive.
    async fn contest(
        self: Rc<Self>,
        link: &Rc<Link>,
        registration: &Registration,
        number: usize,
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
        let won = self.registry.borrow_mut().settle(number, incumbent, alive, claimant);
        if !won {
            self.log_refusal(link, registration, &TAKEN);
            return link.decline(registration.id, TAKEN.code, TAKEN.to_client);
        }
        self.replace(incumbent);
        self.establish(link, registration, number, claimant).await;
    }

    /// Ends the link of a member that lost its place.
    fn replace(&self, old: Member) {
        if let Some(link) = self.link(old.link) {
            link.leave(Leave::Replaced, "a newer link has taken this one's place");
        }
    }

    /// Warns; but not each time the same.
    fn log_refusal(&self, link: &Rc<Link>, registration: &Registration, no: &No<'_>) {
        let named = self
            .services
            .iter()
            .find(|service| service.config.name == registration.name);
        let repeated = match named {
            Some(service) => service.last_error.replace(no.to_log.into()) == no.to_log,
            None => !self.strangers.borrow_mut().may_log(self.process.now()),
        };
        let (name, peer, reason) = (&registration.name, link.peer, no.to_log);
        if repeated {
            debug!("registration is refused service={name} peer={peer} reason=\"{reason}\"");
        } else {
            warn!("registration is refused service={name} peer={peer} reason=\"{reason}\"");
        }
    }
}
