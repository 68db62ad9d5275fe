//! The client's services: how each stands at the server, and how visitors are joined to what runs beside the client.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::time::Duration;

use log::Level;

use crate::config::{self, Local};
use crate::limits;
use crate::log::Repeats;
use crate::net::link::Link;
use crate::net::proxy_protocol::{Version, proxy_header};
use crate::net::socket::Socket;
use crate::net::task::Owned;
use crate::net::visitor::{Counters, Visitor};
use crate::proto::{Cause, Decline, Membership, Protocol, Terms, Visit, Wish};
use crate::transport;

use super::Client;
use super::backoff::Backoff;

/// A service of the configuration, and how it stands.
pub(super) struct Service {
    pub counters: Rc<Counters>,
    /// Its public address at the server, while it is registered.
    pub public: RefCell<Option<String>>,
    pub last_error: RefCell<String>,
    config: RefCell<Rc<config::ClientService>>,
    /// How long to wait before it is registered again, by what it was refused for.
    backoff: RefCell<Option<(Decline, Backoff)>>,
    /// Registers it again.
    renewal: RefCell<Option<Owned>>,
    refusals: RefCell<Repeats>,
    announced: RefCell<Repeats>,
    failures: RefCell<Repeats>,
    /// The port that it had last, of those that the server chose.
    last_port: Cell<u16>,
    /// Looks whether the local service is well, as long as it is registered.
    pub probe: RefCell<Option<Owned>>,
    /// What it has found, and how often in a row it was bad.
    pub health: Cell<Option<(bool, u32)>>,
}

impl Service {
    pub fn new(config: &config::ClientService) -> Rc<Service> {
        Rc::new(Service {
            counters: Rc::default(),
            public: RefCell::default(),
            last_error: RefCell::default(),
            config: RefCell::new(Rc::new(config.clone())),
            backoff: RefCell::default(),
            renewal: RefCell::default(),
            refusals: RefCell::default(),
            announced: RefCell::default(),
            failures: RefCell::default(),
            last_port: Cell::new(0),
            probe: RefCell::default(),
            health: Cell::new(None),
        })
    }

    /// What the configuration says of it.
    pub fn config(&self) -> Rc<config::ClientService> {
        self.config.borrow().clone()
    }

    /// What the server is asked for.
    pub fn terms(&self) -> Terms {
        let config = self.config();
        let check = config.health_check.as_ref();
        let membership = |group: &config::Membership| Membership {
            name: group.name.clone(),
            key: group.key.0,
            weight: group.weight,
            is_sticky: group.is_sticky,
            count: 0,
        };
        Terms {
            wish: config.remote_port.map(|port| Wish {
                port: if port == 0 { self.last_port.get() } else { port },
                is_must: port != 0,
            }),
            group: config.group.as_ref().map(membership),
            check: check.and_then(|check| check.kind),
            webhook: check.map(|check| check.webhook.clone()).unwrap_or_default(),
        }
    }

    /// A link asks for it: where it is public is news again.
    pub fn on_asked(&self) {
        self.announced.borrow_mut().forget();
    }

    /// The server has it, public at this address; `is_member`: with others of its group. Gives whether that is news.
    pub fn on_registered(&self, public: &str, is_member: bool) -> bool {
        if let Some(port) = public.rsplit(':').next().and_then(|port| port.parse().ok()) {
            self.last_port.set(port);
        }
        let level = match self.announced.borrow_mut().level(public) {
            Level::Warn => Level::Info,
            level => level,
        };
        log::log!(
            level,
            "service is registered service={} addr={public}",
            self.config().name
        );
        if self.config().group.is_some() && !is_member {
            log::log!(
                if level == Level::Info { Level::Warn } else { level },
                "the server does not balance: this client is alone with its service service={}",
                self.config().name
            );
        }
        *self.public.borrow_mut() = Some(public.to_owned());
        *self.backoff.borrow_mut() = None;
        self.refusals.borrow_mut().forget();
        self.last_error.borrow_mut().clear();
        level == Level::Info
    }

    /// The server does not have it. Gives how long to wait before it is asked again.
    pub fn on_declined(&self, code: Decline, reason: &str) -> Duration {
        let wait = self.wait(code);
        let level = self.refusals.borrow_mut().level(reason);
        let (name, ms) = (&self.config().name, wait.as_millis() as u64);
        log::log!(
            level,
            "service is refused service={name} reason=\"{reason}\", asking again in {ms} ms"
        );
        self.rest();
        *self.public.borrow_mut() = None;
        *self.last_error.borrow_mut() = reason.to_owned();
        wait
    }

    /// It is to be known by the server no more, or in another way.
    pub fn on_withdrawn(&self) {
        self.on_link_down();
        *self.backoff.borrow_mut() = None;
        self.refusals.borrow_mut().forget();
        self.last_error.borrow_mut().clear();
    }

    /// From now on the configuration says this of it. Gives what it said.
    pub fn configure(&self, config: &config::ClientService) -> Rc<config::ClientService> {
        self.config.replace(Rc::new(config.clone()))
    }

    /// Its health is of no interest any more.
    fn rest(&self) {
        self.probe.borrow_mut().take();
        self.health.set(None);
    }

    /// There is no link to the server.
    pub fn on_link_down(&self) {
        self.rest();
        self.public.borrow_mut().take();
        self.renew(None);
    }

    /// What registers it again, by and by, in the place of what was to do so before.
    pub fn renew(&self, task: Option<Owned>) {
        *self.renewal.borrow_mut() = task;
    }

    /// The local service does not take a visitor.
    pub fn on_local_failure(&self, error: &io::Error) {
        let config = self.config();
        let why = format!("cannot connect to {}: {error}", config.local_addr);
        let level = self.failures.borrow_mut().level(&why);
        log::log!(level, "local service is down service={} ({why})", config.name);
        *self.last_error.borrow_mut() = why;
    }

    /// What the local service is to read before the visitor's first byte.
    pub fn preface(&self, protocol: Protocol, visit: Visit) -> Vec<u8> {
        let version = match self.config().proxy_protocol {
            None => return Vec::new(),
            Some(config::ProxyProtocol::V1) => Version::V1,
            Some(config::ProxyProtocol::V2) => Version::V2,
        };
        proxy_header(version, protocol, visit)
    }

    /// How long until the next registration after `code`.
    fn wait(&self, code: Decline) -> Duration {
        let mut backoff = self.backoff.borrow_mut();
        if backoff.as_ref().is_none_or(|(last, _)| *last != code) {
            *backoff = Some((code, self.pace(code)));
        }
        backoff.as_mut().map(|(_, backoff)| backoff.wait()).unwrap_or_default()
    }

    /// What another client holds is not free soon; what needs a change of configuration need not be asked for every
    /// second; all else is as the service's `retry_interval` says.
    fn pace(&self, code: Decline) -> Backoff {
        let seconds = Duration::from_secs;
        let own = self
            .config()
            .retry_interval
            .max(Duration::from_millis(limits::MIN_RETRY));
        let (least, most) = match code {
            Decline::Taken => (seconds(limits::TAKEN_RETRY.0), seconds(limits::TAKEN_RETRY.1)),
            Decline::Unproven | Decline::WrongProtocol => (own, own.max(seconds(limits::MAX_REFUSED_RETRY))),
            Decline::Withdrawn => (Duration::from_millis(limits::MIN_RETRY), own),
            Decline::Unavailable | Decline::Full | Decline::Other => (own, own),
        };
        Backoff::new(least, most, crate::net::seed())
    }
}

/// Joins a visitor to the local service, or says that it cannot be.
pub(super) async fn attend(
    client: Rc<Client>,
    visitor: Rc<Visitor>,
    link: Rc<Link>,
    service: Rc<Service>,
    visit: Visit,
) {
    // Boxed: what connecting needs is not to be kept as long as the visitor stays.
    let connected = Box::pin(visitor.or_gone(connect(&client, &service, visit))).await;
    match connected {
        None => visitor.leave(),
        Some(Ok(socket)) => {
            link.opened(visitor.stream());
            service.failures.borrow_mut().forget();
            drop((client, link, service));
            visitor.serve(Rc::new(socket)).await;
        }
        Some(Err(error)) => {
            service.on_local_failure(&error);
            link.refuse(visitor.stream(), Cause::Unreachable);
        }
    }
}

/// A connection to the local service, which knows already who comes if it is to.
async fn connect(client: &Client, service: &Service, visit: Visit) -> io::Result<Socket> {
    let config = service.config();
    let socket = reach(client, &config.local_addr, config.nodelay, config.prefer_ipv6).await?;
    socket.write_all(&service.preface(Protocol::Tcp, visit)).await?;
    Ok(socket)
}

pub(super) async fn reach(client: &Client, at: &Local, nodelay: bool, prefer_ipv6: bool) -> io::Result<Socket> {
    let options = transport::visitor_options(nodelay);
    let at = match at {
        Local::Network(at) => at,
        Local::Unix(path) => return Socket::connect_unix(path, &options).await,
    };
    let names = &client.process.names;
    let mut failed = io::ErrorKind::AddrNotAvailable.into();
    for address in names.recall(&at.host, at.port, prefer_ipv6).await? {
        match Socket::connect(address, &options).await {
            Ok(socket) => return Ok(socket),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}
