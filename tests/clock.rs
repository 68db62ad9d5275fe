//! A clock that is wrong, as a router's without a battery is: what it costs, and that the log says so.

mod rig;

use std::fs;
use std::path::{Path, PathBuf};

use rig::{Kind, Local, Process, Role, Signal, Transport, Tunnel, certificates, local, pinhole, program, visitor};

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

/// A process of `tunnel` for which it is 1970.
fn in_1970(tunnel: &Tunnel, role: Role) -> Option<Process> {
    with_clock(tunnel, role, ["FAKETIME", BEGINNING])
}

/// What the program `faketime` preloads. That itself would stay between a process and its test, and stumble
/// over what an earlier one with the same number has left in shared memory.
fn library() -> PathBuf {
    let folders = fs::read_dir("/usr/lib").expect("/usr/lib").flatten();
    let mut libraries = folders.map(|folder| folder.path().join("faketime/libfaketime.so.1"));
    libraries.find(|library| library.exists()).expect("libfaketime")
}

/// A process of `tunnel` that starts long ago, as the variable says. `None`, and a word about it: this cannot be had.
fn with_clock(tunnel: &Tunnel, role: Role, [key, value]: [&str; 2]) -> Option<Process> {
    program::find("faketime", "faketime")?;
    let mut command = pinhole(role);
    command
        .env("LD_PRELOAD", library())
        .env(key, value)
        .env("FAKETIME_NO_CACHE", "1");
    command.env("FAKETIME_DONT_FAKE_MONOTONIC", "1").env("TZ", "UTC");
    command.arg(role.option()).arg(tunnel.file(role));
    let process = Process::start(&role.to_string(), command);
    if year(&process.wait_for(": ")) > 2000 {
        program::skip("this program does not take another clock than the system's");
        return None;
    }
    Some(process)
}

/// The year in which a line was written.
fn year(line: &str) -> i32 {
    line[..4].parse().expect("a year")
}

/// As when the time server answers at last, and as when it was a wrong one.
#[test]
fn jumps_of_the_clock_disturb_no_link() {
    let echo = Local::serve(local::echo);
    let tunnel = tunnel(&echo, Transport::Tcp);
    let clock = tunnel.dir().write("clock", "-40y");
    let variable = ["FAKETIME_TIMESTAMP_FILE", clock.to_str().expect("ASCII")];
    let Some(server) = with_clock(&tunnel, Role::Server, variable) else {
        return;
    };
    server.wait_for("listening for clients ");
    let client = with_clock(&tunnel, Role::Client, variable).expect("what the server had");
    let start = year(&server.wait_for("service is up service=echo "));
    let visitor = tunnel.visit("echo");
    let mut processes = [server, client];
    for jump in [0, 40, -40, 0] {
        tunnel.dir().write("clock", format!("{jump:+}y"));
        for process in &mut processes {
            let mark = process.log().mark();
            process.signal(Signal::Hangup);
            let line = process.log().wait_after(mark, "configuration is unchanged");
            // A calendar has leap years, that of the library has not.
            assert!((year(&line) - start - 40 - jump).abs() <= 1, "{line}");
        }
        visitor::echo(&visitor, b"whatever the time is");
    }
    for process in &processes {
        assert_eq!(process.log().all("link is down"), [""; 0]);
        assert_eq!(process.log().all("has left"), [""; 0]);
    }
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
