//! Credit: who may send how much on a stream, as absolute offsets in bytes, and the one budget behind all of it.
//!
//! The receiver states an offset up to which it takes bytes, and moves it on as the reader takes them. It is never
//! taken back. A new stream's window comes from the half of the [`Budget`] that is reserved for it, whatever the
//! others do; growth comes from the other half, a share of what is free. So stuck streams can starve others of growth,
//! never of progress, and what all of them hold is bounded.

use core::cell::Cell;

use super::fault::Fault;
use super::time::Time;
use crate::limits;

/// Bytes that this process holds for what peers send, over all its links.
pub struct Budget {
    growth: u64,
    max_streams: u32,
    streams: Cell<u32>,
    flows: Cell<u32>,
    grown: Cell<u64>,
}

impl Budget {
    /// Of `bytes` in all.
    pub fn new(bytes: u64) -> Self {
        let max_streams = limits::streams(bytes);
        Budget {
            growth: bytes / 2,
            max_streams,
            streams: Cell::new(0),
            flows: Cell::new(0),
            grown: Cell::new(0),
        }
    }

    /// Streams that may be open at once.
    pub fn max_streams(&self) -> u32 {
        self.max_streams
    }

    /// Streams that are open.
    pub fn streams(&self) -> u32 {
        self.streams.get()
    }

    /// Streams that are flows.
    pub fn flows(&self) -> u32 {
        self.flows.get()
    }

    /// Bytes that windows have grown by.
    pub fn grown(&self) -> u64 {
        self.grown.get()
    }

    /// Takes the reserve of one stream for a link that has `held` of them; false: all are in use, or its share of them.
    pub(super) fn admit(&self, held: u32) -> bool {
        let free = self.max_streams.saturating_sub(self.streams.get());
        let admitted = held < free.saturating_mul(limits::STREAM_SHARE);
        self.streams.set(self.streams.get() + u32::from(admitted));
        admitted
    }

    /// Takes the reserve of a stream that the peer opened, in a slot that it was promised; false: beyond the limit.
    pub(super) fn admit_accepted(&self) -> bool {
        self.streams.set(self.streams.get() + 1);
        self.streams.get() <= self.max_streams
    }

    pub(super) fn release(&self) {
        self.streams.set(self.streams.get().saturating_sub(1));
    }

    pub(super) fn admit_flow(&self) {
        self.flows.set(self.flows.get() + 1);
    }

    pub(super) fn release_flow(&self) {
        self.flows.set(self.flows.get().saturating_sub(1));
    }

    /// Takes up to `wanted` bytes from a share of what is free.
    fn grow(&self, wanted: u32) -> u32 {
        let free = self.growth.saturating_sub(self.grown.get());
        let share = free / u64::from(limits::GROWTH_SHARE);
        let given = wanted.min(u32::try_from(share).unwrap_or(u32::MAX));
        self.grown.set(self.grown.get() + u64::from(given));
        given
    }

    fn shrink(&self, bytes: u32) {
        self.grown.set(self.grown.get().saturating_sub(bytes.into()));
    }
}

/// The sender's side: what it may still send.
#[derive(Debug)]
pub struct SendCredit {
    limit: u64,
    sent: u64,
}

impl SendCredit {
    /// With the receiver's initial window.
    pub fn new(window: u32) -> Self {
        SendCredit {
            limit: window.into(),
            sent: 0,
        }
    }

    /// Bytes that may be sent now.
    pub fn available(&self) -> usize {
        usize::try_from(self.limit - self.sent).unwrap_or(usize::MAX)
    }

    /// Counts `n` bytes, at most [`Self::available`], as sent.
    pub fn spend(&mut self, n: usize) {
        self.sent = self.limit.min(self.sent + n as u64);
    }

    /// Takes the receiver's new offset.
    pub fn raise(&mut self, limit: u64) -> Result<(), Fault> {
        let most = self.sent.saturating_add(1 << 32);
        if limit < self.limit || limit > most {
            return Err(Fault::BadCredit);
        }
        self.limit = limit;
        Ok(())
    }
}

/// The receiver's side: what it takes, sized by how fast the reader is.
#[derive(Debug)]
pub struct Window {
    limit: u64,
    received: u64,
    consumed: u64,
    size: u32,
    /// Bytes held of the budget's growth.
    grown: u32,
    /// When, and at which offset, the current measure of the reader's rate began.
    since: Time,
    mark: u64,
}

impl Window {
    /// Of a stream that opens at `now`.
    pub fn new(now: Time) -> Self {
        let size = limits::INITIAL_WINDOW;
        Window {
            limit: size.into(),
            received: 0,
            consumed: 0,
            size,
            grown: 0,
            since: now,
            mark: 0,
        }
    }

    /// Counts `n` bytes as received.
    pub fn receive(&mut self, n: usize) -> Result<(), Fault> {
        let received = self.received + n as u64;
        if received > self.limit {
            return Err(Fault::Overrun);
        }
        self.received = received;
        Ok(())
    }

    /// Counts `n` received bytes as taken by the reader. True: credit is due.
    pub fn consume(&mut self, n: usize, now: Time, round_trip: u64, budget: &Budget) -> bool {
        self.consumed = self.received.min(self.consumed + n as u64);
        self.measure(now, round_trip, budget);
        self.limit - self.consumed <= u64::from(self.size - self.size / limits::CREDIT_PART)
    }

    /// Moves the limit on; the new one is to be sent.
    pub fn renew(&mut self) -> u64 {
        self.limit = self.limit.max(self.consumed + u64::from(self.size));
        self.limit
    }

    /// Bytes that were received and not yet taken by the reader.
    pub fn unread(&self) -> u64 {
        self.received - self.consumed
    }

    /// Whether no byte was received yet.
    pub fn is_untouched(&self) -> bool {
        self.received == 0
    }

    /// Bytes that the peer may make this end hold.
    pub fn exposure(&self) -> u64 {
        self.limit - self.consumed
    }

    /// Gives back what the window had grown by.
    pub fn close(&mut self, budget: &Budget) {
        budget.shrink(core::mem::take(&mut self.grown));
    }

    /// Once a round trip: a reader that took much of a window in it could take more; one that took little needs less.
    fn measure(&mut self, now: Time, round_trip: u64, budget: &Budget) {
        let passed = now.since(self.since);
        if passed < round_trip + limits::QUEUE_TIME {
            return;
        }
        let taken = (self.consumed - self.mark).saturating_mul(u64::from(limits::WINDOW_TRIPS));
        // An hour's round trip times a gigabyte is still far from what saturates.
        let needed_for = |time: u64| taken.saturating_mul(time) / passed;
        let queued = needed_for(limits::QUEUE_TIME).min(limits::QUEUE_BYTES);
        let needed = u32::try_from(needed_for(round_trip) + queued)
            .unwrap_or(u32::MAX)
            .clamp(limits::INITIAL_WINDOW, limits::MAX_WINDOW);
        if needed > self.size {
            let more = budget.grow(needed - self.size);
            self.grown += more;
            self.size += more;
        } else if needed < self.size / 4 {
            self.size = (self.size / 2).max(limits::INITIAL_WINDOW);
        }
        self.give_back(budget);
        self.since = now;
        self.mark = self.consumed;
    }

    /// What was granted stays charged until it is used; only what is not renewed goes back.
    fn give_back(&mut self, budget: &Budget) {
        let granted = u32::try_from(self.exposure()).unwrap_or(u32::MAX);
        let needed = self.size.max(granted).saturating_sub(limits::INITIAL_WINDOW);
        let spare = self.grown.saturating_sub(needed);
        self.grown -= spare;
        budget.shrink(spare);
    }

    /// The books balance. For the simulator and the tests.
    pub fn check(&self) {
        assert!(self.consumed <= self.received && self.received <= self.limit);
        let granted = self.exposure().max(self.size.into());
        assert!(
            granted <= u64::from(limits::INITIAL_WINDOW) + u64::from(self.grown),
            "window beyond its budget"
        );
    }

    /// Bytes held of the budget's growth.
    pub fn grown(&self) -> u32 {
        self.grown
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::sim::Rng;
    use super::*;

    const WINDOW: u64 = limits::INITIAL_WINDOW as u64;
    const TRIP: u64 = 10_000;

    /// One direction of a stream: sender, receiver, and what is between them.
    struct Path {
        sender: SendCredit,
        window: Window,
        sent: u64,
        received: u64,
        consumed: u64,
        /// Credit under way.
        granted: Option<u64>,
        due: bool,
    }

    impl Path {
        fn new() -> Path {
            Path {
                sender: SendCredit::new(limits::INITIAL_WINDOW),
                window: Window::new(Time(0)),
                sent: 0,
                received: 0,
                consumed: 0,
                granted: None,
                due: false,
            }
        }

        fn send(&mut self, rng: &mut Rng) {
            let n = rng.below(self.sender.available() as u64 + 1);
            self.sender.spend(n as usize);
            self.sent += n;
        }

        fn receive(&mut self, rng: &mut Rng) {
            let n = rng.below(self.sent - self.received + 1);
            assert_eq!(self.window.receive(n as usize), Ok(()));
            self.received += n;
        }

        fn consume(&mut self, now: Time, budget: &Budget, n: u64) {
            self.due |= self.window.consume(n as usize, now, TRIP, budget);
            self.consumed += n;
            assert_eq!(self.window.unread(), self.received - self.consumed);
        }

        fn credit(&mut self) {
            if core::mem::take(&mut self.due) {
                let limit = self.window.renew();
                assert!(self.granted.is_none_or(|before| limit >= before));
                assert!(limit >= self.consumed + WINDOW, "less than the least window");
                self.granted = Some(limit);
            }
            if let Some(limit) = self.granted.take() {
                assert_eq!(self.sender.raise(limit), Ok(()));
            }
        }
    }

    #[test]
    fn books_balance_whatever_happens() {
        for seed in 0..300 {
            let mut rng = Rng::new(seed);
            let budget = Budget::new(rng.pick(&[limits::MIN_BUDGET, limits::MAX_BUDGET]));
            let mut paths: Vec<Path> = (0..=rng.below(5)).map(|_| Path::new()).collect();
            let mut now = Time(0);
            for _ in 0..500 {
                now = Time(now.0 + rng.below(TRIP));
                let which = rng.below(paths.len() as u64) as usize;
                let path = &mut paths[which];
                match rng.below(4) {
                    0 => path.send(&mut rng),
                    1 => path.receive(&mut rng),
                    2 => path.consume(now, &budget, rng.below(path.received - path.consumed + 1)),
                    _ => path.credit(),
                }
                path.window.check();
                let grown: u64 = paths.iter().map(|path| u64::from(path.window.grown())).sum();
                assert_eq!(grown, budget.grown());
                assert!(budget.grown() <= budget.growth);
            }
            paths.iter_mut().for_each(|path| path.window.close(&budget));
            assert_eq!(budget.grown(), 0);
        }
    }

    #[test]
    fn who_takes_all_is_given_more_however_little_it_was() {
        for seed in 0..300 {
            let mut rng = Rng::new(seed);
            let budget = Budget::new(limits::MIN_BUDGET);
            let mut path = Path::new();
            let mut now = Time(0);
            for _ in 0..200 {
                let before = path.sent;
                path.send(&mut rng);
                let n = path.sent - before;
                path.window.receive(n as usize).unwrap();
                path.received += n;
                path.consume(now, &budget, n);
                path.credit();
                assert!(path.sender.available() > 0, "a sender waits for ever");
                now = Time(now.0 + rng.below(3 * TRIP));
            }
        }
    }

    #[test]
    fn a_window_takes_no_byte_more_than_it_gave() {
        let mut window = Window::new(Time(0));
        assert_eq!(window.receive(WINDOW as usize + 1), Err(Fault::Overrun));
        assert_eq!(window.receive(WINDOW as usize), Ok(()));
        assert_eq!(window.receive(1), Err(Fault::Overrun));
        assert_eq!(window.receive(0), Ok(()));
    }

    /// Credit that is due waits for the link; meanwhile the reader may turn slow and the window shrink.
    #[test]
    fn credit_never_goes_back() {
        let budget = Budget::new(limits::MAX_BUDGET);
        let mut window = Window::new(Time(0));
        let mut now = 0;
        for _ in 0..20 {
            now += TRIP + limits::QUEUE_TIME;
            let n = (window.limit - window.received) as usize;
            window.receive(n).unwrap();
            window.consume(n, Time(now), TRIP, &budget);
            window.renew();
        }
        let (before, size) = (window.limit, window.size);
        assert!(size > 50 * limits::INITIAL_WINDOW);
        for _ in 0..20 {
            now += 1_000_000;
            window.receive(1).unwrap();
            window.consume(1, Time(now), TRIP, &budget);
            assert!(window.renew() >= before, "credit that was given is taken back");
            window.check();
        }
        assert!(window.size < size / 100);
    }

    #[test]
    fn a_window_of_a_short_and_fast_path_is_what_its_queues_hold() {
        let budget = Budget::new(limits::MAX_BUDGET);
        let mut window = Window::new(Time(0));
        // All that was granted is taken each millisecond, and a tenth of it is under way.
        for now in 1..1000 {
            let n = (window.limit - window.received) as usize;
            window.receive(n).unwrap();
            window.consume(n, Time(now * 1000), 100, &budget);
            window.renew();
        }
        let queues = limits::QUEUE_BYTES;
        assert!((queues..2 * queues).contains(&window.size.into()), "{}", window.size);
    }

    #[test]
    fn one_stream_never_takes_all_of_the_growth() {
        let budget = Budget::new(limits::MIN_BUDGET);
        let mut free = budget.growth;
        for _ in 0..50 {
            let given = budget.grow(u32::MAX);
            assert_eq!(u64::from(given), free / u64::from(limits::GROWTH_SHARE));
            free -= u64::from(given);
        }
        assert!(budget.grown() <= budget.growth);
    }

    #[test]
    fn the_budget_admits_as_many_streams_as_it_has_reserves() {
        let budget = Budget::new(limits::MIN_BUDGET);
        let most = budget.max_streams();
        assert_eq!((0..most + 5).filter(|_| budget.admit(0)).count() as u32, most);
        assert!(!budget.admit_accepted(), "counted, though one too many");
        budget.release();
        budget.release();
        assert!(budget.admit(0));
        assert_eq!(budget.streams(), most);
    }

    #[test]
    fn one_link_leaves_some_streams_to_the_others() {
        let budget = Budget::new(limits::MIN_BUDGET);
        let mut held = 0;
        while budget.admit(held) {
            held += 1;
        }
        let left = budget.max_streams() - held;
        assert!(left > 0 && held > 14 * left, "{held} held, {left} left");
        assert!(budget.admit(0), "another link");
    }
}
