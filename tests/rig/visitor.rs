//! What visitors do: connect, talk, leave in all the ways that TCP knows.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use socket2::SockRef;

use super::payload::PIECE;
use super::{PATIENCE, Payload};

/// How a connection ended for the one who reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The peer closed it: end of file.
    Closed,
    /// The peer reset it: ECONNRESET.
    Reset,
}

/// Connects. Reading and writing fail after [`PATIENCE`] instead of hanging.
#[track_caller]
pub fn connect(address: SocketAddr) -> TcpStream {
    patient(TcpStream::connect(address).unwrap_or_else(|error| panic!("no connection to {address}: {error}")))
}

/// Gives `stream` the time-outs of a test.
pub fn patient(stream: TcpStream) -> TcpStream {
    stream.set_read_timeout(Some(PATIENCE)).expect("a time-out for reading");
    stream
        .set_write_timeout(Some(PATIENCE))
        .expect("a time-out for writing");
    stream
}

/// Whether nobody listens at `address`.
pub fn is_refused(address: SocketAddr) -> bool {
    matches!(TcpStream::connect(address), Err(error) if error.kind() == ErrorKind::ConnectionRefused)
}

/// Writes `words` and expects them back.
#[track_caller]
pub fn echo(mut stream: &TcpStream, words: &[u8]) {
    stream.write_all(words).expect("words to the echo");
    let mut answer = vec![0; words.len()];
    stream.read_exact(&mut answer).expect("an echo");
    assert!(
        answer == words,
        "the echo differs: {:?}",
        String::from_utf8_lossy(&answer)
    );
}

/// Whether a new visitor at `address` gets its words back.
pub fn echoes(address: SocketAddr) -> bool {
    let exchange = || -> io::Result<bool> {
        let mut stream = patient(TcpStream::connect(address)?);
        stream.write_all(b"anyone there?")?;
        let mut answer = [0; 13];
        stream.read_exact(&mut answer)?;
        Ok(&answer == b"anyone there?")
    };
    exchange().unwrap_or(false)
}

/// Ends the connection with a reset.
pub fn reset(stream: TcpStream) {
    SockRef::from(&stream).set_linger(Some(Duration::ZERO)).expect("linger");
}

/// How the visit of a service ends that says nothing. A reset may come while it still connects.
#[track_caller]
pub fn fate(address: SocketAddr) -> End {
    match TcpStream::connect(address) {
        Ok(stream) => end(&patient(stream)),
        Err(error) if error.kind() == ErrorKind::ConnectionReset => End::Reset,
        Err(error) => panic!("no connection to {address}: {error}"),
    }
}

/// Reads, and drops, what is left to find out how it ends.
#[track_caller]
pub fn end(mut stream: &TcpStream) -> End {
    match io::copy(&mut stream, &mut io::sink()) {
        Ok(_) => End::Closed,
        Err(error) if error.kind() == ErrorKind::ConnectionReset => End::Reset,
        Err(error) => panic!("the connection did not end: {error}"),
    }
}

/// Whether the peer reset the connection, found out without reading it. True once.
pub fn is_reset(stream: &TcpStream) -> bool {
    let error = stream.take_error().expect("the state of a socket");
    error.is_some_and(|error| matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe))
}

/// Writes the bytes of [`FILLING`] until nobody takes any more, and returns how many that were; panics at `limit`.
///
/// That nothing moves for a second counts as stuck: being wrong about it makes a test easier to pass, never harder.
#[track_caller]
pub fn fill(mut stream: &TcpStream, limit: u64) -> u64 {
    stream
        .set_write_timeout(Some(Duration::from_secs(1)))
        .expect("a time-out for writing");
    let mut payload = Payload::new(FILLING);
    let mut sent = 0;
    while sent < limit {
        let mut piece = payload.next_piece();
        while !piece.is_empty() {
            match stream.write(piece) {
                Ok(count) => piece = &piece[count..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => return sent + PIECE - piece.len() as u64,
                Err(error) => panic!("the connection ended after {sent} bytes: {error}"),
            }
        }
        sent += PIECE;
    }
    panic!("a reader that does not read took {limit} bytes");
}

/// The seed of what [`fill`] writes.
pub const FILLING: u64 = 0x55;
