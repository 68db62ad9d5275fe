//! A link's task: one poll function that moves bytes between the wire, the session and the visitors' sockets until
//! nothing more moves. It never stops reading the wire; what a visitor's socket refuses is that visitor's own.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::Sleep;

use crate::limits;
use crate::proto::{Cause, Event, Leave, StreamId, Time, Transmit, Turn};

use super::link::{Ended, Link, Owner};
use super::pace::Pace;
use super::task;
use super::wire::{Received, Wire};

/// Runs `link` over `wire` until it ends; `early` came behind the peer's Hello. `prove_by`: a server's limit for a
/// link that has proven nothing.
pub async fn run(link: &Rc<Link>, wire: Wire, owner: &dyn Owner, early: Vec<u8>, prove_by: Option<Time>) -> Ended {
    let now = link.process.now();
    let timer = Box::pin(tokio::time::sleep_until(link.process.instant(now)));
    let mut pump = Pump {
        link,
        wire,
        owner,
        early,
        prove_by,
        pace: Pace::new(now),
        timer,
        armed: now,
    };
    // Fairness to other tasks is counted in rounds here; tokio's own budget would make a socket that is ready look full.
    let ended = tokio::task::unconstrained(std::future::poll_fn(|cx| pump.poll(cx))).await;
    link.cut_all();
    owner.on_ended(link);
    match &ended {
        Ended::Left => pump.part().await,
        Ended::Fault(fault) => pump.say_goodbye(Leave::Fault, &fault.to_string()).await,
        Ended::Unproven => pump.say_goodbye(Leave::Unproven, "no service was proven in time").await,
        _ => {}
    }
    ended
}

struct Pump<'a> {
    link: &'a Rc<Link>,
    wire: Wire,
    owner: &'a dyn Owner,
    early: Vec<u8>,
    prove_by: Option<Time>,
    pace: Pace,
    timer: Pin<Box<Sleep>>,
    armed: Time,
}

impl Pump<'_> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Ended> {
        self.link.bell.hang(cx);
        match self.rounds(cx) {
            Ok(()) => Poll::Pending,
            Err(ended) => Poll::Ready(ended),
        }
    }

    fn rounds(&mut self, cx: &mut Context<'_>) -> Result<(), Ended> {
        let mut moved = 0;
        // Of strangers there may be many.
        let rounds = if self.prove_by.is_some() {
            1
        } else {
            limits::LINK_ROUNDS
        };
        for _ in 0..rounds {
            let now = self.link.process.now();
            // What came while this process was stopped is a sign of life, too.
            moved = self.receive(cx, now)?;
            self.expire(now)?;
            moved += self.transmit(cx, now)?;
            if moved == 0 || moved >= limits::LINK_TURN {
                break;
            }
        }
        if moved > 0 {
            task::yield_now(cx);
        }
        self.arm(cx);
        Ok(())
    }

    // ---- time -----------------------------------------------------------------------------------------------------

    fn expire(&mut self, now: Time) -> Result<(), Ended> {
        let mut session = self.link.session.borrow_mut();
        if !session.handle_timeout(now) {
            return Err(Ended::Silent);
        }
        if session.is_proven() {
            self.prove_by = None;
        }
        if self.link.leave_by.get().is_some_and(|by| by <= now) {
            return Err(Ended::Left);
        }
        if self.prove_by.is_some_and(|by| by <= now) {
            Err(Ended::Unproven)
        } else {
            Ok(())
        }
    }

    /// Sets the one timer. One that is armed for too early is left: it costs one poll, moving it on at each byte more.
    fn arm(&mut self, cx: &mut Context<'_>) {
        let next = self.link.session.borrow().poll_timeout();
        let next = [next, self.prove_by, self.link.leave_by.get()]
            .into_iter()
            .flatten()
            .min();
        loop {
            let Some(next) = next else { return };
            let fired = self.timer.as_mut().poll(cx).is_ready();
            if !fired && self.armed <= next {
                return;
            }
            self.armed = next;
            self.timer.as_mut().reset(self.link.process.instant(next));
            if next <= self.link.process.now() {
                cx.waker().wake_by_ref();
                return;
            }
        }
    }

    // ---- from the wire --------------------------------------------------------------------------------------------

    /// Gives how many bytes came; what only its cover knows counts as one.
    fn receive(&mut self, cx: &mut Context<'_>, now: Time) -> Result<usize, Ended> {
        if !self.early.is_empty() {
            let early = core::mem::take(&mut self.early);
            handle(self.link, self.owner, now, &early)?;
        }
        let mut place = self.link.process.received.borrow_mut();
        match self.wire.poll_recv(cx, &mut place) {
            Poll::Pending => Ok(0),
            Poll::Ready(Ok(Received::End)) => Err(Ended::Closed),
            Poll::Ready(Ok(Received::Bytes(bytes))) => {
                handle(self.link, self.owner, now, bytes).map(|()| bytes.len().max(1))
            }
            Poll::Ready(Err(error)) => {
                // The cover may have last words.
                let _ = self.wire.poll_flush(cx);
                Err(Ended::Broken(error))
            }
        }
    }

    // ---- to the wire ----------------------------------------------------------------------------------------------

    /// Gives how many bytes went, or wait for the socket.
    fn transmit(&mut self, cx: &mut Context<'_>, now: Time) -> Result<usize, Ended> {
        if !self.flush(cx, now)? {
            return Ok(0);
        }
        let mut out = self.link.process.transmit.borrow_mut();
        out.clear();
        self.gather(&mut out, now);
        if out.is_empty() {
            self.wire.relax();
            return if self.link.session.borrow().has_left() {
                Err(Ended::Left)
            } else {
                Ok(0)
            };
        }
        let sent = out.as_bytes().len();
        self.wire.send(cx, out.as_bytes()).map_err(Ended::Broken)?;
        drop(out);
        self.flush(cx, now)?;
        if let Some(bytes) = self.pace.poll_unsent() {
            self.wire.socket().set_unsent(bytes);
        }
        Ok(sent)
    }

    /// Whether the socket has taken everything; its pace is measured by that.
    fn flush(&mut self, cx: &mut Context<'_>, now: Time) -> Result<bool, Ended> {
        let waiting = !self.wire.is_flushed();
        let flushed = self.wire.poll_flush(cx).map_err(Ended::Broken)?.is_ready();
        let taken = self.wire.take_count();
        self.pace.on_taken(taken);
        match flushed {
            true if waiting || taken > 0 => self.pace.on_whole(now),
            true => {}
            false => self.pace.on_full(now),
        }
        Ok(flushed)
    }

    /// Control frames, then payload by turns, up to what the link carries in one go.
    fn gather(&mut self, out: &mut Transmit, now: Time) {
        let batch = self.pace.batch();
        let quantum = (batch / 2).max(limits::MIN_BATCH) as u32;
        self.link.session.borrow_mut().poll_transmit(now, out);
        loop {
            let Some(turn) = self.link.session.borrow_mut().poll_turn(now, out, batch, quantum) else {
                break;
            };
            self.take_turn(out, turn);
        }
    }

    /// Reads the visitor whose turn it is straight into the frame.
    fn take_turn(&self, out: &mut Transmit, turn: Turn) {
        let id = turn.stream;
        let read = match visitor(self.link, id, |visitor| visitor.read(out.reserve(turn.most))) {
            Some(read) => read,
            None => Ok(None),
        };
        let mut session = self.link.session.borrow_mut();
        match read {
            Ok(None) => session.on_drained(id),
            Ok(Some(n)) => {
                session.commit(out, id, n, n == 0);
                self.link.count_sent(n);
            }
            Err(_) => {
                session.reset(id, Cause::Aborted);
                drop(session);
                self.link.cut(id);
            }
        }
    }

    // ---- the end --------------------------------------------------------------------------------------------------

    async fn say_goodbye(&mut self, code: Leave, reason: &str) {
        self.link.leave(code, reason);
        self.part().await;
    }

    /// Lets the goodbye out, and waits until the peer has closed: closing with its bytes unread could take the goodbye
    /// back.
    async fn part(&mut self) {
        let parted = std::future::poll_fn(|cx| self.poll_part(cx));
        let _ = tokio::time::timeout(Duration::from_secs(limits::GOODBYE_TIME), parted).await;
    }

    fn poll_part(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            ready!(self.wire.poll_flush(cx))?;
            let mut out = self.link.process.transmit.borrow_mut();
            out.clear();
            self.link
                .session
                .borrow_mut()
                .poll_transmit(self.link.process.now(), &mut out);
            if out.is_empty() {
                break;
            }
            self.wire.send(cx, out.as_bytes())?;
        }
        ready!(self.wire.poll_shut(cx))?;
        let mut place = self.link.process.received.borrow_mut();
        while let Received::Bytes(_) = ready!(self.wire.poll_recv(cx, &mut place))? {}
        Poll::Ready(Ok(()))
    }
}

/// Hands everything in `bytes` on: payload to the visitors, the rest to the owner.
fn handle(link: &Rc<Link>, owner: &dyn Owner, now: Time, bytes: &[u8]) -> Result<(), Ended> {
    let handled = handle_events(link, owner, now, bytes);
    link.process.run.borrow_mut().send();
    handled
}

fn handle_events(link: &Rc<Link>, owner: &dyn Owner, now: Time, bytes: &[u8]) -> Result<(), Ended> {
    let mut input = bytes;
    loop {
        let event = link
            .session
            .borrow_mut()
            .handle_bytes(now, &mut input)
            .map_err(Ended::Fault)?;
        match event {
            None => return Ok(()),
            Some(Event::Data(id, bytes, end)) => deliver(link, now, id, bytes, end),
            Some(Event::Datagram(id, datagram)) => link.deliver_datagram(id, &datagram),
            Some(Event::Reset(id, _)) => link.cut(id),
            Some(Event::Refused(id, cause)) => {
                link.cut(id);
                owner.on_refused(link, cause);
            }
            Some(Event::Opened(id)) => _ = visitor(link, id, |visitor| visitor.on_opened()),
            Some(Event::Open(id, registration, visit)) => owner.on_open(link, id, registration, visit),
            Some(Event::Register(registration)) => owner.on_register(link, registration),
            Some(Event::Unregister(id)) => owner.on_unregister(link, id),
            Some(Event::Health(id, is_healthy, failures)) => owner.on_health(link, id, is_healthy, failures),
            Some(Event::Registered(id, public, is_member)) => owner.on_registered(link, id, &public, is_member),
            Some(Event::Declined(id, code, reason)) => owner.on_declined(link, id, code, &reason),
            Some(Event::Renew) => owner.on_renew(link),
            Some(Event::Goodbye(farewell)) => return Err(Ended::Farewell(farewell)),
        }
    }
}

fn deliver(link: &Link, now: Time, id: StreamId, bytes: &[u8], end: bool) {
    link.count_received(bytes.len());
    let taken = visitor(link, id, |visitor| visitor.deliver(bytes, end));
    let mut session = link.session.borrow_mut();
    match taken {
        Some(Ok(taken)) => drop(session.consumed(now, id, taken)),
        Some(Err(_)) => {
            session.reset(id, Cause::Aborted);
            drop(session);
            link.cut(id);
        }
        // The visitor has left and its reset is on the way.
        None => drop(session.consumed(now, id, bytes.len())),
    }
}

fn visitor<T>(link: &Link, id: StreamId, act: impl FnOnce(&super::visitor::Visitor) -> T) -> Option<T> {
    let visitors = link.visitors.borrow();
    visitors
        .get(id.index())?
        .as_deref()
        .filter(|visitor| visitor.stream() == id)
        .map(act)
}
