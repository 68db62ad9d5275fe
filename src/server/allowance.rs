//! When a handshake may begin that is costly: a Diffie-Hellman takes milliseconds on a router, and a stranger can ask
//! for one. Strangers together get a part of the machine's time and wait for it. Pure: time is an argument.

use std::time::Duration;

use crate::limits::{HANDSHAKE_BURST, HANDSHAKE_SHARE};
use crate::proto::Time;

/// What strangers may still cost.
pub struct Allowance {
    /// µs of the machine's time for one handshake.
    cost: u64,
    /// When all that was granted is paid for.
    paid: u64,
}

impl Allowance {
    /// Of handshakes that take `cost` µs.
    pub fn new(cost: u64) -> Self {
        Allowance { cost, paid: 0 }
    }

    /// Lets one handshake begin now, or says how long to wait before asking again.
    pub fn take(&mut self, now: Time) -> Option<Duration> {
        let credit = HANDSHAKE_BURST * HANDSHAKE_SHARE;
        let earliest = self.paid.saturating_sub(credit);
        if earliest > now.0 {
            return Some(Duration::from_micros(earliest - now.0));
        }
        self.paid = self
            .paid
            .max(now.0)
            .saturating_add(self.cost.saturating_mul(HANDSHAKE_SHARE));
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COST: u64 = 16_000;

    #[test]
    fn strangers_get_their_part_of_the_time_and_no_more() {
        let mut allowance = Allowance::new(COST);
        let (mut now, mut begun) = (0, 0);
        while now < 100_000_000 {
            match allowance.take(Time(now)) {
                None => begun += 1,
                Some(wait) => now += wait.as_micros() as u64,
            }
        }
        let most = (100_000_000 / HANDSHAKE_SHARE + HANDSHAKE_BURST) / COST + 1;
        assert!((most - 2..=most).contains(&begun), "{begun} of {most}");
    }

    #[test]
    fn a_few_never_wait() {
        let mut allowance = Allowance::new(COST);
        for second in 0..100 {
            for _ in 0..HANDSHAKE_BURST / COST {
                assert_eq!(allowance.take(Time(second * 1_000_000)), None);
            }
        }
    }

    #[test]
    fn what_costs_nothing_is_free() {
        let mut allowance = Allowance::new(0);
        assert!((0..100_000).all(|_| allowance.take(Time(7)).is_none()));
    }
}
