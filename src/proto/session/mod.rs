//! The second state machine: registrations, streams and credit of one link, after its handshake.
//!
//! It owns no socket, no clock and no buffer of payload. `handle_*` takes bytes, time and decisions; `poll_*` gives
//! bytes, turns and the time to come back. A driver does, whenever anything happened:
//!
//! 1. [`handle_bytes`](Session::handle_bytes) until it gives no more events, acting on each;
//! 2. [`handle_timeout`](Session::handle_timeout) if [`poll_timeout`](Session::poll_timeout) has passed;
//! 3. [`poll_transmit`](Session::poll_transmit), then, while there is room, [`poll_turn`](Session::poll_turn): read
//!    the visitor whose turn it is straight into the transmit buffer and [`commit`](Session::commit) what came.
//!
//! Any [`Fault`](super::Fault) ends the link. What comes is read in `receive`, what goes is gathered in `send`; the
//! registrations are in `claims`.

mod claims;
mod receive;
mod send;

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::rc::Rc;
use alloc::string::String;

use super::credit::Budget;
use super::flow;
use super::frame::StreamId;
use super::handshake::Introduction;
use super::heartbeat::Heartbeat;
use super::hello::Hello;
use super::inbox::Inbox;
use super::messages::{Farewell, Leave, Visit};
use super::proof::{End, Transcript};
use super::registration::{self, Decline, Protocol, Registration};
use super::schedule::Schedule;
use super::sorted::SortedMap;
use super::stream::{Cause, Ending, Stage, Stream, Streams};
use super::time::Time;
use crate::limits;
use claims::Claim;

/// What the peer did.
#[derive(Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// To a server: a client claims a service. Answer by [`Session::accept`] or [`Session::decline`].
    Register(Registration),
    /// To a server: a client withdraws a registration; it was told so.
    Unregister(u16),
    /// To a server: how the local service of a registration is from now on, and how often in a row it failed.
    Health(u16, bool, u32),
    /// To a client: a service is registered, and public there; or public somewhere else from now on. `true`: as one
    /// member of a group.
    Registered(u16, String, bool),
    /// To a client: a service is not registered.
    Declined(u16, Decline, String),
    /// To a client: a visitor came for a registration. Answer by [`Session::opened`] or [`Session::refuse`].
    Open(StreamId, u16, Visit),
    /// To a server: the local service has taken the connection.
    Opened(StreamId),
    /// To a server: it has not, and nothing was consumed.
    Refused(StreamId, Cause),
    /// Bytes for the visitor, in order; `true`: the last ones. Tell [`Session::consumed`] when they were taken.
    Data(StreamId, &'a [u8], bool),
    /// A datagram for the visitor.
    Datagram(StreamId, Cow<'a, [u8]>),
    /// Both directions were cut.
    Reset(StreamId, Cause),
    /// To a client: come again over a new link.
    Renew,
    /// The peer ends the session.
    Goodbye(Farewell),
}

/// Whose turn it is to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// The stream to read from.
    pub stream: StreamId,
    /// Bytes of payload at most.
    pub most: usize,
}

/// One link's session.
pub struct Session {
    end: End,
    peer: Hello,
    transcript: Transcript,
    budget: Rc<Budget>,
    inbox: Inbox,
    streams: Streams,
    schedule: Schedule,
    /// Streams with a control frame to be sent.
    talkers: VecDeque<StreamId>,
    opening: VecDeque<(StreamId, u16, Visit)>,
    /// Registrations and answers to be sent.
    outbox: VecDeque<Box<[u8]>>,
    heartbeat: Heartbeat,
    /// Time of the Ping to be answered.
    pong: Option<u64>,
    received: u64,
    /// Registrations in use by their number.
    claims: SortedMap<u16, Claim>,
    proven: bool,
    /// Registrations that came before one was proven.
    unproven: u32,
    /// Registrations that were asked for.
    asked: u32,
    /// Some claim has a Health to be sent.
    health_due: bool,
    /// Opens that came.
    accepted: u32,
    leaving: Option<(Leave, String)>,
    left: bool,
    quantum: u32,
    /// Bytes of datagrams that wait for a turn.
    waiting: usize,
}

impl Session {
    /// After a handshake in which this end said `ours`.
    pub fn new(end: End, ours: &Hello, met: Introduction, budget: Rc<Budget>, now: Time) -> Self {
        let Introduction { peer, transcript } = met;
        let limit = if end == End::Server {
            peer.max_streams
        } else {
            ours.max_streams
        };
        Session {
            end,
            heartbeat: Heartbeat::new(end, ours, &peer, now),
            peer,
            transcript,
            budget,
            inbox: Inbox::default(),
            streams: Streams::new(end, limit),
            schedule: Schedule::default(),
            talkers: VecDeque::new(),
            opening: VecDeque::new(),
            outbox: VecDeque::new(),
            pong: None,
            received: 0,
            claims: SortedMap::default(),
            proven: false,
            unproven: 0,
            asked: 0,
            health_due: false,
            accepted: 0,
            leaving: None,
            left: false,
            quantum: limits::QUANTUM,
            waiting: 0,
        }
    }

    /// What the peer said of itself.
    pub fn peer(&self) -> &Hello {
        &self.peer
    }

    /// Whether the client has proven one service: it is no stranger.
    pub fn is_proven(&self) -> bool {
        self.proven
    }

    /// Whether nothing is registered, and no stream is there.
    pub fn is_idle(&self) -> bool {
        self.claims.is_empty() && self.streams.live() == 0
    }

    /// Streams that are there.
    pub fn streams(&self) -> u32 {
        self.streams.live()
    }

    /// µs; the least of the last round trips.
    pub fn round_trip(&self) -> Option<u64> {
        self.heartbeat.round_trip()
    }

    /// When bytes came last.
    pub fn heard(&self) -> Time {
        self.heartbeat.heard()
    }

    // ---- streams --------------------------------------------------------------------------------------------------

    /// Server: opens a stream for a visitor of the registration `id`. `None`: it is not accepted, or there is no room
    /// for one more, here or there.
    pub fn open(&mut self, now: Time, id: u16, visit: Visit) -> Option<StreamId> {
        let protocol = self.accepted_as(id)?;
        let crowded = protocol == Protocol::Udp && self.flow_room() == 0;
        if self.leaving.is_some() || crowded || !self.budget.admit(self.streams.live()) {
            return None;
        }
        let Some(stream) = self.streams.vacant() else {
            self.budget.release();
            return None;
        };
        self.streams
            .insert(self.new_stream(stream, protocol, now), &self.budget);
        self.opening.push_back((stream, id, visit));
        Some(stream)
    }

    /// Server: flows that may still be opened.
    pub fn flow_room(&self) -> u32 {
        let most = self.budget.max_streams() / limits::FLOW_PART;
        self.streams.flow_room().min(most.saturating_sub(self.budget.flows()))
    }

    fn new_stream(&self, id: StreamId, protocol: Protocol, now: Time) -> Stream {
        match protocol {
            Protocol::Tcp => Stream::new(id, self.peer.window, now),
            Protocol::Udp => Stream::new_flow(id, now),
        }
    }

    /// Sends a datagram on a flow, when its turn comes; false: it is dropped, too much waits already.
    pub fn send_datagram(&mut self, now: Time, id: StreamId, datagram: &[u8]) -> bool {
        let live = self.streams.get(id).filter(|stream| stream.stage == Stage::Live);
        let Some(flow) = live.and_then(|stream| stream.flow.as_mut()) else {
            return false;
        };
        // What is too old makes room for what is not.
        self.waiting -= flow.expire(now);
        let waiting = self.waiting + flow::cost(datagram.len());
        let fits = datagram.len() <= limits::MAX_DATAGRAM && waiting <= limits::LINK_DATAGRAMS;
        if !fits || !flow.push(now, datagram) {
            return false;
        }
        self.waiting = waiting;
        self.enter(id);
        true
    }

    /// Datagrams of the flow `id` that were dropped because they had waited too long, since this was asked last.
    pub fn take_expired(&mut self, id: StreamId) -> u64 {
        let flow = self.streams.get(id).and_then(|stream| stream.flow.as_mut());
        flow.map_or(0, |flow| flow.take_expired())
    }

    /// Client: the local service has taken the connection. Of a flow nothing is said.
    pub fn opened(&mut self, id: StreamId) {
        if let Some(stream) = self.streams.get(id).filter(|stream| stream.flow.is_none()) {
            stream.opened = true;
            stream.opened_due = true;
            self.talk(id);
        }
    }

    /// Client: it has not. A stream that was taken before is reset instead.
    pub fn refuse(&mut self, id: StreamId, cause: Cause) {
        match self.streams.get(id) {
            Some(stream) if stream.opened => self.end(id, Ending::Reset(cause)),
            _ => self.end(id, Ending::Refused(cause)),
        }
    }

    /// Cuts both directions.
    pub fn reset(&mut self, id: StreamId, cause: Cause) {
        self.end(id, Ending::Reset(cause));
    }

    /// The visitor's socket may have something to read. True: the link is to be polled.
    pub fn on_readable(&mut self, id: StreamId) -> bool {
        let Some(stream) = self.streams.get(id) else {
            return false;
        };
        stream.readable = true;
        self.enter(id)
    }

    /// The reader has taken `n` bytes of what [`Event::Data`] brought. True: the link is to be polled.
    pub fn consumed(&mut self, now: Time, id: StreamId, n: usize) -> bool {
        let round_trip = self.heartbeat.round_trip().unwrap_or(limits::ASSUMED_ROUND_TRIP);
        let Some(stream) = self.streams.get(id) else {
            return false;
        };
        let due = stream.window.consume(n, now, round_trip, &self.budget) && !stream.fin_received;
        if due {
            stream.credit_due = true;
            self.talk(id);
        }
        self.settle(id) || due
    }

    /// Ids of the streams that are there.
    pub fn stream_ids(&self) -> alloc::vec::Vec<StreamId> {
        self.streams.ids()
    }

    // ---- life -----------------------------------------------------------------------------------------------------

    /// Server: asks the client to come again over a new link.
    pub fn renew(&mut self) {
        self.outbox.push_back(registration::renew());
    }

    /// Ends the session: no more streams are opened, the peer is told.
    pub fn leave(&mut self, code: Leave, reason: &str) {
        if self.leaving.is_none() {
            self.leaving = Some((code, registration::cut(reason).into()));
        }
    }

    /// Whether the peer was told so: Goodbye is in the transmit buffer.
    pub fn has_left(&self) -> bool {
        self.left
    }

    /// Pings now, to see whether the peer is there.
    pub fn hasten(&mut self, now: Time) {
        self.heartbeat.hasten(now);
    }

    /// When to call [`Self::handle_timeout`] and poll for output again.
    pub fn poll_timeout(&self) -> Option<Time> {
        self.heartbeat.poll_timeout()
    }

    /// False: the peer has been silent for too long, the link is dead.
    pub fn handle_timeout(&mut self, now: Time) -> bool {
        self.heartbeat.handle_timeout(now);
        !self.heartbeat.is_dead(now)
    }

    // ---- books ----------------------------------------------------------------------------------------------------

    /// Puts a stream with bytes and credit into the schedule.
    fn enter(&mut self, id: StreamId) -> bool {
        let Some(stream) = self.streams.get(id).filter(|stream| stream.sends()) else {
            return false;
        };
        self.schedule.enter(id, &mut stream.turn, self.quantum);
        // What is left of streams that are gone goes when its turn comes; but a peer that takes nothing gives no turns.
        if self.schedule.len() > 2 * self.streams.live() as usize {
            self.schedule.tidy(&mut self.streams);
        }
        true
    }

    /// Queues a stream that has a control frame to be sent.
    fn talk(&mut self, id: StreamId) {
        let Some(stream) = self.streams.get(id).filter(|stream| !stream.queued) else {
            return;
        };
        stream.queued = true;
        self.talkers.push_back(id);
        if self.talkers.len() > 2 * self.streams.live() as usize {
            let streams = &mut self.streams;
            self.talkers.retain(|&id| streams.get(id).is_some());
        }
    }

    /// The link is over: gives back what its streams have of the budget, however long others still hold the session.
    pub fn clear(&mut self) {
        self.opening.clear();
        self.talkers.clear();
        for id in self.streams.ids() {
            self.free(id);
        }
    }

    /// Frees a stream's slot.
    fn free(&mut self, id: StreamId) {
        self.waiting -= self.streams.remove(id, &self.budget);
    }

    fn end(&mut self, id: StreamId, ending: Ending) {
        if let Some(stream) = self.streams.get(id).filter(|stream| stream.stage == Stage::Live) {
            stream.stage = Stage::Ending(ending);
            self.talk(id);
        }
    }

    /// Lets go of a stream that is finished: a client says so, a server waits until the client has.
    fn settle(&mut self, id: StreamId) -> bool {
        let Some(stream) = self.streams.get(id).filter(|stream| stream.is_finished()) else {
            return false;
        };
        match self.end {
            End::Client => self.end(id, Ending::Closed),
            End::Server if stream.closed_by_peer => self.free(id),
            End::Server => {}
        }
        true
    }

    /// The session's books balance. For the simulator and the tests.
    pub fn check(&self) {
        let grown: u64 = self.streams.iter().map(|stream| u64::from(stream.window.grown())).sum();
        assert!(grown <= self.budget.grown());
        self.streams.iter().for_each(|stream| stream.window.check());
        self.streams.check();
        let flows = self.streams.iter().filter_map(|stream| stream.flow.as_ref());
        assert_eq!(flows.map(|flow| flow.held()).sum::<usize>(), self.waiting);
        assert!(self.waiting <= limits::LINK_DATAGRAMS);
        let most = 2 * self.streams.slots();
        assert!(self.talkers.len() <= most && self.schedule.len() <= most && self.opening.len() <= most);
        assert!(self.outbox.len() <= 3 * usize::from(limits::MAX_SERVICES) + 1);
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.clear();
    }
}
