//! Many visitors, many services, and nothing left of them afterwards.

mod rig;

use std::io::Write;
use std::net::{Shutdown, SocketAddr};
use std::thread;

use rig::{Kind, Local, PATIENCE, Transport, Tunnel, eventually, inspect, local, raise_descriptor_limit, visitor};

#[test]
fn two_thousand_visitors_at_once() {
    raise_descriptor_limit(8192);
    let echo = Local::serve(local::echo);
    let tunnel = Tunnel::with_echo(echo.address());
    let mut visitors: Vec<_> = (0..2000).map(|_| tunnel.visit("echo")).collect();
    for (number, visitor) in visitors.iter_mut().enumerate() {
        writeln!(visitor, "visitor {number}").expect("words to the echo");
    }
    for (number, visitor) in visitors.iter_mut().enumerate() {
        let words = format!("visitor {number}\n");
        let answer = rig::receive(&*visitor, words.len() as u64).expect("an echo");
        assert!(
            answer == hash(words.as_bytes()),
            "visitor {number} got another one's words"
        );
    }
    assert_eq!(inspect::connections(tunnel.client(), tunnel.control()), 1);
}

#[test]
fn ten_thousand_short_visitors_leave_no_descriptor() {
    raise_descriptor_limit(8192);
    let echo = Local::serve(local::echo);
    let tunnel = Tunnel::with_echo(echo.address());
    visitor::echo(&tunnel.visit("echo"), b"warm up");
    let mut idle = [0; 2];
    eventually("the first visitor is gone", PATIENCE, || {
        let before = std::mem::replace(&mut idle, descriptors(&tunnel));
        before == idle
    });

    let public = tunnel.public("echo");
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| (0..1250).for_each(|number| short_visit(public, number)));
        }
    });
    eventually("all descriptors are closed", PATIENCE, || {
        let now = descriptors(&tunnel);
        now[0] <= idle[0] && now[1] <= idle[1]
    });
    visitor::echo(&tunnel.visit("echo"), b"the last one");
}

/// One of the ways to come by and leave.
fn short_visit(public: SocketAddr, number: usize) {
    let visitor = visitor::connect(public);
    match number % 5 {
        0 => drop(visitor),
        1 => visitor::reset(visitor),
        2 => {
            visitor::echo(&visitor, b"politely");
            visitor.shutdown(Shutdown::Write).expect("a half-close");
            assert_eq!(visitor::end(&visitor), visitor::End::Closed);
        }
        3 => {
            visitor::echo(&visitor, b"rudely");
            visitor::reset(visitor);
        }
        _ => visitor::echo(&visitor, b"briefly"),
    }
}

/// KiB of memory, of server and client together, that an idle visitor may cost: no buffer of its own.
const IDLE: u64 = 8;

#[test]
fn idle_visitors_cost_little_over_each_transport() {
    raise_descriptor_limit(8192);
    let echo = Local::serve(local::echo);
    for transport in Transport::available() {
        let builder = Tunnel::builder().transport(transport);
        let tunnel = builder.service("echo", Kind::Tcp, echo.address()).start();
        visitor::echo(&tunnel.visit("echo"), b"warm up");
        let before = memory(&tunnel);
        let visitors: Vec<_> = (0..500).map(|_| tunnel.visit("echo")).collect();
        for visitor in &visitors {
            visitor::echo(visitor, b"hello");
        }
        let after = memory(&tunnel);
        assert!(
            after < before + 500 * IDLE,
            "{transport:?}: {before} KiB grew to {after}"
        );
    }
}

/// KiB that server and client hold together.
fn memory(tunnel: &Tunnel) -> u64 {
    inspect::memory(tunnel.server()) + inspect::memory(tunnel.client())
}

#[test]
fn hundred_services_share_one_link() {
    let echo = Local::serve(local::echo);
    let names: Vec<_> = (0..100).map(|number| format!("service-{number}")).collect();
    let builder = names
        .iter()
        .fold(Tunnel::builder(), |b, name| b.service(name, Kind::Tcp, echo.address()));
    let tunnel = builder.start();
    let visitors: Vec<_> = names.iter().map(|name| tunnel.visit(name)).collect();
    for (visitor, name) in visitors.iter().zip(&names) {
        visitor::echo(visitor, name.as_bytes());
    }
    assert_eq!(inspect::connections(tunnel.client(), tunnel.control()), 1);
}

/// Open descriptors of server and client.
fn descriptors(tunnel: &Tunnel) -> [usize; 2] {
    [tunnel.server(), tunnel.client()].map(inspect::descriptors)
}

fn hash(bytes: &[u8]) -> [u8; 32] {
    rig::receive(bytes, bytes.len() as u64).expect("bytes in memory")
}
