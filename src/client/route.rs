//! The way to the server: directly, or through the proxy of the configuration.

use std::io;
use std::net::SocketAddr;

use crate::config::{HostPort, ProxyKind, Transport};
use crate::net::proxy::{self, Kind, Proxy};
use crate::net::socket::Socket;

/// What is looked up and connected to: the proxy if there is one. Only that is to know where `server` is.
pub(super) fn first_hop<'a>(transport: &'a Transport, server: &'a HostPort) -> &'a HostPort {
    let proxy = transport.tcp.proxy.as_ref();
    proxy.map_or(server, |proxy| &proxy.address)
}

/// Whether a link by way of `address` cannot leave this machine: who knows where a proxy leads?
pub(super) fn stays_here(transport: &Transport, address: SocketAddr) -> bool {
    transport.tcp.proxy.is_none() && address.ip().to_canonical().is_loopback()
}

/// Goes on from the first hop to `server`.
pub(super) async fn pass(transport: &Transport, socket: &Socket, server: &HostPort) -> io::Result<()> {
    let Some(proxy) = &transport.tcp.proxy else {
        return Ok(());
    };
    let kind = match proxy.kind {
        ProxyKind::Http => Kind::Http,
        ProxyKind::Socks5 => Kind::Socks5,
    };
    let credentials = proxy
        .credentials
        .as_ref()
        .map(|(user, password)| (user.as_bytes(), password.as_bytes()));
    proxy::pass(socket, Proxy { kind, credentials }, &server.host, server.port).await
}
