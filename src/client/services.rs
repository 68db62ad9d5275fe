//! The client's services: registered over the link, and joined to what runs beside the client.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use log::{debug, info};

use crate::config::{self, Local};
use crate::limits;
use crate::log::Repeats;
use crate::net::link::{Link, Owner};
use crate::net::proxy_protocol::{Version, proxy_header};
use crate::net::socket::Socket;
use crate::net::task::Owned;
use crate::net::visitor::{Counters, Visitor};
use crate::proto::{Cause, Decline, Protocol, StreamId, Visit};
use crate::transport;

use super::backoff::Backoff;
use super::{Client, udp};

/// A service of the configuration, and how it stands.
pub(super) struct Service {
    pub config: config::ClientService,
    pub counters: Rc<Counters>,
    /// Its public address at the server, while it is registered.
    pub public: RefCell<Option<String>>,
    pub last_error: RefCell<String>,
    /// How long to wait before it is registered again, by what it was refused for.
    backoff: RefCell<Option<(Decline, Backoff)>>,
    refusals: RefCell<Repeats>,
    failures: RefCell<Repeats>,
}

impl Service {
    pub fn new(config: &config::ClientService) -> Service {
        Service {
            config: config.clone(),
            counters: Rc::default(),
            public: RefCell::default(),
            last_error: RefCell::default(),
            backoff: RefCell::default(),
            refusals: RefCell::default(),
            failures: RefCell::default(),
        }
    }

    /// The local service does not take a visitor.
    pub fn on_local_failure(&self, error: &io::Error) {
        let why = format!("cannot connect to {}: {error}", self.config.local_addr);
        let level = self.failures.borrow_mut().level(&why);
        log::log!(level, "local service is down service={} ({why})", self.config.name);
        *self.last_error.borrow_mut() = why;
    }

    /// What the local service is to read before the visitor's first byte.
    pub fn preface(&self, protocol: Protocol, visit: Visit) -> Vec<u8> {
        let version = match self.config.proxy_protocol {
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
        let own = self.config.retry_interval.max(Duration::from_millis(limits::MIN_RETRY));
        let (least, most) = match code {
            Decline::Taken => (seconds(limits::TAKEN_RETRY.0), seconds(limits::TAKEN_RETRY.1)),
            Decline::Unproven | Decline::WrongProtocol => (own, own.max(seconds(limits::MAX_REFUSED_RETRY))),
            Decline::Withdrawn => (Duration::from_millis(limits::MIN_RETRY), own),
            Decline::Unavailable | Decline::Full | Decline::Other => (own, own),
        };
        let seed = crate::net::random().map(u64::from_ne_bytes).unwrap_or_default();
        Backoff::new(least, most, seed)
    }
}

impl Client {
    /// Asks for a service; its number in the configuration is its number on the link.
    pub(super) fn register(&self, link: &Link, number: usize) {
        let (Some(service), Ok(id)) = (self.services.get(number), u16::try_from(number)) else {
            return;
        };
        let config = &service.config;
        let protocol = match config.kind {
            config::Kind::Tcp => Protocol::Tcp,
            config::Kind::Udp => Protocol::Udp,
        };
        if !link.register(id, protocol, &config.name, config.token.as_bytes()) {
            debug!("service cannot be asked for service={}", config.name);
        }
    }

    fn renew_later(self: &Rc<Self>, link: &Rc<Link>, number: usize, wait: Duration) {
        let (client, link) = (self.clone(), link.clone());
        let mut renewals = self.renewals.borrow_mut();
        renewals.retain(|task| !task.is_over());
        renewals.push(Owned::spawn(async move {
            tokio::time::sleep(wait).await;
            client.register(&link, number);
        }));
    }

    /// Joins a visitor to the local service, or says that it cannot be.
    async fn attend(self: Rc<Self>, visitor: Rc<Visitor>, link: Rc<Link>, number: usize, visit: Visit) {
        let Some(service) = self.services.get(number) else {
            return;
        };
        // Boxed: what connecting needs is not to be kept as long as the visitor stays.
        let connected = Box::pin(visitor.or_gone(self.connect_local(service, visit))).await;
        match connected {
            None => visitor.leave(),
            Some(Ok(socket)) => {
                link.opened(visitor.stream());
                drop((self, link));
                visitor.serve(socket).await;
            }
            Some(Err(error)) => {
                service.on_local_failure(&error);
                link.refuse(visitor.stream(), Cause::Unreachable);
            }
        }
    }

    /// A connection to the local service, which knows already who comes if it is to.
    async fn connect_local(&self, service: &Service, visit: Visit) -> io::Result<Socket> {
        let socket = self.reach(&service.config).await?;
        socket.write_all(&service.preface(Protocol::Tcp, visit)).await?;
        Ok(socket)
    }

    async fn reach(&self, config: &config::ClientService) -> io::Result<Socket> {
        let options = transport::visitor_options(config.nodelay);
        let at = match &config.local_addr {
            Local::Network(at) => at,
            Local::Unix(path) => return Socket::connect_unix(path, &options).await,
        };
        let mut failed = io::ErrorKind::AddrNotAvailable.into();
        for address in self.process.names.recall(&at.host, at.port, config.prefer_ipv6).await? {
            match Socket::connect(address, &options).await {
                Ok(socket) => return Ok(socket),
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }
}

impl Owner for Rc<Client> {
    fn on_registered(&self, _link: &Rc<Link>, id: u16, public: &str) {
        let Some(service) = self.services.get(usize::from(id)) else {
            return;
        };
        info!("service is registered service={} addr={public}", service.config.name);
        *service.public.borrow_mut() = Some(public.to_owned());
        *service.backoff.borrow_mut() = None;
        *service.refusals.borrow_mut() = Repeats::default();
        service.last_error.borrow_mut().clear();
    }

    fn on_declined(&self, link: &Rc<Link>, id: u16, code: Decline, reason: &str) {
        let number = usize::from(id);
        let Some(service) = self.services.get(number) else {
            return;
        };
        let wait = service.wait(code);
        let level = service.refusals.borrow_mut().level(reason);
        let (name, seconds) = (&service.config.name, wait.as_secs_f32());
        log::log!(
            level,
            "service is refused service={name} reason=\"{reason}\", asking again in {seconds:.1} s"
        );
        *service.public.borrow_mut() = None;
        *service.last_error.borrow_mut() = reason.to_owned();
        self.renew_later(link, number, wait);
    }

    fn on_open(&self, link: &Rc<Link>, stream: StreamId, id: u16, visit: Visit) {
        let number = usize::from(id);
        let Some(service) = self.services.get(number) else {
            return;
        };
        debug!("visitor service={} peer={visit}", service.config.name);
        if service.config.kind == config::Kind::Udp {
            return udp::join(self, link, stream, number, visit);
        }
        let visitor = link.join(stream, &service.counters);
        tokio::task::spawn_local(self.clone().attend(visitor, link.clone(), number, visit));
    }

    fn on_ended(&self, _link: &Rc<Link>) {
        self.link.borrow_mut().take();
        self.renewals.borrow_mut().clear();
        self.services
            .iter()
            .for_each(|service| drop(service.public.borrow_mut().take()));
    }
}
