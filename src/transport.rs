//! What the configuration says of the transport, made ready for use: the one place where both roles turn keys into
//! sockets' options and links' covers.

use std::time::Duration;

use crate::config::{Transport, TransportKind};
use crate::limits;
use crate::link::{Setup, Unfit};
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

/// Options of a visitor's socket, or of one to a local service. Both are probed, whatever the link's keys say: whoever
/// vanished without a word would hold a stream for ever.
pub fn visitor_options(nodelay: bool) -> Options {
    Options {
        nodelay,
        keepalive: Some(Duration::from_secs(limits::VISITOR_KEEPALIVE)),
        keepalive_interval: Some(Duration::from_secs(limits::VISITOR_PROBES)),
        unsent: limits::VISITOR_UNSENT,
    }
}

/// What protects the links of a process that is their `end`.
pub fn setup(transport: &Transport, end: End) -> Result<Setup, Unfit> {
    match transport.kind {
        TransportKind::Tcp => Ok(Setup::Plain),
        TransportKind::Noise => {
            let absent = || Unfit {
                key: "noise",
                text: "is absent".into(),
            };
            Setup::noise(transport.noise.as_ref().ok_or_else(absent)?, end)
        }
        TransportKind::Tls => Setup::tls(&transport.tls, end),
        TransportKind::Websocket => {
            let below = match transport.websocket.tls {
                true => Setup::tls(&transport.tls, end)?,
                false => Setup::Plain,
            };
            Setup::websocket(&transport.websocket, below)
        }
    }
}
