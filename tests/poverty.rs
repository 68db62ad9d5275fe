//! A machine that has hardly anything left: what cannot be had now is tried again.

mod rig;

use std::fs;
use std::io::Read;
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use rig::{Kind, Local, PATIENCE, Process, Role, Signal, Tunnel, eventually, local, pinhole, program, visitor};

/// Who has no other processes, so that a limit of them is known beforehand. Root has no limit.
const NOBODY: &str = "65534";

#[test]
fn client_without_a_thread_tries_again() {
    let (Some(setpriv), Some(prlimit)) = (
        program::find("setpriv", "util-linux"),
        program::find("prlimit", "util-linux"),
    ) else {
        return;
    };
    if !program::is_root() {
        return program::skip("only root may run a client as nobody");
    }
    let echo = Local::serve(local::echo);
    // A name that is everywhere, and no literal: it takes a thread to look it up.
    let builder = Tunnel::builder()
        .address(Ipv4Addr::LOCALHOST.into())
        .remote_host("LOCALHOST");
    let mut tunnel = builder.service("echo", Kind::Tcp, echo.address()).build();
    tunnel.start_server();
    let as_nobody = ["--reuid", NOBODY, "--clear-groups"];
    let mut command = Command::new(&setpriv);
    command.args(as_nobody).arg(&prlimit).arg("--nproc=1:1000");
    command
        .arg(for_everybody(&tunnel))
        .arg("-c")
        .arg(tunnel.file(Role::Client));
    let client = Process::start("client", command);
    client.wait_for(
        "WARN  client: link is down .. cannot look up LOCALHOST: Resource temporarily unavailable .. retry in",
    );
    let id = client.id().to_string();
    let raise = [&as_nobody[..], &["prlimit", "--pid", &id, "--nproc=1000"]].concat();
    program::run(&setpriv, &raise);
    tunnel.wait_until_up();
    visitor::echo(&tunnel.visit("echo"), b"at last");
}

/// A copy of the client's program that nobody may run, too.
fn for_everybody(tunnel: &Tunnel) -> PathBuf {
    let path = tunnel.dir().path().join("pinhole");
    // By another process: what a child of this one has inherited open for writing could not be run.
    let program = pinhole(Role::Client);
    let [from, to] = [program.get_program(), path.as_os_str()].map(|path| path.to_str().expect("ASCII"));
    program::run(Path::new("/bin/cp"), &[from, to]);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("a program that may be run");
    path
}

/// Half of them a process has for itself.
const DESCRIPTORS: usize = 32;

#[test]
fn descriptors_that_are_used_up_are_said_and_come_back() {
    for (role, words) in [
        (
            Role::Server,
            "WARN  server: cannot accept a visitor addr= .. : .. (os error 24)",
        ),
        (
            Role::Client,
            "WARN  client: local service is down service=echo ( .. (os error 24))",
        ),
    ] {
        let echo = Local::serve(local::echo);
        let tunnel = Tunnel::builder().service("echo", Kind::Tcp, echo.address()).build();
        let Some([mut process, _other]) = limited(&tunnel, role, &format!("--nofile={DESCRIPTORS}")) else {
            return;
        };
        let public = tunnel.public("echo");
        eventually("the service is there", PATIENCE, || visitor::echoes(public));
        let first = tunnel.visit("echo");
        visitor::echo(&first, b"one of few");
        // Who is reset while it connects has been there, too.
        let crowd: Vec<_> = (0..DESCRIPTORS).map(|_| TcpStream::connect(public)).collect();
        process.wait_for(words);
        visitor::echo(&first, b"still here");
        drop(crowd);
        eventually("there is room again", PATIENCE, || visitor::echoes(public));
        assert!(process.is_running());
    }
}

#[test]
fn as_many_descriptors_as_are_allowed_are_used() {
    let echo = Local::serve(local::echo);
    let tunnel = Tunnel::builder().service("echo", Kind::Tcp, echo.address()).build();
    let Some([server, _client]) = limited(&tunnel, Role::Server, "--nofile=64:4096") else {
        return;
    };
    server.wait_for("listening for clients");
    let limits = fs::read_to_string(format!("/proc/{}/limits", server.id())).expect("its limits");
    let line = limits.lines().find(|line| line.starts_with("Max open files"));
    let numbers: Vec<_> = line.expect("a line").split_whitespace().skip(3).take(2).collect();
    assert_eq!(numbers, ["4096", "4096"]);
}

/// Bytes of address space, of which program and libraries of a debug build take a third.
const ADDRESS_SPACE: u64 = 64 * 1024 * 1024;

/// Readers that are stuck make both ends hold all that they may, which is less than what they have.
#[test]
fn limit_of_address_space_is_kept() {
    for role in [Role::Server, Role::Client] {
        let door = Local::door();
        let echo = Local::serve(local::echo);
        let builder = Tunnel::builder().service("echo", Kind::Tcp, echo.address());
        let tunnel = builder.service("silent", Kind::Tcp, door.address()).build();
        let Some([mut process, mut other]) = limited(&tunnel, role, &format!("--as={ADDRESS_SPACE}")) else {
            return;
        };
        let public = tunnel.public("echo");
        eventually("the service is there", PATIENCE, || visitor::echoes(public));
        let stuck: Vec<_> = (0..8).flat_map(|_| [tunnel.visit("silent"), door.arrival()]).collect();
        thread::scope(|scope| {
            for end in &stuck {
                scope.spawn(|| visitor::fill(end, ADDRESS_SPACE));
            }
        });
        assert!(visitor::echoes(public));
        assert!(process.is_running() && other.is_running());
    }
}

/// Both ends of `tunnel`, that of `role` first, which lives within `limit`.
fn limited(tunnel: &Tunnel, role: Role, limit: &str) -> Option<[Process; 2]> {
    let prlimit = program::find("prlimit", "util-linux")?;
    let mut command = Command::new(prlimit);
    command.arg(limit).arg(pinhole(role).get_program());
    command.arg(role.option()).arg(tunnel.file(role));
    let other = match role {
        Role::Server => Role::Client,
        Role::Client => Role::Server,
    };
    let process = Process::start(&role.to_string(), command);
    Some([process, tunnel.spawn(other)])
}

#[test]
fn full_disk_under_the_log_stops_nothing() {
    let echo = Local::serve(local::echo);
    let tunnel = Tunnel::builder().service("echo", Kind::Tcp, echo.address()).build();
    let mut processes = [Role::Server, Role::Client].map(|role| {
        let mut command = Command::new("sh");
        command.args(["-c", "exec \"$0\" \"$@\" 2>/dev/full"]);
        command.arg(pinhole(role).get_program()).env("RUST_LOG", "trace");
        command.arg(role.option()).arg(tunnel.file(role));
        Process::start(&role.to_string(), command)
    });
    let public = tunnel.public("echo");
    eventually("the service is there", PATIENCE, || visitor::echoes(public));
    for process in &mut processes {
        process.signal(Signal::Terminate);
        assert_eq!(process.exit().code(), Some(0));
        assert_eq!(process.log().text(), "");
    }
}

/// A pipe that nobody reads takes 64 KiB, a stopped terminal nothing.
#[test]
fn log_that_nobody_reads_stops_nothing() {
    let echo = Local::serve(local::echo);
    let tunnel = Tunnel::builder().service("echo", Kind::Tcp, echo.address()).build();
    let processes = [Role::Server, Role::Client].map(|role| {
        let mut command = pinhole(role);
        command
            .arg(role.option())
            .arg(tunnel.file(role))
            .env("RUST_LOG", "trace");
        Process::start_unread(&role.to_string(), command)
    });
    let at = tunnel.public("echo");
    eventually("the service is there", PATIENCE, || visitor::echoes(at));
    for _ in 0..2000 {
        assert!(visitor::echoes(at));
    }
    for (mut process, mut log) in processes.into_iter().rev() {
        process.signal(Signal::Terminate);
        assert_eq!(process.exit().code(), Some(0));
        let mut said = Vec::new();
        log.read_to_end(&mut said).expect("what it wrote");
        assert!(said.len() > 60_000, "only {} bytes: nothing was full", said.len());
        assert!(said.ends_with(b"\n"), "a line is cut");
    }
}
