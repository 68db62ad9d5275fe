//! What goes to the peer: control frames first, then payload by turns.

use super::{Session, Turn};
use crate::limits;
use crate::proto::frame::{Kind, StreamId, Transmit};
use crate::proto::messages;
use crate::proto::stream::Stage;
use crate::proto::time::Time;

impl Session {
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
        if self.outbox.is_empty() {
            self.gather_health();
        }
        let done = self.put_outbox(out) && self.put_opens(out) && self.put_streams(out);
        if let Some((code, reason)) = self.leaving.as_ref().filter(|_| done && !self.left) {
            self.left = messages::put_goodbye(out, *code, self.accepted, reason);
        }
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
}
