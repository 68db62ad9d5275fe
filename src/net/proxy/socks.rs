//! SOCKS 5: a greeting, maybe user and password, then the request.
//!
//! ```text
//! greeting   | 5 | count: 8 | methods …                      answer | 5 | method: 8 |
//! user       | 1 | length: 8 | user … | length: 8 | password … |    | 1 | 0: it is right |
//! request    | 5 | 1 | 0 | type: 8 | host … | port: 16 |            | 5 | code: 8 | 0 | type: 8 | host … | port: 16 |
//! ```
//! A host of type 3 is a length in 8 bits and a name, which the proxy looks up.

use std::net::IpAddr;

use super::{Next, Refusal, Stage, Words};

/// What is said, and how far it has got.
pub struct Dialogue {
    at: At,
    credentials: Option<Words>,
    request: Words,
}

enum At {
    Greeting,
    Credentials,
    Request,
}

impl Dialogue {
    /// For a way to `host`.
    pub fn new(host: &str, port: u16, credentials: Option<(&[u8], &[u8])>) -> Self {
        Dialogue {
            at: At::Greeting,
            credentials: credentials.map(|(user, password)| told(user, password)),
            request: request(host, port),
        }
    }

    /// The first words.
    pub fn greeting(&self) -> Words {
        Words::new(match self.credentials {
            Some(_) => vec![VERSION, 2, OPEN, PASSWORD],
            None => vec![VERSION, 1, OPEN],
        })
    }

    fn on_method(&mut self, method: u8) -> Result<Next, Refusal> {
        match (method, self.credentials.take()) {
            (OPEN, _) => Ok(self.ask()),
            (PASSWORD, Some(credentials)) => {
                self.at = At::Credentials;
                Ok(Next::Say(credentials))
            }
            _ => Err(Refusal::Method),
        }
    }

    fn ask(&mut self) -> Next {
        self.at = At::Request;
        Next::Say(core::mem::take(&mut self.request))
    }
}

impl Stage for Dialogue {
    fn read(&mut self, answer: &[u8]) -> Result<Option<(usize, Next)>, Refusal> {
        let version = if matches!(self.at, At::Credentials) {
            PASSWORD_VERSION
        } else {
            VERSION
        };
        if answer.first().is_some_and(|&first| first != version) {
            return Err(Refusal::Language("SOCKS 5"));
        }
        let &[_, code, ref rest @ ..] = answer else {
            return Ok(None);
        };
        let (more, next) = match (&self.at, code) {
            (At::Greeting, method) => (0, self.on_method(method)?),
            (At::Credentials, 0) => (0, self.ask()),
            (At::Credentials, _) => return Err(Refusal::Credentials),
            (At::Request, 0) => match bound(rest)? {
                Some(length) => (length, Next::Done),
                None => return Ok(None),
            },
            (At::Request, code) => return Err(Refusal::Code(code)),
        };
        Ok(Some((2 + more, next)))
    }
}

/// A code of an answer to a request.
pub fn words(code: u8) -> &'static str {
    match code {
        1 => "general failure",
        2 => "not allowed by its rules",
        3 => "network unreachable",
        4 => "host unreachable, or its name is not known",
        5 => "connection refused",
        6 => "time to live expired",
        7 => "it does not know CONNECT",
        8 => "it does not know this type of address",
        _ => "unknown reason",
    }
}

fn told(user: &[u8], password: &[u8]) -> Words {
    // At once large enough: what grows leaves copies behind.
    let mut told = Words::new(Vec::with_capacity(3 + user.len() + password.len()));
    told.push(PASSWORD_VERSION);
    put_short(&mut told, user);
    put_short(&mut told, password);
    told
}

fn request(host: &str, port: u16) -> Words {
    let mut request = Words::new(vec![VERSION, CONNECT, 0]);
    match host.parse() {
        Ok(IpAddr::V4(ip)) => {
            request.push(IPV4);
            request.extend_from_slice(&ip.octets());
        }
        Ok(IpAddr::V6(ip)) => {
            request.push(IPV6);
            request.extend_from_slice(&ip.octets());
        }
        Err(_) => {
            request.push(NAME);
            put_short(&mut request, host.as_bytes());
        }
    }
    request.extend_from_slice(&port.to_be_bytes());
    request
}

/// Who could not be written down is cut, and will not be found.
fn put_short(out: &mut Vec<u8>, bytes: &[u8]) {
    let short = bytes.split_at(bytes.len().min(usize::from(u8::MAX))).0;
    out.push(short.len() as u8);
    out.extend_from_slice(short);
}

/// Bytes of the address in an answer, from the zero before it to the port; `None`: it is not whole.
fn bound(rest: &[u8]) -> Result<Option<usize>, Refusal> {
    let length = match rest {
        [_, IPV4, ..] => 2 + 4 + 2,
        [_, IPV6, ..] => 2 + 16 + 2,
        [_, NAME, length, ..] => 3 + usize::from(*length) + 2,
        [_, NAME] | [_] | [] => return Ok(None),
        _ => return Err(Refusal::Language("SOCKS 5")),
    };
    Ok(Some(length).filter(|length| rest.len() >= *length))
}

const VERSION: u8 = 5;
const PASSWORD_VERSION: u8 = 1;
/// Methods: none, user and password.
const OPEN: u8 = 0;
const PASSWORD: u8 = 2;
const CONNECT: u8 = 1;
const IPV4: u8 = 1;
const NAME: u8 = 3;
const IPV6: u8 = 4;
