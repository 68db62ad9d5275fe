//! Visitors of a TCP service: taken at its public address while a client serves it.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use log::{debug, warn};

use crate::limits;
use crate::net::socket::{Listener, Socket};
use crate::net::task::Owned;
use crate::transport;

use super::Server;
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
fn admit(server: &Server, service: &Service, socket: socket2::Socket, from: SocketAddr) {
    let config = service.config();
    let options = transport::visitor_options(config.nodelay);
    let member = server.registry.borrow().pick(service.id);
    let link = member.and_then(|member| server.link(member.link).map(|link| (link, member.id)));
    let visitor = link.and_then(|(link, id)| Some(link.join(link.open(id, from)?, &service.counters)));
    match (visitor, Socket::new(socket, &options)) {
        (Some(visitor), Ok(socket)) => {
            debug!("visitor service={} peer={from}", config.name);
            tokio::task::spawn_local(visitor.serve(socket));
        }
        (visitor, socket) => {
            crate::net::visitor::add(&service.counters.refused, 1);
            debug!("visitor is refused service={} peer={from}: no room", config.name);
            socket.iter().for_each(Socket::reset_on_drop);
            visitor.iter().for_each(|visitor| visitor.abandon());
        }
    }
}
