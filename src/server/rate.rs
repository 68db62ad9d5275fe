//! How many may come in a second. Pure: time is an argument.

use crate::proto::Time;

/// A bucket of tokens: one second's worth fits.
#[derive(Default)]
pub struct Rate {
    /// Millionths.
    tokens: u64,
    last: Option<Time>,
}

const SECOND: u64 = 1_000_000;

impl Rate {
    /// Whether one more may come now, of `rate` a second; 0: any number.
    pub fn take(&mut self, now: Time, rate: u32) -> bool {
        if rate == 0 {
            return true;
        }
        let passed = self.last.map_or(SECOND, |last| now.since(last).min(SECOND));
        self.last = Some(now);
        self.tokens = (self.tokens + passed * u64::from(rate)).min(u64::from(rate) * SECOND);
        let rest = self.tokens.checked_sub(SECOND);
        self.tokens = rest.unwrap_or(self.tokens);
        rest.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_of_a_second_and_then_the_rate() {
        let mut rate = Rate::default();
        let taken = |rate: &mut Rate, from: u64, to: u64| (from..to).filter(|&n| rate.take(Time(n * 1000), 50)).count();
        assert_eq!((0..200).filter(|_| rate.take(Time(0), 50)).count(), 50);
        assert_eq!(taken(&mut rate, 0, 10_000), 499);
        assert_eq!(taken(&mut rate, 60_000, 61_000), 99);
    }

    #[test]
    fn no_rate_is_no_limit_and_the_largest_one_none_to_speak_of() {
        let mut rate = Rate::default();
        assert!((0..1_000_000).all(|_| rate.take(Time(0), 0)));
        assert!((0..1_000_000).all(|_| rate.take(Time(0), u32::MAX)));
    }
}
