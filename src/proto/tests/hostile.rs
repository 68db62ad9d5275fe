//! A peer that lies. Each lie ends the link by the right name or is harmless; none panics, none makes anything grow.

use super::super::sim::Rng;
use super::*;

const SLOT: u32 = 8;
const GENERATION: u32 = 1 << 16;

pub(super) fn open(stream: u32, registration: u16) -> Vec<u8> {
    frame(0x10, 0, stream, &registration.to_be_bytes())
}

fn credit(stream: u32, offset: u64) -> Vec<u8> {
    frame(0x15, 0, stream, &offset.to_be_bytes())
}

fn reset(stream: u32) -> Vec<u8> {
    frame(0x16, 0, stream, &[0, 1])
}

pub(super) fn register(id: u32, proof: &[u8; 32]) -> Vec<u8> {
    frame(0x02, 0, id, &[&b"\x06\x03web"[..], proof].concat())
}

pub(super) fn proven(id: u16) -> Vec<u8> {
    let (frame, _) =
        registration::register(&met().transcript, id, Protocol::Tcp, "web", TOKEN, &Terms::default()).unwrap();
    frame.into()
}

impl Lone {
    /// Whatever it is told, a session holds no more than what it was built for.
    pub(super) fn assert_small(&self) {
        assert!(self.session.streams() <= 8);
        assert!(self.budget.streams() <= 8);
        self.session.check();
    }
}

// ---- before the session ---------------------------------------------------------------------------------------------

fn greet(end: End, bytes: &[u8]) -> Result<bool, Fault> {
    let mut handshake = Handshake::new(end, hello(1), Channel::default());
    handshake.handle_bytes(&mut &*bytes).map(|met| met.is_some())
}

#[test]
fn strangers_are_told_apart() {
    let strangers: [(&[u8], Guess); 8] = [
        (b"\0\0\0\0\x12\x34", Guess::Rathole),
        (b"\x01\0\0\0\x12\x34", Guess::Rathole),
        (b"GET / HTTP/1.1\r\n", Guess::Http),
        (b"HTTP/1.1 400 Bad Request\r\n", Guess::Http),
        (b"PRI * HTTP/2.0\r\n", Guess::Http),
        (b"\x16\x03\x01\x02\x00\x01", Guess::Tls),
        (b"SSH-2.0-OpenSSH_9.9\r\n", Guess::Ssh),
        (b"\xff\xfe\xfd", Guess::Unknown),
    ];
    for (bytes, guess) in strangers {
        for end in [End::Server, End::Client] {
            assert_eq!(greet(end, bytes), Err(Fault::Stranger(guess)));
            assert!(greet(end, &bytes[..1]).is_err(), "one byte is enough to tell");
        }
    }
    let mut server = Handshake::new(End::Server, hello(1), Channel::default());
    assert!(server.handle_bytes(&mut &b"GET /"[..]).is_err());
    assert_eq!(server.poll_transmit(), b"", "a stranger hears nothing");
}

#[test]
fn another_version_hears_ours_and_no_more() {
    let mut server = Handshake::new(End::Server, hello(1), Channel::default());
    assert_eq!(
        server.handle_bytes(&mut &b"pinhole\x02whatever"[..]).map(drop),
        Err(Fault::Version(2))
    );
    assert_eq!(server.poll_transmit(), b"pinhole\x01");
    assert_eq!(greet(End::Client, b"pinhole\x02"), Err(Fault::Version(2)));
}

#[test]
fn a_handshake_takes_a_hello_and_nothing_else() {
    let with = |frame: &[u8]| greet(End::Server, &[b"pinhole\x01", frame].concat());
    assert_eq!(with(&data(0, b"x")), Err(Fault::Unexpected(Kind::Data)));
    assert_eq!(with(&proven(0)), Err(Fault::Unexpected(Kind::Register)));
    assert_eq!(with(&frame(0x81, 0, 0, b"")), Err(Fault::UnknownKind(0x81)));
    assert_eq!(with(&frame(0x01, 0, 0, &[1; 79])), Err(Fault::Length(1, 79)));
    assert_eq!(with(&hex("ffff 01 00 00000000")), Err(Fault::Length(1, 0xffff)));
    assert_eq!(with(&hex("0400 01 00 00000000")), Ok(false));
}

#[test]
fn an_echo_is_recognised() {
    let mut client = Handshake::new(End::Client, hello(1), Channel::default());
    let echo = client.poll_transmit().to_vec();
    assert_eq!(client.handle_bytes(&mut &echo[..]).map(drop), Err(Fault::Reflected));
    let mut other = Handshake::new(
        End::Client,
        Hello {
            nonce: [9; 32],
            ..hello(1)
        },
        Channel::default(),
    );
    let mut server = Handshake::new(End::Server, hello(1), Channel::default());
    let met = server.handle_bytes(&mut other.poll_transmit()).map(drop);
    assert_eq!(met, Err(Fault::Reflected), "the same process");
}

#[test]
fn a_handshake_leaves_what_stands_behind_the_hello() {
    let mut client = Handshake::new(End::Client, hello(2), Channel::default());
    let said = client.poll_transmit().to_vec();
    for at in 0..said.len() {
        let mut server = Handshake::new(End::Server, hello(1), Channel::default());
        let (head, tail) = said.split_at(at);
        assert!(server.handle_bytes(&mut &*head).unwrap().is_none());
        let tail = [tail, b"behind"].concat();
        let mut input = &tail[..];
        assert!(server.handle_bytes(&mut input).unwrap().is_some());
        assert_eq!(input, b"behind");
    }
}

// ---- frames in the wrong place --------------------------------------------------------------------------------------

#[test]
fn frames_that_an_end_does_not_take() {
    let to_client = [
        proven(1),
        frame(0x11, 0, 0, b""),
        frame(0x12, 0, 0, &[0, 1]),
        frame(0x17, 0, 0, b""),
    ];
    for bytes in to_client {
        assert!(matches!(Lone::client().fault(&bytes), Fault::Unexpected(_)));
    }
    for bytes in [frame(3, 0, 0, &[0; 32]), frame(4, 0, 0, &[0, 1]), open(0, 0)] {
        assert!(matches!(Lone::server().fault(&bytes), Fault::Unexpected(_)));
    }
    let hello = frame(1, 0, 0, &[1; 80]);
    assert_eq!(Lone::client().fault(&hello), Fault::Unexpected(Kind::Hello));
    assert_eq!(Lone::server().fault(&hello), Fault::Unexpected(Kind::Hello));
}

#[test]
fn a_stream_that_never_was() {
    let later = [
        (0x13, Kind::Data, data(1, b"x")),
        (0x15, Kind::Credit, credit(1, 9000)),
        (0x16, Kind::Reset, reset(1)),
        (0x11, Kind::Opened, frame(0x11, 0, 1, b"")),
        (0x12, Kind::Refused, frame(0x12, 0, 1, &[0, 1])),
        (0x17, Kind::Closed, frame(0x17, 0, 1, b"")),
    ];
    for (_, kind, bytes) in later {
        assert_eq!(Lone::server().fault(&bytes), Fault::UnknownStream(kind));
    }
    assert_eq!(
        Lone::server().fault(&data(GENERATION, b"x")),
        Fault::UnknownStream(Kind::Data)
    );
}

#[test]
fn a_stream_whose_open_is_not_yet_sent() {
    let mut server = Lone::registered();
    server.session.open(START, 0, visitor()).unwrap();
    assert_eq!(server.fault(&reset(0)), Fault::UnknownStream(Kind::Reset));
}

#[test]
fn opens_that_cannot_be() {
    let mut client = Lone::client();
    assert_eq!(client.take(&open(0, 0)).unwrap().len(), 1);
    assert_eq!(client.fault(&open(0, 0)), Fault::BadId(Kind::Open));
    assert_eq!(client.fault(&open(GENERATION, 0)), Fault::BadId(Kind::Open));
    assert_eq!(client.fault(&open(SLOT, 0)), Fault::BadId(Kind::Open));
    assert_eq!(client.fault(&open(0xffff_ffff, 0)), Fault::BadId(Kind::Open));
    assert_eq!(client.fault(&open(1 + 2 * GENERATION, 0)), Fault::BadId(Kind::Open));
    client.assert_small();
}

#[test]
fn an_open_of_no_registration_is_refused() {
    let mut client = Lone::client();
    assert!(client.take(&open(0, 5)).unwrap().is_empty());
    assert_eq!(client.sent(), frame(0x12, 0, 0, &[0, Cause::NoService as u8]));
    assert_eq!(client.budget.streams(), 0);
    client.session.leave(Leave::Shutdown, "");
    assert!(client.take(&open(GENERATION, 0)).unwrap().is_empty());
    let goodbye = [&[0, 1, 0, 0, 0, 2, 1, 0, 0][..]].concat();
    let refused = frame(0x12, 0, GENERATION, &[0, Cause::Leaving as u8]);
    assert_eq!(client.sent(), [refused, frame(0x22, 0, 0, &goodbye)].concat());
}

#[test]
fn a_registration_that_is_not_yet_proven_back_takes_no_visitor() {
    let mut client = Lone::client();
    assert!(
        client
            .session
            .register(1, Protocol::Tcp, "web", TOKEN, &Terms::default())
    );
    client.sent();
    assert!(client.take(&open(0, 1)).unwrap().is_empty());
    assert_eq!(client.sent(), frame(0x12, 0, 0, &[0, Cause::NoService as u8]));
}

#[test]
fn closed_and_refused_too_early_or_too_late() {
    let closed = frame(0x17, 0, 0, b"");
    let refused = frame(0x12, 0, 0, &[0, 2]);
    let opened = frame(0x11, 0, 0, b"");
    assert_eq!(Lone::server().fault(&closed), Fault::Unexpected(Kind::Closed));
    let after = |before: &[u8], last: &[u8]| {
        let mut server = Lone::server();
        server.take(before).unwrap();
        server.session.consumed(START, StreamId::from_wire(0), 100);
        server.fault(last)
    };
    assert_eq!(after(&fin(0, b""), &closed), Fault::Unexpected(Kind::Closed));
    assert_eq!(after(&opened, &refused), Fault::Unexpected(Kind::Refused));
    assert_eq!(after(&data(0, b"x"), &refused), Fault::Unexpected(Kind::Refused));
    assert_eq!(after(&opened, &opened), Fault::Unexpected(Kind::Opened));
    assert_eq!(after(&fin(0, b"x"), &data(0, b"y")), Fault::AfterFin);
    assert_eq!(after(&fin(0, b""), &fin(0, b"")), Fault::AfterFin);
}

// ---- credit ---------------------------------------------------------------------------------------------------------

#[test]
fn more_than_the_credit() {
    let whole = vec![7; limits::INITIAL_WINDOW as usize];
    let mut server = Lone::server();
    server.take(&data(0, &whole)).unwrap();
    assert_eq!(server.fault(&data(0, b"x")), Fault::Overrun);
    // The length is judged before a byte of payload has come.
    let header = hex("ffff 13 00 00000000");
    assert_eq!(Lone::server().fault(&header), Fault::Overrun);
}

#[test]
fn credit_that_cannot_be() {
    let most = 1 << 32;
    for (offset, fine) in [
        (8191, false),
        (8192, true),
        (most, true),
        (most + 1, false),
        (u64::MAX, false),
    ] {
        let taken = Lone::server().take(&credit(0, offset)).map(drop);
        assert_eq!(taken, if fine { Ok(()) } else { Err(Fault::BadCredit) }, "{offset}");
    }
    let mut server = Lone::server();
    server.take(&credit(0, 10_000)).unwrap();
    server.take(&credit(0, 10_000)).unwrap();
    assert_eq!(server.fault(&credit(0, 9_999)), Fault::BadCredit);
}

// ---- late frames ----------------------------------------------------------------------------------------------------

#[test]
fn late_frames_of_a_slots_earlier_streams_are_ignored() {
    let mut server = Lone::server();
    for generation in 1..100 {
        server.session.reset(
            StreamId {
                slot: 0,
                generation: generation - 1,
            },
            Cause::Aborted,
        );
        server.sent();
        let id = server.session.open(START, 0, visitor()).unwrap();
        assert_eq!((id.slot, id.generation), (0, generation));
        server.sent();
        for old in [0, generation as u32 - 1] {
            let old = old * GENERATION;
            let late = [
                data(old, &[1; 60_000]),
                credit(old, 1),
                frame(0x11, 0, old, b""),
                frame(0x12, 0, old, &[0, 2]),
                frame(0x17, 0, old, b""),
                reset(old),
            ];
            assert!(server.take(&late.concat()).unwrap().is_empty());
        }
        assert_eq!(server.session.stream_ids(), [id]);
    }
}

#[test]
fn a_generation_wraps() {
    let mut client = Lone::client();
    for generation in 0..=70_000u32 {
        let id = generation % 65_536 * GENERATION;
        assert_eq!(client.take(&open(id, 0)).unwrap().len(), 1);
        assert!(client.take(&reset(id)).unwrap().len() == 1);
        assert!(client.take(&data(id, b"late")).unwrap().is_empty());
        client.assert_small();
    }
    assert_eq!(client.budget.streams(), 0);
}

#[test]
fn a_stream_that_was_reset_ignores_what_still_comes() {
    let mut server = Lone::server();
    server.session.reset(StreamId::from_wire(0), Cause::Aborted);
    let late = [data(0, &[1; 60_000]), credit(0, 9000), frame(0x11, 0, 0, b"")];
    assert!(server.take(&late.concat()).unwrap().is_empty());
    assert_eq!(server.sent(), reset(0));
    assert_eq!(server.session.streams(), 0);
}

// ---- floods ---------------------------------------------------------------------------------------------------------

#[test]
fn a_peer_that_takes_nothing_makes_nothing_grow() {
    let mut client = Lone::client();
    for generation in 0..20_000u32 {
        let id = StreamId::from_wire(generation * GENERATION);
        if client.take(&open(id.to_wire(), 0)).is_err() {
            break;
        }
        client.session.on_readable(id);
        client.session.opened(id);
        let ping = frame(0x20, 0, 0, &[7; 16]);
        let events = client.take(&[ping, credit(id.to_wire(), 9000), reset(id.to_wire())].concat());
        assert_eq!(events.unwrap().len(), 1);
        client.assert_small();
    }
    assert!(client.sent().len() < 200, "one pong, and a ping of its own");
}

#[test]
fn a_flood_of_opens_that_are_refused() {
    let mut client = Lone::client();
    for generation in 0..20_000u32 {
        client.take(&open(generation * GENERATION, 9)).unwrap();
        client.take(&reset(generation * GENERATION)).unwrap();
        client.assert_small();
    }
    assert_eq!(client.budget.streams(), 0);
}

#[test]
fn a_pong_that_answers_nothing_measures_nothing() {
    let mut server = Lone::server();
    server.now = START.after(Duration::from_secs(1));
    let pong = |time: u64| frame(0x21, 0, 0, &[&time.to_be_bytes()[..], &[0; 8]].concat());
    server.take(&pong(START.0 - 1)).unwrap();
    server.take(&pong(START.0 + 1)).unwrap();
    server.take(&pong(u64::MAX)).unwrap();
    assert_eq!(server.session.round_trip(), None);
    server.take(&pong(START.0)).unwrap();
    assert_eq!(server.session.round_trip(), Some(1_000_000));
    server.now = START.after(Duration::from_secs(2));
    server.take(&pong(START.0)).unwrap();
    assert_eq!(server.session.round_trip(), Some(1_000_000), "an answer counts once");
}

// ---- flows ----------------------------------------------------------------------------------------------------------

fn datagram(stream: u32, payload: &[u8]) -> Vec<u8> {
    frame(0x14, 0, stream, payload)
}

#[test]
fn datagrams_for_bytes_and_bytes_for_datagrams() {
    assert_eq!(
        Lone::server().fault(&datagram(0, b"x")),
        Fault::Unexpected(Kind::Datagram)
    );
    assert_eq!(
        Lone::server().fault(&datagram(1, b"x")),
        Fault::UnknownStream(Kind::Datagram)
    );
    for bytes in [
        data(0, b"x"),
        credit(0, 9000),
        frame(0x11, 0, 0, b""),
        frame(0x17, 0, 0, b""),
    ] {
        let mut server = Lone::registered();
        server.session.open(START, 1, visitor()).unwrap();
        server.sent();
        assert_eq!(server.take(&datagram(0, b"x")).unwrap().len(), 1);
        assert!(matches!(server.fault(&bytes), Fault::Unexpected(_)));
    }
}

#[test]
fn datagrams_of_a_visitor_whose_registration_was_just_withdrawn() {
    let mut client = Lone::client();
    let withdrawn = [frame(0x04, 0, 0, &[0, 4]), open(0, 0), datagram(0, b"x"), data(0, b"x")];
    assert_eq!(client.take(&withdrawn.concat()).unwrap().len(), 1);
    assert_eq!(client.sent(), frame(0x12, 0, 0, &[0, Cause::NoService as u8]));
}

// ---- noise ----------------------------------------------------------------------------------------------------------

/// A sound conversation with bits turned over, doubled and dropped.
#[test]
fn bytes_turned_over_never_panic() {
    let opened = [
        open(0, 0),
        data(0, b"hello"),
        credit(0, 9000),
        open(1, 0),
        fin(1, b"bye"),
    ];
    let rest = [
        data(0, b"more"),
        reset(0),
        open(GENERATION, 0),
        frame(0x20, 0, 0, &[1; 16]),
    ];
    let talk: Vec<u8> = [opened.concat(), rest.concat()].concat();
    for seed in 0..3000 {
        let mut rng = Rng::new(seed);
        let mut bytes = talk.clone();
        for _ in 0..=rng.below(4) {
            let at = rng.below(bytes.len() as u64) as usize;
            match rng.below(4) {
                0 => drop(bytes.remove(at)),
                1 => bytes.insert(at, rng.next() as u8),
                _ => bytes[at] ^= 1 << rng.below(8),
            }
        }
        let mut client = Lone::client();
        let cut = rng.below(bytes.len() as u64 + 1) as usize;
        let (head, tail) = bytes.split_at(cut);
        let _ = client.take(head).and_then(|_| client.take(tail));
        client.sent();
        client.assert_small();
        let mut server = Lone::server();
        let _ = server.take(&bytes);
        server.sent();
        server.assert_small();
    }
}
