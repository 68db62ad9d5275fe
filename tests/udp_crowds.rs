//! More sources of datagrams than there is room for, wanted or not: who is served goes on being served.

mod rig;

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use rig::datagrams::{self, ask_port, visit};
use rig::{Kind, Local, PATIENCE, Responder, Tunnel, eventually, inspect, local, visitor};

/// Flows of one service at most.
const MAX_FLOWS: usize = 1024;

#[test]
fn least_recently_used_gives_way() {
    rig::raise_descriptor_limit(8192);
    let echo = Responder::serve(datagrams::tell_port);
    let tunnel = Tunnel::builder().service("service", Kind::Udp, echo.address()).start();
    let before = descriptors(&tunnel);
    let visitors: Vec<_> = (0..2 * MAX_FLOWS).map(|_| visit(tunnel.public("service"))).collect();
    let (used, others) = visitors.split_first().expect("visitors");
    let port = ask_port(used, b"first");
    for (n, other) in others.iter().enumerate() {
        ask_port(other, &tag(n));
        if n % 100 == 0 {
            assert_eq!(ask_port(used, &tag(n)), port, "the one in use gave way");
        }
    }
    let most = [before[0], before[1] + MAX_FLOWS];
    eventually("no more flows than that", PATIENCE, || {
        let now = descriptors(&tunnel);
        now[0] <= most[0] && now[1] <= most[1]
    });
    // Those that gave way may come again.
    ask_port(&others[0], b"again");
}

#[test]
fn flood_of_sources_leaves_others_alone() {
    rig::raise_descriptor_limit(8192);
    let (tcp, udp) = (Local::serve(local::echo), Responder::serve(datagrams::tell_port));
    let tunnel = Tunnel::builder()
        .service("tcp", Kind::Tcp, tcp.address())
        .service("flooded", Kind::Udp, udp.address())
        .service("other", Kind::Udp, udp.address())
        .start();
    let before = descriptors(&tunnel);
    let memory = peak_memory(&tunnel);
    let (stays, other) = (visit(tunnel.public("flooded")), visit(tunnel.public("other")));
    let old = tunnel.visit("tcp");
    let ports = [&stays, &other].map(|visitor| ask_port(visitor, b"before"));
    // Who goes on after an answer is no made-up source.
    ask_port(&stays, b"before too");

    let (over, count) = (AtomicBool::new(false), AtomicU32::new(0));
    let flooded = tunnel.public("flooded");
    thread::scope(|scope| {
        scope.spawn(|| flood(flooded, &count, &over));
        for round in 0..20 {
            visitor::echo(&old, &tag(round));
            visitor::echo(&tunnel.visit("tcp"), &tag(round));
            assert_eq!(
                ask_port(&other, &tag(round)),
                ports[1],
                "another service's flow gave way"
            );
            assert_eq!(ask_port(&stays, &tag(round)), ports[0], "the one in use gave way");
        }
        eventually("it was a flood", PATIENCE, || {
            count.load(Ordering::Relaxed) > 5 * MAX_FLOWS as u32
        });
        over.store(true, Ordering::Relaxed);
    });
    // Those that gave way may be over a little later.
    eventually("the client has no more than that", PATIENCE, || {
        descriptors(&tunnel)[1] <= before[1] + MAX_FLOWS + 300
    });
    let after = peak_memory(&tunnel);
    assert!(after < memory + 32 * 1024, "{memory} KiB grew to {after}");
}

/// One datagram from each of many addresses and ports, until it is over; what others send beside it finds room now and
/// then.
fn flood(to: SocketAddr, count: &AtomicU32, over: &AtomicBool) {
    while !over.load(Ordering::Relaxed) {
        let number = count.fetch_add(1, Ordering::Relaxed);
        if number.is_multiple_of(64) {
            thread::sleep(Duration::from_millis(1));
        }
        let [_, a, b, c] = number.to_be_bytes();
        let from = IpAddr::from(Ipv4Addr::new(127, 128 | a, b, c));
        // An address of which the end is 0 or 255 is no host's everywhere.
        if let Ok(socket) = UdpSocket::bind((from, 0)) {
            let _ = socket.send_to(b"one of many", to);
        }
    }
}

/// Different for each round.
fn tag(round: usize) -> Vec<u8> {
    format!("round {round}").into_bytes()
}

/// KiB that server and client held together at their highest.
fn peak_memory(tunnel: &Tunnel) -> u64 {
    inspect::peak_memory(tunnel.server()) + inspect::peak_memory(tunnel.client())
}

/// Open descriptors of server and client.
fn descriptors(tunnel: &Tunnel) -> [usize; 2] {
    [tunnel.server(), tunnel.client()].map(inspect::descriptors)
}
