//! Services that only their clients name: ports, limits, refusals.

mod rig;

use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use rig::crowd::TOKEN;
use rig::json::Json;
use rig::{Crowd, Local, Process, Responder, Signal, address, datagrams, eventually, field, local, visitor};
use rig::{PATIENCE, Payload};

/// Two ports of either kind.
const RANGES: &str = "tcp_port_range = [20000, 20001]\nudp_port_range = [20100, 20101]";

fn server(more: &str) -> Crowd {
    Crowd::new(&format!(
        "default_token = \"{TOKEN}\"\n{RANGES}\n{more}\n[server.services]"
    ))
}

fn tcp(name: &str, at: SocketAddr, port: u16) -> String {
    format!("[client.services.{name}]\nlocal_addr = \"{at}\"\nremote_port = {port}\nretry_interval = 1\n")
}

fn udp(name: &str, at: SocketAddr, port: u16) -> String {
    format!("{}type = \"udp\"\n", tcp(name, at, port))
}

/// The address that the server has given to the service `name` of `client`.
#[track_caller]
fn public(client: &Process, name: &str) -> SocketAddr {
    let line = client.wait_for(&format!("INFO  client: service is registered service={name} "));
    field(&line, "addr").parse().expect("an address in the log")
}

#[test]
fn ports_come_from_the_range_of_their_kind_and_a_full_range_is_said() {
    let (crowd, echo, answers) = (server(""), Local::serve(local::echo), Responder::echo());
    let (at, udp_at) = (echo.address(), answers.address());
    let all = [
        tcp("a", at, 0),
        tcp("b", at, 0),
        udp("c", udp_at, 0),
        udp("d", udp_at, 0),
    ];
    let first = crowd.client("first", &all.concat());
    let mut ports = ["a", "b", "c", "d"].map(|name| public(&first, name).port());
    visitor::echo(&visitor::connect(crowd.at(ports[0])), b"hello");
    visitor::echo(&visitor::connect(crowd.at(ports[1])), b"hello");
    datagrams::ask(&datagrams::visit(crowd.at(ports[2])), b"hello");
    datagrams::ask(&datagrams::visit(crowd.at(ports[3])), b"hello");
    ports.sort_unstable();
    assert_eq!(ports, [20_000, 20_001, 20_100, 20_101]);

    let second = crowd.client("second", &(tcp("a", at, 0) + &udp("c", udp_at, 0)));
    second.wait_for("service is refused service=a reason=\"no TCP ports available\"");
    second.wait_for("service is refused service=c reason=\"no UDP ports available\"");
    // What is left is free at once.
    drop(first);
    public(&second, "a");
    public(&second, "c");
}

#[test]
fn a_port_that_is_wanted_is_given_or_refused_in_words() {
    let (crowd, echo) = (server("max_tunnels_per_client = 2"), Local::serve(local::echo));
    let at = echo.address();
    let one = crowd.client("one", &tcp("a", at, 20_001));
    assert_eq!(public(&one, "a"), crowd.at(20_001));
    let lines = [tcp("b", at, 20_001), tcp("c", at, 25), tcp("d", at, 20_100)];
    let other = crowd.client("other", &lines.concat());
    other.wait_for("service is refused service=b reason=\"port 20001 is taken\"");
    other.wait_for("service is refused service=c reason=\"port 25 is not in tcp_port_range [20000, 20001]\"");
    other.wait_for("service is refused service=d reason=\"port 20100 is not in tcp_port_range [20000, 20001]\"");
    visitor::echo(&visitor::connect(crowd.at(20_001)), b"hello");
}

#[test]
fn the_same_refusal_is_said_once() {
    let text = format!("default_token = \"{TOKEN}\"\n{RANGES}\n[server.services]");
    let crowd = Crowd::with_variables(&text, &[("RUST_LOG", "debug")]);
    let _client = crowd.client("client", &tcp("a", crowd.control(), 25));
    crowd
        .server
        .wait_for("DEBUG server: registration is refused service=a ");
    let said = crowd
        .server
        .log()
        .all("WARN  server: registration is refused service=a ");
    assert_eq!(said.len(), 1);
}

#[test]
fn a_client_has_so_many_and_may_end_one_for_another() {
    let (crowd, echo) = (server("max_tunnels_per_client = 1"), Local::serve(local::echo));
    let at = echo.address();
    let client = crowd.client("client", &(tcp("a", at, 0) + &tcp("b", at, 0)));
    public(&client, "a");
    client.wait_for("service is refused service=b reason=\"too many tunnels: max_tunnels_per_client is 1\"");
    // Its count goes down again.
    let lines = format!(
        "[client]\nremote_addr = \"{}\"\ndefault_token = \"{TOKEN}\"\n",
        crowd.control()
    );
    crowd.dir().write("client.toml", lines + &tcp("b", at, 0));
    public(&client, "b");
}

#[test]
fn a_reload_ends_what_it_does_not_allow_any_more() {
    let text =
        |token: &str, range: &str| format!("default_token = \"{token}\"\ntcp_port_range = {range}\n[server.services]");
    let (mut crowd, echo) = (Crowd::new(&text(TOKEN, "[20000, 20001]")), Local::serve(local::echo));
    let kept = crowd.client("kept", &tcp("a", echo.address(), 20_001));
    public(&kept, "a");
    let moved = crowd.client("moved", &tcp("b", echo.address(), 0));
    assert_eq!(public(&moved, "b").port(), 20_000);
    let (stays, goes) = (visitor::connect(crowd.at(20_001)), visitor::connect(crowd.at(20_000)));
    visitor::echo(&stays, b"hello");
    visitor::echo(&goes, b"hello");
    // Another range, which has one of the two ports.
    let mark = moved.log().mark();
    crowd.reload(&text(TOKEN, "[20001, 20002]"));
    let line = moved
        .log()
        .wait_after(mark, "INFO  client: service is registered service=b ");
    assert_eq!(field(&line, "addr"), crowd.at(20_002).to_string());
    eventually("its old port is closed", PATIENCE, || {
        visitor::is_refused(crowd.at(20_000))
    });
    // Who is there may finish.
    visitor::echo(&stays, b"hello again");
    visitor::echo(&goes, b"hello again");
    assert_eq!(kept.log().all("service is registered service=a ").len(), 1);
    // Off, and on again.
    crowd.reload(&text(TOKEN, "[0, 0]"));
    kept.wait_for("service is refused service=a reason=\"tcp_port_range is disabled\"");
    eventually("its port is closed", PATIENCE, || visitor::is_refused(crowd.at(20_001)));
    let mark = kept.log().mark();
    crowd.reload(&text(TOKEN, "[20001, 20002]"));
    kept.log().wait_after(mark, "service is registered service=a ");
    // Another token has to be proven.
    let mark = kept.log().mark();
    crowd.reload(&text("another token", "[20001, 20002]"));
    kept.log()
        .wait_after(mark, "service is refused service=a .. wrong token");
    eventually("its port is closed again", PATIENCE, || {
        visitor::is_refused(crowd.at(20_001))
    });
}

#[test]
fn a_range_that_is_off_is_said() {
    let echo = Local::serve(local::echo);
    let crowd = Crowd::new(&format!("default_token = \"{TOKEN}\"\n[server.services]"));
    let client = crowd.client("client", &(tcp("a", echo.address(), 0) + &udp("b", echo.address(), 0)));
    client.wait_for("service is refused service=a reason=\"tcp_port_range is disabled\"");
    client.wait_for("service is refused service=b reason=\"udp_port_range is disabled\"");
}

#[test]
fn without_a_default_token_there_are_none_and_with_another_one_neither() {
    let echo = Local::serve(local::echo);
    let crowd = Crowd::new("[server.services]");
    let client = crowd.client("client", &tcp("a", echo.address(), 0));
    client.wait_for("service is refused service=a reason=\"this server has no default_token");
    let crowd = server("");
    let lines = tcp("a", echo.address(), 0) + "token = \"another one\"";
    let client = crowd.client("client", &lines);
    client.wait_for("service is refused service=a reason=\"unknown service or wrong token\"");
    crowd
        .server
        .wait_for("registration is refused service=a .. reason=\"wrong token\"");
}

#[test]
fn a_port_is_kept_over_links_and_restarts() {
    let (mut crowd, echo) = (server(""), Local::serve(local::echo));
    let mut client = crowd.client("client", &tcp("kept", echo.address(), 0));
    let port = public(&client, "kept").port();
    // Another client has the other one, and another of that name none.
    let more = crowd.client("more", &tcp("more", echo.address(), 0));
    let other = public(&more, "more").port();
    assert_ne!(port, other);
    for _ in 0..2 {
        let marks = (client.log().mark(), more.log().mark());
        crowd.restart(&format!("default_token = \"{TOKEN}\"\n{RANGES}\n[server.services]"));
        let line = client.log().wait_after(marks.0, "service is registered service=kept ");
        assert_eq!(field(&line, "addr"), crowd.at(port).to_string());
        let line = more.log().wait_after(marks.1, "service is registered service=more ");
        assert_eq!(field(&line, "addr"), crowd.at(other).to_string());
    }
    client.kill();
    crowd.server.wait_for("service is down service=kept ");
    let client = crowd.client("client", &tcp("kept", echo.address(), 0));
    assert_eq!(public(&client, "kept").port(), port);
}

#[test]
fn a_port_that_somebody_else_has_bound_is_passed_over() {
    let (crowd, echo) = (server(""), Local::serve(local::echo));
    let held = std::net::TcpListener::bind(crowd.at(20_000)).expect("a free port");
    let client = crowd.client(
        "client",
        &(tcp("a", echo.address(), 0) + &tcp("b", echo.address(), 20_000)),
    );
    assert_eq!(public(&client, "a").port(), 20_001);
    client.wait_for("service is refused service=b reason=\"port 20000 is taken\"");
    drop(held);
    assert_eq!(public(&client, "b").port(), 20_000);
}

#[test]
fn the_port_of_a_service_of_the_server_is_left_to_it() {
    let echo = Local::serve(local::echo);
    let crowd = Crowd::new(&format!(
        "default_token = \"{TOKEN}\"\n{RANGES}\n[server.services.web]\nbind_addr = \"ADDR:20000\""
    ));
    let lines = tcp("a", echo.address(), 0) + &tcp("b", echo.address(), 20_000);
    let client = crowd.client("client", &lines);
    assert_eq!(public(&client, "a"), crowd.at(20_001));
    client.wait_for("service is refused service=b reason=\"port 20000 is taken\"");
    let own = crowd.client(
        "own",
        &format!("[client.services.web]\nlocal_addr = \"{}\"", echo.address()),
    );
    assert_eq!(public(&own, "web"), crowd.at(20_000));
}

#[test]
fn each_client_has_its_own_of_a_name_and_the_end_of_one_closes_its_port() {
    let (crowd, echo) = (server(""), Local::serve(local::echo));
    let one = crowd.client("one", &tcp("ssh", echo.address(), 0));
    let port = public(&one, "ssh").port();
    let mut two = crowd.client("two", &tcp("ssh", echo.address(), 0));
    let other = public(&two, "ssh").port();
    assert_ne!(port, other);
    two.signal(Signal::Terminate);
    two.exit();
    let closed = crowd.at(other);
    eventually("its port is closed", PATIENCE, || visitor::is_refused(closed));
    visitor::echo(&visitor::connect(crowd.at(port)), b"hello");
}

#[test]
fn visitors_of_a_service_are_so_many_at_a_time() {
    let (crowd, echo) = (server("max_connections_per_service = 2"), Local::serve(local::echo));
    let client = crowd.client("client", &tcp("a", echo.address(), 0));
    let at = public(&client, "a");
    let visitors: Vec<TcpStream> = (0..2).map(|_| visitor::connect(at)).collect();
    visitors.iter().for_each(|visitor| visitor::echo(visitor, b"hello"));
    assert!(!visitor::echoes(at));
    drop(visitors);
    eventually("there is room again", PATIENCE, || visitor::echoes(at));
}

#[test]
fn a_tunnel_makes_room_for_a_service_and_moves_with_the_server() {
    let text = |services: &str| format!("default_token = \"{TOKEN}\"\n{RANGES}\n[server.services]\n{services}");
    let (mut crowd, echo) = (Crowd::new(&text("")), Local::serve(local::echo));
    let own = format!(
        "[client.services.own]\nlocal_addr = \"{}\"\nretry_interval = 1\n",
        echo.address()
    );
    let client = crowd.client("client", &(own + &tcp("a", echo.address(), 0)));
    client.wait_for("service is refused service=own ");
    let old = public(&client, "a");
    let mark = client.log().mark();
    let defined = format!("[server.services.own]\nbind_addr = \"{old}\"");
    crowd.reload(&text(&defined));
    client
        .log()
        .wait_after(mark, &format!("service is registered service=own addr={old}"));
    let line = client.log().wait_after(mark, "service is registered service=a addr=");
    let new: SocketAddr = field(&line, "addr").parse().expect("an address");
    assert!(new.ip() == old.ip() && new != old, "{new}");
    // The server is to be found elsewhere from now on.
    let (file, elsewhere) = (
        crowd.dir().path().join("server.toml"),
        address::free_port(address::own()),
    );
    let lines = std::fs::read_to_string(&file).expect("its file");
    let lines = lines.replace(&crowd.control().to_string(), &elsewhere.to_string());
    let mark = client.log().mark();
    std::fs::write(file, lines).expect("its file again");
    crowd.server.signal(Signal::Hangup);
    client.log().wait_after(
        mark,
        &format!("service is registered service=a addr={}:", elsewhere.ip()),
    );
}

#[test]
fn visitors_come_at_a_rate() {
    let (crowd, echo) = (server("rate_limit_rps = 5"), Local::serve(local::echo));
    let client = crowd.client("client", &tcp("a", echo.address(), 0));
    let (at, began) = (public(&client, "a"), Instant::now());
    let mut count = 0;
    // A burst is let in whole, and then somebody is not, unless a visit takes longer than a place to come back.
    for _ in 0..200 {
        count += usize::from(visitor::echoes(at));
    }
    let refill = 5 * (began.elapsed().as_secs() as usize + 1);
    assert!((5..=5 + refill).contains(&count), "{count}");
    eventually("one is let in again", PATIENCE, || visitor::echoes(at));
}

#[test]
fn datagrams_come_at_a_rate_and_the_session_stays() {
    let (dir, answers) = (rig::TempDir::new(), Responder::echo());
    let control = dir.path().join("socket");
    let crowd = server(&format!(
        "rate_limit_rps = 50\ncontrol_socket = \"{}\"",
        control.display()
    ));
    let client = crowd.client("client", &udp("a", answers.address(), 0));
    let at = public(&client, "a");
    let socket = datagrams::visit(at);
    let began = Instant::now();
    for n in 0..200_u32 {
        socket.send(&n.to_be_bytes()).expect("room to send");
    }
    let mut count = 0;
    while datagrams::receive_within(&socket, Duration::from_millis(700), |_| true).is_some() {
        count += 1;
    }
    let refill = 50 * (began.elapsed().as_secs() as usize + 1);
    assert!((1..=50 + refill).contains(&count), "{count}");
    // What was dropped is not counted.
    let output = rig::program::output(rig::pinhole(rig::Role::Server).arg("status").arg("--json").arg(control));
    let status = Json::parse(&String::from_utf8(output.stdout).expect("JSON"));
    let figure = |key: &str| status.get("services").list()[0].get(key).number();
    assert!(figure("dropped") > 0.0);
    assert_eq!(figure("bytes_in"), 4.0 * (200.0 - figure("dropped")));
    datagrams::ask(&socket, &Payload::bytes(1, 100));
}

#[test]
fn sessions_of_a_service_are_so_many_at_a_time() {
    let (crowd, answers) = (server("max_connections_per_service = 2"), Responder::echo());
    let client = crowd.client("client", &udp("a", answers.address(), 0));
    let at = public(&client, "a");
    let [one, two, three] = [0; 3].map(|_| datagrams::visit(at));
    datagrams::ask(&one, b"one");
    datagrams::ask(&two, b"two");
    three.send(b"three").expect("room to send");
    datagrams::ask(&one, b"one again");
    datagrams::ask(&two, b"two again");
    three.set_nonblocking(true).expect("a socket");
    assert!(three.recv(&mut [0; 16]).is_err());
}

#[test]
fn one_line_exposes_a_service() {
    let (crowd, echo) = (server(""), Local::serve(local::echo));
    let local = echo.address();
    let mut command = rig::pinhole(rig::Role::Client);
    command.args([
        "tcp",
        &local.port().to_string(),
        "--local-host",
        &local.ip().to_string(),
    ]);
    command.args(["--server", &crowd.control().to_string(), "--remote-port", "20001"]);
    command.env("PINHOLE_TOKEN", TOKEN);
    let client = Process::start("line", command);
    client.wait_for(&format!("tcp://{}", crowd.at(20_001)));
    visitor::echo(&visitor::connect(crowd.at(20_001)), b"hello");
}
