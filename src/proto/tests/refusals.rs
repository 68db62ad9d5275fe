//! What is not taken: each wrong length, kind, flag, field and number, by the fault's name.

use super::super::frame::{Header, Reader};
use super::super::{messages, registration};
use super::*;

fn parse(length: u16, kind: u8, flags: u8) -> Result<Header, Fault> {
    let [l0, l1] = length.to_be_bytes();
    Header::parse([l0, l1, kind, flags, 0, 0, 0, 0])
}

/// Kind, least and largest payload: the table of the documentation once more, by hand.
const LENGTHS: [(u8, u16, u16); 18] = [
    (0x01, 80, 1024),
    (0x02, 35, 1024),
    (0x03, 32, 1024),
    (0x04, 2, 1024),
    (0x05, 0, 0),
    (0x10, 2, 1024),
    (0x11, 0, 0),
    (0x12, 2, 1024),
    (0x13, 0, 65535),
    (0x14, 0, 65507),
    (0x15, 8, 8),
    (0x16, 2, 2),
    (0x17, 0, 0),
    (0x20, 16, 16),
    (0x21, 16, 16),
    (0x22, 6, 1024),
    (0x23, 0, 0),
    (0x80, 5, 1024),
];

#[test]
fn each_wrong_length_kind_and_flag() {
    for kind in 0..=255 {
        let row = LENGTHS.iter().find(|row| row.0 == kind);
        let ignorable = (0x80..=0xbf).contains(&kind);
        for length in 0..=65535 {
            let expected = match row {
                Some(&(_, least, most)) if length >= least && length <= most => Ok(()),
                None if ignorable && length <= 1024 => Ok(()),
                None if !ignorable => Err(Fault::UnknownKind(kind)),
                _ => Err(Fault::Length(kind, length)),
            };
            assert_eq!(parse(length, kind, 0).map(drop), expected);
        }
    }
    for (kind, least, _) in LENGTHS {
        for flags in 1..=255 {
            let allowed = kind == 0x13 && flags == 1;
            let expected = if allowed {
                Ok(())
            } else {
                Err(Fault::UnknownFlags(flags))
            };
            assert_eq!(parse(least, kind, flags).map(drop), expected);
        }
    }
    assert!(parse(3, 0x81, 0xff).is_ok(), "what is to be skipped may have any flags");
}

#[test]
fn data_without_bytes_and_without_an_end() {
    let mut client = Lone::client();
    assert_eq!(client.fault(&data(0, b"")), Fault::Length(0x13, 0));
}

#[test]
fn an_ignorable_frame_is_skipped_wherever_it_stands() {
    for kind in 0x81..=0xbf {
        let mut server = Lone::server();
        let bytes = [
            frame(kind, 7, 99, &[1; 1024]),
            data(0, b"x"),
            frame(kind, 0, 0, b""),
            data(0, b"y"),
        ];
        let events = server.take(&bytes.concat()).unwrap();
        assert_eq!(events, ["Data(0.0, [120], false)", "Data(0.0, [121], false)"]);
    }
}

/// Each frame with fields: its least payload, and who reads it.
#[test]
fn an_unknown_field_is_skipped_or_refused_by_name() {
    let hello = hello(9);
    let mut out = Transmit::new(2048);
    hello.put(&mut out);
    let said = &out.as_bytes()[8..];
    let readers: [(Kind, &[u8], Read); 6] = [
        (Kind::Hello, said, |payload| Hello::parse(payload).map(drop)),
        (Kind::Registered, &[7; 32], |payload| {
            registration::parse_registered(payload).map(drop)
        }),
        (Kind::Declined, &[0, 1], |payload| {
            registration::parse_declined(payload).map(drop)
        }),
        (Kind::Open, &[0, 1], |payload| messages::parse_open(payload).map(drop)),
        (Kind::Refused, &[0, 1], |payload| {
            messages::parse_cause(payload).map(drop)
        }),
        (Kind::Goodbye, &[0, 1, 0, 0, 0, 0], |payload| {
            messages::parse_goodbye(payload).map(drop)
        }),
    ];
    for (kind, least, read) in readers {
        fields(kind, least, b"", read);
    }
    let read = |payload: &[u8]| Registration::parse(1, payload).map(drop);
    fields(Kind::Register, b"\x06\x01a", &[7; 32], read);
}

type Read = fn(&[u8]) -> Result<(), Fault>;

fn fields(kind: Kind, head: &[u8], tail: &[u8], read: Read) {
    let with = |field: &[u8]| read(&[head, field, tail].concat());
    assert_eq!(with(b""), Ok(()));
    assert_eq!(with(&hex("7f 0002 abcd")), Ok(()));
    assert_eq!(with(&hex("7f 0000 7e 0001 00")), Ok(()));
    assert_eq!(with(&hex("ff 0002 abcd")), Err(Fault::Critical(kind, 0x7f)));
    assert_eq!(with(&hex("7f 0000 fd 0000")), Err(Fault::Critical(kind, 0x7d)));
    for cut in [&hex("7f")[..], &hex("7f 00"), &hex("7f 0002 ab")] {
        assert_eq!(with(cut), Err(Fault::Truncated));
    }
}

#[test]
fn a_text_that_is_too_long_is_cut_before_it_is_sent() {
    let long = "ä".repeat(5000);
    let read = registration::parse_declined(&registration::declined(7, Decline::Full, &long)[8..]).unwrap();
    assert_eq!(read.1, "ä".repeat(100));
    let read = registration::parse_registered(&registration::registered(7, &[0; 32], &long, false)[8..]).unwrap();
    assert_eq!(read.1, "ä".repeat(100));
    let talkative = Hello {
        agent: long,
        ..hello(1)
    };
    let mut out = Transmit::new(2048);
    assert!(talkative.put(&mut out));
    assert_eq!(Hello::parse(&out.as_bytes()[8..]).unwrap().agent, "ä".repeat(100));
}

#[test]
fn values_of_a_hello_that_cannot_be() {
    for (at, wrong) in [(66, hex("0000")), (68, hex("00000000")), (68, hex("00100001"))] {
        let mut out = Transmit::new(2048);
        hello(1).put(&mut out);
        let mut payload = out.as_bytes()[8..].to_vec();
        payload[at..at + wrong.len()].copy_from_slice(&wrong);
        assert_eq!(Hello::parse(&payload), Err(Fault::Invalid(Kind::Hello)));
    }
}

#[test]
fn a_register_that_cannot_be() {
    let parse = |body: &[u8]| Registration::parse(1, &[body, &[0; 32]].concat()).map(drop);
    assert_eq!(parse(b"\x06\x01a"), Ok(()));
    assert_eq!(parse(b"\x11\x01a"), Ok(()));
    assert_eq!(parse(b"\x01\x01a"), Err(Fault::Invalid(Kind::Register)));
    assert_eq!(parse(b"\x06\x01\xff"), Err(Fault::Invalid(Kind::Register)));
    assert_eq!(parse(b"\x06\x02a"), Err(Fault::Truncated));
    assert_eq!(parse(b"\x06"), Err(Fault::Truncated));
    let mut server = Lone::new(End::Server);
    let register = |id| frame(2, 0, id, &[&b"\x06\x01a"[..], &[0; 32]].concat());
    assert_eq!(server.fault(&register(4096)), Fault::BadId(Kind::Register));
    assert_eq!(server.fault(&register(0x1_0000)), Fault::BadId(Kind::Register));
    assert_eq!(server.take(&register(4095)).unwrap().len(), 1);
    assert_eq!(server.fault(&register(4095)), Fault::BadId(Kind::Register));
}

#[test]
fn a_visitor_whose_address_has_no_such_length() {
    for length in [0, 1, 2, 5, 7, 17, 19] {
        let payload = [&[0, 0, 1, 0, length][..], &vec![1; length.into()]].concat();
        let expected = if length < 2 {
            Fault::Truncated
        } else {
            Fault::Invalid(Kind::Open)
        };
        assert_eq!(messages::parse_open(&payload), Err(expected));
    }
    assert_eq!(messages::parse_open(&[0, 5]), Ok((5, Visit::default())));
}

#[test]
fn a_reader_never_reads_past_the_end() {
    let bytes = hex("0102030405060708");
    for n in 0..8 {
        let mut reader = Reader::new(&bytes[..n]);
        assert_eq!(reader.u64(), Err(Fault::Truncated));
        assert_eq!(reader.rest().len(), n, "a failed read takes nothing");
    }
}

#[test]
fn a_transmit_buffer_never_grows_and_never_holds_half_a_frame() {
    for capacity in 0..64 {
        let mut out = Transmit::new(capacity);
        let id = StreamId { slot: 0, generation: 0 };
        let fits = messages::put_credit(&mut out, id, 7);
        assert_eq!(fits, capacity >= 16);
        assert_eq!(out.len(), if fits { 16 } else { 0 });
        let room = out.room();
        assert_eq!(room, capacity.saturating_sub(out.len() + 8));
        assert_eq!(out.reserve(usize::MAX).len(), room);
    }
}
