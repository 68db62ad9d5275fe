//! SIGUSR1: whoever knows that the way to the server is another one need not wait until the client finds out.

mod rig;

use std::time::{Duration, Instant};

use rig::visitor;
use rig::{Kind, Local, PATIENCE, Role, Signal, Tunnel, Wire, eventually, local};

const ASKED: &str = "INFO  client: a new link is asked for";

/// What the client says once visitors come over a new link.
const REGISTERED: &str = "client: service is registered service=echo";

/// Seconds between two wishes that are fulfilled.
const REST: u64 = 3;

#[test]
fn a_new_link_is_made_and_nobody_on_the_old_one_notices() {
    let echo = Local::serve(local::echo);
    let mut tunnel = Tunnel::builder()
        .service("echo", Kind::Tcp, echo.address())
        .log_filter("debug")
        .start();
    let visitor = tunnel.visit("echo");
    visitor::echo(&visitor, b"before");
    reconnect(&mut tunnel);
    visitor::echo(&tunnel.visit("echo"), b"over the new one");
    visitor::echo(&visitor, b"still there");
    assert_eq!(tunnel.client().log().all("link is down"), [""; 0]);
}

#[test]
fn a_link_that_died_in_silence_is_left_once_there_is_another() {
    let (echo, wire) = (Local::serve(local::echo), Wire::lay());
    let builder = Tunnel::builder()
        .service("echo", Kind::Tcp, echo.address())
        .line(Role::Client, "heartbeat_timeout = 3600")
        .line(Role::Server, "heartbeat_timeout = 3600")
        .log_filter("debug");
    let mut tunnel = builder.through(wire.address()).build();
    wire.lead_to(tunnel.control());
    tunnel.start_server();
    tunnel.start_client();
    tunnel.wait_until_up();
    let visitor = tunnel.visit("echo");
    visitor::echo(&visitor, b"before");
    wire.freeze();
    reconnect(&mut tunnel);
    eventually("the new link has taken over", PATIENCE, || {
        visitor::echoes(tunnel.public("echo"))
    });
    tunnel.client().wait_for("client: link does not answer server=");
    visitor::end(&visitor);
}

#[test]
fn a_client_that_waits_waits_no_longer() {
    let echo = Local::serve(local::echo);
    let builder = Tunnel::builder().service("echo", Kind::Tcp, echo.address());
    let builder = builder.line(Role::Client, "retry_interval = 3600").log_filter("debug");
    let mut tunnel = builder.build();
    tunnel.start_client();
    eventually("it waits for long", PATIENCE, || {
        tunnel
            .client()
            .log()
            .all("retry in")
            .iter()
            .any(|line| wait(line) >= 4000)
    });
    tunnel.start_server();
    let asked = Instant::now();
    reconnect(&mut tunnel);
    assert!(asked.elapsed() < Duration::from_secs(4), "it waited all the same");
    tunnel.wait_until_up();
}

#[test]
fn a_storm_of_wishes_is_a_few() {
    let echo = Local::serve(local::echo);
    let builder = Tunnel::builder().service("echo", Kind::Tcp, echo.address());
    let mut tunnel = builder.log_filter("debug").start();
    let visitor = tunnel.visit("echo");
    visitor::echo(&visitor, b"before");
    let start = Instant::now();
    eventually("the last one of many counts", PATIENCE, || {
        tunnel.process(Role::Client).signal(Signal::User);
        tunnel.process(Role::Server).signal(Signal::User);
        tunnel.client().log().all(ASKED).len() >= 3
    });
    tunnel.server().wait_for("DEBUG server: SIGUSR1 is for clients");
    eventually("visitors get through", PATIENCE, || {
        visitor::echoes(tunnel.public("echo"))
    });
    visitor::echo(&visitor, b"still there");
    let asked = tunnel.client().log().all(ASKED).len() as u64;
    let most = 2 + start.elapsed().as_secs() / REST;
    assert!(asked <= most, "{asked} times in {:?}", start.elapsed());
}

/// Asks the client for a new link and waits for it.
#[track_caller]
fn reconnect(tunnel: &mut Tunnel) {
    let client = tunnel.process(Role::Client);
    let mark = client.log().mark();
    client.signal(Signal::User);
    client.log().wait_after(mark, ASKED);
    client.log().wait_after(mark, REGISTERED);
}

/// ms until the next attempt, of a line that says so.
fn wait(line: &str) -> u64 {
    let number = line
        .rsplit_once("retry in ")
        .and_then(|(_, rest)| rest.strip_suffix(" ms"));
    number.and_then(|number| number.parse().ok()).expect("a number of ms")
}
