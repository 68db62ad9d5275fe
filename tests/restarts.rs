//! Whatever carries the link: either end may start first and be started again, and all kinds of services work after it.

mod rig;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::thread;

use rig::datagrams::{self, ask, ask_for, visit};
use rig::{Kind, Local, PATIENCE, Responder, Role, Signal, Transport, Tunnel, eventually, local, visitor};

#[test]
fn either_end_may_come_first_and_come_again_over_each_transport() {
    let [echo, pong] = [local::echo as fn(TcpStream), answer_pings].map(Local::serve);
    let [udp_echo, udp_pong] =
        [datagrams::echo as fn(&UdpSocket, SocketAddr, &[u8]), answer_ping].map(Responder::serve);
    let transports: Vec<_> = Transport::available().collect();
    assert!(!transports.is_empty());
    thread::scope(|scope| {
        for transport in transports {
            let builder = Tunnel::builder()
                .transport(transport)
                .service("echo", Kind::Tcp, echo.address())
                .service("pong", Kind::Tcp, pong.address())
                .service("udp-echo", Kind::Udp, udp_echo.address())
                .service("udp-pong", Kind::Udp, udp_pong.address());
            // Named, so that a failure says which it was.
            let thread = thread::Builder::new().name(format!("{transport:?}"));
            let running = thread.spawn_scoped(scope, move || come_and_go(builder.build()));
            running.expect("a thread");
        }
    });
}

fn come_and_go(mut tunnel: Tunnel) {
    tunnel.start_client();
    tunnel.client().wait_for("WARN  client: .. retry in");
    tunnel.start_server();
    tunnel.wait_until_up();
    all_answer(&tunnel);
    for signal in [Signal::Terminate, Signal::Kill] {
        end(&mut tunnel, Role::Client, signal);
        tunnel.start_client();
        all_answer(&tunnel);
        end(&mut tunnel, Role::Server, signal);
        tunnel.start_server();
        all_answer(&tunnel);
    }
}

fn end(tunnel: &mut Tunnel, role: Role, signal: Signal) {
    let process = tunnel.process(role);
    process.signal(signal);
    process.exit();
    let public = tunnel.public("echo");
    eventually("the service's port is closed", PATIENCE, || visitor::is_refused(public));
}

/// Each service does what it is for, several times over.
fn all_answer(tunnel: &Tunnel) {
    for name in ["echo", "pong"] {
        let public = tunnel.public(name);
        eventually("the service is there", PATIENCE, || !visitor::is_refused(public));
    }
    let (echo, mut pong) = (tunnel.visit("echo"), tunnel.visit("pong"));
    let [udp_echo, udp_pong] = ["udp-echo", "udp-pong"].map(|name| visit(tunnel.public(name)));
    for round in 0..20 {
        let words = format!("round {round}");
        visitor::echo(&echo, words.as_bytes());
        ask(&udp_echo, words.as_bytes());
        pong.write_all(b"ping").expect("a ping");
        let mut answer = [0; 4];
        pong.read_exact(&mut answer).expect("a pong");
        assert_eq!(&answer, b"pong");
        ask_for(&udp_pong, b"ping", |answer| answer == b"pong");
    }
}

fn answer_pings(mut stream: TcpStream) {
    let mut ping = [0; 4];
    while stream.read_exact(&mut ping).is_ok() && &ping == b"ping" {
        let _ = stream.write_all(b"pong");
    }
}

fn answer_ping(socket: &UdpSocket, from: SocketAddr, datagram: &[u8]) {
    if datagram == b"ping" {
        let _ = socket.send_to(b"pong", from);
    }
}
