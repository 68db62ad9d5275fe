//! How long to wait before the next attempt. Pure: randomness is an argument.

use std::time::Duration;

use crate::net::Random;

/// Doubling waits with jitter, up to a cap.
pub struct Backoff {
    least: Duration,
    most: Duration,
    next: Duration,
    random: Random,
}

impl Backoff {
    /// Waits from `least` to `most`; `seed` decides the jitter.
    pub fn new(least: Duration, most: Duration, seed: u64) -> Self {
        let most = most.max(least);
        Backoff {
            least,
            most,
            next: least,
            random: Random::new(seed),
        }
    }

    /// The next wait: three quarters to five quarters of what was due, so that a thousand clients of one server that
    /// came back do not come at once.
    pub fn wait(&mut self) -> Duration {
        let due = self.next;
        self.next = due.saturating_mul(2).min(self.most);
        // In integers: the arithmetic of fractions is large where no FPU is.
        (due * (3 * 256 + self.random()) / 1024).max(self.least * 3 / 4)
    }

    /// 0 to 511.
    fn random(&self) -> u32 {
        self.random.next() >> 23
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_cap() {
        let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(5), 42);
        let mut due = 200.0;
        for _ in 0..20 {
            let wait = backoff.wait().as_secs_f64() * 1000.0;
            assert!((due * 0.74..due * 1.26).contains(&wait), "{wait} for {due}");
            due = f64::min(due * 2.0, 5000.0);
        }
    }

    #[test]
    fn a_cap_of_nothing_does_not_spin() {
        let mut backoff = Backoff::new(Duration::from_millis(200), Duration::ZERO, 7);
        assert!((0..100).all(|_| backoff.wait() >= Duration::from_millis(150)));
    }

    #[test]
    fn two_clients_do_not_march_in_step() {
        let mut one = Backoff::new(Duration::from_secs(1), Duration::from_secs(1), 1);
        let mut two = Backoff::new(Duration::from_secs(1), Duration::from_secs(1), 2);
        assert!((0..10).any(|_| one.wait().abs_diff(two.wait()) > Duration::from_millis(20)));
    }
}
