//! Every frame as literal bytes, written out by hand from the diagrams: encoding gives exactly these, reading them
//! gives back what was meant, and reading any part of them waits for the rest.

use super::super::{messages, registration, stream::Ending};
use super::*;

/// What a frame's writer writes.
fn written(put: impl Fn(&mut Transmit) -> bool) -> Vec<u8> {
    let mut out = Transmit::new(limits::TRANSMIT_BUFFER);
    assert!(put(&mut out));
    out.as_bytes().to_vec()
}

const ID: StreamId = StreamId { slot: 3, generation: 2 };

#[test]
fn the_preamble() {
    let mut client = Handshake::new(End::Client, hello(1), Channel::default());
    assert_eq!(client.poll_transmit()[..8], hex("70 69 6e 68 6f 6c 65 01"));
    assert_eq!(client.poll_transmit(), b"");
}

#[test]
fn a_hello() {
    let said = Hello {
        nonce: [0xaa; 32],
        instance: [0xbb; 16],
        session: [0xcc; 16],
        link: 1,
        max_streams: 0x0203,
        window: 0x2000,
        interval: Duration::from_millis(30_000),
        timeout: Duration::from_millis(40_000),
        agent: String::from("pin"),
    };
    let bytes = hex("0056 01 00 00000000
        aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
        bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb cccccccccccccccccccccccccccccccc
        0001 0203 00002000 00007530 00009c40
        01 0003 70696e");
    assert_eq!(written(|out| said.put(out)), bytes);
    assert_eq!(Hello::parse(&bytes[8..]), Ok(said));
}

#[test]
fn a_register_and_its_two_proofs() {
    let link = Transcript::new(b"c", b"s", "tcp", b"");
    // The proofs were computed with Python's hmac and hashlib, from the words of registration.rs and proof.rs.
    let bytes = hex("0025 02 00 00000007  06 03 776562
        1941c16d0c94d5c2189bbf38190eabec2e8f0e8733738d23e04c5e4fa458d0b9");
    let answer = hex("5214a0c2d4e06076e4a8e89b4bb3b83f25daa3c666a60f561898729e87f06a16");
    let (frame, expected) = registration::register(&link, 7, Protocol::Tcp, "web", TOKEN, &Terms::default()).unwrap();
    assert_eq!(*frame, *bytes);
    assert_eq!(expected, *answer);
    let read = Registration::parse(7, &bytes[8..]).unwrap();
    assert_eq!((read.id, read.protocol, &*read.name), (7, Protocol::Tcp, "web"));
    assert!(read.is_proven(&link, TOKEN));
    assert!(!read.is_proven(&link, b"Secret"));
    assert_eq!(read.answer(&link, TOKEN), *answer);
}

#[test]
fn a_registered() {
    let bytes = hex("0027 03 00 00000007
        dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd
        01 0004 3a383030");
    assert_eq!(*registration::registered(7, &[0xdd; 32], ":800", false), *bytes);
    let read = registration::parse_registered(&bytes[8..]).unwrap();
    assert_eq!(read, ([0xdd; 32], String::from(":800"), false));
}

#[test]
fn a_declined() {
    let bytes = hex("0007 04 00 00000007  0003  01 0002 6e6f");
    assert_eq!(*registration::declined(7, Decline::Taken, "no"), *bytes);
    let read = registration::parse_declined(&bytes[8..]).unwrap();
    assert_eq!(read, (Decline::Taken, String::from("no")));
}

#[test]
fn unregister_and_renew() {
    assert_eq!(*registration::unregister(7), *hex("0000 05 00 00000007"));
    assert_eq!(*registration::renew(), *hex("0000 23 00 00000000"));
}

#[test]
fn every_number_of_a_reason() {
    let declines = [
        Decline::Unproven,
        Decline::WrongProtocol,
        Decline::Taken,
        Decline::Unavailable,
        Decline::Full,
        Decline::Withdrawn,
    ];
    for (number, decline) in (1..).zip(declines) {
        assert_eq!(registration::parse_declined(&[0, number]).unwrap().0, decline);
    }
    assert_eq!(registration::parse_declined(&[1, 1]).unwrap().0, Decline::Other);
    let causes = [
        Cause::Aborted,
        Cause::Unreachable,
        Cause::NoService,
        Cause::Full,
        Cause::Leaving,
    ];
    for (number, cause) in (1..).zip(causes) {
        assert_eq!(messages::parse_cause(&[0, number]), Ok(cause));
    }
    assert_eq!(messages::parse_cause(&[1, 1]), Ok(Cause::Other));
    let farewells = [
        Leave::Shutdown,
        Leave::Fault,
        Leave::Replaced,
        Leave::Unproven,
        Leave::Idle,
        Leave::Full,
    ];
    for (number, leave) in (1..).zip(farewells) {
        assert_eq!(messages::parse_goodbye(&[0, number, 0, 0, 0, 0]).unwrap().code, leave);
    }
    assert_eq!(messages::parse_goodbye(&[9; 6]).unwrap().code, Leave::Other);
}

#[test]
fn an_open_of_a_v4_visitor() {
    let bytes = hex("000b 10 00 00020003  0007  01 0006 1f90 c0000201");
    assert_eq!(written(|out| messages::put_open(out, ID, 7, visitor())), bytes);
    assert_eq!(messages::parse_open(&bytes[8..]), Ok((7, visitor())));
    let mapped = visit("[::ffff:192.0.2.1]:8080", "");
    assert_eq!(written(|out| messages::put_open(out, ID, 7, mapped)), bytes);
}

#[test]
fn an_open_of_a_v6_visitor() {
    let bytes = hex("0017 10 00 00020003  0007  01 0012 1f90 20010db8000000000000000000000001");
    let visit = visit("[2001:db8::1]:8080", "");
    assert_eq!(written(|out| messages::put_open(out, ID, 7, visit)), bytes);
    assert_eq!(messages::parse_open(&bytes[8..]), Ok((7, visit)));
}

#[test]
fn an_open_tells_both_addresses_or_none() {
    let to = "02 0012 01bb 20010db8000000000000000000000001";
    let bytes = hex(&format!("0020 10 00 00020003  0007  01 0006 1f90 c0000201 {to}"));
    let both = visit("192.0.2.1:8080", "[2001:db8::1]:443");
    assert_eq!(written(|out| messages::put_open(out, ID, 7, both)), bytes);
    assert_eq!(messages::parse_open(&bytes[8..]), Ok((7, both)));
    let bytes = hex("0002 10 00 00020003  0007");
    assert_eq!(written(|out| messages::put_open(out, ID, 7, Visit::default())), bytes);
    assert_eq!(messages::parse_open(&bytes[8..]), Ok((7, Visit::default())));
}

#[test]
fn opened_and_closed() {
    assert_eq!(
        written(|out| messages::put_empty(out, Kind::Opened, ID)),
        hex("0000 11 00 00020003")
    );
    assert_eq!(
        written(|out| messages::put_ending(out, ID, Ending::Closed)),
        hex("0000 17 00 00020003")
    );
}

#[test]
fn refused_and_reset() {
    let refused = Ending::Refused(Cause::Unreachable);
    let reset = Ending::Reset(Cause::Aborted);
    assert_eq!(
        written(|out| messages::put_ending(out, ID, refused)),
        hex("0002 12 00 00020003 0002")
    );
    assert_eq!(
        written(|out| messages::put_ending(out, ID, reset)),
        hex("0002 16 00 00020003 0001")
    );
}

#[test]
fn data_with_and_without_an_end() {
    for (last, bytes) in [
        (false, hex("0003 13 00 00020003 616263")),
        (true, hex("0003 13 01 00020003 616263")),
    ] {
        let mut out = Transmit::new(64);
        out.reserve(9).split_at_mut(3).0.copy_from_slice(b"abc");
        out.commit(ID, 3, last);
        assert_eq!(out.as_bytes(), bytes);
    }
    let mut out = Transmit::new(64);
    out.commit(ID, 0, true);
    assert_eq!(out.as_bytes(), hex("0000 13 01 00020003"));
}

#[test]
fn a_datagram() {
    let mut out = Transmit::new(64);
    out.datagram(ID, b"abc");
    out.datagram(ID, b"");
    assert_eq!(out.as_bytes(), hex("0003 14 00 00020003 616263 0000 14 00 00020003"));
}

#[test]
fn a_credit() {
    let bytes = hex("0008 15 00 00020003 0000000000012000");
    assert_eq!(written(|out| messages::put_credit(out, ID, 0x12000)), bytes);
    assert_eq!(messages::parse_credit(&bytes[8..]), Ok(0x12000));
}

#[test]
fn ping_and_pong() {
    let beat = messages::beat(0x0102_0304_0506_0708, 0x20);
    let rest = "00 00000000 0102030405060708 0000000000000020";
    for (kind, head) in [(Kind::Ping, "0010 20"), (Kind::Pong, "0010 21")] {
        let bytes = [hex(head), hex(rest)].concat();
        assert_eq!(written(|out| messages::put_beat(out, kind, beat)), bytes);
        assert_eq!(messages::beat_time(&bytes[8..]), Ok(0x0102_0304_0506_0708));
    }
}

#[test]
fn a_goodbye() {
    let bytes = hex("000c 22 00 00000000  0001 00000005  01 0003 627965");
    assert_eq!(
        written(|out| messages::put_goodbye(out, Leave::Shutdown, 5, "bye")),
        bytes
    );
    let read = messages::parse_goodbye(&bytes[8..]).unwrap();
    assert_eq!((read.code, read.last, &*read.reason), (Leave::Shutdown, 5, "bye"));
}

/// What a session makes of each frame, whole and cut at every byte.
#[test]
fn a_frame_means_the_same_however_it_is_cut() {
    let open = "000b 10 00 00000000  0000  01 0006 1f90 c0000201";
    let to_client = [
        (open, "Open(0.0, 0, Visit { from: Some(192.0.2.1:8080), to: None })"),
        ("0003 13 00 00000000 616263", "Data(0.0, [97, 98, 99], false)"),
        ("0000 13 01 00000000", "Data(0.0, [], true)"),
        ("0008 15 00 00000000 0000000000012000", ""),
        ("0010 20 00 00000000 0102030405060708 0000000000000020", ""),
        ("0010 21 00 00000000 0102030405060708 0000000000000020", ""),
        ("0002 16 00 00000000 0001", "Reset(0.0, Aborted)"),
        ("0007 04 00 00000000  0003  01 0002 6e6f", "Declined(0, Taken, \"no\")"),
        (
            "000c 22 00 00000000  0001 00000005  01 0003 627965",
            "Goodbye(Farewell { code: Shutdown, last: 5, reason: \"bye\" })",
        ),
    ];
    cut_everywhere(Lone::client, &to_client);
    let to_server = [
        ("0000 11 00 00000000", "Opened(0.0)"),
        ("0001 13 00 00000000 61", "Data(0.0, [97], false)"),
        ("0002 16 00 00000000 0001", "Reset(0.0, Aborted)"),
    ];
    cut_everywhere(Lone::server, &to_server);
    cut_everywhere(
        Lone::server,
        &[("0002 12 00 00000000 0002", "Refused(0.0, Unreachable)")],
    );
}

fn cut_everywhere(start: fn() -> Lone, frames: &[(&str, &str)]) {
    let longest = frames.iter().map(|(bytes, _)| hex(bytes).len()).max().unwrap();
    for at in 0..longest {
        let mut lone = start();
        for (bytes, meaning) in frames {
            let bytes = hex(bytes);
            let (head, tail) = bytes.split_at(at.min(bytes.len()));
            let first = lone.take(head).unwrap();
            let second = lone.take(tail).unwrap();
            let is_data = bytes[2] == Kind::Data as u8 && bytes.len() > 8;
            if is_data && at > 8 {
                // Payload is not held back: it comes in as many pieces as the bytes did.
                assert!(!first.is_empty());
            } else {
                let events = [first, second].concat().join(" ");
                assert_eq!(events, *meaning, "cut at {at}");
            }
        }
    }
}
