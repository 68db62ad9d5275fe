//! The way to the server in a build without proxies.

use std::io;
use std::net::SocketAddr;

use crate::config::HostPort;
use crate::net::socket::Socket;

use super::Client;

impl Client {
    /// See `route.rs`.
    pub(super) fn first_hop<'a>(&self, server: &'a HostPort) -> &'a HostPort {
        server
    }

    /// See `route.rs`.
    pub(super) fn stays_here(&self, address: SocketAddr) -> bool {
        address.ip().to_canonical().is_loopback()
    }

    /// See `route.rs`.
    pub(super) async fn pass(&self, _: &Socket, _: &HostPort) -> io::Result<()> {
        Ok(())
    }
}
