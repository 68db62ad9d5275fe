//! The server: takes links from clients, and visitors for their services.
//!
//! ```text
//! mod         accepts links, keeps them, ends them
//! seat        one link's registrations: proof, contest, answer
//! public      a TCP service's public address and its visitors
//! udp         the same of a UDP service
//! registry    who is registered for what                     (pure)
//! strangers   who proved nothing                             (pure)
//! ```

mod public;
mod registry;
mod seat;
#[cfg(feature = "status")]
mod status;
mod strangers;
#[cfg(feature = "udp")]
mod udp;
#[cfg(not(feature = "udp"))]
#[path = "udp_absent.rs"]
mod udp;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use log::{debug, info, warn};

use crate::StartError;
use crate::config;
use crate::limits;
use crate::link::Setup;
use crate::net::greet::greet;
use crate::net::link::{Ended, Link};
use crate::net::socket::{Listener, Socket};
use crate::net::task::{Owned, Stop, until};
use crate::net::visitor::Counters;
use crate::net::wire::Wire;
use crate::net::{Process, pump};
use crate::proto::{End, Leave, Session};
use crate::transport;

use public::Public;
use registry::{LinkId, Registry};
use seat::Seat;
use strangers::Strangers;

/// A running server.
pub struct Server {
    process: Rc<Process>,
    setup: Setup,
    config: config::Server,
    services: Vec<Service>,
    registry: RefCell<Registry>,
    links: RefCell<BTreeMap<LinkId, Entry>>,
    next_link: Cell<LinkId>,
    strangers: RefCell<Strangers>,
    /// The one warning about links without encryption was given.
    warned: Cell<bool>,
}

/// A service of the configuration, and what is there of it now.
struct Service {
    config: config::ServerService,
    counters: Rc<Counters>,
    public: RefCell<Option<Public>>,
    last_error: RefCell<String>,
}

/// A connection to the control port: a stranger's until `link` is there and has proven something.
struct Entry {
    task: Owned,
    link: Option<Rc<Link>>,
}

impl Server {
    /// Ready to [`run`](Self::run).
    pub fn new(process: Rc<Process>, config: config::Server) -> Rc<Server> {
        let services = config.services.iter().map(Service::new).collect::<Vec<_>>();
        Rc::new(Server {
            process,
            registry: RefCell::new(Registry::new(services.len())),
            services,
            setup: transport::setup(&config.transport),
            config,
            links: RefCell::default(),
            next_link: Cell::new(1),
            strangers: RefCell::default(),
            warned: Cell::new(false),
        })
    }

    /// Serves until `stop`, then says goodbye to all clients.
    pub async fn run(self: &Rc<Self>, stop: &mut Stop<'_>) -> Result<(), StartError> {
        let listener = self.listen().await?;
        info!("listening for clients addr={}", listener.address());
        until(stop, self.accept(&listener)).await;
        drop(listener);
        self.end().await;
        Ok(())
    }

    async fn listen(&self) -> Result<Listener, StartError> {
        let at = &self.config.bind_addr;
        let bound = match self.process.names.resolve(&at.host, at.port, false).await {
            Ok(addresses) => first_of(&addresses, Listener::bind),
            Err(error) => Err(error),
        };
        bound.map_err(|error| StartError(format!("cannot listen for clients at {at} (server.bind_addr): {error}")))
    }

    async fn accept(self: &Rc<Self>, listener: &Listener) {
        loop {
            match listener.accept().await {
                Ok((socket, peer)) => self.admit(socket, peer),
                Err(error) => {
                    warn!("cannot accept a client: {error}");
                    tokio::time::sleep(Duration::from_millis(limits::ACCEPT_REST)).await;
                }
            }
        }
    }

    /// Gives a connection a task of its own. When too many strangers are there, the oldest gives way.
    fn admit(self: &Rc<Self>, socket: socket2::Socket, peer: SocketAddr) {
        let id = self.next_link.replace(self.next_link.get() + 1);
        let server = self.clone();
        let task = Owned::spawn(async move {
            server.clone().attend(id, socket, peer).await;
            server.links.borrow_mut().remove(&id);
        });
        let mut links = self.links.borrow_mut();
        let strangers = || links.iter().filter(|(_, entry)| entry.is_stranger());
        if strangers().count() >= limits::MAX_HANDSHAKES {
            let oldest = strangers().map(|(&id, _)| id).next();
            oldest.and_then(|oldest| links.remove(&oldest));
        }
        links.insert(id, Entry { task, link: None });
    }

    /// A connection's whole life.
    async fn attend(self: Rc<Self>, id: LinkId, socket: socket2::Socket, peer: SocketAddr) {
        let prove_by = self.process.now().after(Duration::from_secs(limits::HANDSHAKE_TIME));
        let Ok(socket) = Socket::new(socket, &transport::options(&self.config.transport)) else {
            return;
        };
        let Ok(ours) = self
            .process
            .hello(self.config.heartbeat_interval, self.config.heartbeat_timeout)
        else {
            return;
        };
        let Ok(cover) = self.setup.cover(End::Server, "") else {
            return;
        };
        let mut wire = Wire::new(socket, cover);
        let met = greet(&mut wire, End::Server, ours.clone());
        let (met, early) = match tokio::time::timeout(Duration::from_secs(limits::HANDSHAKE_TIME), met).await {
            Ok(Ok(met)) => met,
            Ok(Err(failure)) => return self.on_stranger(peer, &failure),
            Err(_) => return self.on_stranger(peer, &"nothing was said in time"),
        };
        debug!("a client is here peer={peer} agent={}", met.peer.agent);
        let session = Session::new(End::Server, &ours, met, self.process.budget.clone(), self.process.now());
        let link = Link::new(&self.process, peer, session);
        if let Some(entry) = self.links.borrow_mut().get_mut(&id) {
            entry.link = Some(link.clone());
        }
        self.warn_if_open(peer);
        let seat = Seat::new(&self, id);
        let ended = pump::run(&link, wire, &seat, early, Some(prove_by)).await;
        self.on_ended(&link, &ended);
    }

    /// Says once that links over plain TCP can be read and changed by others.
    fn warn_if_open(&self, peer: SocketAddr) {
        if self.setup.is_open() && !peer.ip().to_canonical().is_loopback() && !self.warned.replace(true) {
            warn!("{}", crate::PLAIN_TCP);
        }
    }

    fn on_ended(&self, link: &Link, ended: &Ended) {
        match ended {
            _ if !link.is_proven() => self.on_stranger(link.peer, ended),
            Ended::Left | Ended::Farewell(_) => info!("client has left peer={} ({ended})", link.peer),
            _ => warn!("link is down peer={} ({ended})", link.peer),
        }
    }

    /// Counts one that proved nothing; says so now and then.
    fn on_stranger(&self, peer: SocketAddr, what: &dyn std::fmt::Display) {
        debug!("stranger peer={peer} what=\"{what}\"");
        if let Some(count) = self.strangers.borrow_mut().count(self.process.now()) {
            warn!("{count} strangers refused, last peer={peer} what=\"{what}\"");
        }
    }

    /// How long a stranger at `address` waits for its refusal.
    fn delay(&self, address: IpAddr) -> Duration {
        self.strangers.borrow_mut().delay(self.process.now(), address)
    }

    fn link(&self, id: LinkId) -> Option<Rc<Link>> {
        self.links.borrow().get(&id)?.link.clone()
    }

    /// Links whose clients have proven something.
    fn clients(&self) -> Vec<Rc<Link>> {
        let links = self.links.borrow();
        links
            .values()
            .filter(|entry| !entry.is_stranger())
            .filter_map(|entry| entry.link.clone())
            .collect()
    }

    async fn end(&self) {
        self.services
            .iter()
            .for_each(|service| drop(service.public.borrow_mut().take()));
        let mut entries = core::mem::take(&mut *self.links.borrow_mut());
        entries.retain(|_, entry| !entry.is_stranger());
        for link in entries.values().filter_map(|entry| entry.link.as_ref()) {
            link.leave(Leave::Shutdown, "the server is shutting down");
        }
        let gone = async {
            for entry in entries.values_mut() {
                entry.task.over().await;
            }
        };
        let _ = tokio::time::timeout(Duration::from_secs(limits::GOODBYE_TIME), gone).await;
        info!("the server has ended");
    }
}

impl Service {
    fn new(config: &config::ServerService) -> Service {
        Service {
            config: config.clone(),
            counters: Rc::default(),
            public: RefCell::default(),
            last_error: RefCell::default(),
        }
    }
}

impl Entry {
    fn is_stranger(&self) -> bool {
        self.link.as_ref().is_none_or(|link| !link.is_proven())
    }
}

/// What `bind` makes of the first of `addresses` that it can make something of.
fn first_of<T>(addresses: &[SocketAddr], bind: fn(SocketAddr) -> std::io::Result<T>) -> std::io::Result<T> {
    let mut failed = std::io::ErrorKind::AddrNotAvailable.into();
    for &address in addresses {
        match bind(address) {
            Ok(bound) => return Ok(bound),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}
