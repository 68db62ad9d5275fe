//! What comes from the peer: bytes into events.

use alloc::borrow::Cow;

use super::{Event, Session};
use crate::proto::fault::Fault;
use crate::proto::frame::{Header, Kind, StreamId};
use crate::proto::inbox::Piece;
use crate::proto::messages;
use crate::proto::proof::End;
use crate::proto::registration::Protocol;
use crate::proto::stream::{Cause, Ending, Stage};
use crate::proto::time::Time;

impl Session {
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
            (Kind::Health, End::Server) => self.on_health(header.stream, payload),
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
}
