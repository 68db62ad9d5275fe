//! From a byte stream to a protected one: the *channel* below the protocol. Sans-IO like the protocol: bytes in, bytes
//! out. One enum, one switch point: a transport is a variant of [`Setup`] and of [`Cover`] here, and a file or folder
//! beside this. For one that is not in the build, a twin stands in whose types have no values.

#[allow(dead_code, reason = "it stands in for all that may be absent")]
mod absent;
#[cfg(feature = "noise")]
mod noise;
#[cfg(not(feature = "noise"))]
#[path = "no_noise.rs"]
mod noise;
#[cfg(feature = "tls")]
mod tls;
#[cfg(not(feature = "tls"))]
use absent as tls;
#[cfg(feature = "websocket")]
mod websocket;
#[cfg(not(feature = "websocket"))]
use absent as websocket;

#[cfg(test)]
mod tests;

use std::fmt;
use std::rc::Rc;

use crate::config;
use crate::proto::{Channel, End};

pub use noise::{Key, Pattern, decode_key, generate};

/// How the links of this process are protected: read once, used for each link.
pub enum Setup {
    /// Not at all: `transport.type = "tcp"`.
    Plain,
    /// Noise: `transport.type = "noise"`.
    Noise(Rc<noise::Setup>),
    /// TLS: `transport.type = "tls"`.
    Tls(tls::Setup),
    /// WebSocket, over plain TCP or over TLS: `transport.type = "websocket"`.
    Websocket(websocket::Setup),
}

/// What protects one link's bytes.
pub enum Cover {
    /// Nothing does.
    Plain,
    /// Noise.
    Noise(Box<noise::Cover>),
    /// TLS.
    Tls(Box<tls::Cover>),
    /// WebSocket.
    Websocket(Box<websocket::Cover>),
}

/// Who is at the other end, as far as the cover itself has proof of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its static public key.
    pub key: Key,
    /// What this end calls it.
    pub name: Option<String>,
}

/// Why a cover cannot go on: the peer, or somebody on the way, is at fault. The link ends.
#[derive(Debug)]
pub struct Torn(pub String);

/// Why there can be no setup: a key whose value is not usable.
#[derive(Debug)]
pub struct Unfit {
    /// The key, below `transport`.
    pub key: &'static str,
    /// What is wrong: completes a sentence that starts with the value.
    pub text: String,
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "transport.{}: {}", self.key, self.text)
    }
}

impl fmt::Display for Torn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Torn {}

impl Setup {
    /// Noise as `config` says.
    pub fn noise(config: &config::Noise, end: End) -> Result<Setup, Unfit> {
        let setup = noise::Setup::new(config, end).map_err(|Torn(text)| Unfit { key: "noise", text });
        setup.map(Rc::new).map(Setup::Noise)
    }

    /// TLS as `config` says.
    pub fn tls(config: &config::Tls, end: End) -> Result<Setup, Unfit> {
        tls::Setup::from_tls(config, end).map(Setup::Tls)
    }

    /// WebSocket as `config` says, over `below`.
    pub fn websocket(config: &config::Websocket, below: Setup) -> Result<Setup, Unfit> {
        websocket::Setup::from_websocket(config, below).map(Setup::Websocket)
    }

    /// A cover for a new link to `host` (a name or an address) and `port`, as the client was told; a server knows none.
    pub fn cover(&self, end: End, host: &str, port: u16) -> Result<Cover, Torn> {
        match self {
            Setup::Plain => Ok(Cover::Plain),
            Setup::Noise(setup) => noise::Cover::new(setup, end).map(|cover| Cover::Noise(Box::new(cover))),
            Setup::Tls(setup) => setup.cover(end, host, port).map(|cover| Cover::Tls(Box::new(cover))),
            Setup::Websocket(setup) => setup
                .cover(end, host, port)
                .map(|cover| Cover::Websocket(Box::new(cover))),
        }
    }

    /// Whether a link over which `peer` showed itself may stay, as far as its key decides that.
    #[allow(dead_code, reason = "a build without the server has nobody to ask")]
    pub fn is_authorized(&self, peer: Option<&Peer>) -> bool {
        match (self, peer) {
            (Setup::Noise(setup), Some(peer)) => setup.is_authorized(&peer.key),
            _ => true,
        }
    }

    /// Whether others on the way can read and change what links carry.
    pub fn is_open(&self) -> bool {
        match self {
            Setup::Plain => true,
            Setup::Noise(_) | Setup::Tls(_) => false,
            Setup::Websocket(setup) => setup.below().is_open(),
        }
    }

    /// Does once, with itself, what each stranger can make a server do: to find out what that costs.
    #[allow(dead_code, reason = "a build without the server has nobody to ask")]
    pub fn rehearse(&self) {
        match self {
            Setup::Plain => {}
            Setup::Noise(setup) => setup.rehearse(),
            Setup::Tls(setup) => setup.rehearse(),
            Setup::Websocket(setup) => setup.below().rehearse(),
        }
    }
}

impl Cover {
    /// Whether its own handshake is over: before, there is no channel, and nothing can be sealed.
    pub fn is_ready(&self) -> bool {
        match self {
            Cover::Plain => true,
            Cover::Noise(cover) => cover.is_ready(),
            Cover::Tls(cover) => cover.is_ready(),
            Cover::Websocket(cover) => cover.is_ready(),
        }
    }

    /// Whether the peer has said, in the cover's own words, that nothing more will come.
    pub fn is_over(&self) -> bool {
        match self {
            Cover::Plain | Cover::Noise(_) => false,
            Cover::Tls(cover) => cover.is_over(),
            Cover::Websocket(cover) => cover.is_over(),
        }
    }

    /// Who is at the other end, once this is ready.
    pub fn peer(&self) -> Option<Peer> {
        match self {
            Cover::Plain | Cover::Tls(_) | Cover::Websocket(_) => None,
            Cover::Noise(cover) => cover.peer(),
        }
    }

    /// What the protocol binds its proofs to.
    pub fn channel(&self) -> Channel {
        match self {
            Cover::Plain => Channel {
                label: "tcp",
                binding: Vec::new(),
            },
            Cover::Noise(cover) => cover.channel(),
            Cover::Tls(cover) => cover.channel(),
            Cover::Websocket(cover) => cover.channel(),
        }
    }

    /// The bytes that carry `plain` on the wire.
    pub fn seal<'a>(&'a mut self, plain: &'a [u8]) -> Result<&'a [u8], Torn> {
        match self {
            Cover::Plain => Ok(plain),
            Cover::Noise(cover) => cover.seal(plain),
            Cover::Tls(cover) => cover.seal(plain),
            Cover::Websocket(cover) => cover.seal(plain),
        }
    }

    /// What the bytes from the wire carry; what is not whole yet is kept. A cover that is torn may still have last
    /// words in [`Self::poll_output`].
    pub fn open<'a>(&'a mut self, wire: &'a [u8]) -> Result<&'a [u8], Torn> {
        match self {
            Cover::Plain => Ok(wire),
            Cover::Noise(cover) => cover.open(wire),
            Cover::Tls(cover) => cover.open(wire),
            Cover::Websocket(cover) => cover.open(wire),
        }
    }

    /// Adds to `out` what the cover itself has to say: its handshake, an answer to a ping.
    pub fn poll_output(&mut self, out: &mut Vec<u8>) {
        match self {
            Cover::Plain => {}
            Cover::Noise(cover) => cover.poll_output(out),
            Cover::Tls(cover) => cover.poll_output(out),
            Cover::Websocket(cover) => cover.poll_output(out),
        }
    }

    /// Nothing more will be sealed: what the cover has to say about that comes from [`Self::poll_output`].
    pub fn close(&mut self) {
        match self {
            Cover::Plain | Cover::Noise(_) => {}
            Cover::Tls(cover) => cover.close(),
            Cover::Websocket(cover) => cover.close(),
        }
    }

    /// Lets go of memory that a busy time needed.
    pub fn relax(&mut self) {
        match self {
            Cover::Plain => {}
            Cover::Noise(cover) => cover.relax(),
            Cover::Tls(cover) => cover.relax(),
            Cover::Websocket(cover) => cover.relax(),
        }
    }
}
