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
