//! Visitors and local services that speak in datagrams.
//!
//! Datagrams may be lost, by any system under load, so tests are about what arrives: [`ask`] asks again.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::{PATIENCE, address};

/// Bytes of the largest datagram, and some more.
pub const LARGEST: usize = 70_000;

/// How long an answer is waited for until the question counts as lost.
const AGAIN: Duration = Duration::from_millis(500);

/// A local service in a thread of the test that answers datagrams. Its port is closed on drop.
pub struct Responder {
    address: SocketAddr,
    stopping: Arc<AtomicBool>,
    answering: Option<JoinHandle<()>>,
}

impl Responder {
    /// Calls `answer` for each datagram with the socket, its sender and its bytes.
    pub fn serve(answer: impl FnMut(&UdpSocket, SocketAddr, &[u8]) + Send + 'static) -> Responder {
        Responder::serve_at((address::own(), 0).into(), answer)
    }

    /// The same on an address that is known.
    pub fn serve_at(
        address: SocketAddr,
        mut answer: impl FnMut(&UdpSocket, SocketAddr, &[u8]) + Send + 'static,
    ) -> Responder {
        let socket = bind(address);
        let address = socket.local_addr().expect("its own address");
        let stopping = Arc::new(AtomicBool::new(false));
        let stop = stopping.clone();
        let answering = thread::spawn(move || {
            let mut place = vec![0; LARGEST];
            while !stop.load(Ordering::Relaxed) {
                // An error is what became of an answer.
                if let Ok((count, from)) = socket.recv_from(&mut place) {
                    answer(&socket, from, &place[..count]);
                }
            }
        });
        Responder {
            address,
            stopping,
            answering: Some(answering),
        }
    }

    /// One that sends everything back.
    pub fn echo() -> Responder {
        Responder::serve(echo)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Relaxed);
        let _ = bind((self.address.ip(), 0).into()).send_to(&[], self.address);
        if let Some(answering) = self.answering.take() {
            let _ = answering.join();
        }
    }
}

/// Sends it back.
pub fn echo(socket: &UdpSocket, from: SocketAddr, datagram: &[u8]) {
    let _ = socket.send_to(datagram, from);
}

/// Sends it back behind the port that it came from.
pub fn tell_port(socket: &UdpSocket, from: SocketAddr, datagram: &[u8]) {
    let _ = socket.send_to(&[&from.port().to_be_bytes(), datagram].concat(), from);
}

/// A socket at `address` on which receiving fails after [`PATIENCE`].
#[track_caller]
pub fn bind(address: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind(address).unwrap_or_else(|error| panic!("no socket at {address}: {error}"));
    socket.set_read_timeout(Some(PATIENCE)).expect("a time-out");
    socket
}

/// A visitor of `address`, on any port of loopback.
#[track_caller]
pub fn visit(address: SocketAddr) -> UdpSocket {
    let own: IpAddr = match address {
        SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    };
    let socket = bind((own, 0).into());
    socket.connect(address).expect("an address to send to");
    socket
}

/// Sends `words` until an answer that `is_right` comes, and returns that.
#[track_caller]
pub fn ask_for(visitor: &UdpSocket, words: &[u8], is_right: impl Fn(&[u8]) -> bool) -> Vec<u8> {
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        // An error is what became of an earlier one.
        let _ = visitor.send(words);
        if let Some(answer) = receive_within(visitor, AGAIN, &is_right) {
            return answer;
        }
    }
    panic!("no answer to {} bytes within {PATIENCE:?}", words.len());
}

/// Sends `words` until they come back.
#[track_caller]
pub fn ask(visitor: &UdpSocket, words: &[u8]) {
    ask_for(visitor, words, |answer| answer == words);
}

/// The port of [`tell_port`]'s service that the visitor's datagrams come from; `tag` is this question's own.
#[track_caller]
pub fn ask_port(visitor: &UdpSocket, tag: &[u8]) -> u16 {
    let answer = ask_for(visitor, tag, |answer| answer.get(2..) == Some(tag));
    u16::from_be_bytes([answer[0], answer[1]])
}

/// What comes within `patience` and `is_right`; all else is passed over.
pub fn receive_within(visitor: &UdpSocket, patience: Duration, is_right: impl Fn(&[u8]) -> bool) -> Option<Vec<u8>> {
    let (start, mut place) = (Instant::now(), vec![0; LARGEST]);
    let mut found = None;
    while found.is_none() && start.elapsed() < patience {
        let left = patience.saturating_sub(start.elapsed());
        visitor
            .set_read_timeout(Some(left.max(Duration::from_millis(1))))
            .expect("a time-out");
        found = match visitor.recv(&mut place) {
            Ok(count) => Some(place[..count].to_vec()).filter(|answer| is_right(answer)),
            Err(_) => None,
        };
    }
    visitor.set_read_timeout(Some(PATIENCE)).expect("a time-out");
    found
}

/// Whether nobody is at `address`: what is sent there is refused.
pub fn is_refused(address: SocketAddr) -> bool {
    let visitor = visit(address);
    let _ = visitor.send(b"anyone?");
    visitor.set_read_timeout(Some(AGAIN)).expect("a time-out");
    matches!(visitor.recv(&mut [0; 100]), Err(error) if error.kind() == io::ErrorKind::ConnectionRefused)
}
