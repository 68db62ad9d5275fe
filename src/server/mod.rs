//! The server: takes links from clients, and visitors for their services.
//!
//! ```text
//! mod         accepts links, keeps them, ends them
//! seat        one link's registrations: proof, contest, answer
//! reload      a new configuration while it runs
//! retire      links whose time is over, but not that of their visitors
//! services    what is configured, and what is there of it
//! tunnels     services that only clients name
//! port        bound addresses
//! public      visitors of a TCP service
//! udp         the same of a UDP service
//! preface     visitors whom a load balancer introduces
//! dispatch    who of a service's members gets a visitor
//! registry    who is registered for what                     (pure)
//! group       the members of one service                     (pure)
//! rate        how many may come in a second                  (pure)
//! strangers   who proved nothing                             (pure)
//! alerts      who is told that nobody of a group is healthy
//! allowance   when a costly handshake may begin              (pure)
//! ```

#[cfg_attr(not(feature = "groups"), path = "alerts_absent.rs")]
mod alerts;
mod allowance;
mod dispatch;
#[cfg_attr(
    not(feature = "status"),
    allow(dead_code, reason = "the list of changes is for status")
)]
mod group;
mod port;
mod preface;
mod public;
mod rate;
mod registry;
mod reload;
mod retire;
mod seat;
mod services;
#[cfg(feature = "status")]
mod status;
mod strangers;
mod tunnels;
#[cfg(feature = "udp")]
mod udp;
#[cfg(not(feature = "udp"))]
#[path = "udp_absent.rs"]
mod udp;

use std::cell::{Cell, RefCell};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use log::{debug, info, warn};

use crate::StartError;
use crate::config;
use crate::limits;
use crate::link::Setup;
use crate::log::Repeats;
use crate::net::greet::{Failure, greet};
use crate::net::link::{Ended, Link};
use crate::net::socket::{Listener, Socket};
use crate::net::task::{Owned, Stop};
use crate::net::wire::Wire;
use crate::net::{Process, Random, pump};
use crate::proto::sorted::SortedMap;
use crate::proto::{End, Hello, Introduction, Leave, Session};
use crate::transport;

use alerts::Alerts;
use allowance::Allowance;
use port::{Candidates, Port};
use registry::{LinkId, Registry};
use seat::Seat;
use services::Services;
use strangers::Strangers;

/// A running server.
pub struct Server {
    process: Rc<Process>,
    config: RefCell<Rc<config::Server>>,
    setup: RefCell<Rc<Setup>>,
    /// Where clients come.
    port: RefCell<Option<Port>>,
    services: Services,
    registry: RefCell<Registry>,
    links: RefCell<SortedMap<LinkId, Entry>>,
    next_link: Cell<LinkId>,
    strangers: RefCell<Strangers>,
    allowance: RefCell<Allowance>,
    /// The one warning about links without encryption was given.
    warned: Cell<bool>,
    /// Of what decides who gets a visitor.
    random: Random,
    /// Those that are under way.
    alerts: Alerts,
}

/// A connection to the control port: a stranger's until `link` is there and has proven something.
struct Entry {
    task: Owned,
    link: Option<Rc<Link>>,
    /// Ends it, by and by: it takes no new registration.
    retiring: Option<Owned>,
}

impl Server {
    /// Ready to [`run`](Self::run).
    pub fn new(process: Rc<Process>, config: config::Server) -> Result<Rc<Server>, StartError> {
        let setup = transport::setup(&config.transport, End::Server)?;
        let server = Server {
            allowance: RefCell::new(allowance(&process, &setup)),
            process,
            setup: RefCell::new(Rc::new(setup)),
            port: RefCell::default(),
            services: Services::default(),
            registry: RefCell::default(),
            links: RefCell::default(),
            next_link: Cell::new(1),
            strangers: RefCell::default(),
            warned: Cell::new(false),
            random: Random::new(crate::net::seed()),
            alerts: Alerts::default(),
            config: RefCell::new(Rc::new(config)),
        };
        server.config().services.iter().for_each(|service| server.add(service));
        Ok(Rc::new(server))
    }

    /// Takes clients from now on.
    pub async fn start(self: &Rc<Self>) -> Result<(), StartError> {
        let at = &self.config().bind_addr;
        let port = match port::resolve(&self.process.names, at).await {
            Ok(found) => self.listen(&found),
            Err(error) => Err(error),
        };
        let port =
            port.map_err(|error| StartError(format!("cannot listen for clients at {at} (server.bind_addr): {error}")))?;
        info!("listening for clients addr={port}");
        *self.port.borrow_mut() = Some(port);
        Ok(())
    }

    /// Serves until `stop`, then says goodbye to all clients.
    pub async fn run(&self, stop: &mut Stop<'_>) {
        stop.await;
        self.end().await;
    }

    fn config(&self) -> Rc<config::Server> {
        self.config.borrow().clone()
    }

    fn setup(&self) -> Rc<Setup> {
        self.setup.borrow().clone()
    }

    /// One more service that clients may claim.
    fn add(&self, service: &config::ServerService) {
        let added = self.services.add(service, None);
        let mut registry = self.registry.borrow_mut();
        registry.add(added.id, None);
        registry.configure(added.id, &service.group_keys, service.is_sticky);
    }

    /// Takes clients at `found`.
    fn listen(self: &Rc<Self>, found: &[Candidates<'_>]) -> std::io::Result<Port> {
        Port::open(found, &|address, v6_only| {
            let listener = Listener::bind(address, v6_only)?;
            let (server, address) = (self.clone(), listener.address());
            Ok((address, Owned::spawn(async move { server.accept(&listener).await })))
        })
    }

    async fn accept(self: &Rc<Self>, listener: &Listener) {
        let mut failures = Repeats::default();
        loop {
            match listener.accept().await {
                Ok((socket, peer)) => {
                    failures.forget();
                    self.admit(socket, peer);
                }
                Err(error) => {
                    let level = failures.level(&error.to_string());
                    log::log!(level, "cannot accept a client: {error}");
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
        let entry = Entry {
            task,
            link: None,
            retiring: None,
        };
        links.insert(id, entry);
    }

    /// A connection's whole life.
    async fn attend(self: Rc<Self>, id: LinkId, socket: socket2::Socket, peer: SocketAddr) {
        let prove_by = self.process.now().after(Duration::from_secs(limits::HANDSHAKE_TIME));
        let config = self.config();
        let Ok(socket) = Socket::new(socket, &transport::options(&config.transport)) else {
            return;
        };
        let Ok(ours) = self.process.hello(config.heartbeat_interval, config.heartbeat_timeout) else {
            return;
        };
        let Ok(cover) = self.setup().cover(End::Server, "", 0) else {
            return;
        };
        drop(config);
        let mut wire = Wire::new(socket, cover);
        let met = self.meet(&mut wire, ours.clone());
        let (met, early) = match tokio::time::timeout(Duration::from_secs(limits::HANDSHAKE_TIME), met).await {
            Ok(Ok(met)) => met,
            Ok(Err(failure)) => return self.on_stranger(peer, &failure),
            Err(_) => return self.on_stranger(peer, &"nothing was said in time"),
        };
        let agent = met.peer.agent.clone();
        let session = Session::new(End::Server, &ours, met, self.process.budget.clone(), self.process.now());
        let link = Link::new(&self.process, peer, wire.peer(), session);
        debug!("a client is here peer={} agent={agent}", link.who());
        if let Some(entry) = self.links.borrow_mut().get_mut(&id) {
            entry.link = Some(link.clone());
        }
        self.warn_if_open(peer);
        let seat = Seat::new(&self, id);
        let ended = pump::run(&link, wire, &seat, early, Some(prove_by)).await;
        self.on_ended(&link, &ended);
    }

    /// The handshake: a stranger that says nothing takes nobody's turn.
    async fn meet(&self, wire: &mut Wire, ours: Hello) -> Result<(Introduction, Vec<u8>), Failure> {
        wire.socket().readable().await?;
        while let Some(wait) = self.take_turn() {
            tokio::time::sleep(wait).await;
        }
        greet(wire, End::Server, ours).await
    }

    fn take_turn(&self) -> Option<Duration> {
        self.allowance.borrow_mut().take(self.process.now())
    }

    /// Says once that links over plain TCP can be read and changed by others.
    fn warn_if_open(&self, peer: SocketAddr) {
        if self.setup().is_open() && !peer.ip().to_canonical().is_loopback() && !self.warned.replace(true) {
            warn!("{}", crate::PLAIN_TCP);
        }
    }

    fn on_ended(&self, link: &Link, ended: &Ended) {
        match ended {
            _ if !link.is_proven() => self.on_stranger(link.peer, ended),
            Ended::Left | Ended::Farewell(_) => info!("client has left peer={} ({ended})", link.who()),
            _ => warn!("link is down peer={} ({ended})", link.who()),
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

    /// Whether more clients have proven something than may.
    fn is_full(&self) -> bool {
        let links = self.links.borrow();
        links.values().filter(|entry| !entry.is_stranger()).count() > limits::MAX_LINKS
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
        self.port.borrow_mut().take();
        // Members that go because the server does are no news.
        *self.registry.borrow_mut() = Registry::default();
        self.services
            .all()
            .iter()
            .for_each(|service| drop(service.port.borrow_mut().take()));
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

impl Entry {
    fn is_stranger(&self) -> bool {
        self.link.as_ref().is_none_or(|link| !link.is_proven())
    }
}

/// What strangers may ask of this machine under `setup`: by doing once what they ask.
fn allowance(process: &Process, setup: &Setup) -> Allowance {
    let begun = process.now();
    setup.rehearse();
    Allowance::new(process.now().since(begun))
}
