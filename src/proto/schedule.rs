//! Who sends next: deficit round robin in which a stream that just began to send goes first (as in fq_codel, RFC 8290
//! §4.1), so that a keystroke overtakes bulk and bulk shares evenly.

use alloc::collections::VecDeque;

use super::frame::StreamId;

/// Where a stream stands, kept in the stream itself.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Turn {
    queue: Queue,
    /// Bytes that it may send before the next one's turn; below 0 it owes.
    deficit: i64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Queue {
    #[default]
    None,
    New,
    Old,
}

/// The two queues of slots.
#[derive(Default)]
pub struct Schedule {
    new: VecDeque<StreamId>,
    old: VecDeque<StreamId>,
}

/// What the queues need to know of streams.
pub trait Senders {
    /// The turn of the stream `id`, and whether it has something to send; `None`: it is gone.
    fn sender(&mut self, id: StreamId) -> Option<(&mut Turn, bool)>;
}

impl Schedule {
    /// The stream `id` has something to send.
    pub fn enter(&mut self, id: StreamId, turn: &mut Turn, quantum: u32) {
        if turn.queue == Queue::None {
            *turn = Turn {
                queue: Queue::New,
                deficit: quantum.into(),
            };
            self.new.push_back(id);
        }
    }

    /// Whose turn it is, and how many bytes it may send in it.
    pub fn next(&mut self, senders: &mut dyn Senders, quantum: u32) -> Option<(StreamId, usize)> {
        loop {
            let from = if self.new.is_empty() { Queue::Old } else { Queue::New };
            let queue = if from == Queue::New {
                &mut self.new
            } else {
                &mut self.old
            };
            let id = *queue.front()?;
            let Some((turn, sends)) = senders.sender(id) else {
                queue.pop_front();
                continue;
            };
            if sends && turn.deficit > 0 {
                return Some((id, turn.deficit as usize));
            }
            queue.pop_front();
            // One that ran dry in the new queue waits a round in the old one: it must not come back as new at once.
            turn.queue = if sends || (from == Queue::New && !self.old.is_empty()) {
                Queue::Old
            } else {
                Queue::None
            };
            if turn.queue == Queue::Old {
                turn.deficit += if sends { i64::from(quantum) } else { 0 };
                self.old.push_back(id);
            }
        }
    }

    /// Drops what is left of streams that are gone.
    pub(super) fn tidy(&mut self, senders: &mut dyn Senders) {
        self.new.retain(|&id| senders.sender(id).is_some());
        self.old.retain(|&id| senders.sender(id).is_some());
    }

    /// Entries in both queues.
    pub(super) fn len(&self) -> usize {
        self.new.len() + self.old.len()
    }
}

impl Turn {
    /// Counts bytes as sent in this turn.
    pub fn spend(&mut self, bytes: usize) {
        self.deficit -= bytes as i64;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use alloc::vec::Vec;

    use super::super::sim::Rng;
    use super::*;

    const QUANTUM: u32 = 4096;

    /// Streams with so many bytes to send; `None`: gone.
    struct Backlogs(Vec<Option<(Turn, u64)>>);

    impl Senders for Backlogs {
        fn sender(&mut self, id: StreamId) -> Option<(&mut Turn, bool)> {
            let (turn, bytes) = self.0[id.index()].as_mut()?;
            Some((turn, *bytes > 0))
        }
    }

    impl Backlogs {
        fn new(backlogs: &[u64]) -> Backlogs {
            Backlogs(backlogs.iter().map(|&bytes| Some((Turn::default(), bytes))).collect())
        }

        fn enter(&mut self, schedule: &mut Schedule, n: usize) {
            if let Some((turn, _)) = &mut self.0[n] {
                schedule.enter(id(n), turn, QUANTUM);
            }
        }

        /// One turn of at most `most` bytes: whose, and how many.
        fn turn(&mut self, schedule: &mut Schedule, most: u64) -> Option<(usize, u64)> {
            let (id, share) = schedule.next(self, QUANTUM)?;
            assert!(share > 0 && share <= QUANTUM as usize, "a turn of {share}");
            let (turn, bytes) = self.0[id.index()].as_mut()?;
            let n = most.min(share as u64).min(*bytes);
            assert!(n > 0, "a turn of no use");
            turn.spend(n as usize + 8);
            *bytes -= n;
            Some((id.index(), n))
        }
    }

    fn id(n: usize) -> StreamId {
        StreamId {
            slot: n as u16,
            generation: 0,
        }
    }

    #[test]
    fn whoever_has_bytes_gets_its_share_whatever_sizes_they_come_in() {
        for seed in 0..200 {
            let mut rng = Rng::new(seed);
            let count = 2 + rng.below(8) as usize;
            let sizes: Vec<u64> = (0..count).map(|_| 100 + rng.below(9_000)).collect();
            let mut backlogs = Backlogs::new(&alloc::vec![1 << 40; count]);
            let mut schedule = Schedule::default();
            (0..count).for_each(|n| backlogs.enter(&mut schedule, n));
            let mut sent = alloc::vec![0; count];
            for _ in 0..count * 2_000 {
                let next = schedule.next(&mut backlogs, QUANTUM).unwrap().0.index();
                let (who, n) = backlogs.turn(&mut schedule, sizes[next]).unwrap();
                sent[who] += n + 8;
            }
            let most = sent.iter().max().unwrap();
            let least = sent.iter().min().unwrap();
            assert!(most - least <= 2 * u64::from(QUANTUM) + 16, "{sent:?}");
        }
    }

    #[test]
    fn one_that_just_began_goes_first() {
        let mut backlogs = Backlogs::new(&[1 << 30, 1 << 30, 1 << 30, 50]);
        let mut schedule = Schedule::default();
        (0..3).for_each(|n| backlogs.enter(&mut schedule, n));
        for _ in 0..100 {
            backlogs.turn(&mut schedule, 60_000);
        }
        for _ in 0..10 {
            backlogs.0[3].as_mut().unwrap().1 = 50;
            backlogs.enter(&mut schedule, 3);
            let behind = (0..)
                .find(|_| backlogs.turn(&mut schedule, 60_000) == Some((3, 50)))
                .unwrap();
            assert!(behind <= 3, "behind {behind} turns");
            // A round later it counts as one that just began again.
            let soon: Vec<_> = (0..8)
                .map(|_| backlogs.turn(&mut schedule, 60_000).unwrap().0)
                .collect();
            assert_eq!(soon.len(), 8);
            backlogs.0[3].as_mut().unwrap().1 = 50;
            backlogs.enter(&mut schedule, 3);
            assert_eq!(backlogs.turn(&mut schedule, 60_000), Some((3, 50)));
        }
    }

    #[test]
    fn small_ones_that_come_all_the_time_do_not_starve_bulk() {
        let mut backlogs = Backlogs::new(&[1 << 40, 0, 0, 0, 0, 0]);
        let mut schedule = Schedule::default();
        backlogs.enter(&mut schedule, 0);
        let mut sent = [0; 6];
        for _ in 0..10_000 {
            for n in 1..6 {
                backlogs.0[n].as_mut().unwrap().1 = 500;
                backlogs.enter(&mut schedule, n);
            }
            let (who, n) = backlogs.turn(&mut schedule, 60_000).unwrap();
            sent[who] += n;
        }
        let whole: u64 = sent.iter().sum();
        assert!(sent[0] > whole / 6, "{sent:?}");
    }

    /// Two that take turns at running dry look like new ones for ever; the one behind them must have its turn.
    #[test]
    fn new_ones_that_alternate_do_not_starve_bulk() {
        let mut backlogs = Backlogs::new(&[1 << 40, 500, 500]);
        let mut schedule = Schedule::default();
        (0..3).for_each(|n| backlogs.enter(&mut schedule, n));
        let mut turns = [0; 3];
        for _ in 0..3_000 {
            let (who, _) = backlogs.turn(&mut schedule, 60_000).unwrap();
            turns[who] += 1;
            let refilled = if who == 0 { [1, 2] } else { [3 - who; 2] };
            for n in refilled {
                backlogs.0[n].as_mut().unwrap().1 = 500;
                backlogs.enter(&mut schedule, n);
            }
        }
        assert!(turns[0] > 500, "{turns:?}");
    }

    /// A datagram is not cut to the share: who sent more than its share waits for longer.
    #[test]
    fn a_debt_is_paid_back() {
        let mut backlogs = Backlogs::new(&[1 << 40, 1 << 40]);
        let mut schedule = Schedule::default();
        (0..2).for_each(|n| backlogs.enter(&mut schedule, n));
        let mut sent = [0_u64; 2];
        for _ in 0..5_000 {
            let (id, share) = schedule.next(&mut backlogs, QUANTUM).unwrap();
            let n = if id.index() == 0 { 60_000 } else { share };
            backlogs.0[id.index()].as_mut().unwrap().0.spend(n);
            sent[id.index()] += n as u64;
        }
        assert!(sent[0].abs_diff(sent[1]) <= 60_000 + u64::from(QUANTUM), "{sent:?}");
    }

    #[test]
    fn nobody_is_forgotten_and_nobody_stays_who_is_gone() {
        for seed in 0..300 {
            let mut rng = Rng::new(seed);
            let mut backlogs = Backlogs::new(&[0; 12]);
            let mut schedule = Schedule::default();
            for _ in 0..400 {
                let n = rng.below(12) as usize;
                match rng.below(8) {
                    0 => backlogs.0[n] = None,
                    1 if backlogs.0[n].is_none() => backlogs.0[n] = Some((Turn::default(), 0)),
                    2..=4 => {
                        if let Some((_, bytes)) = &mut backlogs.0[n] {
                            *bytes += 1 + rng.below(20_000);
                            backlogs.enter(&mut schedule, n);
                        }
                    }
                    5 => schedule.tidy(&mut backlogs),
                    _ => _ = backlogs.turn(&mut schedule, 1 + rng.below(20_000)),
                }
            }
            while backlogs.turn(&mut schedule, u64::MAX).is_some() {}
            assert!(
                backlogs.0.iter().flatten().all(|(_, bytes)| *bytes == 0),
                "somebody was forgotten"
            );
            assert_eq!(schedule.len(), 0);
        }
    }
}
