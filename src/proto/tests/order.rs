//! What goes before what in a link's bytes.

use super::*;

/// A server whose streams all have bytes, `count` of them not announced yet.
fn crowd(count: usize) -> Lone {
    let mut server = Lone::registered();
    for _ in 0..count {
        let id = server.session.open(START, 0, visitor()).unwrap();
        assert!(server.session.on_readable(id));
    }
    server
}

#[test]
fn payload_waits_for_the_words_before_it() {
    let mut server = crowd(3);
    let mut out = Transmit::new(limits::TRANSMIT_BUFFER);
    assert_eq!(
        server.session.poll_turn(START, &mut out, usize::MAX, 9000),
        None,
        "opens wait"
    );
    server.session.poll_transmit(START, &mut out);
    let turn = server.session.poll_turn(START, &mut out, usize::MAX, 9000).unwrap();
    server.session.commit(&mut out, turn.stream, 100, false);
    server.session.reset(turn.stream, Cause::Aborted);
    assert_eq!(
        server.session.poll_turn(START, &mut out, usize::MAX, 9000),
        None,
        "a reset waits"
    );
    server.session.poll_transmit(START, &mut out);
    assert!(server.session.poll_turn(START, &mut out, usize::MAX, 9000).is_some());
}

#[test]
fn credit_alone_sets_a_stream_in_motion() {
    let mut server = crowd(1);
    let mut out = Transmit::new(limits::TRANSMIT_BUFFER);
    server.session.poll_transmit(START, &mut out);
    let turn = server.session.poll_turn(START, &mut out, usize::MAX, 9000).unwrap();
    assert_eq!(turn.most, limits::INITIAL_WINDOW as usize);
    server.session.commit(&mut out, turn.stream, turn.most, false);
    assert_eq!(server.session.poll_turn(START, &mut out, usize::MAX, 9000), None);
    let credit = frame(0x15, 0, turn.stream.to_wire(), &10_000_u64.to_be_bytes());
    server.take(&credit).unwrap();
    let turn = server.session.poll_turn(START, &mut out, usize::MAX, 9000).unwrap();
    assert_eq!(turn.most, 10_000 - limits::INITIAL_WINDOW as usize);
}

#[test]
fn a_stream_that_finds_no_room_is_not_counted() {
    let mut server = Lone::registered();
    while server.session.open(START, 0, visitor()).is_some() {}
    assert_eq!(server.session.streams(), 8, "the client's limit");
    assert_eq!(server.budget.streams(), 8);
    assert_eq!(server.session.open(START, 7, visitor()), None, "no such registration");
    assert_eq!(server.budget.streams(), 8);
}

#[test]
fn a_datagram_larger_than_a_write_goes_though_control_frames_never_end() {
    let mut server = Lone::registered();
    let flow = server.session.open(START, 1, visitor()).unwrap();
    server.sent();
    let mut out = Transmit::new(limits::TRANSMIT_BUFFER);
    assert!(server.session.send_datagram(START, flow, &[7; 60_000]));
    server.take(&frame(0x20, 0, 0, &[0; 16])).unwrap();
    server.session.poll_transmit(START, &mut out);
    assert_eq!(out.len(), 24, "a pong");
    assert_eq!(server.session.poll_turn(START, &mut out, 1448, 1448), None);
    assert_eq!(out.len(), 24 + 8 + 60_000);
    assert!(server.session.send_datagram(START, flow, &[7; 60_000]));
    assert_eq!(server.session.poll_turn(START, &mut out, 1448, 1448), None);
    assert_eq!(out.len(), 24 + 8 + 60_000, "the next one has a write of its own");
    out.clear();
    assert_eq!(server.session.poll_turn(START, &mut out, 1448, 1448), None);
    assert_eq!(out.len(), 8 + 60_000);
    server.session.check();
}

#[test]
fn a_pong_counts_all_that_came_before_it_was_made() {
    let mut server = Lone::server();
    let before = server.session_bytes();
    let ping = frame(0x20, 0, 0, &[7; 16]);
    server.take(&[&ping[..], &data(0, b"x")].concat()).unwrap();
    server.take(&ping[..5]).unwrap();
    let received = before + 24 + 9 + 5;
    let pong = [&[7; 8][..], &received.to_be_bytes()].concat();
    assert_eq!(server.sent(), frame(0x21, 0, 0, &pong));
}

#[test]
fn what_is_over_holds_nothing() {
    let mut server = Lone::registered();
    let flow = server.session.open(START, 1, visitor()).unwrap();
    server.sent();
    assert!(server.session.send_datagram(START, flow, &[7; 100]));
    server.session.open(START, 0, visitor()).unwrap();
    server.session.clear();
    server.session.check();
    assert_eq!((server.budget.streams(), server.budget.flows()), (0, 0));
    assert_eq!(server.sent(), [], "nobody is to hear of them");
    // Those who are late do no harm.
    assert!(!server.session.send_datagram(START, flow, &[7; 100]));
    server.session.reset(flow, Cause::Idle);
    assert_eq!(server.sent(), []);
}

#[test]
fn flows_leave_half_of_the_streams_to_connections() {
    let mut server = Lone::registered();
    while server.session.open(START, 1, visitor()).is_some() {}
    assert_eq!((server.session.streams(), server.session.flow_room()), (4, 0));
    while server.session.open(START, 0, visitor()).is_some() {}
    assert_eq!(server.session.streams(), 8);
    let ids = server.session.stream_ids();
    server.sent();
    ids.iter().for_each(|&id| server.session.reset(id, Cause::Idle));
    assert_eq!(server.session.flow_room(), 0, "until the client was told");
    server.sent();
    assert_eq!((server.session.flow_room(), server.budget.flows()), (4, 0));
    server.session.check();
}

#[test]
fn a_stalled_link_keeps_what_is_fresh() {
    let mut server = Lone::registered();
    let flow = server.session.open(START, 1, visitor()).unwrap();
    server.sent();
    let at = |ms: u64| Time(START.0 + ms * 1000);
    let sent = |ms: u64, session: &mut Session| session.send_datagram(at(ms), flow, &ms.to_be_bytes());
    let first = (0..limits::FLOW_COUNT as u64 + 50).filter(|&n| sent(n / 4, &mut server.session));
    assert_eq!(
        (first.count(), server.session.take_expired(flow)),
        (limits::FLOW_COUNT, 0)
    );
    // Each that comes takes the place of one that has waited too long.
    assert!((101..110).all(|ms| sent(ms, &mut server.session)));
    server.session.check();
    let mut out = Transmit::new(limits::TRANSMIT_BUFFER);
    assert_eq!(server.session.poll_turn(at(110), &mut out, usize::MAX, 9000), None);
    assert_eq!(server.session.take_expired(flow), 4 * 10);
    assert_eq!(out.len(), (limits::FLOW_COUNT - 4 * 10 + 9) * 16);
    server.session.check();
}
