//! From a byte stream to a protected one: the *channel* below the protocol. Sans-IO like the protocol: bytes in, bytes
//! out. One enum, one switch point: a transport is a variant of [`Setup`] and of [`Cover`] here, and a file beside this.

use std::fmt;

use crate::proto::{Channel, End};

/// How the links of this process are protected: read once, used for each link.
pub enum Setup {
    /// Not at all: `transport.type = "tcp"`.
    Plain,
}

/// What protects one link's bytes.
pub enum Cover {
    /// Nothing does.
    Plain,
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
    /// A cover for a new link to or from `host` (a name or an address without port, as the client was told it).
    pub fn cover(&self, end: End, host: &str) -> Result<Cover, Torn> {
        let _ = (end, host);
        match self {
            Setup::Plain => Ok(Cover::Plain),
        }
    }

    /// Whether others on the way can read and change what links carry.
    pub fn is_open(&self) -> bool {
        matches!(self, Setup::Plain)
    }
}

impl Cover {
    /// Whether its own handshake is over: before, there is no channel, and nothing can be sealed.
    pub fn is_ready(&self) -> bool {
        match self {
            Cover::Plain => true,
        }
    }

    /// What the protocol binds its proofs to.
    pub fn channel(&self) -> Channel {
        match self {
            Cover::Plain => Channel {
                label: "tcp",
                binding: Vec::new(),
            },
        }
    }

    /// The bytes that carry `plain` on the wire.
    pub fn seal<'a>(&'a mut self, plain: &'a [u8]) -> Result<&'a [u8], Torn> {
        match self {
            Cover::Plain => Ok(plain),
        }
    }

    /// What the bytes from the wire carry; what is not whole yet is kept.
    pub fn open<'a>(&'a mut self, wire: &'a [u8]) -> Result<&'a [u8], Torn> {
        match self {
            Cover::Plain => Ok(wire),
        }
    }

    /// Adds to `out` what the cover itself has to say: its handshake, an answer to a ping.
    pub fn poll_output(&mut self, out: &mut Vec<u8>) {
        let _ = out;
        match self {
            Cover::Plain => {}
        }
    }

    /// Nothing more will be sealed: what the cover has to say about that comes from [`Self::poll_output`].
    pub fn close(&mut self) {
        match self {
            Cover::Plain => {}
        }
    }

    /// Lets go of memory that a busy time needed.
    pub fn relax(&mut self) {
        match self {
            Cover::Plain => {}
        }
    }
}
