//! A service's public address: bound while a client serves it, and the visitors that come there.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use log::{debug, warn};

use crate::limits;
use crate::net::socket::{Listener, Socket};
use crate::net::task::Owned;
use crate::transport;

use super::{Server, first_of};

/// A bound address. Dropping it closes the port.
pub struct Public {
    /// Where visitors come; the port is the real one.
    pub address: SocketAddr,
    _task: Owned,
}

impl Public {
    /// At `address`; `task` takes the visitors.
    pub fn new(address: SocketAddr, task: Owned) -> Public {
        Public { address, _task: task }
    }
}

/// Takes visitors for `service` at the first of `addresses` that can be bound.
pub fn open(server: &Rc<Server>, service: usize, addresses: &[SocketAddr]) -> io::Result<Public> {
    let listener = first_of(addresses, Listener::bind)?;
    let (server, address) = (server.clone(), listener.address());
    let task = Owned::spawn(async move { accept(&server, service, &listener).await });
    Ok(Public::new(address, task))
}

async fn accept(server: &Rc<Server>, service: usize, listener: &Listener) {
    loop {
        match listener.accept().await {
            Ok((socket, from)) => admit(server, service, socket, from),
            Err(error) => {
                warn!("cannot accept a visitor addr={}: {error}", listener.address());
                tokio::time::sleep(Duration::from_millis(limits::ACCEPT_REST)).await;
            }
        }
    }
}

/// Opens a stream for a visitor; without one the visitor is reset.
fn admit(server: &Rc<Server>, number: usize, socket: socket2::Socket, from: SocketAddr) {
    let Some(service) = server.services.get(number) else {
        return;
    };
    let options = transport::visitor_options(service.config.nodelay);
    let member = server.registry.borrow().pick(number);
    let link = member.and_then(|member| server.link(member.link).map(|link| (link, member.id)));
    let visitor = link.and_then(|(link, id)| Some(link.join(link.open(id, from)?, &service.counters)));
    match (visitor, Socket::new(socket, &options)) {
        (Some(visitor), Ok(socket)) => {
            debug!("visitor service={} peer={from}", service.config.name);
            tokio::task::spawn_local(visitor.serve(socket));
        }
        (visitor, socket) => {
            crate::net::visitor::add(&service.counters.refused, 1);
            debug!(
                "visitor is refused service={} peer={from}: no room",
                service.config.name
            );
            socket.iter().for_each(Socket::reset_on_drop);
            visitor.iter().for_each(|visitor| visitor.abandon());
        }
    }
}
