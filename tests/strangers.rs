//! Those at the control port who are no clients: they cost little, say little in the log, and delay nobody.

mod rig;

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rig::{Kind, Local, Payload, Role, Tunnel, local, raise_descriptor_limit, visitor};

const SILENT: usize = 200;

/// Strangers are gone after 8 s.
const STAY: Duration = Duration::from_secs(10);

#[test]
fn silent_strangers_neither_delay_a_client_nor_stay() {
    raise_descriptor_limit(4096);
    let echo = Local::serve(local::echo);
    let mut tunnel = Tunnel::builder().service("echo", Kind::Tcp, echo.address()).build();
    tunnel.start_server();
    let silent: Vec<_> = (0..SILENT).map(|_| visitor::connect(tunnel.control())).collect();
    let opened = Instant::now();

    tunnel.start_client();
    tunnel.wait_until_up();
    assert!(
        opened.elapsed() < Duration::from_secs(2),
        "a client took {:?}",
        opened.elapsed()
    );
    visitor::echo(&tunnel.visit("echo"), b"beside strangers");

    for stranger in &silent {
        visitor::end(stranger);
    }
    assert!(
        opened.elapsed() < STAY,
        "silent strangers stayed {:?}",
        opened.elapsed()
    );
    visitor::echo(&tunnel.visit("echo"), b"after strangers");
}

#[test]
fn more_strangers_than_there_is_room_for_do_not_lock_clients_out() {
    raise_descriptor_limit(8192);
    let echo = Local::serve(local::echo);
    let mut tunnel = Tunnel::builder().service("echo", Kind::Tcp, echo.address()).build();
    tunnel.start_server();
    let _silent: Vec<_> = (0..1500).map(|_| visitor::connect(tunnel.control())).collect();
    tunnel.start_client();
    tunnel.wait_until_up();
    visitor::echo(&tunnel.visit("echo"), b"beside many strangers");
}

#[test]
fn nonsense_is_closed_and_counted() {
    let echo = Local::serve(local::echo);
    let tunnel = Tunnel::with_echo(echo.address());
    let visitor = tunnel.visit("echo");
    for (what, bytes) in nonsense() {
        let stranger = visitor::connect(tunnel.control());
        // It may be closed before all of it is written.
        let _ = (&stranger).write_all(&bytes);
        let start = Instant::now();
        visitor::end(&stranger);
        assert!(start.elapsed() < STAY, "{what} stayed {:?}", start.elapsed());
        visitor::echo(&visitor, what.as_bytes());
    }
    tunnel.server().wait_for("WARN  server: .. refused, last peer=");
    visitor::echo(&tunnel.visit("echo"), b"unharmed");
    assert_eq!(tunnel.client().log().all("link is down"), [""; 0]);
}

#[test]
fn half_a_hello_is_closed() {
    let echo = Local::serve(local::echo);
    let tunnel = Tunnel::with_echo(echo.address());
    let hello = hello_of_a_client();
    let start = Instant::now();
    let lengths = [1, 8, hello.len() / 2, hello.len() - 1, hello.len()];
    let strangers = lengths.map(|length| {
        let stranger = visitor::connect(tunnel.control());
        (&stranger).write_all(&hello[..length]).expect("a part of a hello");
        stranger
    });
    for (stranger, length) in strangers.iter().zip(lengths) {
        visitor::end(stranger);
        assert!(start.elapsed() < STAY, "{length} bytes stayed {:?}", start.elapsed());
    }
    visitor::echo(&tunnel.visit("echo"), b"unharmed");
}

/// The first bytes that a real client sends.
fn hello_of_a_client() -> Vec<u8> {
    let (echo, door) = (Local::serve(local::echo), Local::door());
    let mut tunnel = Tunnel::builder()
        .service("echo", Kind::Tcp, echo.address())
        .through(door.address())
        .build();
    tunnel.start_client();
    let mut hello = vec![0; 4096];
    let length = door.arrival().read(&mut hello).expect("a hello");
    hello.truncate(length);
    hello
}

#[test]
fn hundreds_of_strangers_are_a_few_lines_of_log() {
    let echo = Local::serve(local::echo);
    let tunnel = Tunnel::with_echo(echo.address());
    let before = tunnel.server().log().text().lines().count();
    for _ in 0..500 {
        let stranger = visitor::connect(tunnel.control());
        let _ = (&stranger).write_all(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n");
        visitor::end(&stranger);
    }
    tunnel.server().wait_for("WARN  server: .. refused, last peer=");
    let lines = tunnel.server().log().text().lines().count() - before;
    assert!(lines <= 20, "500 strangers made {lines} lines");
}

#[test]
fn nonsense_instead_of_a_server_is_survived() {
    let echo = Local::serve(local::echo);
    let mut tunnel = Tunnel::builder()
        .service("echo", Kind::Tcp, echo.address())
        .line(Role::Client, "retry_interval = 1")
        .build();
    for (what, bytes) in nonsense() {
        let fake = Local::serve_at(tunnel.control(), move |mut stream: TcpStream| {
            let _ = stream.write_all(&bytes);
            let _ = io::copy(&mut stream, &mut io::sink());
        });
        tunnel.start_client();
        tunnel.client().wait_for("WARN  client: .. retry in");
        assert!(tunnel.process(Role::Client).is_running(), "{what} ended the client");
        drop(fake);
    }
}

#[test]
fn server_that_says_nothing_is_left_in_time() {
    let (echo, silent) = (Local::serve(local::echo), Local::door());
    let builder = Tunnel::builder().service("echo", Kind::Tcp, echo.address());
    let mut tunnel = builder.through(silent.address()).build();
    tunnel.start_client();
    let connection = silent.arrival();
    tunnel
        .client()
        .wait_for("WARN  client: link is down .. did not answer in time .. retry in");
    visitor::end(&connection);
    // It comes again.
    silent.arrival();
}

/// What comes by at an open port, each with a name.
fn nonsense() -> Vec<(&'static str, Vec<u8>)> {
    let hello_of_tls = [&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3][..], &[7; 506]].concat();
    let hello_of_rathole = [&[0, 0, 0, 0, 1][..], &[9; 32]].concat();
    vec![
        ("random bytes", Payload::bytes(11, 300)),
        ("many random bytes", Payload::bytes(12, 1_000_000)),
        ("zeros", vec![0; 64]),
        ("ones", vec![0xff; 64]),
        ("an HTTP request", b"GET / HTTP/1.1\r\nHost: here\r\n\r\n".to_vec()),
        ("a TLS hello", hello_of_tls),
        ("a rathole hello", hello_of_rathole),
        ("an SSH banner", b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n".to_vec()),
        ("one byte", vec![b'p']),
    ]
}
