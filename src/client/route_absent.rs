//! The way to the server in a build without proxies.

use std::io;
use std::net::SocketAddr;

use crate::config::{HostPort, Transport};
use crate::net::socket::Socket;

/// See `route.rs`.
pub(super) fn first_hop<'a>(_: &'a Transport, server: &'a HostPort) -> &'a HostPort {
    server
}

/// See `route.rs`.
pub(super) fn stays_here(_: &Transport, address: SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}

/// See `route.rs`.
pub(super) async fn pass(_: &Transport, _: &Socket, _: &HostPort) -> io::Result<()> {
    Ok(())
}
