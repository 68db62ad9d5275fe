//! How much to gather for one write to a link: as much as can be while the link is fast, no more than some
//! milliseconds of its time while it is slow, so that a keystroke waits behind little.

use crate::limits::{BATCH_TIME, LINK_UNSENT, MIN_BATCH, TRANSMIT_BUFFER};
use crate::proto::Time;

/// One link's measure of its own speed.
pub struct Pace {
    batch: usize,
    /// When the socket was last found full or empty, and what it took since.
    since: Time,
    taken: u64,
    full: bool,
    unsent: u32,
}

impl Pace {
    /// Begins in the middle.
    pub fn new(now: Time) -> Self {
        Pace {
            batch: 16 * 1024,
            since: now,
            taken: 0,
            full: false,
            unsent: 0,
        }
    }

    /// Bytes to gather for the next write.
    pub fn batch(&self) -> usize {
        self.batch
    }

    /// The socket took `n` bytes.
    pub fn on_taken(&mut self, n: usize) {
        self.taken += n as u64;
    }

    /// The socket took all that was offered.
    pub fn on_whole(&mut self, now: Time) {
        if core::mem::take(&mut self.full) {
            self.measure(now);
        } else {
            self.batch = (self.batch * 2).min(TRANSMIT_BUFFER);
        }
        self.restart(now);
    }

    /// The socket is full.
    pub fn on_full(&mut self, now: Time) {
        if self.full {
            self.measure(now);
        }
        self.full = true;
        self.restart(now);
    }

    /// What the kernel may hold unsent, if that is to be changed: about one batch, by powers of two.
    pub fn poll_unsent(&mut self) -> Option<u32> {
        let wanted = (self.batch as u32).next_power_of_two().min(LINK_UNSENT);
        (core::mem::replace(&mut self.unsent, wanted) != wanted).then_some(wanted)
    }

    /// From full to here the link carried what was taken meanwhile.
    fn measure(&mut self, now: Time) {
        let passed = now.since(self.since).max(1);
        let fits = self.taken.saturating_mul(BATCH_TIME) / passed;
        let fits = usize::try_from(fits).unwrap_or(TRANSMIT_BUFFER);
        // Half way to what was measured: one stall is not a slow link.
        self.batch = self.batch.midpoint(fits).clamp(MIN_BATCH, TRANSMIT_BUFFER);
    }

    fn restart(&mut self, now: Time) {
        self.since = now;
        self.taken = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_link_soon_takes_whole_buffers() {
        let mut pace = Pace::new(Time(0));
        for _ in 0..4 {
            pace.on_taken(pace.batch());
            pace.on_whole(Time(0));
        }
        assert_eq!(pace.batch(), TRANSMIT_BUFFER);
        assert_eq!(pace.poll_unsent(), Some(LINK_UNSENT));
        assert_eq!(pace.poll_unsent(), None);
    }

    #[test]
    fn a_slow_link_is_given_a_few_milliseconds_at_a_time() {
        let mut pace = Pace::new(Time(0));
        pace.on_full(Time(0));
        // 2 Mbit/s: 250 bytes a millisecond.
        for step in 1..40 {
            pace.on_taken(5000);
            pace.on_full(Time(step * 20_000));
        }
        assert!((3000..5000).contains(&pace.batch()), "{}", pace.batch());
        assert_eq!(pace.poll_unsent(), Some(4096));
    }
}
