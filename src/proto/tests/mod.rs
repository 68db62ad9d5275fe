//! The protocol held against its documentation: bytes by hand, liars, and thousands of simulated links.
#![allow(clippy::unwrap_used)]

mod claims;
mod hostile;
mod literal;
mod order;
mod refusals;
mod runs;
mod speed;
mod terms;

use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use super::frame::{FIN, Kind};
use super::handshake::Introduction;
use super::proof::Transcript;
use super::*;
use crate::limits;

const START: Time = Time(1_000_000);
const TOKEN: &[u8] = b"secret";

/// Bytes written as hex, with blanks wherever they help.
fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text.chars().filter_map(|digit| digit.to_digit(16)).collect();
    digits.chunks(2).map(|pair| (pair[0] * 16 + pair[1]) as u8).collect()
}

/// A frame as a stranger to this crate would put it together.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).unwrap();
    [
        &length.to_be_bytes()[..],
        &[kind, flags],
        &stream.to_be_bytes(),
        payload,
    ]
    .concat()
}

fn data(stream: u32, payload: &[u8]) -> Vec<u8> {
    frame(Kind::Data as u8, 0, stream, payload)
}

fn fin(stream: u32, payload: &[u8]) -> Vec<u8> {
    frame(Kind::Data as u8, FIN, stream, payload)
}

fn visitor() -> Visit {
    visit("192.0.2.1:8080", "")
}

/// With the addresses that are given.
fn visit(from: &str, to: &str) -> Visit {
    Visit {
        from: from.parse().ok(),
        to: to.parse().ok(),
    }
}

pub(super) fn hello(who: u8) -> Hello {
    Hello {
        nonce: [who; 32],
        instance: [who; 16],
        session: [who; 16],
        link: 0,
        max_streams: 8,
        window: limits::INITIAL_WINDOW,
        interval: Duration::from_secs(30),
        timeout: Duration::from_secs(40),
        agent: String::from("test"),
    }
}

/// One end of a link whose other end is the test's own bytes.
struct Lone {
    session: Session,
    budget: Rc<Budget>,
    now: Time,
}

impl Lone {
    fn new(end: End) -> Lone {
        let budget = Rc::new(Budget::new(limits::MIN_BUDGET));
        let session = Session::new(end, &hello(1), met(), budget.clone(), START);
        let mut lone = Lone {
            session,
            budget,
            now: START,
        };
        lone.sent();
        lone
    }

    /// A client with the registration 0.
    fn client() -> Lone {
        let mut lone = Lone::new(End::Client);
        assert!(lone.session.register(0, Protocol::Tcp, "web", TOKEN, &Terms::default()));
        let register = lone.sent();
        let proof = met()
            .transcript
            .prove(End::Server, TOKEN, &register[..register.len() - 32]);
        lone.take(&frame(3, 0, 0, &proof)).unwrap();
        lone
    }

    /// A server with the registrations 0, of bytes, and 1, of datagrams.
    fn registered() -> Lone {
        let mut lone = Lone::new(End::Server);
        for (id, protocol) in [(0, Protocol::Tcp), (1, Protocol::Udp)] {
            let (frame, _) =
                registration::register(&met().transcript, id, protocol, "web", TOKEN, &Terms::default()).unwrap();
            let Ok(Some(Event::Register(asked))) = lone.session.handle_bytes(START, &mut &*frame) else {
                panic!("no registration");
            };
            assert!(lone.session.prove(&asked, Some(TOKEN)));
            lone.session.accept(&asked, TOKEN, "", false);
        }
        lone.sent();
        lone
    }

    /// The same with a stream 0.0, announced.
    fn server() -> Lone {
        let mut lone = Lone::registered();
        lone.session.open(START, 0, visitor()).unwrap();
        lone.sent();
        lone
    }

    /// Bytes that have come, as the session tells its peer.
    fn session_bytes(&mut self) -> u64 {
        self.take(&frame(0x20, 0, 0, &[0; 16])).unwrap();
        let pong = self.sent();
        u64::from_be_bytes(*pong.last_chunk().unwrap())
    }

    /// What the session has to say, all of it.
    fn sent(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        let mut out = Transmit::new(limits::TRANSMIT_BUFFER);
        loop {
            self.session.poll_transmit(self.now, &mut out);
            if out.is_empty() {
                return all;
            }
            all.extend_from_slice(out.as_bytes());
            out.clear();
        }
    }

    /// Hands `bytes` over; gives what they meant, in words.
    fn take(&mut self, bytes: &[u8]) -> Result<Vec<String>, Fault> {
        let mut events = Vec::new();
        let mut input = bytes;
        while let Some(event) = self.session.handle_bytes(self.now, &mut input)? {
            events.push(alloc::format!("{event:?}"));
        }
        self.session.check();
        Ok(events)
    }

    /// Takes `bytes` as one frame that is a fault.
    fn fault(&mut self, bytes: &[u8]) -> Fault {
        self.take(bytes).unwrap_err()
    }
}

fn met() -> Introduction {
    Introduction {
        peer: hello(2),
        transcript: Transcript::new(b"c", b"s", "tcp", b""),
    }
}
