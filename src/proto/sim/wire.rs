//! Chance, and one direction of a network: delay, rate, a socket buffer, stalls, and bytes cut anew.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::time::Duration;

use super::super::Time;

/// A source of chance: splitmix64.
pub(in super::super) struct Rng(u64);

impl Rng {
    pub fn new(seed: u64) -> Rng {
        Rng(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Below `limit`, or 0.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit.max(1)
    }

    /// One in a thousand, `n` times.
    pub fn chance(&mut self, n: u64) -> bool {
        self.below(1000) < n
    }

    pub fn pick<T: Copy>(&mut self, among: &[T]) -> T {
        among[self.below(among.len() as u64) as usize]
    }

    /// From 1 to `most`, of any order of magnitude.
    pub fn up_to(&mut self, most: usize) -> usize {
        let shift = self.below(u64::from(usize::BITS - most.leading_zeros()));
        ((1 + self.below(most as u64) as usize) >> shift).max(1)
    }
}

const SEGMENT: usize = 1448;

/// Carries bytes one way.
pub(in super::super) struct Wire {
    /// µs.
    pub delay: u64,
    /// Bytes a millisecond.
    pub rate: u64,
    /// µs of further delay at most, another one every 20 ms.
    pub jitter: u64,
    /// Bytes that may be on the way.
    pub capacity: usize,
    pub stalled: bool,
    under_way: VecDeque<(Time, Vec<u8>)>,
    held: usize,
    /// When all that was sent has left.
    free: Time,
}

impl Wire {
    pub fn new(delay: u64, rate: u64, capacity: usize) -> Wire {
        let under_way = VecDeque::new();
        Wire {
            delay,
            rate,
            capacity,
            stalled: false,
            jitter: 0,
            under_way,
            held: 0,
            free: Time(0),
        }
    }

    pub fn unsteady(self, jitter: u64) -> Wire {
        Wire { jitter, ..self }
    }

    pub fn chaos(rng: &mut Rng) -> Wire {
        let delay = rng.pick(&[0, 500, 20_000, 200_000]);
        let rate = rng.pick(&[20, 500, 100_000]);
        let jitter = rng.pick(&[0, 0, 3_000]);
        Wire::new(delay, rate, rng.pick(&[50, 5_000, 200_000])).unsteady(jitter)
    }

    /// Becomes a good one.
    pub fn calm_down(&mut self) {
        self.stalled = false;
        self.capacity = self.capacity.max(1 << 20);
        self.rate = self.rate.max(10_000);
        self.delay = self.delay.min(5_000);
    }

    /// Forgets what is under way.
    pub fn clear(&mut self) {
        *self = Wire::new(self.delay, self.rate, self.capacity).unsteady(self.jitter);
    }

    /// Takes some bytes off the front of `bytes`.
    pub fn send(&mut self, now: Time, bytes: &[u8]) -> usize {
        let n = bytes.len().min(self.capacity - self.held);
        for segment in bytes[..n].chunks(SEGMENT) {
            let leaving = segment.len() as u64 * 1000 / self.rate;
            self.free = self.free.max(now).after(Duration::from_micros(leaving));
            let arrives = self
                .free
                .after(Duration::from_micros(self.delay + self.unsteadiness(now)));
            let before = self.under_way.back().map_or(Time(0), |(at, _)| *at);
            let arrives = arrives.max(before);
            self.under_way.push_back((arrives, segment.to_vec()));
        }
        self.held += n;
        n
    }

    fn unsteadiness(&self, now: Time) -> u64 {
        Rng::new(now.0 / 20_000).below(self.jitter)
    }

    /// What has arrived, at most `most` bytes of it.
    pub fn receive(&mut self, now: Time, most: usize) -> Vec<u8> {
        let mut arrived = Vec::new();
        while let Some((at, bytes)) = self.under_way.front_mut() {
            if *at > now || self.stalled || arrived.len() == most {
                break;
            }
            let n = bytes.len().min(most - arrived.len());
            arrived.extend(bytes.drain(..n));
            if bytes.is_empty() {
                self.under_way.pop_front();
            }
        }
        self.held -= arrived.len();
        arrived
    }
}
