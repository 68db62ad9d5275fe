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
//! Any [`Fault`] ends the link.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::rc::Rc;
use alloc::string::String;

use super::credit::Budget;
use super::fault::Fault;
use super::flow;
use super::frame::{Header, Kind, StreamId, Transmit};
use super::handshake::Introduction;
use super::heartbeat::Heartbeat;
use super::hello::Hello;
use super::inbox::{Inbox, Piece};
use super::messages::{self, Farewell, Leave, Visit};
use super::proof::{End, PROOF, Transcript, same};
use super::registration::{self, Decline, Protocol, Registration};
use super::schedule::Schedule;
use super::stream::{Cause, Ending, Stage, Stream, Streams};
use super::time::Time;
use crate::limits;

/// What the peer did.
#[derive(Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// To a server: a client claims a service. Answer by [`Session::accept`] or [`Session::decline`].
    Register(Registration),
    /// To a server: a client withdraws a registration; it was told so.
    Unregister(u16),
    /// To a client: a service is registered, and public there; or public somewhere else from now on.
    Registered(u16, String),
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

/// A registration in use.
struct Claim {
    protocol: Protocol,
    standing: Standing,
    /// The server's proof; on a server that has not answered yet the client's.
    proof: [u8; PROOF],
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Standing {
    Asked,
    Held,
    /// A client has withdrawn it, and waits to hear that it is over.
    Left,
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
    claims: BTreeMap<u16, Claim>,
    proven: bool,
    refusals: u32,
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
            claims: BTreeMap::new(),
            proven: false,
            refusals: 0,
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

    // ---- registrations --------------------------------------------------------------------------------------------

    /// Client: claims a service under the number `id`. False if the name is too long or `id` is in use.
    pub fn register(&mut self, id: u16, protocol: Protocol, name: &str, token: &[u8]) -> bool {
        if id >= limits::MAX_SERVICES || self.claims.contains_key(&id) {
            return false;
        }
        let Some((frame, expected)) = registration::register(&self.transcript, id, protocol, name, token) else {
            return false;
        };
        let claim = Claim {
            protocol,
            standing: Standing::Asked,
            proof: expected,
        };
        self.claims.insert(id, claim);
        self.outbox.push_back(frame);
        true
    }

    /// Client: withdraws the registration `id`: no more visitors come for it, those that are there stay. Its number is
    /// in use until the server has answered.
    pub fn unregister(&mut self, id: u16) {
        if let Some(claim) = self
            .claims
            .get_mut(&id)
            .filter(|claim| claim.standing != Standing::Left)
        {
            claim.standing = Standing::Left;
            self.outbox.push_back(registration::unregister(id));
        }
    }

    /// Server: whether the client has shown that it knows `token`. One such proof makes the link no stranger's. `None`,
    /// for a service that does not exist, costs the same work.
    pub fn prove(&mut self, registration: &Registration, token: Option<&[u8]>) -> bool {
        let shown = registration.is_proven(&self.transcript, token.unwrap_or_default());
        let proven = shown && token.is_some();
        self.proven |= proven;
        proven
    }

    /// Server: takes a proven registration; `public` says where visitors find it. Nothing happens if it was answered
    /// before.
    pub fn accept(&mut self, registration: &Registration, token: &[u8], public: &str) {
        let is_asked = |claim: &&mut Claim| claim.standing == Standing::Asked && claim.proof == *registration.proof();
        if let Some(claim) = self.claims.get_mut(&registration.id).filter(is_asked) {
            claim.standing = Standing::Held;
            claim.proof = registration.answer(&self.transcript, token);
            self.announce(registration.id, public);
        }
    }

    /// Server: says where visitors of the registration `id` find it from now on.
    pub fn announce(&mut self, id: u16, public: &str) {
        if let Some(claim) = self.claims.get(&id).filter(|claim| claim.standing == Standing::Held) {
            self.outbox
                .push_back(registration::registered(id, &claim.proof, public));
        }
    }

    /// Server: takes it not, or no longer. Nothing happens if the client was told before.
    pub fn decline(&mut self, id: u16, code: Decline, reason: &str) {
        if self.claims.remove(&id).is_some() {
            self.outbox.push_back(registration::declined(id, code, reason));
        }
    }

    // ---- streams --------------------------------------------------------------------------------------------------

    /// Server: opens a stream for a visitor of the registration `id`. `None`: it is not accepted, or there is no room
    /// for one more, here or there.
    pub fn open(&mut self, now: Time, id: u16, visit: Visit) -> Option<StreamId> {
        let protocol = self.accepted_as(id)?;
        let crowded = protocol == Protocol::Udp && self.flow_room() == 0;
        if self.leaving.is_some() || crowded || !self.budget.admit() {
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

    /// What the registration `id` carries, if both ends have agreed on it.
    fn accepted_as(&self, id: u16) -> Option<Protocol> {
        let claim = self.claims.get(&id).filter(|claim| claim.standing == Standing::Held)?;
        Some(claim.protocol)
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

    /// Whose turn it is, while `out` has less than `batch` bytes, with `quantum` bytes a turn. Datagrams whose turn
    /// comes before are put into `out`.
    pub fn poll_turn(&mut self, now: Time, out: &mut Transmit, batch: usize, quantum: u32) -> Option<Turn> {
        self.quantum = quantum;
        if !self.outbox.is_empty() || !self.opening.is_empty() || !self.talkers.is_empty() {
            return None;
        }
        loop {
            let room = out.room().min(batch.saturating_sub(out.len()));
            if room < limits::MIN_READ.min(batch) {
                return None;
            }
            let (id, share) = self.schedule.next(&mut self.streams, quantum)?;
            let stream = self.streams.get(id)?;
            if stream.flow.is_none() {
                let most = share.min(stream.credit.available()).min(room).min(limits::MAX_PAYLOAD);
                return Some(Turn { stream: id, most });
            }
            if !self.put_datagram(now, out, id, room) {
                return None;
            }
        }
    }

    /// Puts a flow's next datagram into `out`; false: it is to wait for the next write.
    fn put_datagram(&mut self, now: Time, out: &mut Transmit, id: StreamId, room: usize) -> bool {
        let Some(stream) = self.streams.get(id) else {
            return true;
        };
        let Some(flow) = stream.flow.as_mut() else { return true };
        self.waiting -= flow.expire(now);
        let Some(next) = flow.front() else { return true };
        // One that is larger than a write has one of its own; control frames, which may come every time, go with it.
        if (next.len() > room && out.has_payload()) || next.len() > out.room() {
            return false;
        }
        out.datagram(id, next);
        stream.turn.spend(next.len() + limits::FRAME_HEADER);
        self.waiting -= flow.pop();
        true
    }

    /// The turn's stream gave `n` bytes, which are in `out`'s reserved place; `fin`: the last ones.
    pub fn commit(&mut self, out: &mut Transmit, id: StreamId, n: usize, fin: bool) {
        let Some(stream) = self.streams.get(id) else { return };
        out.commit(id, n, fin);
        stream.credit.spend(n);
        stream.turn.spend(n + limits::FRAME_HEADER);
        stream.fin_sent |= fin;
        self.settle(id);
    }

    /// The turn's stream has nothing to give until [`Self::on_readable`].
    pub fn on_drained(&mut self, id: StreamId) {
        if let Some(stream) = self.streams.get(id) {
            stream.readable = false;
        }
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

    /// Writes the control frames that are due into `out`, as far as there is room.
    pub fn poll_transmit(&mut self, now: Time, out: &mut Transmit) {
        if out.room() < limits::MAX_CONTROL {
            return;
        }
        if let Some(sent) = self.heartbeat.poll_ping(now) {
            messages::put_beat(out, Kind::Ping, messages::beat(sent.0, self.received));
        }
        if let Some(sent) = self.pong.take() {
            messages::put_beat(out, Kind::Pong, messages::beat(sent, self.received));
        }
        let done = self.put_outbox(out) && self.put_opens(out) && self.put_streams(out);
        if let Some((code, reason)) = self.leaving.as_ref().filter(|_| done && !self.left) {
            self.left = messages::put_goodbye(out, *code, self.accepted, reason);
        }
    }

    /// Takes bytes off the front of `input` up to the next event; `None`: all of it was taken.
    pub fn handle_bytes<'a>(&mut self, now: Time, input: &mut &'a [u8]) -> Result<Option<Event<'a>>, Fault> {
        if !input.is_empty() {
            self.heartbeat.on_bytes(now);
        }
        let before = input.len();
        let mut event = None;
        while event.is_none() {
            event = match self.inbox.next(input)? {
                None => break,
                Some(Piece::Control(header, payload)) if header.kind == Some(Kind::Datagram) => {
                    self.on_datagram(StreamId::from_wire(header.stream), payload)?
                }
                Some(Piece::Control(header, payload)) => self.on_control(now, header, &payload)?,
                Some(Piece::DataStart(header)) => {
                    self.on_data_start(header)?;
                    None
                }
                Some(Piece::Data { stream, bytes, fin }) => self.on_data(stream, bytes, fin),
            };
        }
        self.received += (before - input.len()) as u64;
        Ok(event)
    }

    // ---- frames that come -----------------------------------------------------------------------------------------

    fn on_control(&mut self, now: Time, header: Header, payload: &[u8]) -> Result<Option<Event<'static>>, Fault> {
        let Some(kind) = header.kind else { return Ok(None) };
        let id = StreamId::from_wire(header.stream);
        match (kind, self.end) {
            (Kind::Ping, _) => {
                self.pong = Some(messages::beat_time(payload)?);
                Ok(None)
            }
            (Kind::Pong, _) => {
                self.heartbeat.on_pong(Time(messages::beat_time(payload)?), now);
                Ok(None)
            }
            (Kind::Goodbye, _) => Ok(Some(Event::Goodbye(messages::parse_goodbye(payload)?))),
            (Kind::Credit, _) => self.on_credit(id, payload),
            (Kind::Reset, _) => self.on_reset(id, payload),
            (Kind::Register, End::Server) => self.on_register(header.stream, payload),
            (Kind::Unregister, End::Server) => self.on_unregister(header.stream),
            (Kind::Renew, End::Client) => Ok(Some(Event::Renew)),
            (Kind::Registered, End::Client) => self.on_registered(header.stream, payload),
            (Kind::Declined, End::Client) => self.on_declined(header.stream, payload),
            (Kind::Open, End::Client) => self.on_open(now, id, payload),
            (Kind::Opened, End::Server) => self.on_opened(id),
            (Kind::Refused, End::Server) => self.on_refused(id, payload),
            (Kind::Closed, End::Server) => self.on_closed(id),
            _ => Err(Fault::Unexpected(kind)),
        }
    }

    fn on_register(&mut self, raw: u32, payload: &[u8]) -> Result<Option<Event<'static>>, Fault> {
        let id = registration_id(raw, Kind::Register)?;
        if self.outbox.len() > usize::from(limits::MAX_SERVICES) {
            return Err(Fault::TooManyRefusals);
        }
        let registration = Registration::parse(id, payload)?;
        let claim = Claim {
            protocol: registration.protocol,
            standing: Standing::Asked,
            proof: *registration.proof(),
        };
        if self.claims.insert(id, claim).is_some() {
            return Err(Fault::BadId(Kind::Register));
        }
        if !self.proven {
            self.refusals += 1;
            if self.refusals > limits::MAX_UNPROVEN_REFUSALS {
                return Err(Fault::TooManyRefusals);
            }
        }
        Ok(Some(Event::Register(registration)))
    }

    fn on_registered(&mut self, raw: u32, payload: &[u8]) -> Result<Option<Event<'static>>, Fault> {
        let id = registration_id(raw, Kind::Registered)?;
        let (proof, public) = registration::parse_registered(payload)?;
        let claim = self.claims.get_mut(&id).ok_or(Fault::BadId(Kind::Registered))?;
        if !same(&proof, &claim.proof) {
            return Err(Fault::BadProof);
        }
        self.proven = true;
        if claim.standing == Standing::Left {
            return Ok(None);
        }
        claim.standing = Standing::Held;
        Ok(Some(Event::Registered(id, public)))
    }

    /// One that the server has declined meanwhile is over already.
    fn on_unregister(&mut self, raw: u32) -> Result<Option<Event<'static>>, Fault> {
        let id = registration_id(raw, Kind::Unregister)?;
        let known = self.claims.contains_key(&id);
        self.decline(id, Decline::Withdrawn, "");
        Ok(known.then_some(Event::Unregister(id)))
    }

    fn on_declined(&mut self, raw: u32, payload: &[u8]) -> Result<Option<Event<'static>>, Fault> {
        let id = registration_id(raw, Kind::Declined)?;
        let (code, reason) = registration::parse_declined(payload)?;
        let claim = self.claims.remove(&id).ok_or(Fault::BadId(Kind::Declined))?;
        Ok((claim.standing != Standing::Left).then_some(Event::Declined(id, code, reason)))
    }

    fn on_open(&mut self, now: Time, id: StreamId, payload: &[u8]) -> Result<Option<Event<'static>>, Fault> {
        let (registration, visit) = messages::parse_open(payload)?;
        let protocol = self.accepted_as(registration);
        let known = protocol.is_some();
        let stream = self.new_stream(id, protocol.unwrap_or(Protocol::Tcp), now);
        self.streams.accept(stream, &self.budget)?;
        let admitted = self.budget.admit_accepted();
        self.accepted = self.accepted.wrapping_add(1);
        if !admitted || !known || self.leaving.is_some() {
            let cause = match () {
                () if self.leaving.is_some() => Cause::Leaving,
                () if known => Cause::Full,
                () => Cause::NoService,
            };
            self.end(id, Ending::Refused(cause));
            return Ok(None);
        }
        Ok(Some(Event::Open(id, registration, visit)))
    }

    fn on_opened(&mut self, id: StreamId) -> Result<Option<Event<'static>>, Fault> {
        let Some(stream) = self.streams.addressed_as(id, Kind::Opened, false)? else {
            return Ok(None);
        };
        if core::mem::replace(&mut stream.opened, true) {
            return Err(Fault::Unexpected(Kind::Opened));
        }
        Ok((stream.stage == Stage::Live).then_some(Event::Opened(id)))
    }

    fn on_refused(&mut self, id: StreamId, payload: &[u8]) -> Result<Option<Event<'static>>, Fault> {
        let cause = messages::parse_cause(payload)?;
        let Some(stream) = self.streams.addressed(id, Kind::Refused)? else {
            return Ok(None);
        };
        if stream.opened || !stream.window.is_untouched() {
            return Err(Fault::Unexpected(Kind::Refused));
        }
        let live = stream.stage == Stage::Live;
        self.free(id);
        Ok(live.then_some(Event::Refused(id, cause)))
    }

    fn on_reset(&mut self, id: StreamId, payload: &[u8]) -> Result<Option<Event<'static>>, Fault> {
        let cause = messages::parse_cause(payload)?;
        let Some(stream) = self.streams.addressed(id, Kind::Reset)? else {
            return Ok(None);
        };
        let live = stream.stage == Stage::Live;
        self.free(id);
        Ok(live.then_some(Event::Reset(id, cause)))
    }

    fn on_closed(&mut self, id: StreamId) -> Result<Option<Event<'static>>, Fault> {
        let Some(stream) = self.streams.addressed_as(id, Kind::Closed, false)? else {
            return Ok(None);
        };
        let ending = stream.stage != Stage::Live;
        let finished = stream.fin_sent && stream.fin_received;
        if !ending && !finished {
            return Err(Fault::Unexpected(Kind::Closed));
        }
        stream.closed_by_peer = true;
        if ending {
            self.free(id);
        } else {
            self.settle(id);
        }
        Ok(None)
    }

    fn on_credit(&mut self, id: StreamId, payload: &[u8]) -> Result<Option<Event<'static>>, Fault> {
        let limit = messages::parse_credit(payload)?;
        let Some(stream) = self.streams.addressed_as(id, Kind::Credit, false)? else {
            return Ok(None);
        };
        stream.credit.raise(limit)?;
        self.enter(id);
        Ok(None)
    }

    fn on_data_start(&mut self, header: Header) -> Result<(), Fault> {
        let id = StreamId::from_wire(header.stream);
        let Some(stream) = self.streams.addressed_as(id, Kind::Data, false)? else {
            return Ok(());
        };
        if stream.stage != Stage::Live {
            return Ok(());
        }
        if stream.fin_received {
            return Err(Fault::AfterFin);
        }
        stream.window.receive(header.payload())
    }

    fn on_datagram<'a>(&mut self, id: StreamId, datagram: Cow<'a, [u8]>) -> Result<Option<Event<'a>>, Fault> {
        let Some(stream) = self.streams.addressed_as(id, Kind::Datagram, true)? else {
            return Ok(None);
        };
        Ok((stream.stage == Stage::Live).then_some(Event::Datagram(id, datagram)))
    }

    fn on_data<'a>(&mut self, id: StreamId, bytes: &'a [u8], fin: bool) -> Option<Event<'a>> {
        let stream = self.streams.get(id).filter(|stream| stream.stage == Stage::Live)?;
        stream.fin_received |= fin;
        // An end without bytes leaves nothing to be taken.
        self.settle(id);
        Some(Event::Data(id, bytes, fin))
    }

    // ---- what is to be sent ---------------------------------------------------------------------------------------

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

    fn put_outbox(&mut self, out: &mut Transmit) -> bool {
        while let Some(frame) = self.outbox.front() {
            if !messages::put_raw(out, frame) {
                return false;
            }
            self.outbox.pop_front();
        }
        true
    }

    fn put_opens(&mut self, out: &mut Transmit) -> bool {
        while let Some(&(id, registration, visit)) = self.opening.front() {
            if !messages::put_open(out, id, registration, visit) {
                return false;
            }
            self.opening.pop_front();
            if let Some(stream) = self.streams.get(id) {
                stream.announced = true;
            }
        }
        true
    }

    fn put_streams(&mut self, out: &mut Transmit) -> bool {
        while let Some(&id) = self.talkers.front() {
            if out.room() < limits::MAX_CONTROL {
                return false;
            }
            self.talkers.pop_front();
            self.put_stream(out, id);
        }
        true
    }

    fn put_stream(&mut self, out: &mut Transmit, id: StreamId) {
        let Some(stream) = self.streams.get(id) else { return };
        stream.queued = false;
        if let Stage::Ending(ending) = stream.stage {
            messages::put_ending(out, id, ending);
            self.free(id);
            return;
        }
        if core::mem::take(&mut stream.opened_due) {
            messages::put_empty(out, Kind::Opened, id);
        }
        if core::mem::take(&mut stream.credit_due) {
            messages::put_credit(out, id, stream.window.renew());
        }
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
        for id in self.streams.ids() {
            self.free(id);
        }
    }
}

fn registration_id(raw: u32, kind: Kind) -> Result<u16, Fault> {
    u16::try_from(raw)
        .ok()
        .filter(|&id| id < limits::MAX_SERVICES)
        .ok_or(Fault::BadId(kind))
}
