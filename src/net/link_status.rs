//! What a link is doing, for [`crate::status`].

use crate::status;

use super::link::Link;

impl Link {
    /// As it is now.
    pub fn snapshot(&self) -> status::Link {
        status::Link {
            peer: self.peer.to_string(),
            up: self.process.now().since(self.since) / 1_000_000,
            round_trip: self.round_trip(),
            visitors: self.open_visitors(),
            received: self.received.get(),
            sent: self.sent.get(),
        }
    }
}
