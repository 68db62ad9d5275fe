//! A clock that is wrong, as a router's without a battery is: what it costs, and that the log says so.

mod rig;

use std::path::Path;

use rig::{Kind, Local, Process, Role, Transport, Tunnel, certificates, local, pinhole, program, visitor};

/// When routers without a battery start.
const BEGINNING: &str = "@1970-01-01 00:00:10";

fn has(transport: Transport) -> bool {
    Transport::available().any(|found| found == transport)
}

/// A tunnel over `transport`, of which nothing runs yet.
fn tunnel(echo: &Local, transport: Transport) -> Tunnel {
    let builder = Tunnel::builder().service("echo", Kind::Tcp, echo.address());
    builder.transport(transport).build()
}

/// A process of `tunnel` for which it is 1970. `None`, and a word about it: this cannot be had.
fn in_1970(tunnel: &Tunnel, role: Role) -> Option<Process> {
    let faketime = program::find("faketime", "faketime")?;
    // What it would set for a program that it starts; it would stay between that and the test.
    let set = program::run(&faketime, &["-f", BEGINNING, "env"]);
    let library = set.lines().find_map(|line| line.strip_prefix("LD_PRELOAD="));
    let mut command = pinhole(role);
    command
        .env("LD_PRELOAD", library.expect("a library"))
        .env("FAKETIME", BEGINNING);
    command.env("FAKETIME_DONT_FAKE_MONOTONIC", "1").env("TZ", "UTC");
    command.arg(role.option()).arg(tunnel.file(role));
    let process = Process::start(&role.to_string(), command);
    let first = process.wait_for(": ");
    if !first.starts_with("1970-") {
        program::skip("this program does not take another clock than the system's");
        return None;
    }
    Some(process)
}

#[test]
fn pinned_noise_key_needs_no_clock() {
    if !has(Transport::Noise("NK")) {
        return program::skip("this build has no Noise");
    }
    let echo = Local::serve(local::echo);
    let tunnel = tunnel(&echo, Transport::Noise("NK"));
    let Some(server) = in_1970(&tunnel, Role::Server) else {
        return;
    };
    let _client = in_1970(&tunnel, Role::Client);
    server.wait_for("service is up service=echo ");
    visitor::echo(&tunnel.visit("echo"), b"whatever the time is");
}

#[test]
fn tls_says_what_the_clock_says() {
    if !has(Transport::Tls) {
        return;
    }
    let echo = Local::serve(local::echo);
    let mut tunnel = tunnel(&echo, Transport::Tls);
    tunnel.start_server();
    let Some(client) = in_1970(&tunnel, Role::Client) else {
        return;
    };
    client.wait_for(
        "WARN  client: link is down .. is not valid before 20 .. and the clock here says 1970-01-01: is it right?",
    );
    tunnel.server().wait_for("WARN  server: .. refused, last peer= .. ");
    // With the right time the same files work.
    tunnel.start_client();
    tunnel.wait_until_up();
    visitor::echo(&tunnel.visit("echo"), b"at last");
}

#[test]
fn certificate_of_the_future_is_refused_in_words() {
    if !has(Transport::Tls) {
        return;
    }
    let echo = Local::serve(local::echo);
    let mut tunnel = tunnel(&echo, Transport::Tls);
    issue_in_2090(tunnel.dir().path());
    tunnel.start_server();
    tunnel.start_client();
    let words = "is not valid before 2090-01-01, and the clock here says 20 .. is it right?";
    tunnel
        .client()
        .wait_for(&format!("WARN  client: link is down .. {words}"));
}

fn issue_in_2090(dir: &Path) {
    let dates = ["20900101000000Z", "20900102000000Z"];
    certificates::issue_between(dir, "ca", "server", "DNS:server.test", dates);
}
