//! Registrations that a peer makes up, repeats or withdraws, one frame at a time.

use super::hostile::{open, proven, register};
use super::*;

#[test]
fn a_link_that_proves_nothing_ends_after_some_registrations() {
    let mut server = Lone::new(End::Server);
    for id in 0..limits::MAX_UNPROVEN {
        assert_eq!(server.take(&register(id, &[7; 32])).unwrap().len(), 1);
        server.session.decline(id as u16, Decline::Unproven, "no");
    }
    assert_eq!(server.fault(&register(99, &[7; 32])), Fault::TooManyClaims);
}

#[test]
fn registrations_in_a_flood_end_the_link() {
    let mut server = Lone::new(End::Server);
    let proof = proven(0);
    let mut floods = 0;
    let fault = loop {
        let mut input = &proof[..];
        match server.session.handle_bytes(START, &mut input) {
            Ok(Some(Event::Register(registration))) => {
                assert!(server.session.prove(&registration, Some(TOKEN)));
                server.session.decline(0, Decline::Taken, "no");
            }
            Ok(_) => panic!("no registration"),
            Err(fault) => break fault,
        }
        floods += 1;
        server.assert_small();
    };
    assert_eq!(fault, Fault::TooManyClaims);
    assert!(floods <= 2 * u32::from(limits::MAX_SERVICES));
}

#[test]
fn an_answer_is_given_once() {
    let mut server = Lone::new(End::Server);
    let mut input = &proven(7)[..];
    let Ok(Some(Event::Register(registration))) = server.session.handle_bytes(START, &mut input) else {
        panic!("no registration");
    };
    server.session.accept(&registration, TOKEN, "", false);
    server.session.accept(&registration, TOKEN, "", false);
    assert_eq!(server.sent().len(), 8 + 32 + 3);
    server.session.decline(7, Decline::Unavailable, "");
    server.session.decline(7, Decline::Unavailable, "");
    server.session.accept(&registration, TOKEN, "", false);
    server.session.decline(8, Decline::Unavailable, "");
    assert_eq!(server.sent().len(), 8 + 2 + 3);
}

#[test]
fn answers_nobody_asked_for() {
    let answer = |bytes: &[u8]| Lone::client().fault(bytes);
    assert_eq!(answer(&frame(3, 0, 0, &[0; 32])), Fault::BadProof);
    assert_eq!(answer(&frame(3, 0, 1, &[0; 32])), Fault::BadId(Kind::Registered));
    assert_eq!(answer(&frame(4, 0, 1, &[0; 2])), Fault::BadId(Kind::Declined));
    assert_eq!(answer(&frame(4, 0, 5000, &[0; 2])), Fault::BadId(Kind::Declined));
    let mut client = Lone::client();
    assert!(
        client
            .session
            .register(1, Protocol::Tcp, "web", TOKEN, &Terms::default())
    );
    assert_eq!(client.fault(&frame(3, 0, 1, &[0; 32])), Fault::BadProof);
}

#[test]
fn a_registration_that_is_withdrawn_takes_no_visitor_and_its_number_is_free_once_that_is_answered() {
    let mut client = Lone::client();
    client.session.unregister(0);
    client.session.unregister(0);
    client.session.unregister(9);
    assert_eq!(client.sent(), hex("0000 05 00 00000000"));
    assert!(client.take(&open(0, 0)).unwrap().is_empty());
    assert_eq!(client.sent(), hex("0002 12 00 00000000 0003"));
    assert!(
        !client
            .session
            .register(0, Protocol::Tcp, "web", TOKEN, &Terms::default())
    );
    assert!(client.take(&frame(4, 0, 0, &[0, 6])).unwrap().is_empty());
    assert!(
        client
            .session
            .register(0, Protocol::Tcp, "web", TOKEN, &Terms::default())
    );
}

#[test]
fn an_answer_that_crosses_unregister_is_not_told() {
    let mut client = Lone::new(End::Client);
    assert!(
        client
            .session
            .register(3, Protocol::Tcp, "web", TOKEN, &Terms::default())
    );
    let register = client.sent();
    let proof = met()
        .transcript
        .prove(End::Server, TOKEN, &register[..register.len() - 32]);
    client.session.unregister(3);
    assert!(client.take(&frame(3, 0, 3, &proof)).unwrap().is_empty());
    assert!(client.take(&frame(4, 0, 3, &[0, 6])).unwrap().is_empty());
}

#[test]
fn unregister_is_answered_unless_the_registration_is_over() {
    let mut server = Lone::new(End::Server);
    server.take(&proven(7)).unwrap();
    assert_eq!(server.take(&frame(5, 0, 7, b"")).unwrap(), ["Unregister(7)"]);
    assert_eq!(server.sent(), hex("0005 04 00 00000007 0006 01 0000"));
    assert!(server.take(&frame(5, 0, 7, b"")).unwrap().is_empty());
    assert!(server.sent().is_empty());
    assert_eq!(server.fault(&frame(5, 0, 5000, b"")), Fault::BadId(Kind::Unregister));
}

#[test]
fn a_service_can_be_announced_again_with_the_same_proof() {
    let mut server = Lone::new(End::Server);
    let mut input = &proven(7)[..];
    let Ok(Some(Event::Register(registration))) = server.session.handle_bytes(START, &mut input) else {
        panic!("no registration");
    };
    server.session.announce(7, "too early");
    server.session.accept(&registration, TOKEN, "one", false);
    let first = server.sent();
    server.session.announce(7, "two");
    let second = server.sent();
    assert_eq!(first[..40], second[..40]);
    assert!(second.ends_with(b"two"));

    let mut client = Lone::new(End::Client);
    assert!(
        client
            .session
            .register(7, Protocol::Tcp, "web", TOKEN, &Terms::default())
    );
    let register = client.sent();
    let proof = met()
        .transcript
        .prove(End::Server, TOKEN, &register[..register.len() - 32]);
    for _ in 0..2 {
        let registered = registration::registered(7, &proof, "x", false);
        assert_eq!(client.take(&registered).unwrap(), ["Registered(7, \"x\", false)"]);
    }
}

#[test]
fn a_proof_of_the_client_is_none_of_the_server() {
    let mut client = Lone::client();
    assert!(
        client
            .session
            .register(1, Protocol::Tcp, "web", TOKEN, &Terms::default())
    );
    let sent = client.sent();
    let own = &sent[sent.len() - 32..];
    assert_eq!(client.fault(&frame(3, 0, 1, own)), Fault::BadProof);
}
