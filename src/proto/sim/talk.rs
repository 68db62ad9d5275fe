//! The model: what the users of one stream send, and what must arrive of it.

use alloc::vec::Vec;

use super::{CLIENT, Rng, SERVER};

/// One visitor's connection. Bytes are numbered; which byte has which number is a pure function, so that a queue of
/// bytes is two counters.
#[derive(Debug)]
pub(in super::super) struct Talk {
    /// By the node that sends it.
    pub flows: [Flow; 2],
    /// Somebody cut it: what is under way need not arrive.
    pub cut: bool,
    /// The service never had it.
    pub refused: bool,
    /// Its bytes are datagrams: what arrives is whole and in order, but need not be all.
    pub is_flow: bool,
    /// Nobody waits any longer.
    pub is_hurried: bool,
}

/// One direction.
#[derive(Debug)]
pub(in super::super) struct Flow {
    /// Bytes that its user sends in all.
    pub size: u64,
    /// Bytes that its user gives at a step.
    pub pace: u64,
    /// The user ends it only when the other direction has ended.
    pub patient: bool,
    /// Bytes that the user gave, and that the session took.
    pub given: u64,
    pub sent: u64,
    /// The session took the end.
    pub ended: bool,
    pub reader: Reader,
    /// Bytes that the other session gave, and that the reader took.
    pub received: u64,
    pub taken: u64,
    /// The other session gave the end.
    pub end_received: bool,
}

/// How the receiving user reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Reader {
    /// All there is.
    Eager,
    /// So many bytes a step.
    Slow(u64),
    /// All there is, now and then.
    Bursts,
    /// Nothing.
    Stuck,
}

impl Talk {
    /// With these bytes from the client's side and the server's.
    pub fn new(from_client: u64, from_server: u64) -> Talk {
        Talk {
            flows: [Flow::new(from_client), Flow::new(from_server)],
            cut: false,
            refused: false,
            is_flow: false,
            is_hurried: false,
        }
    }

    pub fn chaos(rng: &mut Rng, size: u64) -> Talk {
        let mut talk = Talk::new(rng.below(size), rng.below(size));
        talk.flows[CLIENT].vary(rng);
        talk.flows[SERVER].vary(rng);
        talk.flows[CLIENT].patient &= !talk.flows[SERVER].patient;
        talk
    }

    /// Whether the user at the node `who` would end its direction.
    pub fn may_end(&self, who: usize) -> bool {
        !self.flows[who].patient || self.flows[1 - who].end_received
    }

    /// Whether that user has something to be read: bytes, or the end.
    pub fn wants_to_send(&self, who: usize) -> bool {
        let flow = &self.flows[who];
        flow.ready() > 0 || (flow.is_exhausted() && !flow.ended && self.may_end(who))
    }

    /// Whether that user has said all and heard all.
    pub fn is_over(&self, who: usize) -> bool {
        let other = &self.flows[1 - who];
        self.flows[who].ended && other.end_received && other.held() == 0
    }

    /// Nobody waits any longer.
    pub fn hurry(&mut self) {
        self.is_hurried = true;
        for flow in &mut self.flows {
            flow.reader = Reader::Eager;
            flow.pace = u64::MAX;
        }
    }

    /// Every byte and the end arrived, unless the stream was cut.
    pub fn assert_over(&self) {
        for flow in &self.flows {
            let whole = flow.sent == flow.size && flow.taken == flow.size && flow.end_received;
            assert!(whole || self.cut || self.refused, "bytes are missing: {self:?}");
            assert!(
                !self.refused || self.is_flow || flow.taken == 0,
                "a refused stream was read: {self:?}"
            );
        }
    }
}

impl Flow {
    fn new(size: u64) -> Flow {
        Flow {
            size,
            pace: u64::MAX,
            patient: false,
            given: 0,
            sent: 0,
            ended: false,
            reader: Reader::Eager,
            received: 0,
            taken: 0,
            end_received: false,
        }
    }

    fn vary(&mut self, rng: &mut Rng) {
        self.pace = rng.pick(&[1, 100, 5_000, u64::MAX]);
        self.patient = rng.chance(300);
        self.reader = match rng.below(8) {
            0 => Reader::Stuck,
            1 => Reader::Slow(1 + rng.below(500)),
            2 | 3 => Reader::Bursts,
            _ => Reader::Eager,
        };
    }

    /// Bytes that the session may take now.
    pub fn ready(&self) -> u64 {
        self.given - self.sent
    }

    /// Whether the user has said all it will.
    pub fn is_exhausted(&self) -> bool {
        self.sent == self.size
    }

    /// The user gives more.
    pub fn give(&mut self) {
        self.given = self.size.min(self.given.saturating_add(self.pace));
    }

    /// Puts what comes next into `place`.
    pub fn fill(&mut self, place: &mut [u8]) {
        for byte in place.iter_mut() {
            *byte = byte_at(self.sent);
            self.sent += 1;
        }
    }

    /// What arrived must be what comes next.
    pub fn arrive(&mut self, bytes: &[u8], end: bool) {
        assert!(!self.end_received, "bytes or an end behind the end");
        for byte in bytes {
            assert_eq!(*byte, byte_at(self.received), "another byte than was sent");
            self.received += 1;
        }
        assert!(self.received <= self.sent, "more bytes than were sent");
        assert!(
            !end || (self.ended && self.received == self.sent),
            "an end that was not said"
        );
        self.end_received |= end;
    }

    /// The next datagram: its number, as far as it has room, and bytes that follow from it.
    pub fn datagram(&mut self, length: usize) -> Vec<u8> {
        self.sent += 1;
        datagram(self.sent, length)
    }

    /// What arrived must be whole, and later than what arrived before.
    pub fn arrive_datagram(&mut self, bytes: &[u8]) {
        let Some(number) = bytes.first_chunk() else { return };
        let number = u64::from_be_bytes(*number);
        assert!(number > self.received && number <= self.sent, "a datagram out of order");
        assert!(bytes == datagram(number, bytes.len()), "another datagram than was sent");
        self.received = number;
        self.taken = number;
    }

    /// Bytes that wait for the reader.
    pub fn held(&self) -> u64 {
        self.received - self.taken
    }

    /// Bytes that the reader takes now.
    pub fn take(&mut self, rng: &mut Rng) -> u64 {
        let n = match self.reader {
            Reader::Eager => self.held(),
            Reader::Slow(n) => n.min(self.held()),
            Reader::Bursts if rng.chance(50) => self.held(),
            Reader::Bursts | Reader::Stuck => 0,
        };
        self.taken += n;
        n
    }
}

fn datagram(number: u64, length: usize) -> Vec<u8> {
    let tail = (number..).map(byte_at);
    number.to_be_bytes().into_iter().chain(tail).take(length).collect()
}

fn byte_at(offset: u64) -> u8 {
    (offset.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8
}
