//! Processes start, end, freeze and come back in any order; the tunnel follows.

mod rig;

use std::io::Write;
use std::net::{Ipv4Addr, TcpStream};
use std::time::{Duration, Instant};

use rig::visitor;
use rig::{
    Kind, Local, PATIENCE, Process, Role, Service, Signal, Tunnel, Wire, address, eventually, field, inspect, local,
};

/// How soon a process that is asked to end must be gone.
const GOODBYE: Duration = Duration::from_secs(2);

#[test]
fn client_waits_for_the_server() {
    let echo = Local::serve(local::echo);
    let mut tunnel = Tunnel::builder().service("echo", Kind::Tcp, echo.address()).build();
    tunnel.start_client();
    tunnel.client().wait_for("WARN  client: .. retry in");
    tunnel.start_server();
    tunnel.wait_until_up();
    tunnel.client().wait_for("INFO  client: connected server=");
    tunnel
        .client()
        .wait_for("INFO  client: service is registered service=echo");
    visitor::echo(&tunnel.visit("echo"), b"at last");
}

#[test]
fn client_retries_for_ever_without_spinning() {
    let echo = Local::serve(local::echo);
    let builder = Tunnel::builder().service("echo", Kind::Tcp, echo.address());
    // The same again is logged at debug.
    let builder = builder.log_filter("debug");
    let mut tunnel = builder.line(Role::Client, "retry_interval = 0").build();
    let start = Instant::now();
    tunnel.start_client();
    eventually("ten attempts", PATIENCE, || {
        tunnel.client().log().all("retry in").len() >= 10
    });
    assert!(
        start.elapsed() > Duration::from_secs(1),
        "ten attempts in {:?}",
        start.elapsed()
    );
}

#[test]
fn client_comes_back_after_a_goodbye() {
    client_comes_back_after(Signal::Terminate);
}

#[test]
fn client_comes_back_after_a_crash() {
    client_comes_back_after(Signal::Kill);
}

fn client_comes_back_after(signal: Signal) {
    let echo = Local::serve(local::echo);
    let mut tunnel = Tunnel::with_echo(echo.address());
    let visitor = busy_visitor(&tunnel);
    let mark = tunnel.server().log().mark();
    end(tunnel.process(Role::Client), signal);
    visitor::end(&visitor);
    tunnel
        .server()
        .log()
        .wait_after(mark, "INFO  server: service is down service=echo");
    let public = tunnel.public("echo");
    eventually("the service's port is closed", PATIENCE, || visitor::is_refused(public));

    let mark = tunnel.server().log().mark();
    tunnel.start_client();
    tunnel
        .server()
        .log()
        .wait_after(mark, "INFO  server: service is up service=echo");
    visitor::echo(&tunnel.visit("echo"), b"back");
}

#[test]
fn server_comes_back_after_a_goodbye() {
    server_comes_back_after(Signal::Terminate);
}

#[test]
fn server_comes_back_after_a_crash() {
    server_comes_back_after(Signal::Kill);
}

fn server_comes_back_after(signal: Signal) {
    let door = Local::door();
    let mut tunnel = Tunnel::with_echo(door.address());
    let visitor = tunnel.visit("echo");
    let far = door.arrival();
    end(tunnel.process(Role::Server), signal);
    visitor::end(&visitor);
    visitor::end(&far);
    tunnel.client().wait_for("WARN  client: link is down .. retry in");

    tunnel.start_server();
    tunnel.wait_until_up();
    let (near, far) = (tunnel.visit("echo"), door.arrival());
    let sent = rig::send(&near, 1, 1000).expect("words");
    assert_eq!(rig::receive(&far, 1000).expect("words"), sent);
}

#[test]
fn either_role_says_goodbye_within_two_seconds() {
    for role in [Role::Server, Role::Client] {
        for signal in [Signal::Terminate, Signal::Interrupt] {
            let (echo, flood) = (Local::serve(local::echo), Local::serve(local::flood));
            let mut tunnel = Tunnel::builder()
                .service("echo", Kind::Tcp, echo.address())
                .service("flood", Kind::Tcp, flood.address())
                .start();
            let _visitors: Vec<_> = (0..10)
                .flat_map(|_| [busy_visitor(&tunnel), tunnel.visit("flood")])
                .collect();
            let process = tunnel.process(role);
            process.signal(signal);
            let status = process.exit_within(GOODBYE);
            assert_eq!(status.code(), Some(0), "{role} after {signal:?}: {status}");
        }
    }
}

#[test]
fn client_that_waits_to_retry_says_goodbye_too() {
    let echo = Local::serve(local::echo);
    let builder = Tunnel::builder().service("echo", Kind::Tcp, echo.address());
    let mut tunnel = builder.line(Role::Client, "retry_interval = 60").build();
    tunnel.start_client();
    tunnel.client().wait_for("retry in");
    let client = tunnel.process(Role::Client);
    client.signal(Signal::Terminate);
    assert_eq!(client.exit_within(GOODBYE).code(), Some(0));
}

#[test]
fn frozen_client_is_noticed_and_comes_back() {
    let echo = Local::serve(local::echo);
    let mut tunnel = with_short_heartbeats(&echo);
    let visitor = busy_visitor(&tunnel);
    let mark = tunnel.server().log().mark();
    tunnel.process(Role::Client).signal(Signal::Stop);
    visitor::end(&visitor);
    tunnel
        .server()
        .log()
        .wait_after(mark, "INFO  server: service is down service=echo");
    let public = tunnel.public("echo");
    eventually("the service's port is closed", PATIENCE, || visitor::is_refused(public));

    let mark = tunnel.server().log().mark();
    tunnel.process(Role::Client).signal(Signal::Continue);
    tunnel
        .server()
        .log()
        .wait_after(mark, "INFO  server: service is up service=echo");
    visitor::echo(&tunnel.visit("echo"), b"thawed");
}

#[test]
fn frozen_server_is_noticed_and_comes_back() {
    let door = Local::door();
    let echo = Local::serve(local::echo);
    let mut tunnel = heartbeats(Tunnel::builder(), 1, 3, 3)
        .service("door", Kind::Tcp, door.address())
        .service("echo", Kind::Tcp, echo.address())
        .start();
    let _near = tunnel.visit("door");
    let far = door.arrival();
    tunnel.process(Role::Server).signal(Signal::Stop);
    visitor::end(&far);
    tunnel.client().wait_for("WARN  client: link is down .. retry in");

    let mark = tunnel.client().log().mark();
    tunnel.process(Role::Server).signal(Signal::Continue);
    tunnel
        .client()
        .log()
        .wait_after(mark, "INFO  client: service is registered service=echo");
    eventually("the echo is back", PATIENCE, || visitor::echoes(tunnel.public("echo")));
}

#[test]
fn link_that_dies_in_silence_is_replaced_long_before_the_server_notices() {
    let (echo, wire) = (Local::serve(local::echo), Wire::lay());
    let builder = heartbeats(Tunnel::builder(), 1, 3600, 3).service("echo", Kind::Tcp, echo.address());
    let tunnel = behind(&wire, builder);
    let visitor = busy_visitor(&tunnel);
    wire.freeze();
    tunnel.client().wait_for("WARN  client: link is down .. retry in");
    visitor::end(&visitor);
    eventually("the new link has taken over", PATIENCE, || {
        visitor::echoes(tunnel.public("echo"))
    });
}

#[test]
fn link_that_is_cut_is_replaced() {
    let (echo, wire) = (Local::serve(local::echo), Wire::lay());
    let tunnel = behind(&wire, Tunnel::builder().service("echo", Kind::Tcp, echo.address()));
    for _ in 0..3 {
        let visitor = busy_visitor(&tunnel);
        wire.cut();
        visitor::end(&visitor);
        eventually("the new link has taken over", PATIENCE, || {
            visitor::echoes(tunnel.public("echo"))
        });
    }
}

/// Starts a tunnel whose link goes through `wire`.
fn behind(wire: &Wire, builder: rig::Builder) -> Tunnel {
    let mut tunnel = builder.through(wire.address()).build();
    wire.lead_to(tunnel.control());
    tunnel.start_server();
    tunnel.start_client();
    tunnel.wait_until_up();
    tunnel
}

#[test]
fn quiet_link_outlives_many_heartbeats() {
    let echo = Local::serve(local::echo);
    let builder = heartbeats(Tunnel::builder(), 1, 6, 6);
    let tunnel = builder.service("echo", Kind::Tcp, echo.address()).start();
    let visitor = busy_visitor(&tunnel);
    let computed = || [tunnel.server(), tunnel.client()].map(inspect::computed);
    let (start, before) = (Instant::now(), computed());
    eventually("two time-outs have passed", PATIENCE, || {
        start.elapsed() > Duration::from_secs(13)
    });
    visitor::echo(&visitor, b"still here");
    assert_eq!(tunnel.client().log().all("link is down"), [""; 0]);
    for (before, after) in before.into_iter().zip(computed()) {
        assert!(
            after - before < Duration::from_millis(500),
            "a quiet link computes: {before:?}, {after:?}"
        );
    }
}

#[test]
fn client_that_takes_nothing_delays_no_other_client() {
    rig::raise_descriptor_limit(4096);
    let echo = Local::serve(local::echo);
    let other = Service::new("other", Kind::Tcp, echo.address()).missing_at(Role::Client);
    let builder = Tunnel::builder().service("echo", Kind::Tcp, echo.address());
    let mut tunnel = builder.with(other).start();
    let visitor = busy_visitor(&tunnel);
    tunnel.process(Role::Client).signal(Signal::Stop);
    let visitors: Vec<_> = (0..500).map(|_| tunnel.visit("echo")).collect();
    for mut visitor in &visitors {
        visitor.write_all(&[7; 4000]).expect("words to nobody");
    }
    let second = second_client(&tunnel, &echo);
    tunnel.server().wait_for("service is up service=other ");
    visitor::echo(&tunnel.visit("other"), b"not delayed");

    tunnel.process(Role::Client).signal(Signal::Continue);
    visitor::echo(&visitor, b"not lost");
    assert_eq!(second.log().all("link is down"), [""; 0]);
}

/// A client with the service `other` alone.
fn second_client(tunnel: &Tunnel, local: &Local) -> Process {
    let text = format!(
        "[client]\nremote_addr = \"{}\"\ndefault_token = \"{}\"\n[client.services.other]\nlocal_addr = \"{}\"\n",
        tunnel.control(),
        rig::TOKEN,
        local.address()
    );
    let mut command = rig::pinhole(Role::Client);
    command.arg(tunnel.dir().write("second.toml", text));
    Process::start("the second client", command)
}

#[test]
fn client_whose_timeout_is_too_short_warns() {
    let echo = Local::serve(local::echo);
    let builder = heartbeats(Tunnel::builder(), 30, 40, 30).service("echo", Kind::Tcp, echo.address());
    builder.start().client().wait_for("WARN  client: .. heartbeat");
}

#[test]
fn taken_port_is_waited_for_and_harms_no_other_service() {
    let echo = Local::serve(local::echo);
    let holder = address::listen(address::own());
    let taken = holder.local_addr().expect("the address that is taken");
    let mut tunnel = Tunnel::builder()
        .service("echo", Kind::Tcp, echo.address())
        .with(Service::new("late", Kind::Tcp, echo.address()).at(taken))
        .build();
    tunnel.start_server();
    tunnel.start_client();
    tunnel.server().wait_for("service is up service=echo ");
    let complaint = tunnel.server().wait_for("service=late .. in use");
    assert!(
        complaint.contains(&taken.to_string()),
        "the address is missing: {complaint}"
    );
    let visitor = busy_visitor(&tunnel);

    drop(holder);
    tunnel.server().wait_for("service is up service=late ");
    visitor::echo(&tunnel.visit("late"), b"finally");
    visitor::echo(&visitor, b"unharmed");
    assert_eq!(tunnel.client().log().all("link is down"), [""; 0]);
}

#[test]
fn taken_control_port_ends_the_server_with_a_sentence() {
    let holder = address::listen(address::own());
    let taken = holder.local_addr().expect("the address that is taken");
    let dir = rig::TempDir::new();
    let file = dir.write(
        "server.toml",
        format!("[server]\nbind_addr = \"{taken}\"\n[server.services]\n"),
    );
    let mut command = rig::pinhole(Role::Server);
    command.arg("-s").arg(file);
    let mut server = Process::start("server", command);
    assert_eq!(server.exit().code(), Some(1));
    let words = server.log().whole();
    assert!(words.contains(&taken.to_string()), "the address is missing: {words}");
}

#[test]
fn one_file_may_carry_both_roles() {
    let echo = Local::serve(local::echo);
    let tunnel = Tunnel::builder()
        .service("echo", Kind::Tcp, echo.address())
        .one_file()
        .start();
    visitor::echo(&tunnel.visit("echo"), b"one file");
}

#[test]
fn log_names_the_real_addresses() {
    let echo = Local::serve(local::echo);
    let tunnel = Tunnel::with_echo(echo.address());
    let listening = tunnel.server().wait_for("listening for clients");
    assert_eq!(field(&listening, "addr"), tunnel.control().to_string());
    let up = tunnel.server().wait_for("service is up");
    assert_eq!(field(&up, "addr"), tunnel.public("echo").to_string());
    let connected = tunnel.client().wait_for("client: connected");
    assert_eq!(field(&connected, "server"), tunnel.control().to_string());
}

fn with_short_heartbeats(echo: &Local) -> Tunnel {
    heartbeats(Tunnel::builder(), 1, 3, 3)
        .service("echo", Kind::Tcp, echo.address())
        .start()
}

/// Seconds of the server's interval and time-out, and of the client's time-out.
fn heartbeats(builder: rig::Builder, interval: u32, server: u32, client: u32) -> rig::Builder {
    builder
        .line(Role::Server, &format!("heartbeat_interval = {interval}"))
        .line(Role::Server, &format!("heartbeat_timeout = {server}"))
        .line(Role::Client, &format!("heartbeat_timeout = {client}"))
}

/// A visitor that has been answered and stays.
fn busy_visitor(tunnel: &Tunnel) -> TcpStream {
    let visitor = tunnel.visit("echo");
    visitor::echo(&visitor, b"hello");
    visitor
}

/// Sends `signal` and waits for the end.
fn end(process: &mut Process, signal: Signal) {
    process.signal(signal);
    process.exit();
}

/// Of a name with several addresses each says what is wrong there.
#[test]
fn every_address_of_a_name_says_why_not() {
    if address::ipv6().is_none() {
        return rig::program::skip("no IPv6");
    }
    let builder = Tunnel::builder().address(Ipv4Addr::LOCALHOST.into());
    let echo = Local::serve(local::echo);
    let builder = builder
        .service("echo", Kind::Tcp, echo.address())
        .remote_host("localhost");
    let mut tunnel = builder.build();
    tunnel.start_client();
    let line = tunnel.client().wait_for("link is down server=localhost:");
    assert!(line.contains("127.0.0.1:") && line.contains("[::1]:"), "{line}");
}

/// It cannot come right by trying often: that would only fill two logs.
#[test]
fn client_whose_every_service_is_refused_comes_more_and_more_rarely() {
    let echo = Local::serve(local::echo);
    let service = Service::new("echo", Kind::Tcp, echo.address()).token_at(Role::Client, "wrong");
    let mut tunnel = Tunnel::builder().with(service).log_filter("debug").build();
    tunnel.start_server();
    tunnel.start_client();
    eventually("it comes three times", Duration::from_secs(60), || {
        tunnel.client().log().all("connected server=").len() == 3
    });
    assert_eq!(tunnel.client().log().all("INFO  client: connected").len(), 1);
    let waits: Vec<u64> = tunnel
        .client()
        .log()
        .all("retry in")
        .iter()
        .map(|line| retry(line))
        .collect();
    assert!(waits.len() == 2 && waits[0] >= 750 && waits[1] >= 1500, "{waits:?}");
}

/// ms, of a line that ends with when the client tries again.
fn retry(line: &str) -> u64 {
    let number = line
        .rsplit_once("retry in ")
        .and_then(|(_, rest)| rest.strip_suffix(" ms"));
    number.and_then(|number| number.parse().ok()).expect("a number of ms")
}
