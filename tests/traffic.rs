//! What visitors and local services say to each other arrives, and so does how they end it.

mod rig;

use std::net::{Ipv4Addr, Shutdown, TcpStream};
use std::thread;

use rig::local;
use rig::visitor::{self, End};
use rig::{Kind, Local, PATIENCE, Service, Transport, Tunnel, address, eventually, inspect, receive, send};

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

/// Runs `body` with a tunnel to `local` over each transport; the service is named `service`.
fn over_each_transport(local: &Local, body: impl Fn(&Tunnel)) {
    for transport in Transport::available() {
        body(
            &Tunnel::builder()
                .service("service", Kind::Tcp, local.address())
                .transport(transport)
                .start(),
        );
    }
}

/// Runs `body` over each transport with a visitor and the connection at the local service that it led to.
fn with_both_ends(body: impl Fn(TcpStream, TcpStream)) {
    for transport in Transport::available() {
        let door = Local::door();
        let tunnel = Tunnel::builder()
            .service("service", Kind::Tcp, door.address())
            .transport(transport)
            .start();
        let near = tunnel.visit("service");
        body(near, door.arrival());
    }
}

#[test]
fn words_come_back() {
    let echo = Local::serve(local::echo);
    over_each_transport(&echo, |tunnel| {
        let visitor = tunnel.visit("service");
        visitor::echo(&visitor, b"hello");
        visitor::echo(&visitor, &rig::Payload::bytes(7, 100_000));
        visitor.shutdown(Shutdown::Write).expect("a half-close");
        assert_eq!(visitor::end(&visitor), End::Closed);
    });
}

#[test]
fn service_may_speak_first() {
    with_both_ends(|near, far| {
        let sent = send(&far, 1, 10).expect("a greeting");
        assert_eq!(receive(&near, 10).expect("a greeting"), sent);
    });
}

#[test]
fn eight_visitors_exchange_100_mb_each_way() {
    let exchange = Local::serve(local::exchange);
    over_each_transport(&exchange, |tunnel| {
        thread::scope(|scope| {
            for seed in 1..=8 {
                let visitor = tunnel.visit("service");
                scope.spawn(move || {
                    local::exchange_with(&visitor, seed, 100_000_000).expect("an exchange");
                    assert_eq!(visitor::end(&visitor), End::Closed);
                });
            }
        });
    });
}

#[test]
fn visitor_half_closes_first() {
    with_both_ends(|near, far| half_close(&near, &far));
}

#[test]
fn service_half_closes_first() {
    with_both_ends(|near, far| half_close(&far, &near));
}

/// `one` sends and is done; only when `other` has read the end does it send 1 MiB.
#[track_caller]
fn half_close(one: &TcpStream, other: &TcpStream) {
    let sent = send(one, 1, 100 * KIB).expect("the first way");
    one.shutdown(Shutdown::Write).expect("a half-close");
    assert_eq!(receive(other, 100 * KIB).expect("the first way"), sent);
    assert_eq!(visitor::end(other), End::Closed);

    let (sent, received) = thread::scope(|scope| {
        let sending = scope.spawn(|| send(other, 2, MIB));
        let received = receive(one, MIB);
        (sending.join().expect("the sending thread"), received)
    });
    assert_eq!(sent.expect("the way back"), received.expect("the way back"));
    other.shutdown(Shutdown::Write).expect("a half-close");
    assert_eq!(visitor::end(one), End::Closed);
}

#[test]
fn reset_by_the_visitor_is_a_reset_at_the_service() {
    with_both_ends(|near, far| {
        send(&near, 1, KIB).expect("a few words");
        receive(&far, KIB).expect("a few words");
        visitor::reset(near);
        assert_eq!(visitor::end(&far), End::Reset);
    });
}

#[test]
fn reset_by_the_service_is_a_reset_at_the_visitor() {
    with_both_ends(|near, far| {
        send(&far, 1, KIB).expect("a few words");
        receive(&near, KIB).expect("a few words");
        visitor::reset(far);
        assert_eq!(visitor::end(&near), End::Reset);
    });
}

#[test]
fn reset_follows_a_half_close() {
    with_both_ends(|near, far| {
        near.shutdown(Shutdown::Write).expect("a half-close");
        assert_eq!(visitor::end(&far), End::Closed);
        visitor::reset(far);
        assert_eq!(visitor::end(&near), End::Reset);
    });
}

#[test]
fn visitor_of_a_service_that_is_down_is_reset_until_it_is_up() {
    let address = address::free_port(address::own());
    let tunnel = Tunnel::with_echo(address);
    let public = tunnel.public("echo");
    for _ in 0..3 {
        assert_eq!(visitor::fate(public), End::Reset);
    }
    let local = Local::serve_at(address, local::echo);
    visitor::echo(&tunnel.visit("echo"), b"up");
    drop(local);
    assert_eq!(visitor::fate(public), End::Reset);
}

#[test]
fn reader_that_is_stuck_blocks_itself_alone() {
    rig::raise_descriptor_limit(4096);
    let (echo, flood) = (Local::serve(local::echo), Local::serve(local::flood));
    for transport in Transport::available() {
        let tunnel = Tunnel::builder()
            .service("echo", Kind::Tcp, echo.address())
            .service("flood", Kind::Tcp, flood.address())
            .transport(transport)
            .start();
        let before = peak_memory(&tunnel);
        let stuck: Vec<_> = (0..200).map(|_| tunnel.visit("flood")).collect();
        // Each has been served before it is left alone.
        for visitor in &stuck {
            receive(visitor, 1000).expect("the beginning of the flood");
        }
        for _ in 0..20 {
            visitor::echo(&tunnel.visit("echo"), &rig::Payload::bytes(3, 300_000));
        }
        let after = peak_memory(&tunnel);
        assert!(after < before + 256 * KIB, "{before} KiB grew to {after}");
    }
}

/// KiB that server and client held together at their highest.
fn peak_memory(tunnel: &Tunnel) -> u64 {
    inspect::peak_memory(tunnel.server()) + inspect::peak_memory(tunnel.client())
}

#[test]
fn service_that_is_stuck_blocks_its_visitor_alone() {
    let (echo, door) = (Local::serve(local::echo), Local::door());
    let tunnel = Tunnel::builder()
        .service("echo", Kind::Tcp, echo.address())
        .service("door", Kind::Tcp, door.address())
        .start();
    let (near, _far) = (tunnel.visit("door"), door.arrival());
    visitor::fill(&near, 256 * MIB);
    visitor::echo(&tunnel.visit("echo"), &rig::Payload::bytes(3, 300_000));
}

#[test]
fn reset_of_a_blocked_visitor_reaches_the_service() {
    with_both_ends(|near, far| {
        visitor::fill(&near, 256 * MIB);
        visitor::reset(near);
        eventually("the service sees the reset", PATIENCE, || visitor::is_reset(&far));
    });
}

#[test]
fn reset_of_a_visitor_that_does_not_read_reaches_the_service() {
    with_both_ends(|near, far| {
        visitor::fill(&far, 256 * MIB);
        visitor::reset(near);
        eventually("the service sees the reset", PATIENCE, || visitor::is_reset(&far));
    });
}

#[test]
fn reset_of_a_blocked_service_reaches_the_visitor() {
    with_both_ends(|near, far| {
        visitor::fill(&far, 256 * MIB);
        visitor::reset(far);
        eventually("the visitor sees the reset", PATIENCE, || visitor::is_reset(&near));
    });
}

#[test]
fn blocked_bytes_arrive_when_reading_begins() {
    with_both_ends(|near, far| {
        for (from, to) in [(&near, &far), (&far, &near)] {
            let count = visitor::fill(from, 256 * MIB);
            let sent = send(std::io::sink(), visitor::FILLING, count).expect("the same bytes");
            assert_eq!(receive(to, count).expect("what was blocked"), sent);
        }
    });
}

#[test]
fn visitors_that_say_nothing_leave_no_trace() {
    let door = Local::door();
    let tunnel = Tunnel::builder().service("door", Kind::Tcp, door.address()).start();
    for _ in 0..10 {
        drop(tunnel.visit("door"));
        assert_eq!(visitor::end(&door.arrival()), End::Closed);
    }
}

#[test]
fn ports_may_be_left_to_the_server() {
    let echo = Local::serve(local::echo);
    let any = (address::own(), 0).into();
    let tunnel = Tunnel::builder()
        .with(Service::new("echo", Kind::Tcp, echo.address()).at(any))
        .start();
    assert_ne!(tunnel.public("echo").port(), 0);
    visitor::echo(&tunnel.visit("echo"), b"any port");
}

#[test]
fn everything_works_over_ipv6() {
    let Some(ipv6) = address::ipv6() else {
        return rig::program::skip("this machine has no ::1");
    };
    let echo = Local::serve_on(ipv6, local::echo);
    let tunnel = Tunnel::builder()
        .address(ipv6)
        .service("echo", Kind::Tcp, echo.address())
        .start();
    assert!(tunnel.control().is_ipv6() && tunnel.public("echo").is_ipv6());
    visitor::echo(&tunnel.visit("echo"), b"over IPv6");
}

#[test]
fn names_lead_to_whichever_address_answers() {
    let addresses = [Some(Ipv4Addr::LOCALHOST.into()), address::ipv6()];
    for address in addresses.into_iter().flatten() {
        let echo = Local::serve_on(address, local::echo);
        let service = Service::new("echo", Kind::Tcp, echo.address()).local_host("localhost");
        let tunnel = Tunnel::builder()
            .address(address)
            .remote_host("localhost")
            .with(service)
            .start();
        visitor::echo(&tunnel.visit("echo"), b"by name");
    }
}
