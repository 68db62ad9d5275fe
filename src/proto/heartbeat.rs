//! Is the peer there? Pings both ways measure the round trip and keep NATs open; any byte is a sign of life.

use core::time::Duration;

use super::hello::Hello;
use super::proof::End;
use super::time::Time;
use crate::limits::{EARLY_PAUSE, EARLY_TRIPS, HEARTBEATS_PER_TIMEOUT, MAX_HEARTBEAT, MIN_HEARTBEAT, ROUND_TRIPS};

/// One link's heartbeat.
pub struct Heartbeat {
    interval: Option<Duration>,
    timeout: Option<Duration>,
    next: Option<Time>,
    /// A Ping is to be sent as soon as the link takes one.
    due: bool,
    heard: Time,
    /// Times of the first and the last Ping without an answer.
    awaited: Option<(Time, Time)>,
    trips: [u64; ROUND_TRIPS],
    taken: usize,
}

impl Heartbeat {
    /// Begins at `now`, with a ping at once: the round trip is wanted.
    pub fn new(end: End, ours: &Hello, peer: &Hello, now: Time) -> Self {
        Heartbeat {
            interval: interval(end, ours, peer),
            timeout: Some(ours.timeout).filter(|timeout| !timeout.is_zero()),
            next: Some(now),
            due: false,
            heard: now,
            awaited: None,
            trips: [u64::MAX; ROUND_TRIPS],
            taken: 0,
        }
    }

    /// Bytes came from the peer.
    pub fn on_bytes(&mut self, now: Time) {
        self.heard = now;
    }

    /// Notes that a Ping is due. What a full link keeps from being sent does not call for attention again.
    pub fn handle_timeout(&mut self, now: Time) {
        if self.next.is_some_and(|next| next <= now) {
            self.due = true;
            self.next = self.interval.map(|interval| now.after(interval));
        }
    }

    /// The time that a Ping to be sent now carries, if one is due.
    pub fn poll_ping(&mut self, now: Time) -> Option<Time> {
        self.handle_timeout(now);
        if !core::mem::take(&mut self.due) {
            return None;
        }
        let first = self.awaited.map_or(now, |(first, _)| first);
        self.awaited = Some((first, now));
        Some(now)
    }

    /// A Pong came back with the time of its Ping, or of one after it.
    pub fn on_pong(&mut self, sent: Time, now: Time) {
        let Some((first, last)) = self.awaited else { return };
        if sent < first || sent > last {
            return;
        }
        self.awaited = (sent < last).then_some((Time(sent.0 + 1), last));
        if let Some(place) = self.trips.get_mut(self.taken % ROUND_TRIPS) {
            *place = now.since(sent);
        }
        self.taken = self.taken.wrapping_add(1);
        if self.taken < EARLY_TRIPS {
            let soon = now.after(Duration::from_micros(EARLY_PAUSE));
            self.next = Some(self.next.map_or(soon, |next| next.min(soon)));
        }
    }

    /// Pings at the next chance, whatever the interval.
    pub fn hasten(&mut self, now: Time) {
        self.next = Some(now);
    }

    /// When the peer was heard last.
    pub fn heard(&self) -> Time {
        self.heard
    }

    /// µs; the least of the last round trips.
    pub fn round_trip(&self) -> Option<u64> {
        self.trips.iter().copied().min().filter(|&least| least != u64::MAX)
    }

    /// When to look again.
    pub fn poll_timeout(&self) -> Option<Time> {
        match (self.next, self.deadline()) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    /// Whether the peer has been silent for this end's timeout.
    pub fn is_dead(&self, now: Time) -> bool {
        self.deadline().is_some_and(|deadline| deadline <= now)
    }

    fn deadline(&self) -> Option<Time> {
        self.timeout.map(|timeout| self.heard.after(timeout))
    }
}

/// How often to ping: this end's interval, or sooner if a timeout needs it. A server whose interval is 0 was told not
/// to; a client has no interval and sees to its own timeout as well, so that a silent server does not cost the link.
fn interval(end: End, ours: &Hello, peer: &Hello) -> Option<Duration> {
    let third = |timeout: Duration| timeout / HEARTBEATS_PER_TIMEOUT as u32;
    let wishes = match end {
        End::Server if ours.interval.is_zero() => return None,
        End::Server => [ours.interval, third(peer.timeout)],
        End::Client => [third(ours.timeout), third(peer.timeout)],
    };
    let least = wishes.into_iter().filter(|wish| !wish.is_zero()).min()?;
    Some(least.clamp(Duration::from_millis(MIN_HEARTBEAT), Duration::from_secs(MAX_HEARTBEAT)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::tests::hello;
    use super::*;

    const SECOND: u64 = 1_000_000;

    fn heart(end: End, interval: u64, timeout: u64, peer_timeout: u64) -> Heartbeat {
        let ours = Hello {
            interval: Duration::from_secs(interval),
            timeout: Duration::from_secs(timeout),
            ..hello(1)
        };
        let peer = Hello {
            timeout: Duration::from_secs(peer_timeout),
            ..hello(2)
        };
        Heartbeat::new(end, &ours, &peer, Time(0))
    }

    /// Times of all pings within a minute, in ms.
    fn pings(mut heart: Heartbeat) -> alloc::vec::Vec<u64> {
        let minute = (0..60_000).filter(|ms| heart.poll_ping(Time(ms * 1000)).is_some());
        minute.collect()
    }

    #[test]
    fn pings_come_at_the_interval_or_at_a_third_of_a_timeout() {
        assert_eq!(pings(heart(End::Server, 25, 40, 0)), [0, 25_000, 50_000]);
        assert_eq!(pings(heart(End::Server, 30, 40, 60)), [0, 20_000, 40_000]);
        assert_eq!(pings(heart(End::Client, 0, 60, 0)), [0, 20_000, 40_000]);
        assert_eq!(pings(heart(End::Client, 0, 60, 45)), [0, 15_000, 30_000, 45_000]);
        assert_eq!(pings(heart(End::Server, 0, 40, 40)), [0]);
        assert_eq!(pings(heart(End::Client, 0, 0, 0)), [0]);
    }

    #[test]
    fn the_first_round_trips_are_measured_soon() {
        let mut heart = heart(End::Server, 30, 0, 0);
        let mut sent = alloc::vec::Vec::new();
        for ms in 0..60_000 {
            if let Some(ping) = heart.poll_ping(Time(ms * 1000)) {
                heart.on_pong(ping, Time(ms * 1000 + 500));
                sent.push(ms);
            }
        }
        assert_eq!(sent[..4], [0, 101, 202, 303]);
        assert_eq!(sent[4..], [30_303]);
    }

    #[test]
    fn a_ping_that_cannot_be_sent_does_not_call_again() {
        let mut heart = heart(End::Server, 10, 0, 0);
        assert_eq!(heart.poll_timeout(), Some(Time(0)));
        heart.handle_timeout(Time(5));
        assert_eq!(heart.poll_timeout(), Some(Time(5 + 10 * SECOND)));
        assert_eq!(heart.poll_ping(Time(7)), Some(Time(7)), "it is still due");
        assert_eq!(heart.poll_ping(Time(8)), None);
        heart.hasten(Time(9));
        assert_eq!(heart.poll_timeout(), Some(Time(9)));
        assert_eq!(heart.poll_ping(Time(9)), Some(Time(9)));
    }

    #[test]
    fn a_round_trip_above_the_interval_is_measured() {
        let mut heart = heart(End::Server, 1, 0, 0);
        for n in 0..5 {
            heart.poll_ping(Time(n * SECOND)).unwrap();
        }
        heart.on_pong(Time(2 * SECOND), Time(6 * SECOND));
        assert_eq!(heart.round_trip(), Some(4 * SECOND));
        heart.on_pong(Time(SECOND), Time(6 * SECOND));
        heart.on_pong(Time(5 * SECOND), Time(6 * SECOND));
        assert_eq!(
            heart.round_trip(),
            Some(4 * SECOND),
            "neither an earlier one nor one that was never sent"
        );
        heart.on_pong(Time(4 * SECOND), Time(6 * SECOND));
        assert_eq!(heart.round_trip(), Some(2 * SECOND));
    }

    #[test]
    fn the_least_of_the_last_round_trips_counts() {
        let mut heart = heart(End::Server, 1, 0, 0);
        for n in 0..=ROUND_TRIPS as u64 {
            let sent = heart.poll_ping(Time(n * SECOND)).unwrap();
            heart.on_pong(sent, Time(sent.0 + 100 + n));
            assert_eq!(heart.round_trip(), Some(if n < ROUND_TRIPS as u64 { 100 } else { 101 }));
        }
    }

    #[test]
    fn silence_is_death_at_the_timeout_and_not_before() {
        let mut heart = heart(End::Client, 0, 40, 0);
        heart.on_bytes(Time(SECOND));
        assert!(!heart.is_dead(Time(41 * SECOND - 1)));
        assert!(heart.is_dead(Time(41 * SECOND)));
    }
}
