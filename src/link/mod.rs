//! From a byte stream to a protected one: the *channel* below the protocol. Sans-IO like the protocol: bytes in, bytes
//! out. One enum, one switch point: a transport is a variant of [`Setup`] and of [`Cover`] here, and a file beside this.

#[cfg(feature = "noise")]
mod noise;
#[cfg(not(feature = "noise"))]
#[path = "no_noise.rs"]
mod noise;

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
}

/// What protects one link's bytes.
pub enum Cover {
    /// Nothing does.
    Plain,
    /// Noise.
    Noise(Box<noise::Cover>),
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

impl fmt::Display for Torn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Torn {}

impl Setup {
    /// Noise as `config` says.
    pub fn noise(config: &config::Noise, end: End) -> Result<Setup, Torn> {
        noise::Setup::new(config, end).map(Rc::new).map(Setup::Noise)
    }

    /// A cover for a new link to or from `host` (a name or an address without port, as the client was told it).
    pub fn cover(&self, end: End, host: &str) -> Result<Cover, Torn> {
        let _ = host;
        match self {
            Setup::Plain => Ok(Cover::Plain),
            Setup::Noise(setup) => noise::Cover::new(setup, end).map(|cover| Cover::Noise(Box::new(cover))),
        }
    }

    /// Whether others on the way can read and change what links carry.
    pub fn is_open(&self) -> bool {
        matches!(self, Setup::Plain)
    }

    /// Does once, with itself, what each stranger can make a server do: to find out what that costs.
    #[allow(dead_code, reason = "a build without the server has nobody to ask")]
    pub fn rehearse(&self) {
        match self {
            Setup::Plain => {}
            Setup::Noise(setup) => setup.rehearse(),
        }
    }
}

impl Cover {
    /// Whether its own handshake is over: before, there is no channel, and nothing can be sealed.
    pub fn is_ready(&self) -> bool {
        match self {
            Cover::Plain => true,
            Cover::Noise(cover) => cover.is_ready(),
        }
    }

    /// Who is at the other end, once this is ready.
    pub fn peer(&self) -> Option<Peer> {
        match self {
            Cover::Plain => None,
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
        }
    }

    /// The bytes that carry `plain` on the wire.
    pub fn seal<'a>(&'a mut self, plain: &'a [u8]) -> Result<&'a [u8], Torn> {
        match self {
            Cover::Plain => Ok(plain),
            Cover::Noise(cover) => cover.seal(plain),
        }
    }

    /// What the bytes from the wire carry; what is not whole yet is kept.
    pub fn open<'a>(&'a mut self, wire: &'a [u8]) -> Result<&'a [u8], Torn> {
        match self {
            Cover::Plain => Ok(wire),
            Cover::Noise(cover) => cover.open(wire),
        }
    }

    /// Adds to `out` what the cover itself has to say: its handshake, an answer to a ping.
    pub fn poll_output(&mut self, out: &mut Vec<u8>) {
        match self {
            Cover::Plain => {}
            Cover::Noise(cover) => cover.poll_output(out),
        }
    }

    /// Nothing more will be sealed: what the cover has to say about that comes from [`Self::poll_output`].
    pub fn close(&mut self) {
        match self {
            Cover::Plain | Cover::Noise(_) => {}
        }
    }

    /// Lets go of memory that a busy time needed.
    pub fn relax(&mut self) {
        match self {
            Cover::Plain => {}
            Cover::Noise(cover) => cover.relax(),
        }
    }
}
