//! Arbitrary bytes, cut arbitrarily, into whatever reads bytes of a peer.

use pinhole::limits;
use pinhole::proto::{Cause, Channel, Decline, End, Event, Handshake, Protocol, Session, Terms, Time, Transmit, Visit};

use crate::pair::{Bytes, TOKEN, budget, hello, meet};

/// `data` to a handshake and to a session of either end.
pub fn run(data: &[u8]) {
    let Some((&first, data)) = data.split_first() else {
        return;
    };
    let end = if first.is_multiple_of(2) {
        End::Client
    } else {
        End::Server
    };
    handshake(end, data);
    let budgets = [budget(), budget()];
    let [mut client, mut server] = meet(budgets.each_ref());
    begin(&mut client, &mut server);
    let session = if end == End::Client { &mut client } else { &mut server };
    read(session, data);
    assert!(session.streams() <= 4);
    drop([client, server]);
    for budget in budgets {
        assert_eq!((budget.streams(), budget.grown()), (0, 0));
    }
}

fn handshake(end: End, data: &[u8]) {
    for head in [&b""[..], b"pinhole\x01"] {
        let mut handshake = Handshake::new(end, hello(1), Channel::default());
        let all = [head, data].concat();
        for mut piece in all.chunks(7) {
            if !matches!(handshake.handle_bytes(&mut piece), Ok(None)) {
                break;
            }
            assert!(piece.is_empty());
        }
        assert!(handshake.poll_transmit().len() <= 8 + limits::FRAME_HEADER + limits::MAX_CONTROL);
    }
}

/// One registration and two streams.
fn begin(client: &mut Session, server: &mut Session) {
    assert!(client.register(0, Protocol::Tcp, "web", TOKEN, &Terms::default()));
    tell(client, server);
    tell(server, client);
    for _ in 0..2 {
        assert!(server.open(Time(0), 0, Visit::default()).is_some());
    }
    tell(server, client);
}

fn tell(from: &mut Session, to: &mut Session) {
    let mut out = Transmit::new(limits::TRANSMIT_BUFFER);
    from.poll_transmit(Time(0), &mut out);
    let mut input = out.as_bytes();
    while let Ok(Some(event)) = to.handle_bytes(Time(0), &mut input) {
        if let Event::Register(registration) = event {
            assert!(to.prove(&registration, Some(TOKEN)));
            to.accept(&registration, TOKEN, "public", false);
        }
    }
}

fn read(session: &mut Session, data: &[u8]) {
    let mut bytes = Bytes(data);
    let mut now = Time(0);
    let mut out = Transmit::new(limits::TRANSMIT_BUFFER);
    while !bytes.is_empty() {
        let behaviour = bytes.byte();
        let n = 1 + bytes.number();
        let mut input = bytes.take(n);
        now = Time(now.0 + u64::from(behaviour) * 100);
        loop {
            match session.handle_bytes(now, &mut input) {
                Ok(Some(event)) => answer(session, now, event, behaviour),
                Ok(None) => break,
                Err(_) => return session.check(),
            }
        }
        session.check();
        if !behaviour.is_multiple_of(4) {
            out.clear();
            session.poll_transmit(now, &mut out);
        }
    }
}

fn answer(session: &mut Session, now: Time, event: Event<'_>, behaviour: u8) {
    match event {
        Event::Register(registration) => session.decline(registration.id, Decline::Unproven, ""),
        Event::Open(id, ..) if behaviour.is_multiple_of(3) => session.refuse(id, Cause::Unreachable),
        Event::Open(id, ..) => {
            session.opened(id);
            session.on_readable(id);
        }
        Event::Data(id, _, true) if behaviour.is_multiple_of(5) => session.reset(id, Cause::Aborted),
        Event::Data(id, bytes, _) if !behaviour.is_multiple_of(7) => drop(session.consumed(now, id, bytes.len())),
        _ => {}
    }
}
