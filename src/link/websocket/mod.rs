//! WebSocket (RFC 6455), so that a link passes where only HTTP does: through a proxy, or beside a site on its port.
//!
//! ```text
//! mod      a link's cover
//! upgrade  the HTTP request and answer that it begins with
//! frame    what carries bytes afterwards: binary messages, one for each write
//! ```
//!
//! Frames are our own. tungstenite gives whole messages alone, which a link would have to hold; its codec for headers
//! leaves masks and pieces to be done here all the same, and its server has no answer for a plain GET.
//!
//! # What proofs are bound to
//!
//! Where TLS runs below, it may end at a proxy before the server, and the two ends see different channels. A server
//! that speaks TLS itself says so in its answer, and how it sees the channel; then both bind their proofs to it. A
//! server behind a proxy says nothing, and nothing is bound. Whoever takes that word away, or adds it, gains nothing:
//! the server binds as it said.

mod frame;
mod upgrade;

use base64ct::{Base64, Encoding};

use super::{Torn, Unfit};
use crate::config;
use crate::proto::{Channel, End};

use frame::{Breach, Control, Reader};

/// How the links of this process speak WebSocket.
pub struct Setup {
    below: Box<super::Setup>,
    path: Option<String>,
    headers: Vec<u8>,
}

/// One link's WebSocket.
pub struct Cover {
    below: super::Cover,
    upgrade: Option<Upgrade>,
    is_bound: bool,
    frames: Frames,
    framed: Vec<u8>,
    opened: Vec<u8>,
}

/// The HTTP part, under way.
struct Upgrade {
    received: Vec<u8>,
    /// Of a client's request.
    key: String,
    /// The only one that a server takes.
    path: Option<String>,
}

/// What follows it.
struct Frames {
    end: End,
    reader: Reader,
    /// What this end has to say beside the byte stream: the HTTP part too.
    due: Vec<u8>,
    /// The last ping that was not answered yet; earlier ones need no answer.
    ping: Option<Vec<u8>>,
    has_closed: bool,
    is_over: bool,
}

impl Setup {
    pub fn from_websocket(config: &config::Websocket, mut below: super::Setup) -> Result<Setup, Unfit> {
        let path = config.path.clone();
        if path.as_deref().is_some_and(|path| !upgrade::is_path(path)) {
            let text = "is not a path; expected one like \"/tunnel\"".into();
            return Err(Unfit {
                key: "websocket.path",
                text,
            });
        }
        let headers = upgrade::lines(&config.headers).map_err(|text| Unfit {
            key: "websocket.headers",
            text,
        })?;
        if let super::Setup::Tls(tls) = &mut below {
            tls.carry(b"http/1.1");
        }
        Ok(Setup {
            below: Box::new(below),
            path,
            headers,
        })
    }

    /// What it runs on.
    pub fn below(&self) -> &super::Setup {
        &self.below
    }

    pub fn cover(&self, end: End, host: &str, port: u16) -> Result<Cover, Torn> {
        let below = self.below.cover(end, host, port)?;
        let mut upgrade = Upgrade {
            received: Vec::new(),
            key: String::new(),
            path: self.path.clone(),
        };
        let mut frames = Frames::new(end);
        if end == End::Client {
            let host = upgrade::host(host, port, self.below.is_open());
            upgrade.key = Base64::encode_string(&random::<16>()?);
            let path = self.path.as_deref().unwrap_or("/");
            frames.due = upgrade::request(&host, path, &upgrade.key, &self.headers);
        }
        let (framed, opened) = (Vec::new(), Vec::new());
        Ok(Cover {
            below,
            upgrade: Some(upgrade),
            is_bound: false,
            frames,
            framed,
            opened,
        })
    }
}

impl Cover {
    pub fn is_ready(&self) -> bool {
        self.upgrade.is_none()
    }

    pub fn is_over(&self) -> bool {
        self.frames.is_over || self.below.is_over()
    }

    pub fn channel(&self) -> Channel {
        let binding = if self.is_bound {
            self.below.channel().binding
        } else {
            Vec::new()
        };
        Channel {
            label: "websocket",
            binding,
        }
    }

    pub fn seal<'a>(&'a mut self, plain: &'a [u8]) -> Result<&'a [u8], Torn> {
        self.framed.clear();
        if !plain.is_empty() {
            frame::put(&mut self.framed, frame::BINARY, plain, self.frames.mask()?);
        }
        self.below.seal(&self.framed)
    }

    pub fn open<'a>(&'a mut self, wire: &'a [u8]) -> Result<&'a [u8], Torn> {
        self.opened.clear();
        let below = self.below.open(wire)?;
        match &mut self.upgrade {
            None => self.frames.read(below, &mut self.opened)?,
            Some(upgrade) => {
                upgrade.received.extend_from_slice(below);
                let first = self.advance()?;
                self.frames.read(&first, &mut self.opened)?;
            }
        }
        Ok(&self.opened)
    }

    pub fn poll_output(&mut self, out: &mut Vec<u8>) {
        self.below.poll_output(out);
        if !self.below.is_ready() {
            return;
        }
        self.frames.answer();
        if !self.frames.due.is_empty() {
            // If nothing can be sealed any more, then nothing can be said.
            out.extend_from_slice(self.below.seal(&self.frames.due).unwrap_or_default());
            self.frames.due = Vec::new();
        }
    }

    pub fn close(&mut self) {
        self.frames.close(frame::NORMAL);
    }

    pub fn relax(&mut self) {
        self.framed = Vec::new();
        self.opened = Vec::new();
        self.below.relax();
    }

    /// Goes on with the HTTP part; gives what came behind it.
    fn advance(&mut self) -> Result<Vec<u8>, Torn> {
        let length = match self.frames.end {
            End::Client => self.read_answer()?,
            End::Server => self.read_request()?,
        };
        match (length, self.upgrade.take()) {
            (Some(length), Some(mut upgrade)) => Ok(upgrade.received.split_off(length)),
            (_, upgrade) => {
                self.upgrade = upgrade;
                Ok(Vec::new())
            }
        }
    }

    fn read_answer(&mut self) -> Result<Option<usize>, Torn> {
        let Some(Upgrade { received, key, .. }) = &self.upgrade else {
            return Ok(None);
        };
        let Some(answer) = upgrade::read_answer(received, key).map_err(Torn)? else {
            return Ok(None);
        };
        if let Some(binding) = answer.binding {
            if binding != Base64::encode_string(&self.below.channel().binding) {
                return Err(Torn(ENDS_BEFORE.into()));
            }
            self.is_bound = true;
        }
        Ok(Some(answer.length))
    }

    fn read_request(&mut self) -> Result<Option<usize>, Torn> {
        let Some(Upgrade { received, path, .. }) = &self.upgrade else {
            return Ok(None);
        };
        match upgrade::read_request(received, path.as_deref()) {
            Ok(None) => Ok(None),
            Ok(Some((length, key))) => {
                self.is_bound = true;
                self.frames.due = upgrade::acceptance(&key, &self.channel().binding);
                Ok(Some(length))
            }
            Err(refusal) => {
                self.frames.due = upgrade::rejection(&refusal);
                Err(Torn(refusal.text))
            }
        }
    }
}

const ENDS_BEFORE: &str = "TLS ends before the server, which speaks TLS itself: let it speak WebSocket without TLS \
                           (websocket.tls = false) behind the proxy";

impl Frames {
    fn new(end: End) -> Frames {
        let reader = Reader::new(end == End::Server);
        Frames {
            end,
            reader,
            due: Vec::new(),
            ping: None,
            has_closed: false,
            is_over: false,
        }
    }

    fn read(&mut self, mut wire: &[u8], payload: &mut Vec<u8>) -> Result<(), Torn> {
        while !self.is_over {
            match self.reader.read(&mut wire, payload) {
                Ok(None) => break,
                Ok(Some(Control::Ping(payload))) => self.ping = Some(payload),
                Ok(Some(Control::Pong)) => {}
                Ok(Some(Control::Close)) => {
                    self.is_over = true;
                    self.close(frame::NORMAL);
                }
                Err(Breach { code, text }) => {
                    self.close(code);
                    return Err(Torn(format!("the peer is not in order with WebSocket: it {text}")));
                }
            }
        }
        Ok(())
    }

    fn answer(&mut self) {
        if let Some(ping) = self.ping.take().filter(|_| !self.has_closed) {
            self.say(frame::PONG, &ping);
        }
    }

    fn close(&mut self, code: u16) {
        if !self.has_closed {
            self.answer();
            self.say(frame::CLOSE, &code.to_be_bytes());
            self.has_closed = true;
        }
    }

    /// Without random numbers, which do not fail later when they did not before, it stays unsaid.
    fn say(&mut self, opcode: u8, payload: &[u8]) {
        if let Ok(mask) = self.mask() {
            frame::put(&mut self.due, opcode, payload, mask);
        }
    }

    /// A client masks its frames, so that no proxy takes them for HTTP.
    fn mask(&self) -> Result<Option<[u8; 4]>, Torn> {
        match self.end {
            End::Client => random().map(Some),
            End::Server => Ok(None),
        }
    }
}

fn random<const N: usize>() -> Result<[u8; N], Torn> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| Torn(format!("no random numbers: {error}")))?;
    Ok(bytes)
}
