//! What waits on a stream that carries datagrams: bounded by count, bytes and age, and dropped from, never an endless
//! queue. Nothing is ever sent again.

use alloc::boxed::Box;
use alloc::collections::VecDeque;

use super::time::Time;
use crate::limits::{DATAGRAM_COST, FLOW_AGE, FLOW_BYTES, FLOW_COUNT};

/// One flow's datagrams that the link has not taken yet, in order.
#[derive(Default)]
pub(super) struct Flow {
    queue: VecDeque<(Time, Box<[u8]>)>,
    held: usize,
    expired: u64,
}

/// Bytes that a datagram of `n` bytes holds while it waits.
pub(super) const fn cost(n: usize) -> usize {
    n + DATAGRAM_COST
}

impl Flow {
    /// Puts a datagram at the end; false: there is no room, it is dropped. Call [`Self::expire`] before.
    pub fn push(&mut self, now: Time, datagram: &[u8]) -> bool {
        let held = self.held + cost(datagram.len());
        let fits = self.queue.len() < FLOW_COUNT && held <= FLOW_BYTES;
        if fits {
            self.held = held;
            self.queue.push_back((now, datagram.into()));
        }
        fits
    }

    /// Drops what has waited too long to be of use. Gives how many bytes it held.
    pub fn expire(&mut self, now: Time) -> usize {
        let mut freed = 0;
        while self.is_stale(now) {
            freed += self.pop();
            self.expired += 1;
        }
        freed
    }

    fn is_stale(&self, now: Time) -> bool {
        let first = self.queue.front();
        first.is_some_and(|(since, _)| now.since(*since) > FLOW_AGE)
    }

    /// How many were dropped for their age since this was asked last.
    pub fn take_expired(&mut self) -> u64 {
        core::mem::take(&mut self.expired)
    }

    /// The next one.
    pub fn front(&self) -> Option<&[u8]> {
        self.queue.front().map(|(_, datagram)| &**datagram)
    }

    /// Takes the next one off. Gives how many bytes it held.
    pub fn pop(&mut self) -> usize {
        let freed = self.queue.pop_front().map_or(0, |(_, datagram)| cost(datagram.len()));
        self.held -= freed;
        freed
    }

    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Bytes that all that waits holds.
    pub fn held(&self) -> usize {
        self.held
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_ones_are_dropped_when_it_is_full_and_the_first_ones_when_they_are_old() {
        let mut flow = Flow::default();
        for n in 0..2 * FLOW_COUNT as u64 {
            assert_eq!(flow.push(Time(n), &n.to_be_bytes()), n < FLOW_COUNT as u64);
        }
        assert_eq!(flow.held(), cost(8) * FLOW_COUNT);
        assert_eq!((flow.expire(Time(FLOW_AGE)), flow.take_expired()), (0, 0));
        assert_eq!(
            (flow.expire(Time(FLOW_AGE + 10)), flow.take_expired()),
            (10 * cost(8), 10)
        );
        assert_eq!(flow.front(), Some(&10_u64.to_be_bytes()[..]));
    }

    #[test]
    fn one_datagram_of_any_size_fits_and_bytes_are_bounded() {
        let mut flow = Flow::default();
        assert!(flow.push(Time(0), &[0; 65_507]));
        let more = (0..FLOW_COUNT).filter(|_| flow.push(Time(0), &[0; 65_507])).count();
        assert!(flow.held() <= FLOW_BYTES && more == FLOW_BYTES / cost(65_507) - 1);
        while flow.pop() > 0 {}
        assert!(flow.is_empty() && flow.held() == 0 && flow.push(Time(0), &[]));
    }
}
