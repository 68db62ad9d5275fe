//! The first state machine: from the first byte of a link to two Hellos and their [`Transcript`].
//!
//! ```text
//! client                                   server
//!   preamble, Hello  ------------------->
//!                    <-------------------  preamble, Hello      nothing is answered to a stranger
//!   Register …       ------------------->                       the session's first frames
//! ```
//! The preamble is 8 bytes: `70 69 6e 68 6f 6c 65` ("pinhole") and the version, 1. A server that reads another
//! version answers with its own preamble alone, so that an old client can say why it is turned away.

use alloc::vec::Vec;

use super::VERSION;
use super::fault::{Fault, Guess};
use super::frame::{Header, Kind, Transmit};
use super::hello::Hello;
use super::proof::{End, Transcript};
use crate::limits::{FRAME_HEADER, MAX_CONTROL};

/// First bytes of every link, before the version.
pub const MAGIC: &[u8; 7] = b"pinhole";

const PREAMBLE: usize = MAGIC.len() + 1;

/// What the byte stream below the protocol is: its name, and what binds a proof to it.
#[derive(Clone, Debug, Default)]
pub struct Channel {
    /// `tcp`, `noise`, …
    pub label: &'static str,
    /// Noise handshake hash, TLS exporter; empty for plain TCP.
    pub binding: Vec<u8>,
}

/// A link's handshake under way.
pub struct Handshake {
    end: End,
    channel: Channel,
    hello: Hello,
    received: Vec<u8>,
    sent: Vec<u8>,
    given: usize,
}

/// What a handshake ends in.
pub struct Introduction {
    /// What the peer says of itself.
    pub peer: Hello,
    /// What proofs are bound to.
    pub transcript: Transcript,
}

impl Handshake {
    /// Starts as `end`, saying `hello`. A client's first bytes are then in [`Self::poll_transmit`].
    pub fn new(end: End, hello: Hello, channel: Channel) -> Self {
        let mut handshake = Handshake {
            end,
            channel,
            hello,
            received: Vec::new(),
            sent: Vec::new(),
            given: 0,
        };
        if end == End::Client {
            handshake.introduce();
        }
        handshake
    }

    /// Takes bytes off the front of `input`, none beyond the peer's Hello; `None`: more are needed.
    ///
    /// After a fault what [`Self::poll_transmit`] gives is still to be sent.
    pub fn handle_bytes(&mut self, input: &mut &[u8]) -> Result<Option<Introduction>, Fault> {
        self.fill(input, PREAMBLE);
        self.check_preamble()?;
        self.fill(input, PREAMBLE + FRAME_HEADER);
        let Some(header) = self.header()? else { return Ok(None) };
        let whole = PREAMBLE + FRAME_HEADER + header.payload();
        self.fill(input, whole);
        if self.received.len() < whole {
            return Ok(None);
        }
        let peer = Hello::parse(self.received.split_at(PREAMBLE + FRAME_HEADER).1)?;
        if peer.nonce == self.hello.nonce || peer.instance == self.hello.instance {
            return Err(Fault::Reflected);
        }
        if self.end == End::Server {
            self.introduce();
        }
        let transcript = self.transcript();
        Ok(Some(Introduction { peer, transcript }))
    }

    /// Bytes to be sent now, each given once.
    pub fn poll_transmit(&mut self) -> &[u8] {
        let start = core::mem::replace(&mut self.given, self.sent.len());
        self.sent.split_at(start).1
    }

    /// What this end said.
    pub fn hello(&self) -> &Hello {
        &self.hello
    }

    fn introduce(&mut self) {
        let mut frame = Transmit::new(FRAME_HEADER + MAX_CONTROL);
        self.hello.put(&mut frame);
        self.sent.extend_from_slice(MAGIC);
        self.sent.push(VERSION);
        self.sent.extend_from_slice(frame.as_bytes());
    }

    /// Moves bytes until `received` has `whole` of them.
    fn fill(&mut self, input: &mut &[u8], whole: usize) {
        let missing = whole.saturating_sub(self.received.len());
        let (head, rest) = input.split_at(missing.min(input.len()));
        self.received.extend_from_slice(head);
        *input = rest;
    }

    fn check_preamble(&mut self) -> Result<(), Fault> {
        let known = self.received.len().min(MAGIC.len());
        if self.received.get(..known) != MAGIC.get(..known) {
            return Err(Fault::Stranger(Guess::of(&self.received)));
        }
        match self.received.get(MAGIC.len()) {
            None | Some(&VERSION) => Ok(()),
            Some(&other) => {
                if self.end == End::Server {
                    self.sent.extend_from_slice(MAGIC);
                    self.sent.push(VERSION);
                }
                Err(Fault::Version(other))
            }
        }
    }

    fn header(&self) -> Result<Option<Header>, Fault> {
        let Some(raw) = self.received.get(PREAMBLE..).and_then(|rest| rest.first_chunk()) else {
            return Ok(None);
        };
        let header = Header::parse(*raw)?;
        match header.kind {
            Some(Kind::Hello) => Ok(Some(header)),
            Some(other) => Err(Fault::Unexpected(other)),
            None => Err(Fault::UnknownKind(raw[2])),
        }
    }

    fn transcript(&self) -> Transcript {
        let (client, server) = match self.end {
            End::Client => (&self.sent, &self.received),
            End::Server => (&self.received, &self.sent),
        };
        Transcript::new(client, server, self.channel.label, &self.channel.binding)
    }
}
