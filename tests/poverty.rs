//! A machine that has hardly anything left: what cannot be had now is tried again.

mod rig;

use std::fs;
use std::io::Read;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

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
    fs::copy(pinhole(Role::Client).get_program(), &path).expect("a copy of the program");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("a program that may be run");
    path
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
