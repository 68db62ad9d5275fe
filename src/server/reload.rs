//! A new configuration for a server that runs: only what is different is touched.
//!
//! What cannot be bound stays where it is. Who registered a service that has changed registers it again, with proof of
//! the new token; its visitors stay. Links whose keys are out of date are asked to come again.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;

use log::{debug, info, warn};

use crate::config::diff::Change;
use crate::config::{self, Addresses, Config, HostPort, ServerService};
use crate::proto::{Decline, End, Leave};
use crate::reload::{Reloading, Running};
use crate::transport;

use super::port::{Candidates, Port, resolve};
use super::registry::{Left, Member};
use super::services::Service;
use super::{Server, allowance};

impl Running for Server {
    fn reload(self: Rc<Self>, new: Config, changes: Vec<Change>) -> Reloading {
        Box::pin(async move {
            let Config::Server(mut new) = new else { return new };
            self.apply(&mut new, &changes).await;
            Config::Server(new)
        })
    }

    fn reconnect(&self) {
        debug!("SIGUSR1 is for clients: it is they who connect");
    }
}

impl Server {
    /// Makes `new` hold, in which what cannot be done is put right.
    async fn apply(self: &Rc<Self>, new: &mut config::Server, changes: &[Change]) {
        for change in changes {
            match change {
                Change::Removed(name) => self.remove(name).await,
                Change::Added(name) => named(new, name).for_each(|service| self.add(service)),
                Change::Changed(name) => {
                    for service in named(new, name) {
                        self.change(service).await;
                    }
                }
                Change::BindAddr => self.move_entrance(&mut new.bind_addr).await,
                _ => {}
            }
        }
        self.move_services(new).await;
        self.protect(new);
        // Who named a group that nobody asked for may do so again.
        let is_new_link_due =
            changes.contains(&Change::Links) || new.balancing.is_enabled && !self.config().balancing.is_enabled;
        *self.config.borrow_mut() = Rc::new(new.clone());
        self.review();
        if is_new_link_due {
            self.renew_links();
        }
    }

    async fn remove(&self, name: &str) {
        if let Some(service) = self.services.named(name) {
            self.services.remove(service.id);
            let members = self.registry.borrow_mut().remove(service.id);
            self.withdraw(&service, &members, "the service was removed").await;
        }
    }

    /// What `new` says counts from now on; but where visitors come stays as long as they come.
    async fn change(&self, new: &ServerService) {
        let Some(service) = self.services.named(&new.name) else {
            return;
        };
        let old = service.config();
        let (accepted, is_sticky) = (&new.group_keys, new.is_sticky);
        let strangers = self.registry.borrow_mut().configure(service.id, accepted, is_sticky);
        if old.token != new.token || old.kind != new.kind {
            service.configure(new.clone());
            let members = self.registry.borrow_mut().vacate(service.id);
            return self.withdraw(&service, &members, "the service has changed").await;
        }
        let mut now = new.clone();
        if service.port.borrow().is_some() {
            now.bind_addr = old.bind_addr.clone();
        }
        service.configure(now);
        self.expel(&service, &strangers, "group key does not match");
    }

    /// Ends what the configuration does not allow any more: groups, and tunnels with another token, out of their range, at
    /// another address, or in the place of a service of its own.
    fn review(&self) {
        let config = self.config();
        for service in self.services.all() {
            let port = service.port.borrow().as_ref().map(Port::number);
            let own = service.config();
            let range = config.tunnels.ports(own.kind);
            let is_fit =
                |port| range.is_some_and(|range| range.contains(port)) && !self.services.reserves(own.kind, port);
            let has_token = config.tunnels.token.as_ref() == Some(&own.token);
            let is_there = hosts(&own.bind_addr).eq(hosts(&config.bind_addr));
            let is_over = service.is_tunnel && !(has_token && is_there && port.is_none_or(is_fit));
            let registry = self.registry.borrow();
            let is_group = registry.group(service.id).is_some_and(|group| group.identity.is_some());
            let members = registry.members(service.id);
            drop(registry);
            if is_over || is_group && !config.balancing.is_enabled {
                self.expel(&service, &members, "the service has changed");
            }
        }
    }

    /// `members` serve it no more.
    fn expel(&self, service: &Service, members: &[Member], why: &str) {
        let (now, mut left) = (self.process.now(), Left::default());
        for &member in members {
            self.registry.borrow_mut().withdraw(now, service.id, member, &mut left);
        }
        self.decline(members, why);
        self.on_left(left);
    }

    /// `members` have the service no more, whose address is free when this returns. Its visitors stay.
    async fn withdraw(&self, service: &Service, members: &[Member], why: &str) {
        self.decline(members, why);
        if let Some(port) = service.close() {
            port.close().await;
        }
    }

    fn decline(&self, members: &[Member], why: &str) {
        for member in members {
            if let Some(link) = self.link(member.link) {
                link.decline(member.id, Decline::Withdrawn, why);
            }
        }
    }

    // ---- addresses ------------------------------------------------------------------------------------------------

    /// Twice, because a service may want the address that the next one is about to leave.
    async fn move_services(self: &Rc<Self>, new: &mut config::Server) {
        for is_last in [false, true] {
            for service in &mut new.services {
                if let Err(error) = self.move_service(service).await
                    && is_last
                {
                    self.stay(service, &error);
                }
            }
            let_go().await;
        }
    }

    async fn move_service(self: &Rc<Self>, new: &ServerService) -> io::Result<()> {
        let Some(service) = self.services.named(&new.name) else {
            return Ok(());
        };
        let old = service.config();
        if old.bind_addr == new.bind_addr {
            return Ok(());
        }
        let open = |found: &[Candidates<'_>]| self.open(&service, old.kind, found);
        self.move_port(&service.port, &old.bind_addr, &new.bind_addr, &open)
            .await?;
        service.configure(new.clone());
        let members = self.registry.borrow().members(service.id);
        if members.is_empty() {
            // The client has left meanwhile.
            service.close();
            return Ok(());
        }
        let address = service.port.borrow().as_ref().map(Port::to_string).unwrap_or_default();
        info!("service is up service={} addr={address}", new.name);
        for member in members {
            if let Some(link) = self.link(member.link) {
                link.announce(member.id, &address);
            }
        }
        Ok(())
    }

    fn stay(&self, new: &mut ServerService, error: &io::Error) {
        let (name, addr) = (&new.name, &new.bind_addr);
        warn!("service stays where it is service={name}: cannot listen at {addr}: {error}");
        if let Some(service) = self.services.named(name) {
            new.bind_addr = service.config().bind_addr.clone();
        }
    }

    async fn move_entrance(self: &Rc<Self>, new: &mut Addresses) {
        let old = self.config().bind_addr.clone();
        let open = |found: &[Candidates<'_>]| self.listen(found);
        match self.move_port(&self.port, &old, new, &open).await {
            Ok(()) => info!("listening for clients addr={new}"),
            Err(error) => {
                warn!("clients come where they came: cannot listen at {new} (server.bind_addr): {error}");
                *new = old;
            }
        }
    }

    /// Opens `new` in the place of `old`: before that is closed, unless that itself stands in the way.
    async fn move_port(
        &self,
        place: &RefCell<Option<Port>>,
        old: &[HostPort],
        new: &[HostPort],
        open: &dyn Fn(&[Candidates<'_>]) -> io::Result<Port>,
    ) -> io::Result<()> {
        let found = resolve(&self.process.names, new).await?;
        let mut opened = open(&found);
        if opened.is_err() && place.borrow().as_ref().is_some_and(|port| port.is_among(&found)) {
            let before = resolve(&self.process.names, old).await?;
            let port = place.borrow_mut().take();
            if let Some(port) = port {
                port.close().await;
            }
            opened = open(&found);
            if opened.is_err() {
                let_go().await;
                *place.borrow_mut() = Some(open(&before)?);
            }
        }
        *place.borrow_mut() = Some(opened?);
        Ok(())
    }

    // ---- keys -----------------------------------------------------------------------------------------------------

    /// New links are protected as `new` says; a link whose key may not come any more is cut.
    fn protect(&self, new: &mut config::Server) {
        if self.config().transport == new.transport {
            return;
        }
        let setup = match transport::setup(&new.transport, End::Server) {
            Ok(setup) => setup,
            Err(unfit) => {
                warn!("links stay protected as they are: {unfit}");
                new.transport = self.config().transport.clone();
                return;
            }
        };
        // They have shown what they have to the old setup, and nothing more.
        self.links.borrow_mut().retain(|_, entry| !entry.is_stranger());
        for link in self.clients() {
            if !setup.is_authorized(link.known.as_ref()) {
                info!("client is cut peer={}: its key is no longer authorized", link.who());
                link.leave(Leave::Unproven, "this key is no longer authorized");
            }
        }
        *self.allowance.borrow_mut() = allowance(&self.process, &setup);
        *self.setup.borrow_mut() = Rc::new(setup);
    }
}

/// Waits until the ports that were dropped are closed: their tasks end when the runtime gets to them.
async fn let_go() {
    tokio::task::yield_now().await;
}

fn hosts(addresses: &Addresses) -> impl Iterator<Item = &String> {
    addresses.iter().map(|address| &address.host)
}

fn named<'a>(config: &'a config::Server, name: &'a str) -> impl Iterator<Item = &'a ServerService> {
    config.services.iter().filter(move |service| service.name == name)
}
