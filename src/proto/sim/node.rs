//! One end: a session and a driver like the real one, with users instead of sockets.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::rc::Rc;
use core::fmt;
use core::net::{IpAddr, SocketAddr};

use super::super::frame::Transmit;
use super::super::{
    Budget, Cause, Decline, Event, Farewell, Protocol, Registration, Session, StreamId, Terms, Turn, Visit,
};
use super::witness::Witness;
use super::{CLIENT, Rng, Stage, Talk, Wire};
use crate::limits;

/// Services by the client's number: name, the client's token, the server's.
const SERVICES: [(&str, &[u8], &[u8]); 4] = [
    ("web", b"secret", b"secret"),
    ("ssh", b"another", b"another"),
    ("old", b"wrong", b"right"),
    ("dns", b"secret", b"secret"),
];

fn protocol(name: &str) -> Protocol {
    if name == "dns" { Protocol::Udp } else { Protocol::Tcp }
}

pub(in super::super) struct Node {
    who: usize,
    pub session: Session,
    pub budget: Rc<Budget>,
    /// What the peer said at last.
    pub farewell: Option<Farewell>,
    /// The peer was silent for too long.
    pub is_dead: bool,
    out: Transmit,
    /// Bytes of `out` that the wire has taken.
    gone: usize,
    users: BTreeMap<u32, User>,
    /// Streams whose users have said and heard all, and left.
    done: BTreeSet<u32>,
    /// Registrations that are up.
    up: BTreeSet<u16>,
}

/// A visitor, or the local service's end.
struct User {
    id: StreamId,
    talk: usize,
    /// Steps until the local service answers.
    connecting: Option<u64>,
    /// The session has drained it: it is to be told when there is more. It is told once.
    drained: bool,
}

impl Node {
    pub fn new(who: usize, mut session: Session, budget: Rc<Budget>, stage: &mut Stage) -> Node {
        if who == CLIENT {
            (0..).zip(SERVICES).for_each(|(id, (name, token, _))| {
                assert!(session.register(id, protocol(name), name, token, &Terms::default()));
                assert!(!session.register(id, protocol(name), name, token, &Terms::default()));
            });
        }
        Node {
            who,
            session,
            budget,
            farewell: None,
            is_dead: false,
            out: Transmit::new(stage.plan.buffer),
            gone: 0,
            users: BTreeMap::new(),
            done: BTreeSet::new(),
            up: BTreeSet::new(),
        }
    }

    /// Visitors that are there.
    pub fn visitors(&self) -> usize {
        self.users.len()
    }

    /// Whether the first service is up.
    pub fn is_up(&self) -> bool {
        self.up.contains(&0)
    }

    /// One of the services that are up.
    pub fn service(&self, rng: &mut Rng) -> Option<u16> {
        let nth = rng.below(self.up.len() as u64) as usize;
        self.up.iter().nth(nth).copied()
    }

    /// A visitor comes. Gives its place among the talks.
    pub fn visit(&mut self, stage: &mut Stage, service: u16, talk: Talk) -> Option<usize> {
        let is_flow = protocol(SERVICES[usize::from(service)].0) == Protocol::Udp;
        let talk = Talk { is_flow, ..talk };
        let number = stage.talks.len();
        let visit = Visit {
            from: Some(SocketAddr::from(((number as u128).to_be_bytes(), service))),
            to: None,
        };
        let id = self.session.open(stage.now, service, visit)?;
        stage.talks.push(talk);
        self.users.insert(
            id.to_wire(),
            User {
                id,
                talk: number,
                connecting: None,
                drained: true,
            },
        );
        Some(number)
    }

    /// One service is no longer offered, or no longer wanted.
    pub fn withdraw(&mut self) {
        match self.up.pop_last() {
            Some(id) if self.who == CLIENT => self.session.unregister(id),
            Some(id) => self.session.decline(id, Decline::Unavailable, "withdrawn"),
            None => {}
        }
    }

    /// A client registers again what is not up, as soon as its number is free.
    fn register(&mut self) {
        (0..).zip(SERVICES).for_each(|(id, (name, token, _))| {
            if name != "old" && !self.up.contains(&id) {
                self.session
                    .register(id, protocol(name), name, token, &Terms::default());
            }
        });
    }

    /// The link is gone, and all that was on it.
    pub fn hang_up(&mut self, stage: &mut Stage) {
        for user in core::mem::take(&mut self.users).values() {
            stage.talks[user.talk].cut = true;
        }
    }

    /// Its books balance, and what it holds is what it has room for.
    pub fn check(&self) {
        self.session.check();
        assert!(self.out.len() <= limits::TRANSMIT_BUFFER);
        assert!(self.session.streams() <= self.budget.streams());
    }

    // ---- from the wire ------------------------------------------------------------------------------------------

    pub fn receive(&mut self, stage: &mut Stage, wire: &mut Wire) {
        let most = stage.plan.read;
        let most = if stage.plan.fitful { stage.rng.up_to(most) } else { most };
        let bytes = wire.receive(stage.now, most);
        let mut input = &bytes[..];
        while let Some(event) = self.session.handle_bytes(stage.now, &mut input).expect("a sound peer") {
            self.on_event(stage, event);
        }
        assert!(input.is_empty());
        self.check_held(stage);
    }

    fn on_event(&mut self, stage: &mut Stage, event: Event<'_>) {
        match event {
            Event::Register(registration) => self.on_register(stage, &registration),
            Event::Registered(id, public, is_member) => {
                assert!(public == "public" && !is_member && SERVICES[usize::from(id)].0 != "old");
                assert!(self.up.insert(id));
            }
            Event::Unregister(id) => _ = self.up.remove(&id),
            Event::Health(..) => panic!("nobody looks after anything"),
            Event::Renew => panic!("nobody asked for that"),
            Event::Declined(id, ..) => _ = self.up.remove(&id),
            Event::Open(id, registration, visit) => self.on_open(stage, id, registration, visit),
            Event::Opened(id) => assert!(self.users.contains_key(&id.to_wire())),
            Event::Data(id, bytes, end) => self.on_data(stage, id, bytes, end),
            Event::Refused(id, _) => {
                let user = self.users.remove(&id.to_wire()).expect("a visitor that is refused");
                stage.talks[user.talk].refused = true;
            }
            Event::Reset(id, _) => match self.users.remove(&id.to_wire()) {
                Some(user) => assert!(stage.talks[user.talk].cut, "a reset that nobody made"),
                // The other user may reset what this one has finished.
                None => assert!(self.done.contains(&id.to_wire())),
            },
            Event::Datagram(id, datagram) => {
                let user = self.users.get(&id.to_wire()).expect("a visitor for the datagram");
                stage.talks[user.talk].flows[1 - self.who].arrive_datagram(&datagram);
            }
            Event::Goodbye(farewell) => self.farewell = Some(farewell),
        }
    }

    fn on_register(&mut self, stage: &mut Stage, registration: &Registration) {
        let (name, _, token) = SERVICES[usize::from(registration.id)];
        assert_eq!(registration.name, name);
        let proven = self.session.prove(registration, Some(token));
        assert_eq!(proven, name != "old");
        if !proven {
            return self.session.decline(registration.id, Decline::Unproven, "");
        }
        if stage.rng.chance(stage.plan.withdrawals * 20) {
            return self.session.decline(registration.id, Decline::Taken, "taken");
        }
        self.session.accept(registration, token, "public", false);
        self.up.insert(registration.id);
    }

    fn on_open(&mut self, stage: &mut Stage, id: StreamId, registration: u16, visit: Visit) {
        let from = visit.from.unwrap();
        assert!(self.up.contains(&registration) && from.port() == registration);
        let talk = match from.ip() {
            IpAddr::V6(ip) => ip.to_bits() as usize,
            IpAddr::V4(_) => panic!("not the visitor's address"),
        };
        let connecting = Some(stage.rng.below(20));
        let before = self.users.insert(
            id.to_wire(),
            User {
                id,
                talk,
                connecting,
                drained: true,
            },
        );
        assert!(before.is_none());
    }

    fn on_data(&mut self, stage: &mut Stage, id: StreamId, bytes: &[u8], end: bool) {
        let user = self.users.get(&id.to_wire()).expect("a visitor for the bytes");
        let flow = &mut stage.talks[user.talk].flows[1 - self.who];
        flow.arrive(bytes, end);
        let taken = if user.connecting.is_some() {
            0
        } else {
            flow.take(&mut stage.rng)
        };
        if taken > 0 || stage.rng.chance(500) {
            self.session.consumed(stage.now, id, taken as usize);
        }
    }

    /// Bytes that wait for readers are within what their streams and the budget allow.
    fn check_held(&self, stage: &Stage) {
        let other = 1 - self.who;
        let held: u64 = self
            .users
            .values()
            .map(|user| stage.talks[user.talk].flows[other].held())
            .sum();
        let streams = u64::from(self.session.streams());
        assert!(held <= streams * u64::from(limits::INITIAL_WINDOW) + self.budget.grown());
        assert!(self.budget.grown() <= stage.plan.budget / 2);
    }

    // ---- users --------------------------------------------------------------------------------------------------

    /// Users and timers do what they do.
    pub fn live(&mut self, stage: &mut Stage) {
        if self.session.poll_timeout().is_some_and(|next| next <= stage.now) {
            self.is_dead |= !self.session.handle_timeout(stage.now);
            let next = self.session.poll_timeout();
            assert!(
                self.is_dead || next.is_none_or(|next| next > stage.now),
                "it would be called for ever"
            );
        }
        if self.who == CLIENT {
            self.register();
        }
        let Node {
            who,
            session,
            users,
            done,
            ..
        } = self;
        users.retain(|id, user| {
            let stays = user.live(stage, *who, session);
            if !stays {
                done.insert(*id);
            }
            stays
        });
    }

    // ---- to the wire --------------------------------------------------------------------------------------------

    pub(super) fn transmit(&mut self, stage: &mut Stage, wire: &mut Wire, witness: &mut Witness) {
        while self.flush(stage, wire, witness) {
            self.out.clear();
            self.gone = 0;
            self.session.poll_transmit(stage.now, &mut self.out);
            while let Some(turn) = self
                .session
                .poll_turn(stage.now, &mut self.out, usize::MAX, stage.plan.quantum)
            {
                self.take_turn(stage, turn);
            }
            if self.out.is_empty() {
                break;
            }
        }
    }

    /// Whether the wire has taken everything.
    fn flush(&mut self, stage: &mut Stage, wire: &mut Wire, witness: &mut Witness) -> bool {
        let (_, pending) = self.out.as_bytes().split_at(self.gone);
        let most = if stage.plan.fitful && !pending.is_empty() {
            stage.rng.up_to(pending.len())
        } else {
            pending.len()
        };
        let n = wire.send(stage.now, &pending[..most]);
        witness.see(self.who, &pending[..n]);
        self.gone += n;
        self.gone == self.out.len()
    }

    fn take_turn(&mut self, stage: &mut Stage, turn: Turn) {
        let id = turn.stream;
        assert!(turn.most > 0 && turn.most <= self.out.room());
        let fitful = stage.plan.fitful;
        let Some(user) = self.users.get_mut(&id.to_wire()) else {
            return self.session.on_drained(id);
        };
        if fitful && stage.rng.below(10) == 0 {
            user.drained = true;
            return self.session.on_drained(id);
        }
        let talk = &mut stage.talks[user.talk];
        let may_end = talk.may_end(self.who);
        let flow = &mut talk.flows[self.who];
        let n = flow.ready().min(turn.most as u64) as usize;
        let n = if fitful && n > 0 { stage.rng.up_to(n) } else { n };
        flow.fill(self.out.reserve(n));
        let end = flow.is_exhausted() && may_end && (n == 0 || (fitful && stage.rng.chance(500)));
        if n == 0 && !end {
            user.drained = true;
            return self.session.on_drained(id);
        }
        flow.ended = end;
        self.session.commit(&mut self.out, id, n, end);
    }
}

impl User {
    /// Does what the user does in a step; false: it has gone.
    fn live(&mut self, stage: &mut Stage, who: usize, session: &mut Session) -> bool {
        if !self.connect(stage, session) {
            return false;
        }
        if stage.rng.chance(stage.plan.resets) {
            stage.talks[self.talk].cut = true;
            session.reset(self.id, Cause::Aborted);
            return false;
        }
        if self.connecting.is_some() {
            return true;
        }
        if stage.talks[self.talk].is_flow {
            return self.flow(stage, who, session);
        }
        let talk = &mut stage.talks[self.talk];
        let taken = talk.flows[1 - who].take(&mut stage.rng);
        if taken > 0 {
            session.consumed(stage.now, self.id, taken as usize);
        }
        talk.flows[who].give();
        if self.drained && talk.wants_to_send(who) {
            self.drained = false;
            session.on_readable(self.id);
        }
        !talk.is_over(who)
    }

    /// The same for a user of datagrams.
    fn flow(&mut self, stage: &mut Stage, who: usize, session: &mut Session) -> bool {
        let talk = &mut stage.talks[self.talk];
        if talk.is_hurried {
            talk.cut = true;
            session.reset(self.id, Cause::Idle);
            return false;
        }
        for _ in 0..stage.rng.below(3) {
            let most = if stage.plan.buffer > 70_000 && stage.rng.chance(10) {
                65_507
            } else {
                1400
            };
            let datagram = talk.flows[who].datagram(stage.rng.below(most + 1) as usize);
            session.send_datagram(stage.now, self.id, &datagram);
        }
        true
    }

    /// Whether the local service takes it, sooner or later.
    fn connect(&mut self, stage: &mut Stage, session: &mut Session) -> bool {
        self.connecting = match self.connecting {
            None => return true,
            Some(0) => None,
            Some(steps) => return self.wait(steps),
        };
        if stage.rng.chance(stage.plan.refusals) {
            stage.talks[self.talk].refused = true;
            session.refuse(self.id, Cause::Unreachable);
            return false;
        }
        session.opened(self.id);
        true
    }

    fn wait(&mut self, steps: u64) -> bool {
        self.connecting = Some(steps - 1);
        true
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let streams = self.session.stream_ids();
        let grown = self.budget.grown();
        write!(
            f,
            "node {}: users {:?}, streams {streams:?}, grown {grown}",
            self.who,
            self.users.keys()
        )
    }
}
