//! The client: keeps a link to the server, registers services over it, and joins visitors to local services.
//!
//! ```text
//! mod       connect, wait, connect again; a better link in the place of the one that is there
//! dial      one attempt to get a link
//! reload    a new configuration while it runs
//! seat      one link's registrations and visitors, and its end
//! services  what is configured, and how it stands
//! udp       flows to local services
//! route     the way to the server: directly or through a proxy
//! probe     whether local services are well       (health: what that comes to, pure)
//! backoff   how long to wait         (pure)
//! ```
//!
//! A link can be replaced while it lives: the server may ask for it, and one to the first of several addresses is
//! better than one to the second. The new one takes over the registrations, the old one lives on until its visitors
//! have left.

mod backoff;
mod dial;
#[cfg(feature = "groups")]
mod health;
#[cfg_attr(not(feature = "groups"), path = "probe_absent.rs")]
mod probe;
mod reload;
#[cfg_attr(not(feature = "proxy"), path = "route_absent.rs")]
mod route;
mod seat;
mod services;
#[cfg(feature = "status")]
mod status;
#[cfg(feature = "udp")]
mod udp;
#[cfg(not(feature = "udp"))]
#[path = "udp_absent.rs"]
mod udp;

use std::cell::{Cell, RefCell};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use log::{Level, info, warn};

use crate::StartError;
use crate::config;
use crate::limits;
use crate::link::Setup;
use crate::log::Repeats;
use crate::net::link::Ended;
use crate::net::task::{Flag, Stop, until};
use crate::net::{self, Process};
use crate::proto::{End, Leave};
use crate::transport;

use backoff::Backoff;
use seat::Seat;
use services::Service;

/// A running client.
pub struct Client {
    process: Rc<Process>,
    config: RefCell<Rc<config::Client>>,
    setup: RefCell<Rc<Setup>>,
    /// In the order of the configuration.
    services: RefCell<Vec<Rc<Service>>>,
    /// The link that is in use.
    seat: RefCell<Option<Rc<Seat>>>,
    /// Links that others have replaced.
    replaced: RefCell<Vec<Rc<Seat>>>,
    /// Raised when a new link is wanted at once.
    wanted: Flag,
    last_error: RefCell<String>,
    warned: Cell<bool>,
    /// The last link ended because the server took none of the services.
    is_in_vain: Cell<bool>,
    /// Hears where services are public.
    announce: Option<fn(&str)>,
}

/// What comes next for a client with a link.
enum Next {
    /// The link is over.
    Ended(Ended),
    /// A new one is wanted in its place.
    Wanted,
    /// A better one is here.
    Better(Rc<Seat>),
}

impl Client {
    /// Ready to [`run`](Self::run).
    pub fn new(
        process: Rc<Process>,
        config: config::Client,
        announce: Option<fn(&str)>,
    ) -> Result<Rc<Client>, StartError> {
        Ok(Rc::new(Client {
            process,
            setup: RefCell::new(Rc::new(transport::setup(&config.transport, End::Client)?)),
            services: RefCell::new(config.services.iter().map(Service::new).collect()),
            config: RefCell::new(Rc::new(config)),
            seat: RefCell::default(),
            replaced: RefCell::default(),
            wanted: Flag::default(),
            last_error: RefCell::default(),
            warned: Cell::new(false),
            is_in_vain: Cell::new(false),
            announce,
        }))
    }

    /// Connects, and connects again, until `stop`; then says goodbye.
    pub async fn run(self: &Rc<Self>, stop: &mut Stop<'_>) {
        until(stop, self.keep_linked()).await;
        self.drain().await;
        self.end().await;
    }

    async fn keep_linked(self: &Rc<Self>) {
        let (mut backoff, mut in_vain) = (self.backoff(), self.backoff_in_vain());
        let mut repeats = Repeats::default();
        loop {
            self.wait_for_services().await;
            let mut wanted = pin!(self.wanted.raised());
            let dialled = until(&mut (wanted.as_mut() as Stop<'_>), self.dial(usize::MAX)).await;
            // What is dialled is not what is wanted any more.
            let Some(dialled) = dialled else { continue };
            let (lived, why) = match dialled {
                Err(why) => {
                    self.is_in_vain.set(false);
                    (Duration::ZERO, Some(why))
                }
                Ok(seat) => self.serve(seat).await,
            };
            if lived >= Duration::from_secs(limits::STEADY_LINK) {
                backoff = self.backoff();
                repeats.forget();
            }
            // Also before a new link that the server asked for: it may ask again over that one.
            let mut wait = backoff.wait();
            match self.is_in_vain.get() {
                true => wait = wait.max(in_vain.wait()),
                false => in_vain = self.backoff_in_vain(),
            }
            if let Some(why) = why {
                self.on_failure(repeats.level(&why), why, wait);
            }
            let mut wanted = pin!(self.wanted.raised());
            let waited = until(&mut (wanted.as_mut() as Stop<'_>), tokio::time::sleep(wait)).await;
            if waited.is_none() {
                backoff = self.backoff();
            }
        }
    }

    fn on_failure(&self, level: Level, why: String, wait: Duration) {
        let (server, retry) = (&self.config().remote_addr, wait.as_millis() as u64);
        let what = match self.seat() {
            None => "link is down",
            Some(_) => "there is no new link",
        };
        log::log!(level, "{what} server={server} ({why}), retry in {retry} ms");
        *self.last_error.borrow_mut() = why;
    }

    async fn wait_for_services(&self) {
        if self.services.borrow().is_empty() {
            warn!("no services are configured: there is nothing to do");
        }
        while self.services.borrow().is_empty() {
            self.wanted.raised().await;
        }
    }

    fn backoff(&self) -> Backoff {
        let least = Duration::from_millis(limits::MIN_RETRY);
        Backoff::new(least, self.config().retry_interval, net::seed())
    }

    /// Of a client whose link ended because the server took none of its services: that needs a change of configuration.
    fn backoff_in_vain(&self) -> Backoff {
        let seconds = Duration::from_secs;
        Backoff::new(seconds(1), seconds(limits::MAX_REFUSED_RETRY), net::seed())
    }

    /// Uses a link until it is over: how long it lived, and how it ended; `None`: a new one is wanted in its place.
    async fn serve(self: &Rc<Self>, mut seat: Rc<Seat>) -> (Duration, Option<String>) {
        loop {
            self.sit(&seat);
            let ended = match self.next(&seat).await {
                Next::Better(better) => {
                    seat = better;
                    continue;
                }
                Next::Ended(ended) => Some(ended.to_string()),
                Next::Wanted => None,
            };
            self.is_in_vain.set(ended.is_some() && seat.was_in_vain());
            return (seat.lived(), ended);
        }
    }

    /// Puts `seat` in the place of what is there, which drains.
    fn sit(self: &Rc<Self>, seat: &Rc<Seat>) {
        let old = self.seat.borrow_mut().replace(seat.clone());
        let services = self.services.borrow().clone();
        services.iter().for_each(|service| seat.register(service));
        let mut replaced = self.replaced.borrow_mut();
        replaced.retain(|seat| !seat.is_over());
        if let Some(old) = old {
            old.drain();
            replaced.push(old);
        }
        if replaced.len() > limits::MAX_REPLACED {
            replaced.remove(0).leave();
        }
    }

    async fn next(self: &Rc<Self>, seat: &Seat) -> Next {
        let (mut ended, mut wanted, mut better) =
            (pin!(seat.ended()), pin!(self.wanted.raised()), pin!(self.better(seat)));
        std::future::poll_fn(|cx| {
            if let Poll::Ready(ended) = ended.as_mut().poll(cx) {
                return Poll::Ready(Next::Ended(ended));
            }
            if wanted.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Next::Wanted);
            }
            better.as_mut().poll(cx).map(Next::Better)
        })
        .await
    }

    /// A link to an address that stands before the one of `seat`, once one of them answers.
    async fn better(self: &Rc<Self>, seat: &Seat) -> Rc<Seat> {
        loop {
            match seat.rank {
                0 => std::future::pending().await,
                _ => tokio::time::sleep(Duration::from_secs(limits::RETURN_TIME)).await,
            }
            if let Ok(better) = self.dial(seat.rank).await {
                return better;
            }
        }
    }

    fn config(&self) -> Rc<config::Client> {
        self.config.borrow().clone()
    }

    fn setup(&self) -> Rc<Setup> {
        self.setup.borrow().clone()
    }

    /// The link that is in use.
    fn seat(&self) -> Option<Rc<Seat>> {
        self.seat.borrow().clone()
    }

    /// All links, also those that drain.
    fn seats(&self) -> Vec<Rc<Seat>> {
        let (seat, replaced) = (self.seat.borrow(), self.replaced.borrow());
        let seats = seat.iter().chain(replaced.iter());
        seats.filter(|seat| !seat.is_over()).cloned().collect()
    }

    /// Takes no new visitors, and waits for those that are there to leave.
    async fn drain(&self) {
        let wait = self.config().drain;
        let services = self.services.take();
        services.iter().for_each(|service| service.on_withdrawn());
        if wait.is_zero() {
            return;
        }
        let seats = self.seats();
        for seat in &seats {
            services.iter().for_each(|service| seat.unregister(service));
        }
        let is_idle = || seats.iter().all(|seat| seat.is_over() || seat.link.is_idle());
        info!("draining for up to {} s", wait.as_secs());
        for _ in 0..wait.as_secs().saturating_mul(limits::DRAIN_LOOKS.into()) {
            if is_idle() {
                return;
            }
            tokio::time::sleep(Duration::from_secs(1) / limits::DRAIN_LOOKS).await;
        }
    }

    /// Says goodbye over the links that are there.
    async fn end(&self) {
        let seats = self.seats();
        for seat in &seats {
            seat.link.leave(Leave::Shutdown, "the client is shutting down");
        }
        let gone = async {
            for seat in &seats {
                seat.ended().await;
            }
        };
        let _ = tokio::time::timeout(Duration::from_secs(limits::GOODBYE_TIME), gone).await;
        info!("the client has ended");
    }
}
