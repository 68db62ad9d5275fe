//! The control socket and `pinhole status`.

mod rig;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rig::json::Json;
use rig::program::run;
use rig::{Kind, Local, PATIENCE, Payload, Role, Signal, TempDir, Tunnel, eventually, local, visitor};

/// Bytes that a visitor sends, and gets back.
const BYTES: usize = 300_000;

#[test]
fn both_roles_tell_services_and_live_bytes() {
    let (dir, echo) = (TempDir::new(), Local::serve(local::echo));
    let tunnel = with_sockets(&dir, &echo);
    for role in [Role::Server, Role::Client] {
        let socket = socket(&dir, role);
        let visitor = tunnel.visit("echo");
        visitor::echo(&visitor, b"hello");
        let before = status(&socket);
        visitor::echo(&visitor, &Payload::bytes(1, BYTES));
        // The visitor is still here: its bytes count while they flow.
        eventually("the bytes are counted both ways", PATIENCE, || {
            grown(&before, &status(&socket)) >= 2
        });
        let now = status(&socket);
        assert!(mentions(&now, "echo"), "the service is missing: {now:?}");
    }
    let now = status(&socket(&dir, Role::Server));
    assert!(
        mentions(&now, &tunnel.public("echo").to_string()),
        "the public address is missing: {now:?}"
    );
}

#[test]
fn status_is_readable_without_json_and_by_config() {
    let (dir, echo) = (TempDir::new(), Local::serve(local::echo));
    let tunnel = with_sockets(&dir, &echo);
    for role in [Role::Server, Role::Client] {
        for argument in [socket(&dir, role), tunnel.file(role)] {
            let words = pinhole(&["status", argument.to_str().expect("ASCII")]);
            assert!(words.contains("echo"), "the service is missing: {words}");
        }
    }
}

#[test]
fn client_without_a_server_tells_why() {
    let (dir, echo) = (TempDir::new(), Local::serve(local::echo));
    let mut tunnel = builder(&dir, &echo).build();
    tunnel.start_client();
    tunnel.client().wait_for("retry in");
    let words = pinhole(&["status", socket(&dir, Role::Client).to_str().expect("ASCII")]);
    assert!(words.contains("refused"), "the last error is missing: {words}");
}

#[test]
fn socket_is_private_and_goes_with_the_process() {
    let (dir, echo) = (TempDir::new(), Local::serve(local::echo));
    let mut tunnel = with_sockets(&dir, &echo);
    for role in [Role::Server, Role::Client] {
        let socket = socket(&dir, role);
        let mode = fs::metadata(&socket).expect("the socket's file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "of the {role}'s socket");
        let process = tunnel.process(role);
        process.signal(Signal::Terminate);
        process.exit();
        assert!(!socket.exists(), "the {role}'s socket is still there");
    }
}

#[test]
fn socket_that_a_crash_left_behind_is_replaced() {
    let (dir, echo) = (TempDir::new(), Local::serve(local::echo));
    let mut tunnel = with_sockets(&dir, &echo);
    tunnel.process(Role::Server).kill();
    assert!(socket(&dir, Role::Server).exists());
    tunnel.start_server();
    tunnel.wait_until_up();
    assert!(mentions(&status(&socket(&dir, Role::Server)), "echo"));
}

#[test]
fn status_of_nobody_exits_1() {
    let dir = TempDir::new();
    let socket = dir.path().join("absent.sock");
    let mut command = rig::pinhole(Role::Server);
    let output = rig::program::output(command.arg("status").arg(&socket));
    assert_eq!(output.status.code(), Some(1));
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(words.contains("absent.sock"), "the path is missing: {words}");
}

fn builder(dir: &TempDir, echo: &Local) -> rig::Builder {
    let line = |role| format!("control_socket = {:?}", socket(dir, role));
    Tunnel::builder()
        .service("echo", Kind::Tcp, echo.address())
        .line(Role::Server, &line(Role::Server))
        .line(Role::Client, &line(Role::Client))
}

fn with_sockets(dir: &TempDir, echo: &Local) -> Tunnel {
    builder(dir, echo).start()
}

fn socket(dir: &TempDir, role: Role) -> std::path::PathBuf {
    dir.path().join(format!("{role}.sock"))
}

fn status(socket: &Path) -> Json {
    Json::parse(&pinhole(&["status", "--json", socket.to_str().expect("ASCII")]))
}

#[track_caller]
fn pinhole(arguments: &[&str]) -> String {
    run(Path::new(rig::pinhole(Role::Server).get_program()), arguments)
}

/// Whether a key or a text in `json` is `words`.
fn mentions(json: &Json, words: &str) -> bool {
    match json {
        Json::Text(text) => text == words,
        Json::List(list) => list.iter().any(|item| mentions(item, words)),
        Json::Table(table) => table.iter().any(|(key, value)| key == words || mentions(value, words)),
        _ => false,
    }
}

/// How many counters have grown by what the visitor sent.
fn grown(before: &Json, now: &Json) -> usize {
    match (before, now) {
        (Json::Number(before), Json::Number(now)) => usize::from(*now >= before + BYTES as f64),
        (Json::List(before), Json::List(now)) => before.iter().zip(now).map(|(b, n)| grown(b, n)).sum(),
        (Json::Table(before), Json::Table(now)) => before
            .iter()
            .filter_map(|(key, value)| Some(grown(value, now.get(key)?)))
            .sum(),
        _ => 0,
    }
}
