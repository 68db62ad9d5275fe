//! The handshake on a wire.

use std::fmt;
use std::io;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::limits::{FRAME_HEADER, LAST_WORDS_TIME, MAX_CONTROL};
use crate::proto::{End, Fault, Handshake, Hello, Introduction};

use super::wire::{Received, Wire};

/// Why there is no session.
#[derive(Debug)]
pub enum Failure {
    /// The peer is none of ours, or not in order.
    Fault(Fault),
    /// The socket failed; `UnexpectedEof`: the peer closed.
    Broken(io::Error),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Fault(fault) => fault.fmt(f),
            Failure::Broken(error) if error.kind() == io::ErrorKind::UnexpectedEof => f.write_str(
                "the connection was closed before the handshake was complete: both ends need the same transport \
                     and keys",
            ),
            Failure::Broken(error) => error.fmt(f),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Failure::Broken(error)
    }
}

/// Introduces both ends to each other. Gives the peer's introduction and what already came behind it.
pub async fn greet(wire: &mut Wire, end: End, hello: Hello) -> Result<(Introduction, Vec<u8>), Failure> {
    let mut place = vec![0; FRAME_HEADER + MAX_CONTROL];
    let met = meet(wire, end, hello, &mut place).await;
    if matches!(&met, Err(Failure::Broken(error)) if error.kind() == io::ErrorKind::InvalidData) {
        let said = std::future::poll_fn(|cx| wire.poll_last_words(cx, &mut place));
        let _ = tokio::time::timeout(Duration::from_secs(LAST_WORDS_TIME), said).await;
    }
    met
}

async fn meet(wire: &mut Wire, end: End, hello: Hello, place: &mut [u8]) -> Result<(Introduction, Vec<u8>), Failure> {
    let mut early = Vec::new();
    let channel = std::future::poll_fn(|cx| wire.poll_cover(cx, place, &mut early)).await?;
    let mut handshake = Handshake::new(end, hello, channel);
    std::future::poll_fn(|cx| poll(cx, wire, &mut handshake, place, &mut early)).await
}

fn poll(
    cx: &mut Context<'_>,
    wire: &mut Wire,
    handshake: &mut Handshake,
    place: &mut [u8],
    early: &mut Vec<u8>,
) -> Poll<Result<(Introduction, Vec<u8>), Failure>> {
    loop {
        // A Hello is small: while the socket does not even take that, nothing is read.
        if wire.poll_flush(cx)?.is_pending() {
            return Poll::Pending;
        }
        wire.send(cx, handshake.poll_transmit())?;
        let mut input = early.as_slice();
        let met = handshake.handle_bytes(&mut input);
        let rest = input.to_vec();
        match met {
            Ok(None) => early.clear(),
            Ok(Some(introduction)) => {
                wire.send(cx, handshake.poll_transmit())?;
                return Poll::Ready(Ok((introduction, rest)));
            }
            Err(fault) => {
                wire.send(cx, handshake.poll_transmit())?;
                return Poll::Ready(Err(Failure::Fault(fault)));
            }
        }
        let Poll::Ready(received) = wire.poll_recv(cx, place) else {
            return Poll::Pending;
        };
        match received? {
            Received::Bytes(bytes) => early.extend_from_slice(bytes),
            Received::End => return Poll::Ready(Err(io::Error::from(io::ErrorKind::UnexpectedEof).into())),
        }
    }
}
