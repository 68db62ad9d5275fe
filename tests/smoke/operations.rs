//! Arbitrary sequences of what drivers, users and networks do to two sessions; now and then bytes of a liar among them.

use std::collections::VecDeque;
use std::rc::Rc;

use pinhole::proto::{
    Budget, Cause, Decline, Event, Leave, Protocol, Registration, Session, StreamId, Terms, Time, Transmit, Visit,
};

use crate::pair::{Bytes, TOKEN, budget, meet};

/// Does what `data` says.
pub fn run(data: &[u8]) {
    let mut data = Bytes(data);
    let budgets = [budget(), budget()];
    let mut world = World::new(&budgets);
    while !data.is_empty() && !world.is_over {
        world.act(&mut data);
        world.ends.iter().for_each(|end| end.session.check());
    }
    drop(world);
    for budget in budgets {
        assert_eq!((budget.streams(), budget.grown()), (0, 0));
    }
}

struct World {
    now: Time,
    ends: [Side; 2],
    /// A liar spoke: faults are to be expected.
    has_liar: bool,
    is_over: bool,
}

struct Side {
    session: Session,
    out: Transmit,
    /// Bytes on the way to this end.
    inbound: VecDeque<u8>,
    /// Bytes that came and were not yet taken.
    unread: Vec<(StreamId, usize)>,
    registrations: Vec<Registration>,
}

impl World {
    fn new(budgets: &[Rc<Budget>; 2]) -> World {
        let ends = meet(budgets.each_ref()).map(|session| Side {
            session,
            out: Transmit::new(4096),
            inbound: VecDeque::new(),
            unread: Vec::new(),
            registrations: Vec::new(),
        });
        World {
            now: Time(0),
            ends,
            has_liar: false,
            is_over: false,
        }
    }

    fn act(&mut self, data: &mut Bytes<'_>) {
        let what = data.byte();
        let who = usize::from(what & 1);
        let now = self.now;
        let [client, server] = &mut self.ends;
        let (one, other) = if who == 0 { (client, server) } else { (server, client) };
        match what >> 1 {
            0..=15 => self.is_over |= one.receive(now, data).is_err_and(|()| self.has_liar_or_panic()),
            16..=31 => one.transmit(now, other),
            32..=55 => one.turn(now, data),
            56..=71 => one.use_stream(now, data),
            72..=87 => one.consume(now, data),
            88..=95 => one.begin(who, now, data),
            96..=111 => self.pass_time(data),
            112 if who == 0 => one.session.unregister(u16::from(data.byte() % 4)),
            112..=114 => one.session.leave(Leave::Shutdown, "over"),
            115..=117 => one.session.hasten(now),
            _ => self.lie(who, data),
        }
    }

    fn has_liar_or_panic(&self) -> bool {
        assert!(self.has_liar, "a fault between sound peers");
        true
    }

    fn pass_time(&mut self, data: &mut Bytes<'_>) {
        self.now = Time(self.now.0 + data.number() as u64 * 100);
        self.is_over |= !self.ends.iter_mut().all(|end| end.session.handle_timeout(self.now));
    }

    /// Seldom, so that most runs are of sound peers.
    fn lie(&mut self, who: usize, data: &mut Bytes<'_>) {
        if data.byte() < 16 {
            self.has_liar = true;
            let n = data.number();
            self.ends[who].inbound.extend(data.take(n));
        }
    }
}

impl Side {
    fn receive(&mut self, now: Time, data: &mut Bytes<'_>) -> Result<(), ()> {
        let n = data.number().min(self.inbound.len());
        let bytes: Vec<u8> = self.inbound.drain(..n).collect();
        let mut input = &bytes[..];
        while let Some(event) = self.session.handle_bytes(now, &mut input).map_err(drop)? {
            match event {
                Event::Register(registration) => self.registrations.push(registration),
                Event::Data(id, bytes, _) => self.unread.push((id, bytes.len())),
                Event::Open(id, ..) if data.byte() < 40 => self.session.refuse(id, Cause::Unreachable),
                Event::Open(id, ..) => self.session.opened(id),
                _ => {}
            }
        }
        Ok(())
    }

    fn transmit(&mut self, now: Time, other: &mut Side) {
        self.session.poll_transmit(now, &mut self.out);
        other.inbound.extend(self.out.as_bytes());
        self.out.clear();
    }

    fn turn(&mut self, now: Time, data: &mut Bytes<'_>) {
        let quantum = 1000 + 100 * u32::from(data.byte());
        let Some(turn) = self.session.poll_turn(now, &mut self.out, usize::MAX, quantum) else {
            return;
        };
        let n = data.number().min(turn.most);
        let end = data.byte() < 20;
        if n == 0 && !end {
            return self.session.on_drained(turn.stream);
        }
        self.out.reserve(n).fill(7);
        self.session.commit(&mut self.out, turn.stream, n, end);
    }

    fn use_stream(&mut self, now: Time, data: &mut Bytes<'_>) {
        let ids = self.session.stream_ids();
        let Some(&id) = ids.get(usize::from(data.byte()) % ids.len().max(1)) else {
            return;
        };
        match data.byte() {
            0..=180 => drop(self.session.on_readable(id)),
            181..=200 => self.session.reset(id, Cause::Aborted),
            201..=230 => drop(self.session.send_datagram(now, id, data.take(50))),
            _ => drop(self.session.consumed(now, id, 0)),
        }
    }

    fn consume(&mut self, now: Time, data: &mut Bytes<'_>) {
        let which = usize::from(data.byte()) % self.unread.len().max(1);
        if which < self.unread.len() {
            let (id, n) = self.unread.swap_remove(which);
            self.session.consumed(now, id, n);
        }
    }

    fn begin(&mut self, who: usize, now: Time, data: &mut Bytes<'_>) {
        let id = u16::from(data.byte() % 4);
        match (who, self.registrations.pop()) {
            (0, _) if id % 2 == 0 => drop(
                self.session
                    .register(id, Protocol::Tcp, "web", TOKEN, &Terms::default()),
            ),
            (0, _) => drop(
                self.session
                    .register(id, Protocol::Udp, "dns", TOKEN, &Terms::default()),
            ),
            (_, Some(registration)) if self.session.prove(&registration, Some(TOKEN)) => {
                self.session.accept(&registration, TOKEN, "public", false);
            }
            (_, None) if data.byte() < 30 => self.session.decline(id, Decline::Unavailable, ""),
            _ => drop(self.session.open(now, id, Visit::default())),
        }
    }
}
