//! The client: keeps one link to the server, registers services over it, and joins visitors to local services.
//!
//! ```text
//! mod       connect, wait, connect again
//! udp       flows to local services
//! route     the way to the server: directly or through a proxy
//! services  what is registered, refused, forwarded
//! backoff   how long to wait         (pure)
//! ```

mod backoff;
#[cfg_attr(not(feature = "proxy"), path = "route_absent.rs")]
mod route;
mod services;
#[cfg(feature = "status")]
mod status;
#[cfg(feature = "udp")]
mod udp;
#[cfg(not(feature = "udp"))]
#[path = "udp_absent.rs"]
mod udp;

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use log::{debug, info, warn};

use crate::StartError;
use crate::config;
use crate::limits;
use crate::link::Setup;
use crate::log::Repeats;
use crate::net::greet::greet;
use crate::net::link::{Ended, Link};
use crate::net::socket::Socket;
use crate::net::task::{Owned, Stop, until};
use crate::net::wire::Wire;
use crate::net::{Process, pump};
use crate::proto::{End, Introduction, Leave, Session};
use crate::transport;

use backoff::Backoff;
use services::Service;

/// A running client.
pub struct Client {
    process: Rc<Process>,
    setup: Setup,
    config: config::Client,
    services: Vec<Service>,
    link: RefCell<Option<Rc<Link>>>,
    /// Registrations to be renewed; they end with the link.
    renewals: RefCell<Vec<Owned>>,
    last_error: RefCell<String>,
    warned: Cell<bool>,
}

impl Client {
    /// Ready to [`run`](Self::run).
    pub fn new(process: Rc<Process>, config: config::Client) -> Result<Rc<Client>, StartError> {
        Ok(Rc::new(Client {
            services: config.services.iter().map(Service::new).collect(),
            setup: transport::setup(&config.transport, End::Client)?,
            process,
            config,
            link: RefCell::default(),
            renewals: RefCell::default(),
            last_error: RefCell::default(),
            warned: Cell::new(false),
        }))
    }

    /// Connects, and connects again, until `stop`; then says goodbye.
    pub async fn run(self: &Rc<Self>, stop: &mut Stop<'_>) {
        if self.services.is_empty() {
            warn!("no services are configured: there is nothing to do");
            return stop.await;
        }
        let mut backoff = self.backoff();
        let mut repeats = Repeats::default();
        loop {
            let mut attempt = pin!(self.attempt());
            let Some(ended) = until(stop, attempt.as_mut()).await else {
                return self.end(attempt).await;
            };
            let (lived, why) = match ended {
                Ok((lived, ended)) => (lived, ended.to_string()),
                Err(why) => (Duration::ZERO, why),
            };
            if lived >= Duration::from_secs(limits::STEADY_LINK) {
                backoff.reset();
            }
            let wait = backoff.wait();
            let level = repeats.level(&why);
            log::log!(
                level,
                "link is down server={} ({why}), retry in {} ms",
                self.config.remote_addr,
                wait.as_millis()
            );
            *self.last_error.borrow_mut() = why;
            if until(stop, tokio::time::sleep(wait)).await.is_none() {
                return;
            }
        }
    }

    fn backoff(&self) -> Backoff {
        let seed = crate::net::random().map(u64::from_ne_bytes).unwrap_or_default();
        Backoff::new(
            Duration::from_millis(limits::MIN_RETRY),
            self.config.retry_interval,
            seed,
        )
    }

    /// One link, from the name look-up to its end: how long it lived, and how it ended; or why there was none.
    async fn attempt(self: &Rc<Self>) -> Result<(Duration, Ended), String> {
        let at = self.first_hop(self.config.remote_addr.first());
        let found = self
            .process
            .names
            .resolve(&at.host, at.port, self.config.prefer_ipv6)
            .await;
        let addresses = found.map_err(|error| format!("cannot look up {}: {error}", at.host))?;
        let mut failed = format!("{} has no address", at.host);
        for address in addresses {
            match self.connect(address).await {
                Ok((wire, link, early)) => return Ok(self.serve(wire, link, early).await),
                Err(why) => {
                    debug!("cannot connect server={address}: {why}");
                    failed = format!("{address}: {why}");
                }
            }
        }
        Err(failed)
    }

    async fn connect(&self, address: SocketAddr) -> Result<(Wire, Rc<Link>, Vec<u8>), String> {
        let options = transport::options(&self.config.transport);
        let socket = Socket::connect(address, &options)
            .await
            .map_err(|error| error.to_string())?;
        self.pass(&socket, self.config.remote_addr.first())
            .await
            .map_err(|error| error.to_string())?;
        let ours = self
            .process
            .hello(None, self.config.heartbeat_timeout)
            .map_err(|error| error.to_string())?;
        let at = self.config.remote_addr.first();
        let cover = self
            .setup
            .cover(End::Client, &at.host, at.port)
            .map_err(|torn| torn.to_string())?;
        let mut wire = Wire::new(socket, cover);
        let met = greet(&mut wire, End::Client, ours.clone());
        let (met, early) = tokio::time::timeout(Duration::from_secs(limits::HANDSHAKE_TIME), met)
            .await
            .map_err(|_| "the server did not answer in time".to_owned())?
            .map_err(|failure| failure.to_string())?;
        self.on_met(address, &met);
        let session = Session::new(End::Client, &ours, met, self.process.budget.clone(), self.process.now());
        let link = Link::new(&self.process, address, wire.peer(), session);
        Ok((wire, link, early))
    }

    fn on_met(&self, address: SocketAddr, met: &Introduction) {
        let (server, agent) = (self.config.remote_addr.first(), &met.peer.agent);
        if self.first_hop(server) == server {
            info!("connected server={address} agent={agent}");
        } else {
            info!("connected server={server} proxy={address} agent={agent}");
        }
        let interval = met.peer.interval;
        if let Some(timeout) = self.config.heartbeat_timeout.filter(|timeout| *timeout <= interval) {
            warn!(
                "heartbeat_timeout ({} s) should be longer than the server's heartbeat_interval ({} s)",
                timeout.as_secs(),
                interval.as_secs()
            );
        }
        if self.setup.is_open() && !self.stays_here(address) && !self.warned.replace(true) {
            warn!("{}", crate::PLAIN_TCP);
        }
    }

    async fn serve(self: &Rc<Self>, wire: Wire, link: Rc<Link>, early: Vec<u8>) -> (Duration, Ended) {
        *self.link.borrow_mut() = Some(link.clone());
        for number in 0..self.services.len() {
            self.register(&link, number);
        }
        let since = self.process.now();
        let ended = pump::run(&link, wire, self, early, None).await;
        (Duration::from_micros(self.process.now().since(since)), ended)
    }

    /// Says goodbye over the link that is there, if one is.
    async fn end(&self, attempt: impl Future) {
        let link = self.link.borrow().clone();
        if let Some(link) = link {
            link.leave(Leave::Shutdown, "the client is shutting down");
            let _ = tokio::time::timeout(Duration::from_secs(limits::GOODBYE_TIME), attempt).await;
        }
        info!("the client has ended");
    }
}
