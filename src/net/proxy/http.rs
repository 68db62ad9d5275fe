//! HTTP's CONNECT, with Basic authentication (RFC 7617).

use base64ct::{Base64, Encoding};
use zeroize::Zeroizing;

use super::{Next, Refusal, Stage, Words};
use crate::limits::MAX_REASON;

/// The request for a way to `host`.
pub fn request(host: &str, port: u16, credentials: Option<(&[u8], &[u8])>) -> Words {
    let (open, close) = if host.contains(':') { ("[", "]") } else { ("", "") };
    let to = format!("{open}{host}{close}:{port}");
    let head = format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n");
    let login = credentials.map(|(user, password)| Words::new([user, b":", password].concat()));
    let login = login.map(|login| Zeroizing::new(Base64::encode_string(&login)));
    // At once large enough: what grows leaves copies behind.
    let length = head.len() + LOGIN.len() + login.as_ref().map_or(0, |login| login.len()) + 4;
    let mut request = Words::new(Vec::with_capacity(length));
    request.extend_from_slice(head.as_bytes());
    if let Some(login) = login {
        request.extend_from_slice(LOGIN);
        request.extend_from_slice(login.as_bytes());
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"\r\n");
    request
}

/// The answer to it: a status line, then lines of no interest up to an empty one.
pub struct Connect;

impl Stage for Connect {
    fn read(&mut self, answer: &[u8]) -> Result<Option<(usize, Next)>, Refusal> {
        if !answer.iter().zip(HTTP).all(|(one, other)| one == other) {
            return Err(NOT_HTTP);
        }
        let mut lines = answer.split_inclusive(|&byte| byte == b'\n');
        let Some(status) = lines.next().filter(|line| line.ends_with(b"\n")) else {
            return Ok(None);
        };
        check_status(status)?;
        let mut taken = status.len();
        for line in lines {
            taken += line.len();
            if matches!(line, b"\r\n" | b"\n") {
                return Ok(Some((taken, Next::Done)));
            }
        }
        Ok(None)
    }
}

/// Anything but success is all that there is to know.
fn check_status(line: &[u8]) -> Result<(), Refusal> {
    let line = String::from_utf8_lossy(line);
    let mut words = line.trim_end().splitn(3, ' ').skip(1);
    let code = words
        .next()
        .filter(|code| code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_digit()));
    let code = code.and_then(|code| code.parse::<u16>().ok()).ok_or(NOT_HTTP)?;
    match code {
        200..300 => Ok(()),
        _ => Err(Refusal::Status(
            code,
            words.next().unwrap_or_default().chars().take(MAX_REASON).collect(),
        )),
    }
}

const LOGIN: &[u8] = b"Proxy-Authorization: Basic ";
const HTTP: &[u8] = b"HTTP/1.";
const NOT_HTTP: Refusal = Refusal::Language("HTTP");
