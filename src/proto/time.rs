//! Time as the protocol sees it: an argument.

use core::time::Duration;

/// µs since some moment of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(pub u64);

impl Time {
    /// µs from `earlier` to this; 0 if that is later.
    pub fn since(self, earlier: Time) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// This, `wait` later.
    pub fn after(self, wait: Duration) -> Time {
        Time(
            self.0
                .saturating_add(u64::try_from(wait.as_micros()).unwrap_or(u64::MAX)),
        )
    }
}
