//! A client and a server that have met, and a reader of fuzzed bytes.

use std::rc::Rc;
use std::time::Duration;

use pinhole::limits;
use pinhole::proto::{Budget, Channel, End, Handshake, Hello, Introduction, Session, Time};

/// The one token.
pub const TOKEN: &[u8] = b"secret";

/// Takes decisions off the front of fuzzed bytes.
pub struct Bytes<'a>(pub &'a [u8]);

impl<'a> Bytes<'a> {
    /// The next byte; 0 at the end.
    pub fn byte(&mut self) -> u8 {
        self.take(1).first().copied().unwrap_or(0)
    }

    /// A number of any order of magnitude.
    pub fn number(&mut self) -> usize {
        let shift = self.byte() % 17;
        usize::from(self.byte()) << shift >> 8
    }

    /// At most `n` bytes.
    pub fn take(&mut self, n: usize) -> &'a [u8] {
        let (head, rest) = self.0.split_at(n.min(self.0.len()));
        self.0 = rest;
        head
    }

    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A process with room for few streams.
pub fn budget() -> Rc<Budget> {
    Rc::new(Budget::new(limits::MIN_BUDGET))
}

/// What the process `who` says of itself.
pub fn hello(who: u8) -> Hello {
    Hello {
        nonce: [who; 32],
        instance: [who; 16],
        session: [who; 16],
        link: 0,
        max_streams: 4,
        window: limits::INITIAL_WINDOW,
        interval: Duration::from_secs(3),
        timeout: Duration::from_secs(4),
        agent: "smoke".into(),
    }
}

/// Both ends of a new link, client first.
pub fn meet(budgets: [&Rc<Budget>; 2]) -> [Session; 2] {
    let mut client = Handshake::new(End::Client, hello(1), Channel::default());
    let mut server = Handshake::new(End::Server, hello(2), Channel::default());
    let said = client.poll_transmit().to_vec();
    let of_client = introduce(&mut server, &said);
    let said = server.poll_transmit().to_vec();
    let of_server = introduce(&mut client, &said);
    let [for_client, for_server] = budgets.map(Rc::clone);
    [
        Session::new(End::Client, &hello(1), of_server, for_client, Time(0)),
        Session::new(End::Server, &hello(2), of_client, for_server, Time(0)),
    ]
}

fn introduce(handshake: &mut Handshake, mut said: &[u8]) -> Introduction {
    match handshake.handle_bytes(&mut said) {
        Ok(Some(met)) => met,
        _ => panic!("a sound Hello"),
    }
}
