//! What the configuration says of the transport, made ready for use: the one place where both roles turn keys into
//! sockets' options and links' covers.

use crate::StartError;
use crate::config::Transport;
use crate::limits;
use crate::link::Setup;
use crate::net::socket::Options;
use crate::proto::End;

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

/// What protects the links of a process that is their `end`.
pub fn setup(transport: &Transport, end: End) -> Result<Setup, StartError> {
    match &transport.noise {
        Some(noise) => Setup::noise(noise, end).map_err(|torn| StartError(torn.to_string())),
        None => Ok(Setup::Plain),
    }
}
