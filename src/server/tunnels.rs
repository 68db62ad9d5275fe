//! Services that only clients name: made for their first member, at a port of a range, and gone with the last one.

use std::io;
use std::rc::Rc;

use crate::config::{Kind, Secret, ServerService};
use crate::net::link::Link;
use crate::proto::{Decline, Protocol, Registration, Terms, Wish};

use super::Server;
use super::port::{self, Port, at_port};
use super::registry::{Member, ServiceId, Tunnel, candidates};
use super::seat::No;
use super::services::{Service, Voice};

/// Of the configuration's keys.
fn range_key(kind: Kind) -> &'static str {
    match kind {
        Kind::Tcp => "tcp_port_range",
        Kind::Udp => "udp_port_range",
    }
}

impl Server {
    /// The service that a proven registration names and `wish`es, or one for it.
    pub(super) fn tunnel(
        &self,
        link: &Link,
        registration: &Registration,
        terms: &Terms,
        wish: Wish,
        voice: &Rc<Voice>,
    ) -> Result<Rc<Service>, No> {
        let kind = match registration.protocol {
            Protocol::Tcp => Kind::Tcp,
            Protocol::Udp => Kind::Udp,
        };
        let no = |words: String| Err(No::new(Decline::Unavailable, &words));
        let (config, key) = (self.config(), range_key(kind));
        let Some(range) = config.tunnels.ports(kind) else {
            return no(format!("{key} is disabled"));
        };
        if wish.is_must && !range.contains(wish.port) {
            return no(format!(
                "port {} is not in {key} [{}, {}]",
                wish.port, range.first, range.last
            ));
        }
        let mut registry = self.registry.borrow_mut();
        let wanted = Tunnel::of(kind, link.instance(), &registration.name, terms);
        let found = registry.tunnel(&wanted, wish);
        let own = found.and_then(|found| registry.group(found)?.own(&link.instance(), &registration.name));
        let most = config.tunnels.most;
        if own.is_none() && most > 0 && registry.tunnels_of(&link.instance()) >= most as usize {
            return no(format!("too many tunnels: max_tunnels_per_client is {most}"));
        }
        if let Some(found) = found {
            return self
                .services
                .get(found)
                .ok_or(No::new(Decline::Withdrawn, "it is going"));
        }
        if wish.is_must && (!registry.is_free(kind, wish.port) || self.services.reserves(kind, wish.port)) {
            return no(taken(wish.port));
        }
        let Some(token) = config.tunnels.token.clone() else {
            return Err(no_token());
        };
        let service = self
            .services
            .add(&tunnel_config(&registration.name, kind, token, &config), Some(voice));
        registry.add(service.id, Some(wanted));
        Ok(service)
    }

    /// Binds a port for a tunnel that has none: what its member wishes, or any.
    pub(super) async fn publish_tunnel(
        self: &Rc<Self>,
        service: &Rc<Service>,
        member: Member,
        wish: Wish,
    ) -> Result<(), String> {
        let kind = service.config().kind;
        let at = self.config();
        let found = port::resolve(&self.process.names, &at.bind_addr).await;
        let found = found.map_err(|error| format!("cannot listen: {error}"))?;
        // As it is now: it may have been another one before.
        let config = self.config();
        let is_wanted = service.port.borrow().is_none() && self.registry.borrow().holds(service.id, member);
        if let Some(range) = config.tunnels.ports(kind).filter(|_| is_wanted) {
            let name = service.config().name.clone();
            for number in candidates(range, wish, &name) {
                if self.registry.borrow().is_free(kind, number) && !self.services.reserves(kind, number) {
                    match self.open(service, kind, &at_port(&found, number)) {
                        Ok(port) => self.assign(service, port),
                        Err(error) if is_about_us(&error) => return Err(format!("cannot listen at {number}: {error}")),
                        Err(_) => continue,
                    }
                    break;
                }
            }
        }
        match () {
            () if service.port.borrow().is_some() => Ok(()),
            () if wish.is_must => Err(taken(wish.port)),
            () => Err(format!("no {} ports available", kind.name().to_uppercase())),
        }
    }

    fn assign(&self, service: &Service, port: Port) {
        self.registry.borrow_mut().assign(service.id, port.number());
        *service.port.borrow_mut() = Some(port);
    }

    /// Nobody is left who names it.
    pub(super) fn forget_tunnel(&self, service: ServiceId) {
        self.services.remove(service);
        self.registry.borrow_mut().remove(service);
    }
}

/// What clients hear that name a service where they cannot.
pub(super) fn no_token() -> No {
    let words = "this server has no default_token, and takes no services that only clients name";
    No::new(Decline::Unproven, words)
}

fn taken(port: u16) -> String {
    format!("port {port} is taken")
}

/// Another port would be no better.
fn is_about_us(error: &io::Error) -> bool {
    !matches!(error.kind(), io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied)
}

fn tunnel_config(name: &str, kind: Kind, token: Secret, server: &crate::config::Server) -> ServerService {
    ServerService {
        name: name.to_owned(),
        kind,
        bind_addr: server.bind_addr.clone(),
        token,
        udp_timeout: Some(std::time::Duration::from_secs(crate::limits::TUNNEL_IDLE)),
        nodelay: server.transport.tcp.nodelay,
        balancers: Vec::new(),
        group_keys: Vec::new(),
        is_sticky: false,
    }
}
