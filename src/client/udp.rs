//! Flows at the client: a socket of its own for each visitor, towards the local service.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

use crate::config::Local;
use crate::net::link::Link;
use crate::net::task;
use crate::net::udp::{Flow, UdpSocket, Way};
use crate::proto::{Cause, Protocol, StreamId, Visit};

use super::Client;
use super::services::Service;

/// Joins a visitor's flow to the local service.
pub fn join(client: &Rc<Client>, link: &Rc<Link>, stream: StreamId, service: &Rc<Service>, visit: Visit) {
    let flow = Flow::new(link, stream, &service.counters);
    link.join_flow(&flow);
    task::detach(attend(client.clone(), flow, service.clone(), visit));
}

async fn attend(client: Rc<Client>, flow: Rc<Flow>, service: Rc<Service>, visit: Visit) {
    if flow.is_gone() {
        return;
    }
    // Boxed: what a name look-up needs is not to be kept as long as the flow lives.
    match Box::pin(connect(&client, &service)).await {
        Ok((socket, to)) => {
            let preface = service.preface(Protocol::Udp, visit);
            drop((client, service));
            flow.set_way(Way::Service { socket, to, preface });
            flow.serve().await;
        }
        Err(error) => {
            service.on_local_failure(&error);
            flow.end(Cause::Unreachable);
        }
    }
}

async fn connect(client: &Client, service: &Service) -> io::Result<(UdpSocket, SocketAddr)> {
    let config = service.config();
    let Local::Network(at) = &config.local_addr else {
        return Err(io::ErrorKind::Unsupported.into());
    };
    let addresses = client
        .process
        .names
        .recall(&at.host, at.port, config.prefer_ipv6)
        .await?;
    let mut failed = io::ErrorKind::AddrNotAvailable.into();
    for address in addresses {
        match UdpSocket::connect(address) {
            Ok(socket) => return Ok((socket, address)),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}
