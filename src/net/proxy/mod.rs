//! A proxy on the way to the server, which it looks up and connects to: what is said to it before the link begins.
//!
//! [`Negotiation`] is sans-IO: bytes in, bytes out. Whatever the proxy answers, it is bounded, and wrong in words. The
//! server never speaks first, so bytes behind the proxy's last answer are a fault of the proxy's.

mod http;
mod socks;
#[cfg(test)]
mod tests;

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::limits;

use super::socket::Socket;

/// How to talk to a proxy.
#[derive(Clone, Copy)]
pub struct Proxy<'a> {
    /// What it speaks.
    pub kind: Kind,
    /// User and password.
    pub credentials: Option<(&'a [u8], &'a [u8])>,
}

/// What a proxy speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// HTTP's CONNECT (RFC 9110, 9.3.6).
    Http,
    /// SOCKS 5 (RFC 1928, 1929).
    Socks5,
}

/// Why a proxy does not lead to the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It does not speak what it should, which is this.
    Language(&'static str),
    /// It wants another proof of who asks than user and password, or one where there is none.
    Method,
    /// It does not take user and password.
    Credentials,
    /// The status of its answer and the words behind it.
    Status(u16, String),
    /// SOCKS: its code for what went wrong.
    Code(u8),
    /// It said more than it was asked.
    Chatter,
    /// Its answer is longer than any should be.
    TooLong,
    /// It closed the connection.
    Closed,
    /// It took too long.
    Late,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Language(language) => write!(f, "the proxy does not speak {language}"),
            Refusal::Method => f.write_str("the proxy wants another login than its URL has"),
            Refusal::Credentials => f.write_str("the proxy does not accept user and password"),
            Refusal::Status(407, words) => write!(f, "the proxy wants another user and password: 407 {words}"),
            Refusal::Status(code, words) => write!(f, "the proxy does not connect to the server: {code} {words}"),
            Refusal::Code(code) => write!(f, "the proxy does not connect to the server: {}", socks::words(*code)),
            Refusal::Chatter => f.write_str("the proxy said more than an answer"),
            Refusal::TooLong => f.write_str("the proxy's answer is too long"),
            Refusal::Closed => f.write_str("the proxy closed the connection before its answer was complete"),
            Refusal::Late => f.write_str("the proxy did not answer in time"),
        }
    }
}

impl std::error::Error for Refusal {}

impl From<Refusal> for io::Error {
    fn from(refusal: Refusal) -> Self {
        io::Error::other(refusal)
    }
}

/// Has the proxy behind `socket` lead it on to `host`; then `socket` is the server's.
pub async fn pass(socket: &Socket, proxy: Proxy<'_>, host: &str, port: u16) -> io::Result<()> {
    let negotiation = Negotiation::new(proxy, host, port);
    let deadline = Duration::from_secs(limits::CONNECT_TIME);
    match tokio::time::timeout(deadline, negotiate(socket, negotiation)).await {
        Ok(done) => done,
        Err(_) => Err(Refusal::Late.into()),
    }
}

async fn negotiate(socket: &Socket, mut negotiation: Negotiation) -> io::Result<()> {
    let mut place = [0; 512];
    loop {
        socket.write_all(&negotiation.poll_transmit()).await?;
        let n = poll_fn(|cx| socket.poll_read(cx, &mut place)).await?;
        if n == 0 {
            return Err(Refusal::Closed.into());
        }
        if negotiation.handle_bytes(place.split_at(n).0)? {
            return Ok(());
        }
    }
}

/// What is said to a proxy, and what it answers.
pub struct Negotiation {
    stage: Box<dyn Stage>,
    to_send: Words,
    /// Of an answer that is not whole yet.
    received: Vec<u8>,
}

/// What is said to a proxy: there may be a password in it.
type Words = Zeroizing<Vec<u8>>;

/// What is awaited of a proxy.
trait Stage {
    /// Takes an answer apart: its length, and what follows it. `None`: more of it is to come.
    fn read(&mut self, answer: &[u8]) -> Result<Option<(usize, Next)>, Refusal>;
}

/// What follows an answer.
enum Next {
    /// To be sent; another answer comes.
    Say(Words),
    /// The way is free.
    Done,
}

impl Negotiation {
    /// To have the proxy connect to `host`, a name or an address.
    pub fn new(proxy: Proxy<'_>, host: &str, port: u16) -> Self {
        let (stage, to_send): (Box<dyn Stage>, _) = match proxy.kind {
            Kind::Http => (Box::new(http::Connect), http::request(host, port, proxy.credentials)),
            Kind::Socks5 => {
                let dialogue = socks::Dialogue::new(host, port, proxy.credentials);
                let greeting = dialogue.greeting();
                (Box::new(dialogue), greeting)
            }
        };
        let received = Vec::new();
        Negotiation {
            stage,
            to_send,
            received,
        }
    }

    /// What is to be sent now.
    pub fn poll_transmit(&mut self) -> Zeroizing<Vec<u8>> {
        core::mem::take(&mut self.to_send)
    }

    /// Takes what the proxy sent. True: the way is free. No answer can have anything behind it, for it waits for us.
    pub fn handle_bytes(&mut self, bytes: &[u8]) -> Result<bool, Refusal> {
        self.received.extend_from_slice(bytes);
        match self.stage.read(&self.received)? {
            None if self.received.len() > limits::PROXY_ANSWER => Err(Refusal::TooLong),
            None => Ok(false),
            Some((length, _)) if length < self.received.len() => Err(Refusal::Chatter),
            Some((_, Next::Done)) => Ok(true),
            Some((_, Next::Say(words))) => {
                self.received.clear();
                self.to_send = words;
                Ok(false)
            }
        }
    }
}
