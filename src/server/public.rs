//! Visitors of a TCP service: taken at its public address while a client serves it.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use log::{Level, debug, warn};

use crate::limits;
use crate::log::Repeats;
use crate::net::socket::{Listener, Socket};
use crate::net::task::{self, Owned};
use crate::net::visitor::add;
use crate::proto::Visit;
use crate::transport;

use super::Server;
use super::preface::{Prefaces, is_due};
use super::services::Service;

/// Takes visitors for `service` at `address`.
pub fn open(
    server: &Rc<Server>,
    service: &Rc<Service>,
    address: SocketAddr,
    v6_only: bool,
) -> io::Result<(SocketAddr, Owned)> {
    let listener = Listener::bind(address, v6_only)?;
    let (server, service, address) = (server.clone(), service.clone(), listener.address());
    let task = Owned::spawn(async move { accept(&server, &service, &listener).await });
    Ok((address, task))
}

async fn accept(server: &Rc<Server>, service: &Rc<Service>, listener: &Listener) {
    let mut prefaces = Prefaces::default();
    let mut failures = Repeats::default();
    loop {
        match listener.accept().await {
            Ok((socket, from)) => {
                let visit = Visit {
                    from: Some(from),
                    to: Some(listener.asked(&socket)),
                };
                receive(server, service, socket, visit, &mut prefaces);
            }
            Err(error) => {
                let level = failures.level(&error.to_string());
                log::log!(level, "cannot accept a visitor addr={}: {error}", listener.address());
                tokio::time::sleep(Duration::from_millis(limits::ACCEPT_REST)).await;
            }
        }
    }
}

fn receive(server: &Rc<Server>, service: &Rc<Service>, socket: socket2::Socket, visit: Visit, prefaces: &mut Prefaces) {
    let config = service.config();
    match Socket::new(socket, &transport::visitor_options(config.nodelay)) {
        Ok(socket) if is_due(&config.balancers, visit) => prefaces.await_header(server, service, socket, visit),
        Ok(socket) => admit(server, service, socket, visit),
        Err(error) => warn!("cannot take a visitor service={} peer={visit}: {error}", config.name),
    }
}

/// Opens a stream for a visitor; without one the visitor is reset.
pub fn admit(server: &Server, service: &Service, socket: Socket, visit: Visit) {
    let member = server.registry.borrow().pick(service.id);
    let link = member.and_then(|member| server.link(member.link).map(|link| (link, member.id)));
    let visitor = link.and_then(|(link, id)| Some(link.join(link.open(id, visit)?, &service.counters)));
    let name = &service.config().name;
    match visitor {
        Some(visitor) => {
            debug!("visitor service={name} peer={visit}");
            task::detach(visitor.serve(socket));
        }
        None => {
            add(&service.counters.refused, 1);
            debug!("visitor is refused service={name} peer={visit}: no room");
            socket.reset_on_drop();
        }
    }
}

impl Server {
    /// Resets a visitor that cannot be let in; warns, but not each time the same.
    pub(super) fn turn_away(&self, service: &Service, socket: &Socket, visit: Visit, why: &str) {
        add(&service.counters.refused, 1);
        socket.reset_on_drop();
        let mut level = service.refusals.borrow_mut().level(why);
        if level == Level::Warn && !self.strangers.borrow_mut().may_log(self.process.now()) {
            level = Level::Debug;
        }
        log::log!(
            level,
            "visitor is refused service={} peer={visit}: {why}",
            service.config().name
        );
    }
}
