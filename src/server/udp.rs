//! A UDP service's public address: one socket for all visitors, one flow for each source address and port (and each of
//! our addresses that it asks).

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use log::debug;

use crate::limits;
use crate::net::task::{self, Owned};
use crate::net::udp::{Flow, Received, UdpSocket, Way};
use crate::net::visitor::add;
use crate::proto::sorted::SortedMap;
use crate::proto::{Cause, Time, Visit};

use super::Server;
use super::dispatch::Given;
use super::services::Service;

/// Takes datagrams for `service` at `address`.
pub fn open(
    server: &Rc<Server>,
    service: &Rc<Service>,
    address: SocketAddr,
    v6_only: bool,
) -> io::Result<(SocketAddr, Owned)> {
    let socket = Rc::new(UdpSocket::bind(address, v6_only)?);
    let address = socket.address()?;
    let door = Door {
        server: server.clone(),
        service: service.clone(),
        address,
        socket,
        flows: RefCell::default(),
        turns: RefCell::default(),
    };
    Ok((address, Owned::spawn(door.serve())))
}

struct Door {
    server: Rc<Server>,
    service: Rc<Service>,
    address: SocketAddr,
    socket: Rc<UdpSocket>,
    flows: RefCell<SortedMap<Key, Rc<Flow>>>,
    /// Every key of `flows`: whose turn it is to give way; strangers, then assured ones.
    turns: RefCell<[VecDeque<Turn>; 2]>,
}

/// A flow as it was when it came to stand in a queue.
#[derive(PartialEq)]
struct Turn {
    key: Key,
    last: Time,
    is_assured: bool,
}

impl Turn {
    fn of(key: Key, flow: &Flow) -> Turn {
        Turn {
            key,
            last: flow.last(),
            is_assured: flow.is_assured(),
        }
    }
}

/// Who sent, and which of our addresses was asked: answers come from that one.
type Key = (SocketAddr, Option<IpAddr>);

fn key(datagram: &Received<'_>) -> Key {
    (datagram.from, datagram.to)
}

impl Door {
    async fn serve(self) {
        loop {
            let rest = tokio::time::sleep(self.rest());
            let mut rest = std::pin::pin!(rest);
            std::future::poll_fn(|cx| match self.poll(cx) {
                Poll::Ready(()) => Poll::Ready(()),
                Poll::Pending => rest.as_mut().poll(cx),
            })
            .await;
            self.expire();
        }
    }

    /// Ready when there is a first flow, whose end is then to be waited for.
    fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        let process = &self.server.process;
        let had_none = self.flows.borrow().is_empty();
        for _ in 0..limits::BUSY_ROUNDS {
            let now = process.now();
            let received = process.with_place(|place| {
                self.socket
                    .poll_recv(cx, place, &mut |datagram| self.take(now, &datagram))
            });
            if received.is_pending() {
                let first = had_none && !self.flows.borrow().is_empty();
                return if first { Poll::Ready(()) } else { Poll::Pending };
            }
        }
        task::yield_now(cx);
        Poll::Pending
    }

    fn take(&self, now: Time, datagram: &Received<'_>) {
        if !self.server.is_in_rate(&self.service) {
            return add(&self.service.counters.dropped, 1);
        }
        let known = self
            .flows
            .borrow()
            .get(&key(datagram))
            .filter(|flow| !flow.is_gone())
            .cloned();
        match known.or_else(|| self.admit(datagram)) {
            Some(flow) => flow.take(now, datagram.bytes),
            None => self.count_refused(datagram.from),
        }
    }

    /// A flow for a new source. When there are too many, another gives way.
    fn admit(&self, datagram: &Received<'_>) -> Option<Rc<Flow>> {
        let most = self.server.config().tunnels.max_visitors;
        if most > 0 && self.service.counters.open.get() >= most {
            return None;
        }
        let asked = datagram.to.unwrap_or(self.address.ip());
        let visit = Visit {
            from: Some(datagram.from),
            to: Some(SocketAddr::new(asked, self.address.port())),
        };
        let Given { link, stream, .. } = self.server.dispatch(&self.service, visit, &mut Vec::new())?;
        // Which leaves as much as it takes to the other services.
        if self.flows.borrow().len() >= limits::MAX_FLOWS.min(link.flow_room() as usize + 1) {
            self.give_way();
        }
        let flow = Flow::new(&link, stream, &self.service.counters);
        flow.set_way(Way::Visitor(self.socket.clone(), datagram.from, datagram.to));
        link.join_flow(&flow);
        let before = self.flows.borrow_mut().insert(key(datagram), flow.clone());
        if before.is_none() {
            let [strangers, _] = &mut *self.turns.borrow_mut();
            strangers.push_back(Turn::of(key(datagram), &flow));
        }
        debug!("visitor service={} peer={}", self.service.config().name, datagram.from);
        Some(flow)
    }

    /// Ends the flow that was used least recently, or nearly so: the first in turn that was not used since it came to
    /// stand there. One whose visitor has shown that it hears answers goes when there is no other.
    fn give_way(&self) {
        let mut flows = self.flows.borrow_mut();
        let [strangers, assured] = &mut *self.turns.borrow_mut();
        while let Some(turn) = strangers.pop_front().or_else(|| assured.pop_front()) {
            let Some(flow) = flows.get(&turn.key) else { continue };
            let now = Turn::of(turn.key, flow);
            if flow.is_gone() || now == turn {
                flow.end(Cause::Idle);
                flows.remove(&turn.key);
                return;
            }
            if now.is_assured { &mut *assured } else { &mut *strangers }.push_back(now);
        }
    }

    fn count_refused(&self, from: SocketAddr) {
        add(&self.service.counters.refused, 1);
        let name = &self.service.config().name;
        debug!("visitor is refused service={name} peer={from}: no room");
    }

    fn timeout(&self) -> Option<Duration> {
        self.service.config().udp_timeout
    }

    /// How long no flow can come to its end, as far as the configuration stays.
    fn rest(&self) -> Duration {
        let oldest = self.flows.borrow().values().map(|flow| flow.last()).min();
        let Some(oldest) = oldest else {
            return Duration::from_secs(limits::MAX_HEARTBEAT);
        };
        let (look, passed) = (
            Duration::from_secs(limits::TUNNEL_IDLE),
            self.server.process.now().since(oldest),
        );
        let left = |timeout: Duration| timeout.saturating_sub(Duration::from_micros(passed));
        self.timeout().map_or(look, left).min(look)
    }

    fn expire(&self) {
        let (timeout, now) = (self.timeout(), self.server.process.now());
        let over =
            |flow: &Flow| timeout.is_some_and(|timeout| Duration::from_micros(now.since(flow.last())) >= timeout);
        self.flows.borrow_mut().retain(|_, flow| {
            let stays = !flow.is_gone() && !over(flow);
            if !stays && !flow.is_gone() {
                flow.end(Cause::Idle);
            }
            stays
        });
        let flows = self.flows.borrow();
        for queue in self.turns.borrow_mut().iter_mut() {
            queue.retain(|turn| flows.contains_key(&turn.key));
        }
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        let flows = core::mem::take(&mut *self.flows.borrow_mut());
        flows
            .values()
            .filter(|flow| !flow.is_gone())
            .for_each(|flow| flow.end(Cause::Leaving));
    }
}
