//! The command line: what it prints where, how it exits, and what `RUST_LOG` does.

mod rig;

use std::process::{Command, Output};

use rig::program::output;
use rig::{Kind, Local, PATIENCE, Role, Signal, TempDir, Tunnel, eventually, local, visitor};

#[test]
fn help_and_version_go_to_stdout() {
    for option in ["-h", "--help"] {
        let words = succeeds(&[option]);
        assert!(
            words.contains("pinhole") && words.contains("--server"),
            "{option}: {words}"
        );
    }
    for option in ["-V", "--version"] {
        let words = succeeds(&[option]);
        assert!(words.contains(env!("CARGO_PKG_VERSION")), "{option}: {words}");
    }
}

#[test]
fn keys_are_documented() {
    let words = succeeds(&["--help-config"]);
    for key in [
        "bind_addr",
        "remote_addr",
        "heartbeat_timeout",
        "control_socket",
        "nodelay",
    ] {
        assert!(words.contains(key), "`{key}` is missing: {words}");
    }
}

#[test]
fn usage_errors_exit_2() {
    fails(&[], 2, "");
    fails(&["--nonsense"], 2, "--nonsense");
    fails(&["-s", "-c", "file.toml"], 2, "-c");
    fails(&["-s"], 2, "");
    fails(&["one.toml", "two.toml"], 2, "two.toml");
    fails(&["status"], 2, "");
}

#[test]
fn unreadable_file_exits_1() {
    let dir = TempDir::new();
    let path = dir.path().join("absent.toml");
    let path = path.to_str().expect("a path of ASCII");
    for arguments in [&[path][..], &["-s", path], &["-c", path], &["check", path]] {
        fails(arguments, 1, path);
    }
}

#[test]
fn role_must_be_clear() {
    let dir = TempDir::new();
    let (server, client) = (server_file(), client_file());
    let both = dir.write("both.toml", format!("{server}{client}"));
    fails(&[both.to_str().expect("ASCII")], 1, "-s");
    let server = dir.write("server.toml", server);
    fails(&["-c", server.to_str().expect("ASCII")], 1, "client");
    let client = dir.write("client.toml", client);
    fails(&["-s", client.to_str().expect("ASCII")], 1, "server");
}

#[test]
fn check_judges_a_file_and_runs_nothing() {
    let dir = TempDir::new();
    let good = dir.write("good.toml", server_file());
    succeeds(&["check", good.to_str().expect("ASCII")]);
    let bad = dir.write(
        "bad.toml",
        server_file() + "[server.services.web]\nbind_adr = \"127.0.0.1:0\"\n",
    );
    let bad = bad.to_str().expect("ASCII");
    for arguments in [["check", bad], ["-s", bad]] {
        let words = fails(&arguments, 1, "bind_adr");
        assert!(words.contains("bind_addr"), "the nearest key is not offered: {words}");
    }
}

#[test]
fn all_mistakes_are_shown_at_once() {
    let dir = TempDir::new();
    let file = dir.write(
        "bad.toml",
        "[client]\nremote_adr = \"a:1\"\nretry_interval = -1\n[client.services]\n",
    );
    let words = fails(&["check", file.to_str().expect("ASCII")], 1, "remote_adr");
    assert!(
        words.contains("retry_interval"),
        "the second mistake is missing: {words}"
    );
    assert!(
        words.contains("bad.toml:2:"),
        "file, line and column are missing: {words}"
    );
}

#[test]
fn role_of_a_file_with_one_needs_no_option() {
    let dir = TempDir::new();
    let file = dir.write("server.toml", server_file());
    let mut command = rig::pinhole(Role::Server);
    command.arg(file);
    let mut server = rig::Process::start("server", command);
    server.wait_for("INFO  server: listening for clients addr=127.0.0.1:");
    server.signal(Signal::Terminate);
    assert_eq!(server.exit().code(), Some(0));
}

#[test]
fn log_lines_have_time_level_and_place() {
    let echo = Local::serve(local::echo);
    let tunnel = Tunnel::builder()
        .service("echo", Kind::Tcp, echo.address())
        .log_filter("debug")
        .start();
    visitor::echo(&tunnel.visit("echo"), b"hello");
    let text = tunnel.server().log().text() + "\n" + &tunnel.client().log().text();
    for line in text.lines() {
        let (time, rest) = line.split_at_checked(27).unwrap_or((line, ""));
        let shape: String = time.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
        assert_eq!(shape, "0000-00-00T00:00:00.000000Z", "no time in: {line}");
        let levels = ["ERROR ", "WARN  ", "INFO  ", "DEBUG ", "TRACE "];
        let rest = levels
            .iter()
            .find_map(|level| rest.strip_prefix(' ')?.strip_prefix(level));
        let place = rest.and_then(|rest| rest.split_once(": ")).map(|(place, _)| place);
        assert!(
            place.is_some_and(|place| !place.contains(' ')),
            "no level and place in: {line}"
        );
    }
}

#[test]
fn log_never_has_a_token() {
    let echo = Local::serve(local::echo);
    let tunnel = Tunnel::builder()
        .service("echo", Kind::Tcp, echo.address())
        .log_filter("trace")
        .start();
    visitor::echo(&tunnel.visit("echo"), b"hello");
    for process in [tunnel.server(), tunnel.client()] {
        assert_eq!(process.log().all(rig::TOKEN), [""; 0]);
    }
}

#[test]
fn log_is_filtered_by_level() {
    assert_eq!(log_with_filter("error"), "");
    assert_eq!(log_with_filter("off"), "");
    assert!(log_with_filter("info").contains("INFO  server: service is up"));
}

#[test]
fn log_is_filtered_by_module() {
    assert_eq!(log_with_filter("off,client=info"), "");
    assert!(log_with_filter("warn,server=info").contains("INFO  server: service is up"));
}

/// What the server of a tunnel writes with `RUST_LOG` set to `filter`.
fn log_with_filter(filter: &str) -> String {
    let echo = Local::serve(local::echo);
    let mut tunnel = Tunnel::builder()
        .service("echo", Kind::Tcp, echo.address())
        .log_filter(filter)
        .build();
    tunnel.start_unseen();
    eventually("the tunnel is up", PATIENCE, || visitor::echoes(tunnel.public("echo")));
    let server = tunnel.process(Role::Server);
    server.signal(Signal::Terminate);
    assert_eq!(server.exit().code(), Some(0));
    server.log().whole()
}

fn server_file() -> String {
    "[server]\nbind_addr = \"127.0.0.1:0\"\ndefault_token = \"x\"\n[server.services]\n".to_owned()
}

fn client_file() -> String {
    "[client]\nremote_addr = \"127.0.0.1:1\"\ndefault_token = \"x\"\n[client.services]\n".to_owned()
}

/// Runs `pinhole` to its end and returns its stdout; nothing may be on stderr.
#[track_caller]
fn succeeds(arguments: &[&str]) -> String {
    let output = run(arguments);
    let (words, errors) = texts(&output);
    assert_eq!(output.status.code(), Some(0), "pinhole {arguments:?}: {errors}");
    assert_eq!(errors, "", "pinhole {arguments:?}");
    words
}

/// Runs `pinhole` to its end, with `code` and with `words` on stderr, which it returns; nothing may be on stdout.
#[track_caller]
fn fails(arguments: &[&str], code: i32, words: &str) -> String {
    let output = run(arguments);
    let (printed, errors) = texts(&output);
    assert_eq!(output.status.code(), Some(code), "pinhole {arguments:?}: {errors}");
    assert!(
        errors.contains(words) && !errors.is_empty(),
        "no `{words}` from pinhole {arguments:?}: {errors}"
    );
    assert_eq!(printed, "", "pinhole {arguments:?}");
    errors
}

#[track_caller]
fn run(arguments: &[&str]) -> Output {
    let command: &mut Command = &mut rig::pinhole(Role::Server);
    output(command.args(arguments))
}

fn texts(output: &Output) -> (String, String) {
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}
