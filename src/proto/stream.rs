//! One stream as the session sees it, and the slots that streams live in.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::credit::{Budget, SendCredit, Window};
use super::fault::Fault;
use super::flow::Flow;
use super::frame::{Kind, StreamId};
use super::proof::End;
use super::schedule::{Senders, Turn};
use super::time::Time;
use crate::limits::FLOW_PART;

/// Why a stream was refused or reset; as sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The socket on that side was reset, or its owner gave up.
    Aborted = 1,
    /// The local service does not take the connection.
    Unreachable = 2,
    /// No such registration.
    NoService = 3,
    /// No room for a further stream.
    Full = 4,
    /// The session ends.
    Leaving = 5,
    /// A flow without datagrams for a while, or one that gave way to a newer.
    Idle = 6,
    /// A cause that this version does not know.
    Other = 0,
}

impl Cause {
    pub(super) fn from_wire(code: u16) -> Cause {
        const ALL: [Cause; 6] = [
            Cause::Aborted,
            Cause::Unreachable,
            Cause::NoService,
            Cause::Full,
            Cause::Leaving,
            Cause::Idle,
        ];
        ALL.into_iter()
            .find(|cause| *cause as u16 == code)
            .unwrap_or(Cause::Other)
    }
}

/// Both directions of a stream.
pub(super) struct Stream {
    pub id: StreamId,
    pub stage: Stage,
    pub window: Window,
    pub credit: SendCredit,
    pub turn: Turn,
    /// Whether the peer may know of it: the Open that names it was sent, or came.
    pub announced: bool,
    /// Whether the stream stands in the session's queue of those with something to say.
    pub queued: bool,
    pub credit_due: bool,
    pub opened_due: bool,
    /// The socket may have bytes, or an end, to be read.
    pub readable: bool,
    pub opened: bool,
    pub fin_sent: bool,
    pub fin_received: bool,
    /// The acceptor has freed it.
    pub closed_by_peer: bool,
    /// What waits on it if it carries datagrams.
    pub flow: Option<Box<Flow>>,
}

/// Where a stream is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Live,
    /// Over on this end; these words are still to be sent, then the slot is free.
    Ending(Ending),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    Reset(Cause),
    Refused(Cause),
    Closed,
}

impl Stream {
    pub fn new(id: StreamId, credit: u32, now: Time) -> Self {
        Stream {
            id,
            stage: Stage::Live,
            window: Window::new(now),
            credit: SendCredit::new(credit),
            turn: Turn::default(),
            announced: false,
            queued: false,
            credit_due: false,
            opened_due: false,
            readable: false,
            opened: false,
            fin_sent: false,
            fin_received: false,
            closed_by_peer: false,
            flow: None,
        }
    }

    /// One that carries datagrams.
    pub fn new_flow(id: StreamId, now: Time) -> Self {
        Stream {
            flow: Some(Box::default()),
            ..Stream::new(id, 0, now)
        }
    }

    /// Whether a turn would be of use.
    pub fn sends(&self) -> bool {
        let waits = match &self.flow {
            Some(flow) => !flow.is_empty(),
            None => self.readable && !self.fin_sent && self.credit.available() > 0,
        };
        waits && self.stage == Stage::Live
    }

    /// Whether both directions are over and all that came was taken.
    pub fn is_finished(&self) -> bool {
        self.fin_sent && self.fin_received && self.window.unread() == 0
    }
}

/// A session's streams by slot.
pub(super) struct Streams {
    end: End,
    slots: Vec<Slot>,
    /// Of the end that opens streams; the other is told which slot to use.
    free: Vec<u16>,
    limit: u16,
    live: u32,
    flows: u32,
}

#[derive(Default)]
struct Slot {
    /// Of the stream that is there, or of the next one.
    generation: u16,
    stream: Option<Box<Stream>>,
}

impl Streams {
    /// At most `limit` at once, as `end` sees them.
    pub fn new(end: End, limit: u16) -> Self {
        Streams {
            end,
            slots: Vec::new(),
            free: Vec::new(),
            limit,
            live: 0,
            flows: 0,
        }
    }

    /// Streams that are there.
    pub fn live(&self) -> u32 {
        self.live
    }

    /// Flows that may still be opened.
    pub fn flow_room(&self) -> u32 {
        (u32::from(self.limit) / FLOW_PART).saturating_sub(self.flows)
    }

    /// A free id; `None`: all are in use.
    pub fn vacant(&mut self) -> Option<StreamId> {
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None => {
                let slot = u16::try_from(self.slots.len()).ok().filter(|&slot| slot < self.limit)?;
                self.slots.push(Slot::default());
                slot
            }
        };
        let generation = self.slots.get(usize::from(slot))?.generation;
        Some(StreamId { slot, generation })
    }

    /// Puts a stream that this end opened into its slot.
    pub fn insert(&mut self, stream: Stream, budget: &Budget) {
        if let Some(slot) = self.slots.get_mut(stream.id.index()) {
            if stream.flow.is_some() {
                self.flows += 1;
                budget.admit_flow();
            }
            slot.stream = Some(Box::new(stream));
            self.live += 1;
        }
    }

    /// Puts a stream that the peer opened into its slot, which must be the one's turn.
    pub fn accept(&mut self, stream: Stream, budget: &Budget) -> Result<(), Fault> {
        if stream.id.slot >= self.limit {
            return Err(Fault::BadId(Kind::Open));
        }
        while self.slots.len() <= stream.id.index() {
            self.slots.push(Slot::default());
        }
        match self.slots.get(stream.id.index()) {
            Some(slot) if slot.stream.is_none() && slot.generation == stream.id.generation => {
                let announced = true;
                self.insert(Stream { announced, ..stream }, budget);
                Ok(())
            }
            _ => Err(Fault::BadId(Kind::Open)),
        }
    }

    /// The stream, if it is there.
    pub fn get(&mut self, id: StreamId) -> Option<&mut Stream> {
        let stream = self.slots.get_mut(id.index())?.stream.as_deref_mut()?;
        (stream.id == id).then_some(stream)
    }

    /// The stream that a frame of `kind` is for; `None`: a late frame for one that is over.
    pub fn addressed(&mut self, id: StreamId, kind: Kind) -> Result<Option<&mut Stream>, Fault> {
        let slot = self.slots.get_mut(id.index()).ok_or(Fault::UnknownStream(kind))?;
        let age = slot.generation.wrapping_sub(id.generation);
        match slot.stream.as_deref_mut() {
            Some(stream) if age == 0 && stream.announced => Ok(Some(stream)),
            _ if age == 0 => Err(Fault::UnknownStream(kind)),
            _ if age <= u16::MAX / 2 => Ok(None),
            _ => Err(Fault::UnknownStream(kind)),
        }
    }

    /// The same; a frame of a kind that flows, or streams of bytes, do not have is a fault. Of one that is ending that
    /// cannot be told: it may never have been taken for what it was.
    pub fn addressed_as(&mut self, id: StreamId, kind: Kind, flow: bool) -> Result<Option<&mut Stream>, Fault> {
        match self.addressed(id, kind)? {
            Some(stream) if stream.stage == Stage::Live && stream.flow.is_some() != flow => {
                Err(Fault::Unexpected(kind))
            }
            found => Ok(found),
        }
    }

    /// Frees the slot; its next stream has another id. Gives the bytes of datagrams that still waited.
    pub fn remove(&mut self, id: StreamId, budget: &Budget) -> usize {
        let Some(slot) = self.slots.get_mut(id.index()) else {
            return 0;
        };
        let Some(mut stream) = slot.stream.take_if(|stream| stream.id == id) else {
            return 0;
        };
        stream.window.close(budget);
        budget.release();
        slot.generation = slot.generation.wrapping_add(1);
        if self.end == End::Server {
            self.free.push(id.slot);
        }
        self.live -= 1;
        let Some(flow) = stream.flow else { return 0 };
        self.flows -= 1;
        budget.release_flow();
        flow.held()
    }

    /// Slots that were ever used.
    pub fn slots(&self) -> usize {
        self.slots.len()
    }

    /// Every slot is free or in use. For the simulator and the tests.
    pub fn check(&self) {
        let live = self.live as usize;
        assert_eq!(self.iter().count(), live);
        assert_eq!(
            self.iter().filter(|stream| stream.flow.is_some()).count(),
            self.flows as usize
        );
        match self.end {
            End::Server => assert_eq!(self.free.len() + live, self.slots.len()),
            End::Client => assert!(self.free.is_empty()),
        }
    }

    /// Ids of all that are there.
    pub fn ids(&self) -> Vec<StreamId> {
        self.iter().map(|stream| stream.id).collect()
    }

    /// All that are there.
    pub fn iter(&self) -> impl Iterator<Item = &Stream> {
        self.slots.iter().filter_map(|slot| slot.stream.as_deref())
    }
}

impl Senders for Streams {
    fn sender(&mut self, id: StreamId) -> Option<(&mut Turn, bool)> {
        let stream = self.get(id)?;
        let sends = stream.sends();
        Some((&mut stream.turn, sends))
    }
}
