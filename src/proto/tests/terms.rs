//! What a registration can ask for, and how a client says that its local service is well.

use super::hostile::proven;
use super::*;
use crate::proto::terms::key_hash;

fn terms() -> Terms {
    Terms {
        wish: Some(Wish {
            port: 20001,
            is_must: true,
        }),
        group: Some(Membership {
            name: "pool".into(),
            key: key_hash(b"shared-secret"),
            weight: 7,
            is_sticky: true,
            count: 5,
        }),
        check: Some(Check::Http),
        webhook: "http://x".into(),
    }
}

/// The cover and the proof were computed with Python's hmac and hashlib, from the words of terms.rs and proof.rs.
#[test]
fn a_register_with_terms() {
    let link = Transcript::new(b"c", b"s", "tcp", b"");
    let bytes = hex("006802000000000706037765620100034e210102002b00000005ecde5af530a21a888f9e7e09a50067a90d79d8bd7945c74e4111d3af4f4e4ada000701706f6f6c03000101040008687474703a2f2f78
        d5ec2d4e4f6728423d324873f4763f34405aa815aa3b011c842455be52b8eae4");
    let (frame, _) = registration::register(&link, 7, Protocol::Tcp, "web", TOKEN, &terms()).unwrap();
    assert_eq!(*frame, *bytes);
    let read = Registration::parse(7, &bytes[8..]).unwrap();
    assert!(read.is_proven(&link, TOKEN));
    assert_eq!(read.terms(&link, TOKEN), terms());
    assert_ne!(read.terms, terms());
    assert_ne!(read.terms(&link, b"another"), terms());
}

#[test]
fn no_two_covers_are_the_same() {
    let mut client = Lone::new(End::Client);
    let mut covered = Vec::new();
    for id in [1, 2] {
        assert!(client.session.register(id, Protocol::Tcp, "web", TOKEN, &terms()));
        let sent = client.sent();
        covered.push(Registration::parse(id, &sent[8..]).unwrap().terms.group.unwrap().key);
    }
    assert!(covered[0] != covered[1] && !covered.contains(&key_hash(b"shared-secret")));
}

#[test]
fn what_cannot_be_is_refused() {
    for (field, fault) in [
        (&hex("01 0002 0001")[..], Fault::Truncated),
        (&hex("02 0004 00000001"), Fault::Truncated),
        (&hex("03 0001 07"), Fault::Invalid(Kind::Register)),
        (&hex("04 0001 ff"), Fault::Invalid(Kind::Register)),
    ] {
        let payload = [&b"\x06\x01a"[..], field, &[7; 32]].concat();
        assert_eq!(Registration::parse(1, &payload).map(drop), Err(fault));
    }
}

#[test]
fn terms_that_do_not_fit_are_not_sent() {
    let mut client = Lone::new(End::Client);
    let much = Terms {
        webhook: "x".repeat(limits::MAX_CONTROL),
        ..terms()
    };
    assert!(!client.session.register(1, Protocol::Tcp, "web", TOKEN, &much));
}

#[test]
fn health_is_said_once_the_registration_is_held_and_the_last_word_counts() {
    let mut client = Lone::new(End::Client);
    assert!(client.session.register(7, Protocol::Tcp, "web", TOKEN, &terms()));
    let register = client.sent();
    client.session.report(7, true, 0);
    client.session.report(7, false, 3);
    client.session.report(8, true, 0);
    assert!(client.sent().is_empty());
    let proof = met()
        .transcript
        .prove(End::Server, TOKEN, &register[..register.len() - 32]);
    let registered = registration::registered(7, &proof, "x", true);
    assert_eq!(client.take(&registered).unwrap(), ["Registered(7, \"x\", true)"]);
    assert_eq!(client.sent(), hex("0005 80 00 00000007  00 00000003"));
    assert!(client.sent().is_empty());
}

#[test]
fn health_of_what_is_not_held_is_of_no_interest() {
    let mut server = Lone::registered();
    assert_eq!(
        server.take(&hex("0005 80 00 00000000  01 00000000")).unwrap(),
        ["Health(0, true, 0)"]
    );
    assert!(
        server
            .take(&hex("0005 80 00 00000009  01 00000000"))
            .unwrap()
            .is_empty()
    );
    assert_eq!(
        server.fault(&hex("0005 80 00 00005000  01 00000000")),
        Fault::BadId(Kind::Health)
    );
    let mut server = Lone::new(End::Server);
    server.take(&proven(7)).unwrap();
    assert!(
        server
            .take(&hex("0005 80 00 00000007  01 00000000"))
            .unwrap()
            .is_empty()
    );
}
