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
use crate::net::visitor::{Early, Visitor, add};
use crate::proto::Visit;
use crate::transport;

use super::Server;
use super::dispatch::Given;
use super::preface::{Prefaces, is_due};
use super::registry::Member;
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
                failures.forget();
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
    if !server.may_come(service) {
        add(&service.counters.refused, 1);
        debug!("visitor is refused service={} peer={visit}: too many", config.name);
        return;
    }
    match Socket::new(socket, &transport::visitor_options(config.nodelay)) {
        Ok(socket) if is_due(&config.balancers, visit) => prefaces.await_header(server, service, socket, visit),
        Ok(socket) => admit(server, service, socket, visit),
        Err(error) => warn!("cannot take a visitor service={} peer={visit}: {error}", config.name),
    }
}

/// Opens a stream for a visitor, and sees it off.
pub fn admit(server: &Rc<Server>, service: &Rc<Service>, socket: Socket, visit: Visit) {
    let (mut tried, socket) = (Vec::new(), Rc::new(socket));
    let given = server.dispatch(service, visit, &mut tried);
    match given.map(|given| join(given, service, Early::default())) {
        Some(visitor) => {
            debug!("visitor service={} peer={visit}", service.config().name);
            task::detach(accompany(
                server.clone(),
                service.clone(),
                visitor,
                socket,
                visit,
                tried,
            ));
        }
        None => dismiss(server, service, &socket, visit),
    }
}

fn join(given: Given, service: &Service, early: Early) -> Rc<Visitor> {
    let visitor = given.link.join(given.stream, &service.counters);
    if !given.is_last || !early.is_empty() {
        visitor.keep_early(early);
    }
    visitor
}

/// A visitor that a member of a group does not take, or takes no more, before it has answered, is another one's.
async fn accompany(
    server: Rc<Server>,
    service: Rc<Service>,
    mut visitor: Rc<Visitor>,
    socket: Rc<Socket>,
    visit: Visit,
    mut tried: Vec<Member>,
) {
    loop {
        visitor.clone().serve(socket.clone()).await;
        if !visitor.is_unserved() {
            return;
        }
        let Some(early) = visitor.take_early() else { break };
        server.take_back(&service, &tried);
        let Some(given) = server.dispatch(&service, visit, &mut tried) else {
            break;
        };
        visitor = join(given, &service, early);
        // Who comes again is no other visitor.
        add(&service.counters.visitors, 1_u64.wrapping_neg());
    }
    dismiss(&server, &service, &socket, visit);
}

/// Nobody takes the visitor. A group of which nobody is healthy ends the connection; all else resets it.
fn dismiss(server: &Server, service: &Service, socket: &Socket, visit: Visit) {
    add(&service.counters.refused, 1);
    debug!("visitor is refused service={} peer={visit}", service.config().name);
    let registry = server.registry.borrow();
    let group = registry.group(service.id).filter(|group| group.identity.is_some());
    if group.is_none_or(|group| group.healthy() > 0) {
        socket.reset_on_drop();
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
