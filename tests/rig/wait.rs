//! The one place where tests wait by polling.

use std::thread;
use std::time::{Duration, Instant};

/// How long anything may take before a test calls it broken: far from the speed of a tunnel that works.
pub const PATIENCE: Duration = Duration::from_secs(30);

const POLL: Duration = Duration::from_millis(10);

/// Returns once `condition` holds; panics with `what` was awaited when it does not within `patience`.
#[track_caller]
pub fn eventually(what: &str, patience: Duration, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(
            start.elapsed() < patience,
            "within {patience:?} it never came true: {what}"
        );
        thread::sleep(POLL);
    }
}
