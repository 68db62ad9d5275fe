//! What the configuration says of the transport, made ready for use: the one place where both roles turn keys into
//! sockets' options and links' covers.

use crate::config::{Transport, TransportKind};
use crate::limits;
use crate::link::Setup;
use crate::net::socket::Options;

/// Options of a link's socket.
pub fn options(transport: &Transport) -> Options {
    let tcp = &transport.tcp;
    Options {
        nodelay: tcp.nodelay,
        keepalive: tcp.keepalive_secs,
        keepalive_interval: tcp.keepalive_interval,
        unsent: limits::LINK_UNSENT,
    }
}

/// Options of a visitor's socket, or of one to a local service.
pub fn visitor_options(nodelay: bool) -> Options {
    Options {
        nodelay,
        unsent: limits::VISITOR_UNSENT,
        ..Options::default()
    }
}

/// What protects links.
pub fn setup(transport: &Transport) -> Setup {
    match transport.kind {
        TransportKind::Tcp => Setup::Plain,
    }
}
