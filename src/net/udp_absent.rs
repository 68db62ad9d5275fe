//! A build without UDP: there are no flows.

use crate::proto::StreamId;

/// There is none.
pub enum Flow {}

impl Flow {
    /// Which stream it would have.
    pub fn stream(&self) -> StreamId {
        match *self {}
    }

    /// Would take a datagram from the link.
    pub fn deliver(&self, _: &[u8]) {
        match *self {}
    }

    /// Would end.
    pub fn cut(&self) {
        match *self {}
    }
}
