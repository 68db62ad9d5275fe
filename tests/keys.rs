//! Keys whose effect no visitor sees: what they set on real sockets, and what is not sent if they are 0.

mod rig;

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rig::{
    Door, Kind, Local, PATIENCE, Process, Role, Service, Tunnel, Wire, address, eventually, inspect, local, program,
    visitor,
};

// ---- sockets ----------------------------------------------------------------------------------------------------

/// How a socket is set up.
#[derive(Debug, PartialEq, Eq)]
struct Options {
    nodelay: bool,
    /// Seconds until the first probe, and between two.
    keepalive: Option<(u64, u64)>,
}

/// Those of the connection of `process` with `address` at either end. `None`, and a word about it: nobody may look.
fn options(process: &Process, address: SocketAddr) -> Option<Options> {
    let socket = match inspect::connection(process, address) {
        Ok(socket) => socket,
        Err(error) => {
            program::skip(&format!("sockets of other processes cannot be looked at: {error}"));
            return None;
        }
    };
    let seconds = |time: Duration| time.as_secs();
    let times = || {
        let idle = socket.tcp_keepalive_time().expect("an option");
        (
            seconds(idle),
            seconds(socket.tcp_keepalive_interval().expect("an option")),
        )
    };
    Some(Options {
        nodelay: socket.tcp_nodelay().expect("an option"),
        keepalive: socket.keepalive().expect("an option").then(times),
    })
}

/// Seconds between probes if nobody says anything.
const SYSTEMS_INTERVAL: u64 = 75;

#[test]
fn keys_of_a_links_socket_are_on_it() {
    let echo = Local::serve(local::echo);
    for (lines, nodelay, keepalive) in [
        (&[][..], true, Some((20, 8))),
        (
            &["nodelay = false", "keepalive_secs = 33", "keepalive_interval = 7"],
            false,
            Some((33, 7)),
        ),
        (&["keepalive_secs = 0"], true, None),
        (&["keepalive_interval = 0"], true, Some((20, SYSTEMS_INTERVAL))),
    ] {
        let both = [Role::Server, Role::Client]
            .into_iter()
            .flat_map(|role| lines.iter().map(move |line| (role, line)));
        let builder = Tunnel::builder().service("echo", Kind::Tcp, echo.address());
        let tunnel = both
            .fold(builder, |b, (role, line)| b.link_line(role, &format!("tcp.{line}")))
            .start();
        for process in [tunnel.server(), tunnel.client()] {
            let Some(options) = options(process, tunnel.control()) else {
                return;
            };
            assert_eq!(options, Options { nodelay, keepalive }, "{lines:?}");
        }
    }
}

#[test]
fn nodelay_of_a_service_is_on_both_its_sockets() {
    let door = Local::door();
    let tcp = ["", "nodelay = false", "nodelay = true"];
    for (of_link, of_service, nodelay) in [(0, 0, true), (1, 0, false), (1, 2, true), (0, 1, false)] {
        let mut service = Service::new("service", Kind::Tcp, door.address());
        let mut builder = Tunnel::builder();
        for role in [Role::Server, Role::Client] {
            service = service.line_at(role, tcp[of_service]);
            builder = match tcp[of_link] {
                "" => builder,
                line => builder.link_line(role, &format!("tcp.{line}")),
            };
        }
        let tunnel = builder.with(service).start();
        let (_near, _far) = visit(&tunnel, &door);
        for (process, address) in ends(&tunnel, &door) {
            let Some(options) = options(process, address) else {
                return;
            };
            assert_eq!(options.nodelay, nodelay, "{:?} {:?}", tcp[of_link], tcp[of_service]);
        }
    }
}

/// Whoever vanishes without a word must not be kept for ever, whatever the keys of the link say.
#[test]
fn visitors_and_local_services_are_probed() {
    let door = Local::door();
    let builder = Tunnel::builder().service("service", Kind::Tcp, door.address());
    let tunnel = builder.link_line(Role::Server, "tcp.keepalive_secs = 0").start();
    let (_near, _far) = visit(&tunnel, &door);
    for (process, address) in ends(&tunnel, &door) {
        let Some(options) = options(process, address) else {
            return;
        };
        let (idle, interval) = options.keepalive.expect("probes");
        assert!(idle <= 300 && interval <= 60, "after {idle} s, every {interval} s");
    }
}

/// Which process has a socket of the visitor, and at which address.
fn ends<'a>(tunnel: &'a Tunnel, door: &Door) -> [(&'a Process, SocketAddr); 2] {
    [
        (tunnel.server(), tunnel.public("service")),
        (tunnel.client(), door.address()),
    ]
}

/// A visitor, and where it has led to.
fn visit(tunnel: &Tunnel, door: &Door) -> (std::net::TcpStream, std::net::TcpStream) {
    let (mut near, mut far) = (tunnel.visit("service"), door.arrival());
    // What has come through left after the sockets were set up.
    near.write_all(b"x").expect("a byte");
    far.read_exact(&mut [0]).expect("the byte");
    (near, far)
}

// ---- heartbeats -------------------------------------------------------------------------------------------------

/// A tunnel over a wire whose server and client have these heartbeat keys.
fn wired(echo: &Local, server: &[&str], client: &[&str]) -> (Wire, Tunnel) {
    let wire = Wire::lay();
    let mut builder = Tunnel::builder().service("echo", Kind::Tcp, echo.address());
    for (role, lines) in [(Role::Server, server), (Role::Client, client)] {
        builder = lines
            .iter()
            .fold(builder, |b, line| b.line(role, &format!("heartbeat_{line}")));
    }
    let mut tunnel = builder.through(wire.address()).build();
    wire.lead_to(tunnel.control());
    tunnel.start_server();
    tunnel.start_client();
    tunnel.wait_until_up();
    (wire, tunnel)
}

/// Returns when `wire` has carried something `count` times more.
fn beats(wire: &Wire, count: usize) {
    for _ in 0..count {
        let before = wire.carried();
        eventually("a heartbeat", PATIENCE, || wire.carried() > before);
    }
}

#[test]
fn zero_is_silence_and_no_timeout() {
    let echo = Local::serve(local::echo);
    let (lively, lively_tunnel) = wired(&echo, &["interval = 1", "timeout = 3"], &["timeout = 3"]);
    let (silent, silent_tunnel) = wired(&echo, &["interval = 0"], &["timeout = 0"]);
    let begun = Instant::now();
    eventually("what is said at the beginning has been said", PATIENCE, || {
        begun.elapsed() > Duration::from_secs(2)
    });
    let before = silent.carried();
    // The lively one is the clock.
    beats(&lively, 8);
    assert_eq!(silent.carried(), before, "what was sent on a silent link?");

    lively.freeze();
    silent.freeze();
    lively_tunnel
        .client()
        .wait_for("link is down .. silent for longer than heartbeat_timeout");
    for process in [silent_tunnel.server(), silent_tunnel.client()] {
        assert_eq!(process.log().all("is down"), [""; 0]);
    }
}

#[test]
fn server_told_to_be_silent_does_not_cost_the_link() {
    let echo = Local::serve(local::echo);
    let (wire, tunnel) = wired(&echo, &["interval = 0"], &["timeout = 5"]);
    let start = Instant::now();
    eventually("two time-outs have passed", PATIENCE, || {
        start.elapsed() > Duration::from_secs(11)
    });
    visitor::echo(&tunnel.visit("echo"), b"still here");
    for process in [tunnel.server(), tunnel.client()] {
        assert_eq!(process.log().all("is down"), [""; 0]);
    }
    // The client still notices when the server is gone.
    wire.freeze();
    tunnel
        .client()
        .wait_for("link is down .. silent for longer than heartbeat_timeout");
}

// ---- retries ----------------------------------------------------------------------------------------------------

#[test]
fn retry_interval_is_the_longest_wait() {
    let echo = Local::serve(local::echo);
    let builder = Tunnel::builder().service("echo", Kind::Tcp, echo.address());
    // The same again is logged at debug.
    let mut tunnel = builder
        .line(Role::Client, "retry_interval = 1")
        .log_filter("debug")
        .build();
    tunnel.start_client();
    eventually("eight attempts", PATIENCE, || waits(&tunnel).len() >= 8);
    let waits = waits(&tunnel);
    assert!(waits[0] <= 250 && waits[0] < waits[2], "{waits:?}");
    assert!(waits.iter().all(|&wait| wait <= 1250) && waits[7] >= 750, "{waits:?}");
}

/// The client's waits so far, in ms.
fn waits(tunnel: &Tunnel) -> Vec<u64> {
    let lines = tunnel.client().log().all("retry in");
    lines.iter().filter_map(|line| wait(line, "retry in ")).collect()
}

#[test]
fn retry_interval_of_a_service_is_its_own() {
    let echo = Local::serve(local::echo);
    let holders = [0; 2].map(|_| address::listen(address::own()));
    let [usual, slow] = [("usual", &holders[0]), ("slow", &holders[1])].map(|(name, holder)| {
        let taken = holder.local_addr().expect("the address that is taken");
        Service::new(name, Kind::Tcp, echo.address()).at(taken)
    });
    let builder = Tunnel::builder().line(Role::Client, "retry_interval = 2").with(usual);
    let builder = builder.with(slow.line_at(Role::Client, "retry_interval = 60"));
    let mut tunnel = builder.build();
    tunnel.start_server();
    tunnel.start_client();
    // Up to a quarter more or less.
    for (name, allowed) in [("usual", 1500..=2500), ("slow", 45_000..=75_000)] {
        let line = tunnel.client().wait_for(&format!("service is refused service={name} "));
        let wait = wait(&line, "asking again in ").expect("a wait");
        assert!(allowed.contains(&wait), "{line}");
    }
}

/// The ms that a line says behind `words`.
fn wait(line: &str, words: &str) -> Option<u64> {
    line.split_once(words)?.1.strip_suffix(" ms")?.parse().ok()
}
