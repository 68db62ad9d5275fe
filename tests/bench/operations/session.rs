//! A server's session and a client's, joined in memory.

use std::hint::black_box;
use std::rc::Rc;

use pinhole::limits;
use pinhole::proto::{
    Budget, Channel, End, Event, Handshake, Protocol, Session, StreamId, Terms, Time, Transmit, Turn, Visit,
};

use super::Operation;
use super::codec::hello;

const TOKEN: &[u8] = b"secret";
/// Bytes that one operation carries.
const BULK: usize = 64 * 1024;
/// Bytes of a request, and of its answer.
const SMALL: usize = 64;
/// µs that pass with each look at a session.
const TICK: u64 = 5;
const FIRST: u64 = 1_000_000;

pub fn operations() -> Vec<Operation> {
    vec![
        bulk("session: 64 KiB in frames of 16 KiB", 16 * 1024),
        bulk("session: 64 KiB in frames of 64 bytes", 64),
        visit(),
    ]
}

/// Of one stream, towards the client, which takes it at once.
fn bulk(name: &'static str, frame: usize) -> Operation {
    let mut pair = Pair::new();
    let stream = pair.server.open();
    Operation::new(name, BULK, move || {
        let end = pair.client.received + BULK;
        while pair.client.received < end {
            let missing = end - pair.client.received;
            pair.server.gather(stream, frame, missing, false);
            pair.exchange();
        }
    })
}

/// A stream from Open to Closed, with a request and an answer.
fn visit() -> Operation {
    let mut pair = Pair::new();
    Operation::new("session: stream with 64 bytes each way", 0, move || {
        let stream = pair.server.open();
        pair.server.gather(stream, SMALL, SMALL, false);
        pair.exchange();
        pair.client.gather(stream, SMALL, SMALL, true);
        pair.exchange();
        pair.server.gather(stream, SMALL, 0, true);
        pair.exchange();
        assert_eq!(pair.server.session.streams() + pair.client.session.streams(), 0);
    })
}

struct Pair {
    server: Side,
    client: Side,
}

/// One end of the link.
struct Side {
    session: Session,
    out: Transmit,
    now: Time,
    /// Bytes of payload.
    received: usize,
}

impl Pair {
    /// After the handshake, with the registration 0.
    fn new() -> Pair {
        let mut ends = [(End::Client, 1), (End::Server, 2)].map(|(end, who)| {
            Handshake::new(
                end,
                hello(who),
                Channel {
                    label: "tcp",
                    binding: Vec::new(),
                },
            )
        });
        let [client, server] = &mut ends;
        let of_client = server
            .handle_bytes(&mut client.poll_transmit())
            .expect("a Hello")
            .expect("all of it");
        let of_server = client
            .handle_bytes(&mut server.poll_transmit())
            .expect("a Hello")
            .expect("all of it");
        let mut pair = Pair {
            client: Side::new(Session::new(End::Client, &hello(1), of_server, budget(), Time(FIRST))),
            server: Side::new(Session::new(End::Server, &hello(2), of_client, budget(), Time(FIRST))),
        };
        assert!(
            pair.client
                .session
                .register(0, Protocol::Tcp, "web", TOKEN, &Terms::default())
        );
        pair.exchange();
        pair
    }

    /// Until neither has more to say.
    fn exchange(&mut self) {
        while self.server.speak(&mut self.client) | self.client.speak(&mut self.server) {}
    }
}

impl Side {
    fn new(session: Session) -> Side {
        Side {
            session,
            out: Transmit::new(limits::TRANSMIT_BUFFER),
            now: Time(FIRST),
            received: 0,
        }
    }

    fn open(&mut self) -> StreamId {
        self.session
            .open(self.now, 0, Visit::default())
            .expect("room for a stream")
    }

    /// Puts what is to be said, then payload of `stream` as far as there is credit: frames of `frame` bytes, `missing`
    /// in all, and its end if that `is_last`.
    fn gather(&mut self, stream: StreamId, frame: usize, mut missing: usize, is_last: bool) {
        self.session.on_readable(stream);
        self.session.poll_transmit(self.now, &mut self.out);
        while let Some(turn) = self.turn() {
            let n = turn.most.min(frame).min(missing);
            if n == 0 && !is_last {
                self.session.on_drained(stream);
            } else {
                // What the kernel would write there costs no instruction of ours.
                black_box(self.out.reserve(n));
                self.session.commit(&mut self.out, stream, n, n == 0);
            }
            missing -= n;
        }
    }

    fn turn(&mut self) -> Option<Turn> {
        self.session
            .poll_turn(self.now, &mut self.out, limits::TRANSMIT_BUFFER, limits::QUANTUM)
    }

    /// Hands over all that is to be said. False: that is nothing.
    fn speak(&mut self, to: &mut Side) -> bool {
        self.now = Time(self.now.0 + TICK);
        self.session.poll_transmit(self.now, &mut self.out);
        let mut input = self.out.as_bytes();
        while let Some(event) = to.session.handle_bytes(self.now, &mut input).expect("no fault") {
            to.received += act(&mut to.session, self.now, event);
        }
        let spoke = !self.out.is_empty();
        self.out.clear();
        spoke
    }
}

/// What a driver does on an event. Gives the bytes of payload that it brought.
fn act(session: &mut Session, now: Time, event: Event<'_>) -> usize {
    match event {
        Event::Register(asked) => {
            assert!(session.prove(&asked, Some(TOKEN)));
            session.accept(&asked, TOKEN, "", false);
        }
        Event::Open(stream, ..) => session.opened(stream),
        Event::Data(stream, bytes, _) => {
            session.consumed(now, stream, black_box(bytes).len());
            return bytes.len();
        }
        _ => {}
    }
    0
}

fn budget() -> Rc<Budget> {
    Rc::new(Budget::new(limits::MAX_BUDGET))
}
