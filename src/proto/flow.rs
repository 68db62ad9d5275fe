//! What waits on a stream that carries datagrams: bounded by count, bytes and age, and dropped from, never an endless
//! queue. Nothing is ever sent again.

use alloc::boxed::Box;
use alloc::collections::VecDeque;

use super::time::Time;
use crate::limits::{FLOW_AGE, FLOW_BYTES, FLOW_COUNT};

/// One flow's datagrams that the link has not taken yet, in order.
#[derive(Default)]
pub(super) struct Flow {
    queue: VecDeque<(Time, Box<[u8]>)>,
    bytes: usize,
    expired: u64,
}

impl Flow {
    /// Puts a datagram at the end; false: there is no room, it is dropped. Call [`Self::expire`] before.
    pub fn push(&mut self, now: Time, datagram: &[u8]) -> bool {
        let fits =
            self.queue.len() < FLOW_COUNT && (self.queue.is_empty() || self.bytes + datagram.len() <= FLOW_BYTES);
        if fits {
            self.bytes += datagram.len();
            self.queue.push_back((now, datagram.into()));
        }
        fits
    }

    /// Drops what has waited too long to be of use. Gives how many bytes went.
    pub fn expire(&mut self, now: Time) -> usize {
        let before = self.bytes;
        while self.is_stale(now) {
            self.pop();
            self.expired += 1;
        }
        before - self.bytes
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

    /// Takes the next one off.
    pub fn pop(&mut self) -> Option<Box<[u8]>> {
        let (_, datagram) = self.queue.pop_front()?;
        self.bytes -= datagram.len();
        Some(datagram)
    }

    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Bytes that wait.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_ones_are_dropped_when_it_is_full_and_the_first_ones_when_they_are_old() {
        let mut flow = Flow::default();
        for n in 0..100_u64 {
            assert_eq!(flow.push(Time(n), &n.to_be_bytes()), n < FLOW_COUNT as u64);
        }
        assert_eq!(flow.bytes(), 8 * FLOW_COUNT);
        assert_eq!((flow.expire(Time(FLOW_AGE)), flow.take_expired()), (0, 0));
        assert_eq!((flow.expire(Time(FLOW_AGE + 10)), flow.take_expired()), (80, 10));
        assert_eq!(flow.front(), Some(&10_u64.to_be_bytes()[..]));
    }

    #[test]
    fn one_datagram_of_any_size_fits_and_bytes_are_bounded() {
        let mut flow = Flow::default();
        assert!(flow.push(Time(0), &[0; 65_507]));
        let more = (0..FLOW_COUNT).filter(|_| flow.push(Time(0), &[0; 65_507])).count();
        assert!(flow.bytes() <= FLOW_BYTES && more == FLOW_BYTES / 65_507 - 1);
        while flow.pop().is_some() {}
        assert!(flow.is_empty() && flow.bytes() == 0 && flow.push(Time(0), &[]));
    }
}
