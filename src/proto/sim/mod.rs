//! Two real sessions on a simulated network, with a clock that stands still between steps and a seed for everything
//! that chance decides. Each step moves bytes, lets users do what users do, and holds all books against each other:
//! the sessions' own ([`Session::check`](super::Session::check)), the model of every byte ([`talk`]), and what a third
//! party sees on the wire ([`witness`]).
#![allow(clippy::unwrap_used)]

mod node;
mod talk;
mod wire;
mod witness;

use alloc::rc::Rc;
use alloc::vec::Vec;
use core::time::Duration;

pub(super) use node::Node;
pub(super) use talk::{Reader, Talk};
pub(super) use wire::{Rng, Wire};

use super::{Budget, Channel, End, Handshake, Hello, Leave, Session, Time};
use crate::limits;
use witness::Witness;

/// Index of the client's node, and of the wire that it sends on.
pub(super) const CLIENT: usize = 0;
/// See [`CLIENT`].
pub(super) const SERVER: usize = 1;

/// What a run is like. Chances are of one in a thousand per step.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    /// Bytes of budget at either end.
    pub budget: u64,
    /// Bytes of the transmit buffers.
    pub buffer: usize,
    /// Bytes a turn.
    pub quantum: u32,
    /// µs that a step takes at most.
    pub step: u64,
    /// Bytes received at once at most; chance makes it less.
    pub read: usize,
    /// Visitors that may be there at once.
    pub visitors: usize,
    /// Bytes that a user sends at most.
    pub size: u64,
    /// A visitor comes.
    pub arrivals: u64,
    /// A user resets its connection.
    pub resets: u64,
    /// A local service refuses.
    pub refusals: u64,
    /// A wire stalls, or goes on.
    pub stalls: u64,
    /// A registration is withdrawn.
    pub withdrawals: u64,
    /// Sockets that take and give less than they could.
    pub fitful: bool,
    pub timeout: Duration,
}

impl Plan {
    /// Everything at once, as the seed wants it.
    pub fn chaos(rng: &mut Rng) -> Plan {
        Plan {
            budget: rng.pick(&[limits::MIN_BUDGET, limits::MIN_BUDGET, 64 << 20]),
            buffer: rng.pick(&[2 * 1032, 9000, limits::TRANSMIT_BUFFER]),
            quantum: rng.pick(&[1448, 5000, limits::QUANTUM]),
            step: rng.pick(&[200, 2_000, 20_000]),
            read: rng.pick(&[3, 100, 5_000, 1 << 18]),
            visitors: rng.pick(&[1, 4, 12]),
            size: rng.pick(&[10, 5_000, 60_000, 500_000]),
            arrivals: rng.pick(&[50, 200, 700]),
            resets: rng.pick(&[0, 0, 1, 20]),
            refusals: rng.pick(&[0, 0, 200]),
            stalls: rng.pick(&[0, 10, 50]),
            withdrawals: rng.pick(&[0, 5]),
            fitful: rng.below(4) > 0,
            timeout: Duration::from_secs(40),
        }
    }

    /// Nothing happens that is not asked for.
    pub fn calm() -> Plan {
        Plan {
            budget: 64 << 20,
            buffer: limits::TRANSMIT_BUFFER,
            quantum: limits::QUANTUM,
            step: 200,
            read: limits::READ_BUFFER,
            visitors: 0,
            size: 0,
            arrivals: 0,
            resets: 0,
            refusals: 0,
            stalls: 0,
            withdrawals: 0,
            fitful: false,
            timeout: Duration::from_secs(40),
        }
    }
}

/// What both nodes and everything that happens to them share.
pub(super) struct Stage {
    pub now: Time,
    pub rng: Rng,
    pub plan: Plan,
    /// Every visitor that ever came.
    pub talks: Vec<Talk>,
}

/// A client, a server, and what lies between them.
pub(super) struct World {
    pub stage: Stage,
    pub nodes: [Node; 2],
    pub wires: [Wire; 2],
    witness: Witness,
}

impl World {
    /// After the handshake, with `wires` in between.
    pub fn new(plan: Plan, wires: [Wire; 2], rng: Rng) -> World {
        let budgets = [(); 2].map(|()| Rc::new(Budget::new(plan.budget)));
        let mut stage = Stage {
            now: Time(1),
            rng,
            plan,
            talks: Vec::new(),
        };
        let nodes = meet(&mut stage, budgets);
        World {
            stage,
            nodes,
            wires,
            witness: Witness::default(),
        }
    }

    /// As `seed` wants it.
    pub fn chaos(seed: u64) -> World {
        let mut rng = Rng::new(seed);
        let plan = Plan::chaos(&mut rng);
        let wires = [(); 2].map(|()| Wire::chaos(&mut rng));
        let plan = Plan {
            step: plan.step.max(wires[CLIENT].delay / 10),
            ..plan
        };
        World::new(plan, wires, rng)
    }

    /// The link breaks at once and another one takes its place; the processes and their budgets live on.
    pub fn relink(&mut self) {
        let budgets = self.nodes.each_ref().map(|node| node.budget.clone());
        self.nodes.iter_mut().for_each(|node| node.hang_up(&mut self.stage));
        self.nodes = meet(&mut self.stage, budgets);
        self.wires.iter_mut().for_each(Wire::clear);
        self.witness = Witness::default();
        // The sessions of old were dropped with their nodes.
        self.nodes.iter().for_each(|node| {
            assert_eq!((node.budget.streams(), node.budget.grown()), (0, 0));
        });
    }

    /// Some time passes, and what is due happens.
    pub fn step(&mut self) {
        let passed = self.stage.rng.below(self.stage.plan.step);
        self.advance(1 + passed);
    }

    /// `micros` pass, and what is due happens.
    pub fn advance(&mut self, micros: u64) {
        self.stage.now = self.stage.now.after(Duration::from_micros(micros));
        self.happen();
        for _ in 0..2 {
            for from in [CLIENT, SERVER] {
                let (wire_in, wire_out) = crossed(&mut self.wires, from);
                let node = &mut self.nodes[from];
                node.receive(&mut self.stage, wire_in);
                node.live(&mut self.stage);
                node.transmit(&mut self.stage, wire_out, &mut self.witness);
            }
        }
        self.nodes.iter().for_each(Node::check);
    }

    /// What chance does besides.
    fn happen(&mut self) {
        for wire in &mut self.wires {
            if self.stage.rng.chance(self.stage.plan.stalls) {
                wire.stalled = !wire.stalled;
            }
        }
        let [_, server] = &mut self.nodes;
        if self.stage.rng.chance(self.stage.plan.arrivals) && server.visitors() < self.stage.plan.visitors {
            let talk = Talk::chaos(&mut self.stage.rng, self.stage.plan.size);
            if let Some(service) = server.service(&mut self.stage.rng) {
                server.visit(&mut self.stage, service, talk);
            }
        }
        for node in &mut self.nodes {
            if self.stage.rng.chance(self.stage.plan.withdrawals) {
                node.withdraw();
            }
        }
    }

    /// From here on nothing gets in the way: all that was begun comes to its end.
    pub fn settle(&mut self) {
        self.stage.plan.calm_down();
        self.wires.iter_mut().for_each(Wire::calm_down);
        self.stage.talks.iter_mut().for_each(Talk::hurry);
        self.until(Duration::from_secs(600), |world| world.is_quiet());
        for talk in &self.stage.talks {
            talk.assert_over();
        }
        for node in &self.nodes {
            assert_eq!(node.session.streams(), 0);
            assert_eq!((node.budget.streams(), node.budget.grown()), (0, 0));
        }
    }

    /// A visitor comes to the first service as soon as it is up.
    pub fn visit(&mut self, talk: Talk) -> usize {
        self.until(Duration::from_secs(60), |world| world.nodes[SERVER].is_up());
        self.nodes[SERVER]
            .visit(&mut self.stage, 0, talk)
            .expect("room for a visitor")
    }

    /// Goes on until `done`, which must be before `limit` has passed.
    pub fn until(&mut self, limit: Duration, done: impl Fn(&World) -> bool) {
        let end = self.stage.now.after(limit);
        while !done(self) {
            assert!(self.stage.now < end, "no progress: {:?}", self.nodes);
            self.step();
        }
    }

    /// Goes on for `span`.
    pub fn run(&mut self, span: Duration) {
        let end = self.stage.now.after(span);
        while self.stage.now < end {
            self.step();
        }
    }

    /// One end says goodbye, and the other hears it.
    pub fn part(&mut self, who: usize) {
        self.nodes[who].session.leave(Leave::Shutdown, "the end");
        self.until(Duration::from_secs(600), |world| {
            world.nodes[1 - who].farewell.is_some()
        });
    }

    fn is_quiet(&self) -> bool {
        self.nodes
            .iter()
            .all(|node| node.visitors() == 0 && node.session.streams() == 0)
    }
}

impl Plan {
    fn calm_down(&mut self) {
        *self = Plan {
            arrivals: 0,
            resets: 0,
            refusals: 0,
            stalls: 0,
            withdrawals: 0,
            fitful: false,
            step: 5_000,
            read: limits::READ_BUFFER,
            ..self.clone()
        };
    }
}

fn crossed(wires: &mut [Wire; 2], from: usize) -> (&mut Wire, &mut Wire) {
    let [up, down] = wires;
    if from == CLIENT { (down, up) } else { (up, down) }
}

/// Both state machines of both ends, byte by byte where chance wants it.
fn meet(stage: &mut Stage, budgets: [Rc<Budget>; 2]) -> [Node; 2] {
    let hellos = [1, 2].map(|who| hello(who, stage, &budgets[SERVER]));
    let channel = Channel {
        label: "tcp",
        binding: Vec::new(),
    };
    let mut client = Handshake::new(End::Client, hellos[CLIENT].clone(), channel.clone());
    let mut server = Handshake::new(End::Server, hellos[SERVER].clone(), channel);
    let said = client.poll_transmit().to_vec();
    let met_client = introduce(stage, &mut server, &said);
    let said = server.poll_transmit().to_vec();
    let met_server = introduce(stage, &mut client, &said);
    let mut ends = [(End::Client, met_server), (End::Server, met_client)].into_iter();
    let mut budgets = budgets.into_iter();
    [CLIENT, SERVER].map(|who| {
        let (end, met) = ends.next().unwrap();
        let budget = budgets.next().unwrap();
        let session = Session::new(end, &hellos[who], met, budget.clone(), stage.now);
        Node::new(who, session, budget, stage)
    })
}

fn introduce(stage: &mut Stage, handshake: &mut Handshake, said: &[u8]) -> super::Introduction {
    let mut rest = said;
    loop {
        let n = 1 + stage.rng.below(rest.len() as u64) as usize;
        let (mut head, tail) = rest.split_at(n);
        rest = tail;
        if let Some(met) = handshake.handle_bytes(&mut head).unwrap() {
            assert!(head.is_empty() && rest.is_empty());
            return met;
        }
    }
}

fn hello(who: u8, stage: &mut Stage, budget: &Budget) -> Hello {
    let mut nonce = [0; 32];
    nonce.fill_with(|| stage.rng.next() as u8);
    Hello {
        nonce,
        instance: [who; 16],
        session: [who; 16],
        link: 0,
        max_streams: budget.max_streams() as u16,
        window: limits::INITIAL_WINDOW,
        interval: stage.plan.timeout * 3 / 4,
        timeout: stage.plan.timeout,
        agent: "simulated".into(),
    }
}
