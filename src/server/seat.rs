//! One link's place at the server: what its client registers, and what becomes of it.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use log::{Level, debug, info, warn};

use crate::config::{Kind, Secret};
use crate::limits;
use crate::net::link::{Link, Owner};
use crate::net::task::Owned;
use crate::proto::{Cause, Decline, Leave, Protocol, Registration, Terms, Wish};

use super::port::{self, Candidates, Port};
use super::rate::Rate;
use super::registry::{Claim, Fall, Left, LinkId, Member, Report};
use super::services::{Service, Voice};
use super::{Server, alerts, public, tunnels, udp};

/// A link as the server's business.
pub struct Seat {
    server: Rc<Server>,
    id: LinkId,
    /// Answers that take their time, by the number of the registration; they end with the link.
    pending: RefCell<Vec<(u16, Owned)>>,
    /// Of the services that only its client names.
    voice: Rc<Voice>,
    /// How many words of health may come.
    reports: RefCell<Rate>,
}

/// What a client is to hear, and what the log says.
pub(super) struct No {
    code: Decline,
    to_client: String,
    to_log: String,
}

impl No {
    /// The same to both.
    pub fn new(code: Decline, words: &str) -> No {
        No {
            code,
            to_client: words.to_owned(),
            to_log: words.to_owned(),
        }
    }
}

/// What a client wants.
struct Wanted {
    registration: Registration,
    service: Rc<Service>,
    member: Member,
    terms: Terms,
    /// For a port; `None`: the configuration has the service.
    wish: Option<Wish>,
}

const FULL: &str = "the server has too many clients";
const UNPROVEN: &str = "unknown service or wrong token";
const WRONG_KEY: &str = "group key does not match";

impl Seat {
    /// Of the link `id`.
    pub fn new(server: &Rc<Server>, id: LinkId) -> Seat {
        Seat {
            server: server.clone(),
            id,
            pending: RefCell::default(),
            voice: Rc::default(),
            reports: RefCell::default(),
        }
    }

    /// Answers the registration `id` by and by.
    fn later(&self, id: u16, work: impl Future<Output = ()> + 'static) {
        self.pending.borrow_mut().push((id, Owned::spawn(work)));
    }

    /// Ends what is still under way for an earlier registration of that number, which was withdrawn: a client has so many
    /// numbers, and not more answers to come.
    fn forget(&self, id: u16) {
        let mut pending = self.pending.borrow_mut();
        pending.retain(|(other, task)| *other != id && !task.is_over());
    }

    /// The service that a registration has proven its token for, and what it asks for.
    fn prove(&self, link: &Rc<Link>, registration: &Registration) -> Result<(Rc<Service>, Terms), No> {
        match registration.terms.wish {
            Some(wish) => self.prove_tunnel(link, registration, wish),
            None => self.prove_defined(link, registration),
        }
    }

    fn prove_tunnel(
        &self,
        link: &Rc<Link>,
        registration: &Registration,
        wish: Wish,
    ) -> Result<(Rc<Service>, Terms), No> {
        let config = self.server.config();
        let token = config.tunnels.token.as_ref().map(Secret::as_bytes);
        let is_proven = link.prove(registration, token);
        match token {
            None => Err(tunnels::no_token()),
            Some(_) if !is_proven => Err(unproven(link, "wrong token")),
            Some(token) => {
                self.check_link()?;
                let terms = self.terms(link, registration, token)?;
                let service = self.server.tunnel(link, registration, &terms, wish, &self.voice)?;
                Ok((service, terms))
            }
        }
    }

    /// What a proven registration asks for, as far as this server does such things.
    fn terms(&self, link: &Link, registration: &Registration, token: &[u8]) -> Result<Terms, No> {
        let balancing = &self.server.config().balancing;
        let mut terms = link.terms(registration, token);
        if !balancing.is_enabled {
            terms.group = None;
        }
        match alerts::refusal(&terms.webhook, balancing.member_webhooks) {
            Some(words) if terms.group.is_some() => Err(No::new(Decline::Other, &words)),
            _ => Ok(terms),
        }
    }

    fn prove_defined(&self, link: &Rc<Link>, registration: &Registration) -> Result<(Rc<Service>, Terms), No> {
        let found = self.server.services.named(&registration.name);
        let config = found.as_ref().map(|service| service.config());
        // An unknown name costs the same work as a wrong token.
        let proven = link.prove(registration, config.as_ref().map(|config| config.token.as_bytes()));
        let wrong = if found.is_some() {
            "wrong token"
        } else {
            "unknown service"
        };
        let service = found.filter(|_| proven).ok_or_else(|| unproven(link, wrong))?;
        check_kind(registration, &service)?;
        self.check_link()?;
        let terms = self.terms(link, registration, service.config().token.as_bytes())?;
        let is_for_members = self.server.config().balancing.is_enabled && !service.config().group_keys.is_empty();
        if is_for_members && terms.group.is_none() {
            return Err(No::new(Decline::Unproven, WRONG_KEY));
        }
        Ok((service, terms))
    }

    /// Whether the link may have one more.
    fn check_link(&self) -> Result<(), No> {
        match () {
            () if self.server.is_retiring(self.id) => {
                Err(No::new(Decline::Unavailable, "this link's keys are out of date"))
            }
            () if self.server.is_full() => Err(No::new(Decline::Full, FULL)),
            () => Ok(()),
        }
    }

    fn claim(&self, link: &Rc<Link>, wanted: Wanted) -> Result<(), No> {
        let (server, link, now) = (self.server.clone(), link.clone(), self.server.process.now());
        let Wanted {
            service, member, terms, ..
        } = &wanted;
        let name = &wanted.registration.name;
        let claim = server
            .registry
            .borrow_mut()
            .claim(now, service.id, *member, name, terms);
        match claim {
            Claim::Granted => {}
            Claim::Replaced(old) => server.displace(old),
            Claim::Busy => return Err(taken()),
            Claim::InUse => return Err(No::new(Decline::Taken, &format!("service '{name}' is already in use"))),
            Claim::Crowded => return Err(No::new(Decline::Unavailable, "the group has too many members")),
            Claim::WrongKey => return Err(No::new(Decline::Unproven, WRONG_KEY)),
            Claim::Contested(incumbent) => {
                self.later(
                    member.id,
                    async move { server.contest(&link, &wanted, incumbent).await },
                );
                return Ok(());
            }
        }
        match public_at(&wanted) {
            // Visitors are there already, and none is to fall between two links.
            Some(opened) => server.answer(&link, &wanted, opened),
            None => self.later(wanted.member.id, async move { server.establish(&link, &wanted).await }),
        }
        Ok(())
    }

    /// Says no; to a link that has proven nothing after a while.
    fn refuse(&self, link: &Rc<Link>, registration: &Registration, no: &No) {
        self.server.log_refusal(link, registration, no, &self.voice);
        let (id, code) = (registration.id, no.code);
        if link.is_proven() {
            return link.decline(id, code, &no.to_client);
        }
        let delay = self.server.delay(link.peer.ip());
        let (link, words) = (link.clone(), no.to_client.clone());
        self.later(id, async move {
            tokio::time::sleep(delay).await;
            link.decline(id, code, &words);
        });
    }
}

fn taken() -> No {
    No::new(Decline::Taken, "another client has this service and is alive")
}

/// Where the service is public, if it is; or why that is not where it is wanted.
fn public_at(wanted: &Wanted) -> Option<Result<String, String>> {
    let port = wanted.service.port.borrow();
    let port = port.as_ref()?;
    Some(match wanted.wish {
        Some(wish) if wish.is_must && port.number() != wish.port => {
            Err(format!("the group has the port {}, not {}", port.number(), wish.port))
        }
        _ => Ok(port.to_string()),
    })
}

/// A client that has proven nothing does not hear what is wrong.
fn unproven(link: &Link, wrong: &str) -> No {
    No {
        to_client: if link.is_proven() { wrong } else { UNPROVEN }.to_owned(),
        ..No::new(Decline::Unproven, wrong)
    }
}

fn check_kind(registration: &Registration, service: &Service) -> Result<(), No> {
    let wrong = match (service.config().kind, registration.protocol) {
        (Kind::Tcp, Protocol::Tcp) | (Kind::Udp, Protocol::Udp) => return Ok(()),
        (Kind::Udp, _) => "wrong type: the service is udp at the server",
        _ => "wrong type: the service is tcp at the server",
    };
    Err(No::new(Decline::WrongProtocol, wrong))
}

impl Owner for Seat {
    fn on_register(&self, link: &Rc<Link>, registration: Registration) {
        self.forget(registration.id);
        let refused = self.prove(link, &registration).and_then(|(service, terms)| {
            let wanted = Wanted {
                registration: registration.clone(),
                service,
                member: Member {
                    link: self.id,
                    instance: link.instance(),
                    id: registration.id,
                },
                wish: terms.wish,
                terms,
            };
            self.claim(link, wanted)
        });
        if let Err(no) = refused {
            self.refuse(link, &registration, &no);
            if no.code == Decline::Full {
                link.leave(Leave::Full, FULL);
            }
        }
    }

    fn on_unregister(&self, _link: &Rc<Link>, id: u16) {
        let now = self.server.process.now();
        let left = self.server.registry.borrow_mut().unregister(now, self.id, id);
        self.server.on_left(left);
    }

    fn on_health(&self, link: &Rc<Link>, id: u16, is_healthy: bool, failures: u32) {
        let now = self.server.process.now();
        if !self.reports.borrow_mut().take(now, limits::MAX_REPORTS) {
            return link.leave(Leave::Fault, "too many reports of health");
        }
        let mut registry = self.server.registry.borrow_mut();
        let report = registry.report(now, self.id, id, is_healthy, failures);
        drop(registry);
        if let Some(report) = report {
            self.server.on_report(link, report, is_healthy, failures);
        }
    }

    fn on_refused(&self, link: &Rc<Link>, cause: Cause) {
        debug!(
            "visitor is refused by the client peer={} cause={}",
            link.who(),
            cause as u16
        );
    }

    fn on_ended(&self, _link: &Rc<Link>) {
        self.pending.borrow_mut().clear();
        let now = self.server.process.now();
        let left = self.server.registry.borrow_mut().leave(now, self.id);
        self.server.on_left(left);
    }
}

impl Server {
    /// Sees to it that the service is public, then tells its new member.
    async fn establish(self: Rc<Self>, link: &Rc<Link>, wanted: &Wanted) {
        let (service, member) = (&wanted.service, wanted.member);
        let opened = match wanted.wish {
            Some(wish) => self.publish_tunnel(service, member, wish).await,
            None => self.publish(service, member).await.map_err(|error| {
                let at = &service.config().bind_addr;
                format!("cannot listen at {at}: {error}")
            }),
        };
        let opened = opened.and_then(|()| public_at(wanted).unwrap_or_else(|| Ok(String::new())));
        self.answer(link, wanted, opened);
    }

    /// Tells a new member where its service is public, or why it is not.
    fn answer(self: &Rc<Self>, link: &Rc<Link>, wanted: &Wanted, opened: Result<String, String>) {
        let Wanted {
            registration,
            service,
            member,
            terms,
            ..
        } = wanted;
        if !self.registry.borrow().holds(service.id, *member) {
            return;
        }
        match opened {
            Ok(address) => {
                service.last_error.borrow_mut().clear();
                service.declines.borrow_mut().forget();
                let (config, peer) = (service.config(), link.who());
                log::log!(
                    service.level(),
                    "service is up service={} addr={address} peer={peer}",
                    config.name
                );
                link.accept(registration, config.token.as_bytes(), &address, terms.group.is_some());
            }
            Err(words) => {
                let no = No::new(Decline::Unavailable, &words);
                self.log_refusal(link, registration, &no, &service.voice);
                link.decline(registration.id, no.code, &no.to_client);
                let (now, mut left) = (self.process.now(), Left::default());
                self.registry.borrow_mut().withdraw(now, service.id, *member, &mut left);
                // It has served nobody: that it goes is no fall.
                left.falls.clear();
                self.on_left(left);
            }
        }
    }

    /// Binds the service's address unless it is bound.
    async fn publish(self: &Rc<Self>, service: &Rc<Service>, member: Member) -> std::io::Result<()> {
        let mut config = service.config();
        let mut found = port::resolve(&self.process.names, &config.bind_addr).await?;
        while !Rc::ptr_eq(&config, &service.config()) {
            config = service.config();
            found = port::resolve(&self.process.names, &config.bind_addr).await?;
        }
        let mut port = service.port.borrow_mut();
        if port.is_none() && self.registry.borrow().holds(service.id, member) {
            *port = Some(self.open(service, config.kind, &found)?);
        }
        Ok(())
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

    /// Closes the addresses of services without members, and sees to groups that lost their last healthy one.
    pub(super) fn on_left(&self, left: Left) {
        // As long as their ports are known.
        left.falls.iter().for_each(|fall| self.on_fall(fall));
        for id in left.empty {
            let Some(service) = self.services.get(id) else { continue };
            service.close();
            if service.is_tunnel {
                self.forget_tunnel(id);
            }
        }
    }

    /// A member's local service is well again, or is not.
    fn on_report(&self, link: &Link, report: Report, is_healthy: bool, failures: u32) {
        let Some(service) = self.services.get(report.service) else {
            return;
        };
        let (name, peer) = (&service.config().name, link.who());
        let Report {
            healthy, members, fall, ..
        } = report;
        if service.level() == Level::Info {
            match is_healthy {
                true => info!("member is healthy service={name} peer={peer} healthy={healthy} members={members}"),
                false => warn!(
                    "member is not healthy service={name} peer={peer} healthy={healthy} members={members} \
                     reason=\"{failures} consecutive probe failures\""
                ),
            }
        }
        fall.iter().for_each(|fall| self.on_fall(fall));
    }

    /// Nobody of a group is healthy any more: an alert, unless there were so many that somebody makes them.
    fn on_fall(&self, fall: &Fall) {
        let service = self.services.get(fall.service);
        let may_alert = service.is_some_and(|service| service.voice.alerts.borrow_mut().spend());
        if may_alert && self.config().balancing.is_enabled {
            self.alert(fall);
        }
    }

    /// The incumbent has some seconds to show that it is alive.
    async fn contest(self: Rc<Self>, link: &Rc<Link>, wanted: &Wanted, incumbent: Member) {
        let Wanted {
            registration,
            service,
            member,
            terms,
            ..
        } = wanted;
        let asked = self.process.now();
        if let Some(holder) = self.link(incumbent.link) {
            holder.hasten();
            // In the same moment as its last bytes would not count as an answer.
            tokio::time::sleep(Duration::from_secs(limits::CONTEST_TIME)).await;
        }
        let alive = self.link(incumbent.link).is_some_and(|holder| holder.heard() > asked);
        let won = self.registry.borrow_mut().settle(
            self.process.now(),
            service.id,
            (incumbent, alive),
            *member,
            (&registration.name, terms),
        );
        if !won {
            let no = taken();
            self.log_refusal(link, registration, &no, &service.voice);
            return link.decline(registration.id, no.code, &no.to_client);
        }
        if !alive {
            self.supersede(incumbent.link);
        }
        self.establish(link, wanted).await;
    }

    /// Warns; but not each time the same.
    fn log_refusal(&self, link: &Rc<Link>, registration: &Registration, no: &No, voice: &Voice) {
        let (name, peer, reason) = (&registration.name, link.who(), &no.to_log);
        let level = match self.services.named(&registration.name) {
            Some(service) => {
                service.last_error.replace(no.to_log.clone());
                service.declines.borrow_mut().level(&no.to_log)
            }
            None => match voice.refusals.borrow_mut().level(&format!("{name} {reason}")) {
                Level::Warn if !self.strangers.borrow_mut().may_log(self.process.now()) => Level::Debug,
                level => level,
            },
        };
        log::log!(
            level,
            "registration is refused service={name} peer={peer} reason=\"{reason}\""
        );
    }
}
