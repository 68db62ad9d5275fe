//! Those who prove nothing: counted, logged at a bounded rate, and made to wait. Pure: time is an argument.

use std::net::IpAddr;
use std::time::Duration;

use crate::limits::{MAX_STRANGERS, STRANGER_DELAY, STRANGER_FORGET, STRANGER_LINES, STRANGER_LOG};
use crate::proto::Time;

/// What is remembered of strangers.
pub struct Strangers {
    unlogged: u64,
    logged: Option<Time>,
    lines: u32,
    lines_since: Time,
    sources: Vec<Source>,
}

struct Source {
    address: IpAddr,
    failures: u32,
    last: Time,
}

impl Default for Strangers {
    fn default() -> Self {
        Strangers {
            unlogged: 0,
            logged: None,
            lines: 0,
            lines_since: Time(0),
            sources: Vec::new(),
        }
    }
}

impl Strangers {
    /// One more was turned away. Some: how many to log now, since the last line.
    pub fn count(&mut self, now: Time) -> Option<u64> {
        self.unlogged += 1;
        if self
            .logged
            .is_some_and(|logged| now.since(logged) < seconds(STRANGER_LOG))
        {
            return None;
        }
        self.logged = Some(now);
        Some(core::mem::take(&mut self.unlogged))
    }

    /// Whether one more line about a registration that names nothing known may be written.
    pub fn may_log(&mut self, now: Time) -> bool {
        if now.since(self.lines_since) >= seconds(STRANGER_LOG) {
            self.lines_since = now;
            self.lines = 0;
        }
        self.lines = self.lines.saturating_add(1);
        self.lines <= STRANGER_LINES
    }

    /// How long `address`, which failed once more to prove a service, waits for the answer.
    pub fn delay(&mut self, now: Time, address: IpAddr) -> Duration {
        let address = network(address);
        self.sources
            .retain(|source| now.since(source.last) < seconds(STRANGER_FORGET));
        let failures = match self.sources.iter_mut().find(|source| source.address == address) {
            Some(source) => {
                source.failures = source.failures.saturating_add(1);
                source.last = now;
                source.failures
            }
            None => {
                self.remember(Source {
                    address,
                    failures: 1,
                    last: now,
                });
                1
            }
        };
        let (least, most) = STRANGER_DELAY;
        Duration::from_millis(least.saturating_mul(1 << (failures - 1).min(16)).min(most))
    }

    fn remember(&mut self, source: Source) {
        if self.sources.len() >= MAX_STRANGERS {
            let oldest = self.sources.iter().enumerate().min_by_key(|(_, source)| source.last);
            if let Some((oldest, _)) = oldest {
                self.sources.swap_remove(oldest);
            }
        }
        self.sources.push(source);
    }
}

const fn seconds(seconds: u64) -> u64 {
    seconds * 1_000_000
}

/// An IPv6 host has its /64 to itself.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6((u128::from(v6) & !u128::from(u64::MAX)).into()),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_in_a_while_counts_all() {
        let mut strangers = Strangers::default();
        assert_eq!(strangers.count(Time(0)), Some(1));
        for n in 1..500 {
            assert_eq!(strangers.count(Time(n)), None);
        }
        assert_eq!(strangers.count(Time(seconds(STRANGER_LOG))), Some(500));
    }

    #[test]
    fn a_source_that_fails_again_waits_longer_up_to_a_limit() {
        let mut strangers = Strangers::default();
        let one = "192.0.2.1".parse().expect("an address");
        let waits: Vec<_> = (0..6).map(|n| strangers.delay(Time(n), one).as_millis()).collect();
        assert_eq!(waits, [100, 200, 400, 800, 1000, 1000]);
        let other = "192.0.2.2".parse().expect("an address");
        assert_eq!(strangers.delay(Time(9), other).as_millis(), 100);
        assert_eq!(
            strangers.delay(Time(9 + seconds(STRANGER_FORGET)), one).as_millis(),
            100
        );
    }

    #[test]
    fn an_ipv6_source_is_its_network_and_the_table_is_bounded() {
        let mut strangers = Strangers::default();
        strangers.delay(Time(0), "2001:db8::1".parse().expect("an address"));
        assert_eq!(
            strangers
                .delay(Time(0), "2001:db8::2".parse().expect("an address"))
                .as_millis(),
            200
        );
        for n in 0..5000_u32 {
            strangers.delay(Time(n.into()), IpAddr::V4((n << 3).into()));
        }
        assert_eq!(strangers.sources.len(), MAX_STRANGERS);
    }
}
