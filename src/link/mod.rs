//! From a byte stream to a protected one: the *channel* below the protocol. Sans-IO like the protocol: bytes in, bytes
//! out. One enum, one switch point: a transport is a variant here and a file beside this one.

use crate::proto::Channel;

/// What protects a link's bytes.
pub enum Cover {
    /// Nothing does: `transport.type = "tcp"`.
    Plain,
}

impl Cover {
    /// What the protocol binds its proofs to.
    pub fn channel(&self) -> Channel {
        match self {
            Cover::Plain => Channel { label: "tcp", binding: Vec::new() },
        }
    }

    /// The bytes that carry `plain` on the wire.
    pub fn seal<'a>(&'a mut self, plain: &'a [u8]) -> &'a [u8] {
        match self {
            Cover::Plain => plain,
        }
    }

    /// What the bytes from the wire carry.
    pub fn open<'a>(&'a mut self, wire: &'a [u8]) -> &'a [u8] {
        match self {
            Cover::Plain => wire,
        }
    }
}
