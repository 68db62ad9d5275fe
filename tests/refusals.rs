//! What the server refuses, in whose log it says why, and that nothing else suffers.

mod rig;

use rig::{Kind, Local, Role, Service, Tunnel, local, visitor};

/// What a client that is refused reads.
const TOLD: &str = "unknown service or wrong token";

#[test]
fn wrong_token_is_refused() {
    refused(
        |service| service.token_at(Role::Client, "not the token"),
        TOLD,
        "wrong token",
    );
}

#[test]
fn unknown_service_is_refused() {
    refused(|service| service.missing_at(Role::Server), TOLD, "unknown service");
}

#[test]
fn wrong_type_is_refused() {
    refused(|service| service.kind_at(Role::Server, Kind::Udp), "type", "type");
}

/// A tunnel with a sound service and one that `spoil` has made unsound: `told` stands in the client's log, `known` in
/// the server's, and the sound one works.
#[track_caller]
fn refused(spoil: impl Fn(Service) -> Service, told: &str, known: &str) {
    let echo = Local::serve(local::echo);
    let sound = Service::new("sound", Kind::Tcp, echo.address());
    let spoilt = spoil(Service::new("spoilt", Kind::Tcp, echo.address()));
    // Which of the two registers first must make no difference.
    for services in [[sound.clone(), spoilt.clone()], [spoilt, sound]] {
        let [first, second] = services;
        let tunnel = Tunnel::builder().with(first).with(second).start();
        let line = tunnel
            .client()
            .wait_for("WARN  client: service is refused service=spoilt .. reason=");
        assert!(
            line.contains(told) || line.contains(known),
            "neither `{told}` nor `{known}` in: {line}"
        );
        let line = tunnel
            .server()
            .wait_for("WARN  server: registration is refused service=spoilt .. reason=");
        assert!(line.contains(known), "no `{known}` in: {line}");
        visitor::echo(&tunnel.visit("sound"), b"unharmed");
        assert_eq!(tunnel.client().log().all("link is down"), [""; 0]);
    }
}

#[test]
fn client_that_proves_nothing_learns_nothing() {
    let echo = Local::serve(local::echo);
    let wrong = Service::new("wrong", Kind::Tcp, echo.address()).token_at(Role::Client, "not the token");
    let unknown = Service::new("unknown", Kind::Tcp, echo.address()).missing_at(Role::Server);
    for service in [wrong, unknown] {
        let tunnel = Tunnel::builder().with(service).start();
        let line = tunnel.client().wait_for("WARN  client: service is refused");
        assert!(line.contains(&format!("reason=\"{TOLD}\"")), "another reason: {line}");
    }
}

#[test]
fn refused_service_is_registered_again_at_its_own_pace() {
    let echo = Local::serve(local::echo);
    let spoilt = Service::new("spoilt", Kind::Tcp, echo.address()).token_at(Role::Client, "not the token");
    let tunnel = Tunnel::builder()
        .service("echo", Kind::Tcp, echo.address())
        .with(spoilt)
        .line(Role::Client, "retry_interval = 1")
        .log_filter("debug")
        .start();
    let mut mark = tunnel.client().log().mark();
    for _ in 0..3 {
        tunnel
            .client()
            .log()
            .wait_after(mark, "service is refused service=spoilt");
        mark = tunnel.client().log().mark();
    }
    assert_eq!(
        tunnel.client().log().all("client: connected").len(),
        1,
        "the link was punished"
    );
}

#[test]
fn tokens_of_a_service_replace_the_default() {
    let echo = Local::serve(local::echo);
    let service = Service::new("echo", Kind::Tcp, echo.address());
    let service = service
        .token_at(Role::Server, "its own")
        .token_at(Role::Client, "its own");
    let tunnel = Tunnel::builder().with(service).start();
    visitor::echo(&tunnel.visit("echo"), b"own token");
}

#[test]
fn two_clients_with_one_file_do_not_fight() {
    let echo = Local::serve(local::echo);
    let tunnel = Tunnel::with_echo(echo.address());
    let visitor = tunnel.visit("echo");
    visitor::echo(&visitor, b"before");

    let second = tunnel.spawn(Role::Client);
    second.wait_for("WARN  client: service is refused service=echo .. reason=");
    tunnel
        .server()
        .wait_for("WARN  server: registration is refused service=echo .. reason=");
    visitor::echo(&visitor, b"after");
    visitor::echo(&tunnel.visit("echo"), b"the first one's");
    assert_eq!(tunnel.server().log().all("service is down"), [""; 0]);
    assert_eq!(tunnel.client().log().all("link is down"), [""; 0]);
    assert_eq!(
        second.log().all("link is down"),
        [""; 0],
        "the second one waits on its link"
    );
}
