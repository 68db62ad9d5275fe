//! One attempt to get a link: the addresses of the server, one after the other.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use log::{Level, debug, warn};

use crate::config::{self, HostPort};
use crate::limits;
use crate::net::greet::greet;
use crate::net::link::Link;
use crate::net::socket::Socket;
use crate::net::wire::Wire;
use crate::proto::{End, Introduction, Session};
use crate::transport;

use super::Client;
use super::route::{first_hop, pass, stays_here};
use super::seat::Seat;

impl Client {
    /// A link to the first of the server's addresses, of those that stand before `end`, where one can be had; or why
    /// there is none.
    pub(super) async fn dial(self: &Rc<Self>, end: usize) -> Result<Rc<Seat>, String> {
        let config = self.config();
        let mut failed = Vec::new();
        for (rank, at) in config.remote_addr.iter().enumerate().take(end) {
            match self.dial_one(&config, at, rank).await {
                Ok(seat) => return Ok(seat),
                Err(why) => failed.push(why),
            }
        }
        Err(failed.join("; "))
    }

    async fn dial_one(
        self: &Rc<Self>,
        config: &config::Client,
        at: &HostPort,
        rank: usize,
    ) -> Result<Rc<Seat>, String> {
        let hop = first_hop(&config.transport, at);
        let found = self
            .process
            .names
            .resolve(&hop.host, hop.port, config.prefer_ipv6)
            .await;
        let addresses = found.map_err(|error| format!("cannot look up {}: {error}", hop.host))?;
        let mut failed = Vec::new();
        for address in addresses {
            match self.connect(config, at, address).await {
                Ok((wire, link, early)) => return Ok(Seat::new(self, link, rank, wire, early)),
                Err(why) => {
                    debug!("cannot connect server={address}: {why}");
                    failed.push(format!("{address}: {why}"));
                }
            }
        }
        match failed.is_empty() {
            true => Err(format!("{} has no address", hop.host)),
            false => Err(failed.join(", ")),
        }
    }

    async fn connect(
        &self,
        config: &config::Client,
        at: &HostPort,
        address: SocketAddr,
    ) -> Result<(Wire, Rc<Link>, Vec<u8>), String> {
        let options = transport::options(&config.transport);
        let socket = Socket::connect(address, &options).await.map_err(words)?;
        pass(&config.transport, &socket, at).await.map_err(words)?;
        let ours = self.process.hello(None, config.heartbeat_timeout).map_err(words)?;
        let cover = self.setup().cover(End::Client, &at.host, at.port).map_err(words)?;
        let mut wire = Wire::new(socket, cover);
        let met = greet(&mut wire, End::Client, ours.clone());
        let (met, early) = tokio::time::timeout(Duration::from_secs(limits::HANDSHAKE_TIME), met)
            .await
            .map_err(|_| "the server did not answer in time".to_owned())?
            .map_err(words)?;
        self.on_met(config, at, address, &met);
        let session = Session::new(End::Client, &ours, met, self.process.budget.clone(), self.process.now());
        let link = Link::new(&self.process, address, wire.peer(), session);
        Ok((wire, link, early))
    }

    fn on_met(&self, config: &config::Client, at: &HostPort, address: SocketAddr, met: &Introduction) {
        let agent = &met.peer.agent;
        // Who is connected in vain again and again has been told so.
        let level = if self.is_in_vain.get() {
            Level::Debug
        } else {
            Level::Info
        };
        if first_hop(&config.transport, at) == at {
            log::log!(level, "connected server={address} agent={agent}");
        } else {
            log::log!(level, "connected server={at} proxy={address} agent={agent}");
        }
        let interval = met.peer.interval;
        if let Some(timeout) = config.heartbeat_timeout.filter(|timeout| *timeout <= interval) {
            warn!(
                "heartbeat_timeout ({} s) should be longer than the server's heartbeat_interval ({} s)",
                timeout.as_secs(),
                interval.as_secs()
            );
        }
        let is_open = self.setup().is_open() && !stays_here(&config.transport, address);
        if is_open && !self.warned.replace(true) {
            warn!("{}", crate::PLAIN_TCP);
        }
    }
}

fn words(error: impl std::fmt::Display) -> String {
    error.to_string()
}
