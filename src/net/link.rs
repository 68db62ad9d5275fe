//! A link as the rest of the program sees it: its session, its visitors, and a bell for its task.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use crate::limits;
use crate::link::Peer;
use crate::proto::{Cause, Decline, Farewell, Leave, Protocol, Registration, Session, StreamId, Terms, Time, Visit};

use super::Process;
use super::bell::Bell;
use super::udp::Flow;
use super::visitor::{Counters, Visitor, add};

/// One link. Its task is [`super::pump`].
pub struct Link {
    /// What all links share.
    pub process: Rc<Process>,
    /// The other end's address.
    pub peer: SocketAddr,
    /// Who that is, if the cover has proof of it.
    pub known: Option<Peer>,
    /// Since when it lives.
    pub since: Time,
    /// Payload bytes that came over it and went.
    pub received: Cell<u64>,
    /// See `received`.
    pub sent: Cell<u64>,
    pub(super) session: RefCell<Session>,
    pub(super) visitors: RefCell<Vec<Option<Rc<Visitor>>>>,
    flows: RefCell<Vec<Option<Rc<Flow>>>>,
    /// Bytes of datagrams for local services that are still looked for.
    pub early: Cell<usize>,
    pub(super) bell: Bell,
    /// When it ends though its goodbye has not left.
    pub(super) leave_by: Cell<Option<Time>>,
}

/// What a link's owner is told. Called by the link's task; it may use the link.
pub trait Owner {
    /// A client claims a service.
    fn on_register(&self, link: &Rc<Link>, registration: Registration) {
        let _ = (link, registration);
    }
    /// A client has withdrawn a registration.
    fn on_unregister(&self, link: &Rc<Link>, id: u16) {
        let _ = (link, id);
    }
    /// The local service of a registration is well from now on, or is not.
    fn on_health(&self, link: &Rc<Link>, id: u16, is_healthy: bool, failures: u32) {
        let _ = (link, id, is_healthy, failures);
    }
    /// A service is registered, and public there; or public somewhere else from now on. `is_member`: as one of several.
    fn on_registered(&self, link: &Rc<Link>, id: u16, public: &str, is_member: bool) {
        let _ = (link, id, public, is_member);
    }
    /// The server wants a new link in this one's place.
    fn on_renew(&self, link: &Rc<Link>) {
        let _ = link;
    }
    /// A service is not registered, or no longer.
    fn on_declined(&self, link: &Rc<Link>, id: u16, code: Decline, reason: &str) {
        let _ = (link, id, code, reason);
    }
    /// A visitor came for a registration.
    fn on_open(&self, link: &Rc<Link>, stream: StreamId, id: u16, visit: Visit) {
        let _ = (link, stream, id, visit);
    }
    /// The link is over; what follows is parting.
    fn on_ended(&self, link: &Rc<Link>) {
        let _ = link;
    }
    /// The client did not take a visitor.
    fn on_refused(&self, link: &Rc<Link>, cause: Cause) {
        let _ = (link, cause);
    }
}

/// How a link ended.
#[derive(Debug)]
pub enum Ended {
    /// The peer said why.
    Farewell(Farewell),
    /// The peer closed the connection without a word.
    Closed,
    /// The connection broke.
    Broken(std::io::Error),
    /// The peer broke the protocol.
    Fault(crate::proto::Fault),
    /// The peer was silent for too long.
    Silent,
    /// The peer proved nothing in time.
    Unproven,
    /// This end said goodbye.
    Left,
}

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Ended::Farewell(farewell) if farewell.reason.is_empty() => f.write_str("the peer said goodbye"),
            Ended::Farewell(farewell) => write!(f, "the peer said goodbye: {}", farewell.reason),
            Ended::Closed => f.write_str("the peer closed the connection"),
            Ended::Broken(error) => error.fmt(f),
            Ended::Fault(fault) => write!(f, "the peer broke the protocol: {fault}"),
            Ended::Silent => f.write_str("the peer was silent for longer than heartbeat_timeout"),
            Ended::Unproven => f.write_str("the peer proved no service in time"),
            Ended::Left => f.write_str("this end said goodbye"),
        }
    }
}

/// See [`Link::who`].
pub struct Who<'a>(&'a Link);

impl std::fmt::Display for Who<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.peer.fmt(f)?;
        match self.0.known.as_ref().and_then(|known| known.name.as_ref()) {
            Some(name) => write!(f, " client={name}"),
            None => Ok(()),
        }
    }
}

impl Link {
    /// Of a session that just began.
    pub fn new(process: &Rc<Process>, peer: SocketAddr, known: Option<Peer>, session: Session) -> Rc<Link> {
        Rc::new(Link {
            process: process.clone(),
            peer,
            known,
            since: process.now(),
            received: Cell::new(0),
            sent: Cell::new(0),
            session: RefCell::new(session),
            visitors: RefCell::default(),
            flows: RefCell::default(),
            early: Cell::new(0),
            bell: Bell::default(),
            leave_by: Cell::new(None),
        })
    }

    /// The other end as the log calls it: its address, and its name if it has one.
    pub fn who(&self) -> Who<'_> {
        Who(self)
    }

    /// Client: claims a service; false: it cannot be asked for on this link.
    pub fn register(&self, id: u16, protocol: Protocol, name: &str, token: &[u8], terms: &Terms) -> bool {
        let asked = self.session.borrow_mut().register(id, protocol, name, token, terms);
        self.bell.ring();
        asked
    }

    /// Client: withdraws a registration.
    pub fn unregister(&self, id: u16) {
        self.session.borrow_mut().unregister(id);
        self.bell.ring();
    }

    /// Client: says how the local service of a registration is.
    pub fn report(&self, id: u16, is_healthy: bool, failures: u32) {
        self.session.borrow_mut().report(id, is_healthy, failures);
        self.bell.ring();
    }

    /// Server: what a proven registration asks for.
    pub fn terms(&self, registration: &Registration, token: &[u8]) -> Terms {
        self.session.borrow().terms(registration, token)
    }

    /// Server: whether the client knows `token`; `None`: there is no such service.
    pub fn prove(&self, registration: &Registration, token: Option<&[u8]>) -> bool {
        self.session.borrow_mut().prove(registration, token)
    }

    /// Server: takes a proven registration.
    pub fn accept(&self, registration: &Registration, token: &[u8], public: &str, is_member: bool) {
        self.session.borrow_mut().accept(registration, token, public, is_member);
        self.bell.ring();
    }

    /// Server: takes it not, or no longer.
    pub fn decline(&self, id: u16, code: Decline, reason: &str) {
        self.session.borrow_mut().decline(id, code, reason);
        self.bell.ring();
    }

    /// Server: says where visitors of a registration find it from now on.
    pub fn announce(&self, id: u16, public: &str) {
        self.session.borrow_mut().announce(id, public);
        self.bell.ring();
    }

    /// Server: asks the client to come again over a new link.
    pub fn renew(&self) {
        self.session.borrow_mut().renew();
        self.bell.ring();
    }

    /// Whether the client has proven one service.
    pub fn is_proven(&self) -> bool {
        self.session.borrow().is_proven()
    }

    /// The client's process, as it names itself.
    pub fn instance(&self) -> [u8; 16] {
        self.session.borrow().peer().instance
    }

    /// µs; the least of the last round trips.
    pub fn round_trip(&self) -> Option<u64> {
        self.session.borrow().round_trip()
    }

    /// Whether nothing is registered over it, and no stream is there.
    pub fn is_idle(&self) -> bool {
        self.session.borrow().is_idle()
    }

    /// When bytes came last.
    pub fn heard(&self) -> Time {
        self.session.borrow().heard()
    }

    /// Pings now, to see whether the peer is there.
    pub fn hasten(&self) {
        self.session.borrow_mut().hasten(self.process.now());
        self.bell.ring();
    }

    /// Says goodbye and ends the link, even if the peer takes nothing any more.
    pub fn leave(&self, code: Leave, reason: &str) {
        let by = self.process.now().after(Duration::from_secs(limits::GOODBYE_TIME));
        self.leave_by.set(self.leave_by.get().or(Some(by)));
        self.session.borrow_mut().leave(code, reason);
        self.bell.ring();
    }

    /// Server: a stream for a visitor of the registration `id`. `None`: no room.
    pub fn open(&self, id: u16, visit: Visit) -> Option<StreamId> {
        let stream = self.session.borrow_mut().open(self.process.now(), id, visit)?;
        self.bell.ring();
        Some(stream)
    }

    /// Server: flows that may still be opened.
    pub fn flow_room(&self) -> u32 {
        self.session.borrow().flow_room()
    }

    /// A place for the visitor of a stream that was just opened.
    pub fn join(self: &Rc<Self>, stream: StreamId, counters: &Rc<Counters>) -> Rc<Visitor> {
        let visitor = Visitor::new(self, stream, counters);
        put(&mut self.visitors.borrow_mut(), stream, &visitor);
        visitor
    }

    /// The same for a flow.
    pub fn join_flow(&self, flow: &Rc<Flow>) {
        put(&mut self.flows.borrow_mut(), flow.stream(), flow);
    }

    /// Puts a datagram into the queue of its flow. Gives how many were dropped: this one, and those that grew too old.
    pub fn send_datagram(&self, now: Time, stream: StreamId, datagram: &[u8]) -> u64 {
        let mut session = self.session.borrow_mut();
        let taken = session.send_datagram(now, stream, datagram);
        let expired = session.take_expired(stream);
        if taken {
            self.count_sent(datagram.len());
            self.bell.ring();
        }
        expired + u64::from(!taken)
    }

    /// Client: the local service has taken the connection.
    pub fn opened(&self, stream: StreamId) {
        self.session.borrow_mut().opened(stream);
        self.bell.ring();
    }

    /// Client: it has not.
    pub fn refuse(&self, stream: StreamId, cause: Cause) {
        self.session.borrow_mut().refuse(stream, cause);
        self.forget(stream);
        self.bell.ring();
    }

    /// Visitors that are there.
    pub fn open_visitors(&self) -> usize {
        self.visitors.borrow().iter().flatten().count()
    }

    pub(super) fn reset(&self, stream: StreamId, cause: Cause) {
        self.session.borrow_mut().reset(stream, cause);
        self.bell.ring();
    }

    pub(super) fn on_readable(&self, stream: StreamId) {
        if self.session.borrow_mut().on_readable(stream) {
            self.bell.ring();
        }
    }

    pub(super) fn consumed(&self, stream: StreamId, n: usize) {
        if self.session.borrow_mut().consumed(self.process.now(), stream, n) {
            self.bell.ring();
        }
    }

    /// Takes the visitor of `stream` off the list.
    pub(super) fn forget(&self, stream: StreamId) -> Option<Rc<Visitor>> {
        let mut visitors = self.visitors.borrow_mut();
        visitors
            .get_mut(stream.index())?
            .take_if(|visitor| visitor.stream() == stream)
    }

    /// Takes the flow of `stream` off the list.
    pub(super) fn forget_flow(&self, stream: StreamId) -> Option<Rc<Flow>> {
        let mut flows = self.flows.borrow_mut();
        flows.get_mut(stream.index())?.take_if(|flow| flow.stream() == stream)
    }

    /// Hands a datagram to its flow. It leaves with the run of those before and behind it.
    pub(super) fn deliver_datagram(&self, stream: StreamId, datagram: &[u8]) {
        self.count_received(datagram.len());
        let flows = self.flows.borrow();
        if let Some(flow) = flows
            .get(stream.index())
            .and_then(|flow| flow.as_ref())
            .filter(|flow| flow.stream() == stream)
        {
            self.process.run.borrow_mut().push(flow, datagram);
        }
    }

    /// Cuts a visitor or a flow off.
    pub(super) fn cut(&self, stream: StreamId) {
        if let Some(visitor) = self.forget(stream) {
            visitor.cut();
        }
        if let Some(flow) = self.forget_flow(stream) {
            flow.cut();
        }
    }

    /// Cuts every visitor off.
    pub(super) fn cut_all(&self) {
        core::mem::take(&mut *self.flows.borrow_mut())
            .iter()
            .flatten()
            .for_each(|flow| flow.cut());
        let visitors = core::mem::take(&mut *self.visitors.borrow_mut());
        visitors.iter().flatten().for_each(|visitor| visitor.cut());
        self.session.borrow_mut().clear();
    }

    pub(super) fn count_received(&self, n: usize) {
        add(&self.received, n as u64);
    }

    pub(super) fn count_sent(&self, n: usize) {
        add(&self.sent, n as u64);
    }
}

/// Puts `what` at the place of `stream`'s slot.
fn put<T>(places: &mut Vec<Option<Rc<T>>>, stream: StreamId, what: &Rc<T>) {
    if places.len() <= stream.index() {
        places.resize(stream.index() + 1, None);
    }
    if let Some(place) = places.get_mut(stream.index()) {
        *place = Some(what.clone());
    }
}
