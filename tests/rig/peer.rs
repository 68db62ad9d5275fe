//! A client put together from the protocol's own parts, which does what none of ours would.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::rc::Rc;
use std::time::{Duration, Instant};

use pinhole::limits;
use pinhole::proto::{
    Budget, Channel, End, Event, Handshake, Hello, Introduction, Protocol, Session, Terms, Time, Transmit,
};

use super::visitor;

/// One link to a server, over plain TCP, whose every word is the test's.
pub struct Peer {
    stream: TcpStream,
    session: Session,
    answers: Vec<(u16, Result<(), String>)>,
    began: Instant,
}

impl Peer {
    /// Of the process that `who` stands for.
    #[track_caller]
    pub fn meet(server: SocketAddr, who: u8) -> Peer {
        let mut stream = visitor::connect(server);
        let hello = Hello {
            nonce: [who; 32],
            instance: [who; 16],
            session: [who; 16],
            link: 0,
            max_streams: 8,
            window: limits::INITIAL_WINDOW,
            interval: Duration::ZERO,
            timeout: Duration::ZERO,
            agent: "peer".into(),
        };
        let met = greet(&mut stream, &hello);
        let budget = Rc::new(Budget::new(limits::MIN_BUDGET));
        Peer {
            stream,
            session: Session::new(End::Client, &hello, met, budget, Time(0)),
            answers: Vec::new(),
            began: Instant::now(),
        }
    }

    /// Claims a TCP service under the number `id`, once that is free.
    #[track_caller]
    pub fn register(&mut self, id: u16, name: &str, token: &str, terms: &Terms) {
        let token = token.as_bytes();
        while !self.session.register(id, Protocol::Tcp, name, token, terms) {
            self.hear();
        }
        self.say();
    }

    /// Withdraws it.
    pub fn unregister(&mut self, id: u16) {
        self.session.unregister(id);
        self.say();
    }

    /// Says how its local service is.
    pub fn report(&mut self, id: u16, is_healthy: bool) {
        self.session.report(id, is_healthy, 1);
        self.say();
    }

    fn say(&mut self) {
        let mut out = Transmit::new(limits::TRANSMIT_BUFFER);
        loop {
            self.session.poll_transmit(self.now(), &mut out);
            if out.is_empty() {
                return;
            }
            self.stream.write_all(out.as_bytes()).expect("an open link");
            out.clear();
        }
    }

    /// What the server says to the registration `id`: that it has it, or why not.
    #[track_caller]
    pub fn answer(&mut self, id: u16) -> Result<(), String> {
        loop {
            if let Some(index) = self.answers.iter().position(|(number, _)| *number == id) {
                return self.answers.remove(index).1;
            }
            self.hear();
        }
    }

    #[track_caller]
    fn hear(&mut self) {
        let mut bytes = [0; 16 * 1024];
        let n = self.stream.read(&mut bytes).expect("the server's words");
        assert!(n > 0, "the server has closed the link");
        let (now, mut input) = (self.now(), &bytes[..n]);
        while let Some(event) = self.session.handle_bytes(now, &mut input).expect("no fault") {
            match event {
                Event::Registered(id, ..) => self.answers.push((id, Ok(()))),
                Event::Declined(id, _, reason) => self.answers.push((id, Err(reason))),
                _ => {}
            }
        }
        self.say();
    }

    /// Its socket, for what has no name.
    pub fn raw(&self) -> TcpStream {
        self.stream.try_clone().expect("a descriptor")
    }

    fn now(&self) -> Time {
        Time(self.began.elapsed().as_micros() as u64)
    }
}

fn greet(stream: &mut TcpStream, hello: &Hello) -> Introduction {
    let channel = Channel {
        label: "tcp",
        binding: Vec::new(),
    };
    let mut handshake = Handshake::new(End::Client, hello.clone(), channel);
    stream.write_all(handshake.poll_transmit()).expect("an open link");
    loop {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("the server's words");
        if let Some(met) = handshake.handle_bytes(&mut &byte[..]).expect("a server") {
            return met;
        }
    }
}
