//! What visitors and local services say to each other in datagrams arrives as it was sent, at the right one, from the
//! right address; and flows end, without a trace.

mod rig;

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rig::datagrams::{self, ask, ask_for, ask_port, bind, receive_within, visit};
use rig::json::Json;
use rig::{
    Kind, Local, PATIENCE, Payload, Responder, Role, Service, Signal, TempDir, Transport, Tunnel, Wire, address,
    eventually, inspect, local, visitor,
};

const SIZES: [usize; 12] = [0, 1, 2, 507, 508, 1200, 1472, 1473, 8192, 65_000, 65_506, 65_507];

/// Longer than any pause of a machine under load.
const LULL: Duration = Duration::from_millis(700);

/// Runs `body` with a tunnel to `local` over each transport; the service is named `service`.
fn over_each_transport(local: &Responder, body: impl Fn(&Tunnel)) {
    for transport in Transport::available() {
        body(
            &Tunnel::builder()
                .service("service", Kind::Udp, local.address())
                .transport(transport)
                .start(),
        );
    }
}

/// A tunnel to `local` whose flows end after `seconds` without a datagram.
fn with_timeout(local: &Responder, seconds: u64) -> Tunnel {
    let timeout = format!("udp_timeout = {seconds}");
    let service = Service::new("service", Kind::Udp, local.address()).line_at(Role::Server, &timeout);
    Tunnel::builder().with(service).start()
}

#[test]
fn datagrams_of_every_size_come_back_whole() {
    let echo = Responder::echo();
    over_each_transport(&echo, |tunnel| {
        for (seed, size) in (0..).zip(SIZES) {
            ask(&visit(tunnel.public("service")), &Payload::bytes(seed, size));
        }
    });
}

#[test]
fn order_is_kept_and_nothing_comes_twice() {
    let echo = Responder::echo();
    over_each_transport(&echo, |tunnel| {
        let (visitor, mut round) = (visit(tunnel.public("service")), 0);
        eventually("32 of 32 come back", PATIENCE, || {
            round += 1;
            (0..32).for_each(|n| drop(visitor.send(&numbered(round, n))));
            let came = numbers(&visitor, round);
            assert!(came.is_sorted_by(|a, b| a < b), "out of order: {came:?}");
            came.len() == 32
        });
    });
}

/// Of various sizes, many alike in a row.
fn numbered(round: u8, n: u8) -> Vec<u8> {
    [&[round, n][..], &vec![7; usize::from(n / 5) * 100]].concat()
}

/// The numbers of what comes of a round, until nothing does for a while.
fn numbers(visitor: &UdpSocket, round: u8) -> Vec<u8> {
    let mut came = Vec::new();
    while let Some(datagram) = receive_within(visitor, LULL, |datagram| datagram[0] == round) {
        let number = datagram[1];
        assert_eq!(datagram, numbered(round, number), "not as it was sent");
        came.push(number);
        if number == 31 {
            break;
        }
    }
    came
}

#[test]
fn sources_are_never_mixed_and_each_has_a_port_of_its_own() {
    let local = Responder::serve(datagrams::tell_port);
    over_each_transport(&local, |tunnel| {
        let visitors: Vec<_> = (0..64).map(|_| visit(tunnel.public("service"))).collect();
        let mut ports = vec![None; visitors.len()];
        for round in 0..20 {
            let words = |n| format!("visitor {n}, round {round}").into_bytes();
            for (n, visitor) in visitors.iter().enumerate() {
                visitor.send(&words(n)).expect("a datagram");
            }
            for (n, visitor) in visitors.iter().enumerate() {
                let prefix = format!("visitor {n}, ");
                let answer = receive_within(visitor, LULL, |_| true);
                let answer = answer.unwrap_or_else(|| ask_for(visitor, &words(n), |_| true));
                let (port, tag) = answer.split_at(2);
                assert!(tag.starts_with(prefix.as_bytes()), "visitor {n} got another one's");
                let port = port.to_vec();
                assert_eq!(
                    *ports[n].get_or_insert(port.clone()),
                    port,
                    "the port of visitor {n} changed"
                );
            }
        }
        assert_eq!(
            ports.iter().collect::<HashSet<_>>().len(),
            visitors.len(),
            "a shared port"
        );
    });
}

#[test]
fn each_service_reaches_its_own_local_one() {
    let (tcp, names) = (Local::serve(local::echo), ["one", "two", "three"]);
    let locals = names.map(|name| {
        Responder::serve(move |socket, from, _| {
            let _ = socket.send_to(name.as_bytes(), from);
        })
    });
    let builder = Tunnel::builder().service("tcp", Kind::Tcp, tcp.address());
    let services = names.iter().zip(&locals);
    let tunnel = services
        .fold(builder, |b, (name, local)| b.service(name, Kind::Udp, local.address()))
        .start();
    for name in names {
        ask_for(&visit(tunnel.public(name)), b"who?", |answer| answer == name.as_bytes());
    }
    visitor::echo(&tunnel.visit("tcp"), b"beside them");
}

#[test]
fn local_service_may_have_a_name() {
    let echo = Responder::serve_at((Ipv4Addr::LOCALHOST, 0).into(), datagrams::echo);
    let service = Service::new("service", Kind::Udp, echo.address()).local_host("localhost");
    let tunnel = Tunnel::builder().with(service).start();
    ask(&visit(tunnel.public("service")), b"by name");
}

#[test]
fn of_what_comes_before_a_flow_is_there_the_first_64_wait() {
    let (dir, echo) = (TempDir::new(), Responder::echo());
    let socket = dir.path().join("server.sock");
    let mut tunnel = Tunnel::builder()
        .service("service", Kind::Udp, echo.address())
        .line(Role::Server, &format!("control_socket = {socket:?}"))
        .start();
    let (public, sent) = (tunnel.public("service"), || service(&socket).get("bytes_in").number());
    // What a busy machine lets wait for long is dropped, and what it brings in two turns finds the flow there: then once
    // more.
    eventually("the first 64 come", PATIENCE, || {
        tunnel.process(Role::Client).signal(Signal::Stop);
        let (visitor, before) = (visit(public), sent());
        for number in 0..100_u8 {
            visitor.send(&[number]).expect("a datagram");
        }
        eventually("all are on their way", PATIENCE, || sent() >= before + 100.0);
        tunnel.process(Role::Client).signal(Signal::Continue);
        let came: Vec<_> = std::iter::from_fn(|| receive_within(&visitor, LULL, |_| true)).collect();
        assert!(came.is_sorted(), "{came:?}");
        ask(&visitor, b"and it lives");
        came == (0..64).map(|number| vec![number]).collect::<Vec<_>>()
    });
}

#[test]
fn everything_works_over_ipv6() {
    let Some(ipv6) = address::ipv6() else {
        return rig::program::skip("this machine has no ::1");
    };
    let echo = Responder::serve_at((ipv6, 0).into(), datagrams::echo);
    let tunnel = Tunnel::builder()
        .address(ipv6)
        .service("service", Kind::Udp, echo.address())
        .start();
    for size in SIZES {
        ask(&visit(tunnel.public("service")), &Payload::bytes(6, size));
    }
}

#[test]
fn answers_come_from_the_address_that_was_asked() {
    let echo = Responder::echo();
    let asked = [[127, 0, 0, 1], [127, 0, 0, 2], [127, 200, 3, 4]].map(IpAddr::from);
    let port = answers_from(&echo, Ipv4Addr::UNSPECIFIED.into(), &asked);
    assert_ne!(port, 0);
    let Some(ipv6) = address::ipv6() else {
        return rig::program::skip("this machine has no ::1");
    };
    answers_from(&echo, Ipv6Addr::UNSPECIFIED.into(), &[ipv6, asked[1], asked[2]]);
}

/// Asks a service that is bound to `any` at each of `addresses`, of its family or not, also from one and the same socket.
fn answers_from(echo: &Responder, any: IpAddr, addresses: &[IpAddr]) -> u16 {
    let service = Service::new("service", Kind::Udp, echo.address()).at((any, 0).into());
    let tunnel = Tunnel::builder().with(service).start();
    let port = tunnel.public("service").port();
    let one = bind((Ipv4Addr::UNSPECIFIED, 0).into());
    one.set_read_timeout(Some(LULL)).expect("a time-out");
    for &address in addresses {
        // A connected socket hears nobody else.
        ask(&visit((address, port).into()), b"connected");
        if address.is_ipv4() {
            eventually("an answer to a socket that asks many", PATIENCE, || {
                one.send_to(address.to_string().as_bytes(), (address, port))
                    .expect("a datagram");
                let mut place = [0; 100];
                let Ok((count, from)) = one.recv_from(&mut place) else {
                    return false;
                };
                assert_eq!(
                    place[..count],
                    *from.ip().to_string().as_bytes(),
                    "answered from {from}"
                );
                assert_eq!(from.port(), port);
                from.ip() == address
            });
        }
    }
    port
}

#[test]
fn idle_flows_leave_no_descriptor_and_their_sources_may_come_again() {
    rig::raise_descriptor_limit(8192);
    let echo = Responder::echo();
    let tunnel = with_timeout(&echo, 1);
    let idle = descriptors(&tunnel);
    // It may have had its file open.
    let is_idle = || descriptors(&tunnel).iter().zip(idle).all(|(now, idle)| *now <= idle);
    let first = visit(tunnel.public("service"));
    ask(&first, b"the first");
    for _ in 0..1000 {
        // Not asked: a lost one would keep the test from its end.
        visit(tunnel.public("service")).send(b"once").expect("a datagram");
    }
    eventually("there are flows", PATIENCE, || {
        visit(tunnel.public("service")).send(b"once").expect("a datagram");
        descriptors(&tunnel)[1] > idle[1]
    });
    eventually("all flows are gone", PATIENCE, &is_idle);
    ask(&first, b"again");
    eventually("that one, too", PATIENCE, is_idle);
}

#[test]
fn traffic_in_either_direction_alone_keeps_a_flow() {
    let talks = Arc::new(AtomicBool::new(false));
    let (near, talking) = (Duration::from_secs(11), talks.clone());
    let local = Responder::serve(move |socket, from, datagram| {
        match datagram {
            // One question, answers for a while.
            b"talk" if !talking.swap(true, Ordering::Relaxed) => {
                let (socket, talking) = (socket.try_clone().expect("a second handle"), talking.clone());
                thread::spawn(move || {
                    keep_sending(near, || drop(socket.send_to(b"talk", from)));
                    talking.store(false, Ordering::Relaxed);
                });
            }
            _ if datagram.starts_with(b"port") => datagrams::tell_port(socket, from, datagram),
            _ => {}
        }
    });
    let tunnel = with_timeout(&local, 5);
    let visitor = visit(tunnel.public("service"));
    let port = ask_port(&visitor, b"port 1");
    keep_sending(near, || drop(visitor.send(b"hush")));
    assert_eq!(
        ask_port(&visitor, b"port 2"),
        port,
        "the flow ended while the visitor spoke"
    );
    eventually("the service speaks", PATIENCE, || {
        // A lost one would keep the test from its end.
        let _ = visitor.send(b"talk");
        talks.load(Ordering::Relaxed)
    });
    eventually("the service has spoken", PATIENCE, || !talks.load(Ordering::Relaxed));
    assert_eq!(
        ask_port(&visitor, b"port 3"),
        port,
        "the flow ended while the service spoke"
    );
}

/// Sends again and again for so long.
fn keep_sending(span: Duration, send: impl Fn()) {
    let start = Instant::now();
    eventually("a while has passed", PATIENCE, || {
        send();
        start.elapsed() > span
    });
}

#[test]
fn service_that_was_down_serves_the_same_visitor() {
    let address = address::free_port(address::own());
    let tunnel = Tunnel::builder().service("service", Kind::Udp, address).start();
    let visitor = visit(tunnel.public("service"));
    for words in [b"anyone?", b"nobody?"] {
        for _ in 0..20 {
            visitor.send(words).expect("a datagram");
        }
        // What was asked twice the last time may still be answered.
        let answer = receive_within(&visitor, LULL, |answer| answer == words);
        assert!(answer.is_none(), "who answers?");
        let _local = Responder::serve_at(address, datagrams::echo);
        ask(&visitor, b"at last");
    }
}

#[test]
fn visitors_that_are_gone_harm_nobody() {
    let local = Responder::serve(|socket, from, datagram| {
        (0..20).for_each(|_| drop(socket.send_to(datagram, from)));
    });
    let tunnel = Tunnel::builder().service("service", Kind::Udp, local.address()).start();
    let stays = visit(tunnel.public("service"));
    for round in 0..20 {
        // Its port is closed when the answers come.
        visit(tunnel.public("service")).send(b"bye").expect("a datagram");
        ask(&stays, format!("round {round}").as_bytes());
    }
}

#[test]
fn both_directions_at_once_do_not_lock() {
    let echo = Responder::echo();
    over_each_transport(&echo, |tunnel| {
        let visitor = visit(tunnel.public("service"));
        let until = Instant::now() + Duration::from_secs(3);
        thread::scope(|scope| {
            scope.spawn(|| {
                let payload = Payload::bytes(1, 1300);
                while Instant::now() < until {
                    let _ = visitor.send(&payload);
                }
            });
            let payload = Payload::bytes(1, 1300);
            while Instant::now() < until {
                if let Some(came) = receive_within(&visitor, Duration::from_millis(100), |_| true) {
                    assert!(came == payload, "not as it was sent");
                }
            }
        });
        ask(&visitor, b"still here");
    });
}

#[test]
fn stalled_link_drops_what_is_too_old_and_goes_on() {
    let (wire, echo, dir) = (Wire::lay(), Responder::serve(datagrams::tell_port), TempDir::new());
    let socket = dir.path().join("server.sock");
    let mut tunnel = Tunnel::builder()
        .service("service", Kind::Udp, echo.address())
        .line(Role::Server, &format!("control_socket = {socket:?}"))
        .through(wire.address())
        .build();
    tunnel.start_server();
    wire.lead_to(tunnel.control());
    tunnel.start_client();
    tunnel.wait_until_up();
    let visitor = visit(tunnel.public("service"));
    let port = ask_port(&visitor, b"before");
    let before = inspect::peak_memory(tunnel.server());

    wire.stall(true);
    let (mut payload, mut sent) = (Payload::bytes(1, 32_000), 0_u32);
    eventually(
        "all buffers on the way are full, and many are dropped",
        PATIENCE,
        || {
            for _ in 0..50 {
                payload[..4].copy_from_slice(&sent.to_be_bytes());
                visitor.send(&payload).expect("a datagram");
                sent += 1;
            }
            service(&socket).get("dropped").number() > 1000.0
        },
    );
    let after = inspect::peak_memory(tunnel.server());
    assert!(after < before + 8 * 1024, "{before} KiB grew to {after}");
    wire.stall(false);

    let mut came = Vec::new();
    while let Some(answer) = receive_within(&visitor, 2 * LULL, |answer| answer.len() == 32_002) {
        came.push(u32::from_be_bytes([answer[2], answer[3], answer[4], answer[5]]));
    }
    assert!(came.is_sorted_by(|a, b| a < b), "out of order");
    assert!(came.len() < sent as usize - 1000, "where were they kept?");
    assert_eq!(ask_port(&visitor, b"after"), port, "it is another flow");
}

#[test]
fn port_is_closed_while_nobody_serves_it() {
    let echo = Responder::echo();
    let mut tunnel = Tunnel::builder().service("service", Kind::Udp, echo.address()).start();
    let visitor = visit(tunnel.public("service"));
    for (role, signal) in [
        (Role::Client, Signal::Kill),
        (Role::Client, Signal::Terminate),
        (Role::Server, Signal::Kill),
        (Role::Server, Signal::Terminate),
    ] {
        ask(&visitor, b"served");
        let public = tunnel.public("service");
        let process = tunnel.process(role);
        process.signal(signal);
        process.exit();
        eventually("the port is closed", PATIENCE, || datagrams::is_refused(public));
        match role {
            Role::Client => tunnel.start_client(),
            Role::Server => tunnel.start_server(),
        }
        // It comes back to the same visitor, which never knew.
        ask(&visitor, b"again");
    }
}

#[test]
fn status_counts_payload_while_it_flows() {
    let (dir, echo) = (TempDir::new(), Responder::echo());
    let socket = |role: Role| dir.path().join(format!("{role}.sock"));
    let line = |role| format!("control_socket = {:?}", socket(role));
    let tunnel = Tunnel::builder()
        .service("service", Kind::Udp, echo.address())
        .line(Role::Server, &line(Role::Server))
        .line(Role::Client, &line(Role::Client))
        .start();
    let visitor = visit(tunnel.public("service"));
    for tag in 0..10_u8 {
        ask(&visitor, &[tag; 100]);
    }
    for role in [Role::Server, Role::Client] {
        eventually("1000 bytes each way, and one visitor", PATIENCE, || {
            let service = service(&socket(role));
            let number = |key: &str| service.get(key).number();
            // Under load a question may have been asked twice.
            let (into, out) = (number("bytes_in"), number("bytes_out"));
            into >= 1000.0 && out >= 1000.0 && into % 100.0 + out % 100.0 == 0.0 && number("open") == 1.0
        });
    }
    let links = status(&socket(Role::Server));
    let link = &links.get("links").list()[0];
    assert!(link.get("sent").number() >= 1000.0, "{links:?}");
}

fn status(socket: &Path) -> Json {
    let program = rig::pinhole(Role::Server);
    let arguments = ["status", "--json", socket.to_str().expect("ASCII")];
    Json::parse(&rig::program::run(Path::new(program.get_program()), &arguments))
}

fn service(socket: &Path) -> Json {
    status(socket).get("services").list()[0].clone()
}

/// Open descriptors of server and client.
fn descriptors(tunnel: &Tunnel) -> [usize; 2] {
    [tunnel.server(), tunnel.client()].map(inspect::descriptors)
}

#[test]
fn service_listens_at_every_address_of_a_list() {
    let Some(ip) = address::ipv6() else {
        return eprintln!("SKIP service_listens_at_every_address_of_a_list: no IPv6");
    };
    let echo = Responder::echo();
    let [first, second] = [address::own(), ip].map(address::free_port);
    let service = Service::new("service", Kind::Udp, echo.address());
    let _tunnel = Tunnel::builder().with(service.at(first).also_at(second)).start();
    for public in [first, second] {
        ask(&visit(public), b"either way");
    }
}
