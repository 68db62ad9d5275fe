//! How a connection becomes a WebSocket: RFC 6455, section 4. One HTTP request, one answer; httparse reads both.

use base64ct::{Base64, Encoding};
use sha1::{Digest, Sha1};

use crate::config::Secret;
use crate::limits::{MAX_HEAD, MAX_HEAD_LINES};
use crate::proto::{Fault, Guess};

/// Why a server takes no request: the answer's status, and what is logged.
#[derive(Debug, PartialEq, Eq)]
pub struct Refusal {
    pub status: &'static str,
    pub text: String,
}

/// What an answer says beside yes.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    /// Bytes of it.
    pub length: usize,
    /// What the server takes for the binding of the channel below.
    pub binding: Option<String>,
}

/// Names the binding of a TLS that ends at the server itself, not at a proxy before it.
const BINDING: &str = "Pinhole-Binding";

// ---- the client ---------------------------------------------------------------------------------------------------

/// The request; `headers` are whole lines.
pub fn request(host: &str, path: &str, key: &str, headers: &[u8]) -> Vec<u8> {
    let mut head = format!(
        "GET {path} HTTP/1.1\r\n{}Connection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n",
        if names_host(headers) {
            String::new()
        } else {
            format!("Host: {host}\r\n")
        },
    )
    .into_bytes();
    head.extend_from_slice(headers);
    head.extend_from_slice(b"\r\n");
    head
}

fn names_host(headers: &[u8]) -> bool {
    headers
        .split(|&byte| byte == b'\n')
        .any(|line| line.to_ascii_lowercase().starts_with(b"host:"))
}

/// What stands in Host: the port only where it is not the scheme's own.
pub fn host(host: &str, port: u16, is_open: bool) -> String {
    let host = host.split_once('%').map_or(host, |(address, _)| address);
    let (open, close) = if host.contains(':') { ("[", "]") } else { ("", "") };
    match port == if is_open { 80 } else { 443 } {
        true => format!("{open}{host}{close}"),
        false => format!("{open}{host}{close}:{port}"),
    }
}

/// Whether a request can have this path.
pub fn is_path(path: &str) -> bool {
    path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#')
}

/// Header lines of the user's. The error completes a sentence that starts with the table of them; no value is in it.
pub fn lines(headers: &[(String, Secret)]) -> Result<Vec<u8>, String> {
    let mut lines = Vec::new();
    for (name, value) in headers {
        let value = value.as_bytes();
        if name.is_empty()
            || !name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
        {
            return Err(format!("has \"{name}\", which is no name of an HTTP header"));
        }
        if OURS.iter().any(|ours| name.eq_ignore_ascii_case(ours)) {
            return Err(format!("has {name}, which pinhole sets itself"));
        }
        if !value.iter().all(|&byte| byte == b'\t' || byte >= b' ' && byte != 0x7F) {
            return Err(format!("has a control character in {name}"));
        }
        [name.as_bytes(), b": ", value, b"\r\n"]
            .iter()
            .for_each(|part| lines.extend_from_slice(part));
    }
    match lines.len() < MAX_HEAD / 2 && headers.len() < MAX_HEAD_LINES / 2 {
        true => Ok(lines),
        false => Err("is larger than servers take".into()),
    }
}

const OURS: &[&str] = &[
    "Connection",
    "Content-Length",
    "Sec-WebSocket-Extensions",
    "Sec-WebSocket-Key",
    "Sec-WebSocket-Protocol",
    "Sec-WebSocket-Version",
    "Transfer-Encoding",
    "Upgrade",
];

/// Reads the server's answer to the request with `key`; `None`: it is not whole.
pub fn read_answer(head: &[u8], key: &str) -> Result<Option<Answer>, String> {
    if !begins(head, b"HTTP/1.1 ") && !begins(head, b"HTTP/1.0 ") {
        return Err(format!(
            "the answer is not HTTP but {}",
            Fault::Stranger(Guess::of(head))
        ));
    }
    let mut lines = [httparse::EMPTY_HEADER; MAX_HEAD_LINES];
    let mut response = httparse::Response::new(&mut lines);
    let length = match response.parse(head) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) if head.len() < MAX_HEAD => return Ok(None),
        Ok(httparse::Status::Partial) => return Err("the answer is too long".into()),
        Err(_) => return Err("the answer is not HTTP, or too long".into()),
    };
    match response.code {
        Some(101) => {}
        status => return Err(refused(status.unwrap_or_default())),
    }
    let lines = Lines(response.headers);
    if !lines.has_token("Upgrade", "websocket") || !lines.has_token("Connection", "Upgrade") {
        return Err("the answer upgrades to something that is not WebSocket".into());
    }
    if lines.get("Sec-WebSocket-Accept") != Some(accept(key).as_bytes()) {
        return Err("the answer is to another request: what answers is no WebSocket server".into());
    }
    if lines
        .get("Sec-WebSocket-Extensions")
        .is_some_and(|value| !value.is_empty())
    {
        return Err("the answer has an extension that was not asked for".into());
    }
    let binding = lines
        .get(BINDING)
        .map(|value| String::from_utf8_lossy(value).into_owned());
    Ok(Some(Answer { length, binding }))
}

fn refused(status: u16) -> String {
    let hint = match status {
        300..400 => "it sends us elsewhere, which is not followed",
        401 | 403 | 407 => "it wants credentials: see websocket.headers",
        404 => "nothing is at this path: see websocket.path",
        400 | 426 => "it got no WebSocket request: a proxy before it must pass Upgrade and Connection on",
        502..=504 => "a proxy is there, and the server behind it is not",
        _ => "101 is expected",
    };
    format!("the server, or a proxy before it, answers HTTP {status}: {hint}")
}

// ---- the server ---------------------------------------------------------------------------------------------------

/// Reads a client's request for `path`, or for any; gives its length and its key, or `None` if it is not whole.
pub fn read_request(head: &[u8], path: Option<&str>) -> Result<Option<(usize, String)>, Refusal> {
    if !begins(head, b"GET ") {
        let guess = Fault::Stranger(Guess::of(head));
        return Err(refusal(BAD_REQUEST, &format!("not a WebSocket request but {guess}")));
    }
    let mut lines = [httparse::EMPTY_HEADER; MAX_HEAD_LINES];
    let mut request = httparse::Request::new(&mut lines);
    let length = match request.parse(head) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) if head.len() < MAX_HEAD => return Ok(None),
        Ok(httparse::Status::Partial) | Err(httparse::Error::TooManyHeaders) => {
            return Err(refusal(
                "431 Request Header Fields Too Large",
                "a request that is too long",
            ));
        }
        Err(_) => return Err(refusal(BAD_REQUEST, "a broken HTTP request")),
    };
    let target = request.path.unwrap_or_default();
    if path.is_some_and(|path| path != target && Some(path) != target.split('?').next()) {
        return Err(refusal("404 Not Found", "an HTTP request for another path"));
    }
    let lines = Lines(request.headers);
    if !lines.has_token("Upgrade", "websocket") || !lines.has_token("Connection", "Upgrade") {
        return Err(refusal(
            UPGRADE_REQUIRED,
            "an HTTP request without upgrade to WebSocket",
        ));
    }
    if lines.get("Sec-WebSocket-Version") != Some(b"13") {
        return Err(refusal(UPGRADE_REQUIRED, "another version of WebSocket"));
    }
    match lines.get("Sec-WebSocket-Key").map(std::str::from_utf8) {
        Some(Ok(key)) if key.len() == KEY_LENGTH && request.version == Some(1) => Ok(Some((length, key.to_owned()))),
        _ => Err(refusal(BAD_REQUEST, "a broken WebSocket request")),
    }
}

const BAD_REQUEST: &str = "400 Bad Request";
const UPGRADE_REQUIRED: &str = "426 Upgrade Required";

/// Characters of a key: 16 bytes in base64.
const KEY_LENGTH: usize = 24;

/// The answer that takes the request with `key`; `binding`: of the channel below, if it has one.
pub fn acceptance(key: &str, binding: &[u8]) -> Vec<u8> {
    let binding = if binding.is_empty() {
        String::new()
    } else {
        format!("{BINDING}: {}\r\n", Base64::encode_string(binding))
    };
    let accept = accept(key);
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Accept: {accept}\r\n{binding}\r\n"
    )
    .into_bytes()
}

/// The answer to a request that is not taken.
pub fn rejection(refusal: &Refusal) -> Vec<u8> {
    let upgrade = match refusal.status {
        UPGRADE_REQUIRED => "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n",
        _ => "",
    };
    format!(
        "HTTP/1.1 {}\r\n{upgrade}Connection: close\r\nContent-Length: 0\r\n\r\n",
        refusal.status
    )
    .into_bytes()
}

fn refusal(status: &'static str, text: &str) -> Refusal {
    Refusal {
        status,
        text: text.to_owned(),
    }
}

// ---- both ---------------------------------------------------------------------------------------------------------

/// Whether `head`, as far as it goes, is `beginning`.
fn begins(head: &[u8], beginning: &[u8]) -> bool {
    head.iter().zip(beginning).all(|(a, b)| a == b)
}

struct Lines<'a>(&'a [httparse::Header<'a>]);

impl<'a> Lines<'a> {
    fn all(&self, name: &'static str) -> impl Iterator<Item = &'a [u8]> {
        self.0
            .iter()
            .filter(move |line| line.name.eq_ignore_ascii_case(name))
            .map(|line| line.value.trim_ascii())
    }

    fn get(&self, name: &'static str) -> Option<&'a [u8]> {
        self.all(name).next()
    }

    fn has_token(&self, name: &'static str, token: &str) -> bool {
        let mut tokens = self.all(name).flat_map(|value| value.split(|&byte| byte == b','));
        tokens.any(|found| found.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
    }
}

fn accept(key: &str) -> String {
    Base64::encode_string(
        &Sha1::new()
            .chain_update(key)
            .chain_update("258EAFA5-E914-47DA-95CA-C5AB0DC85B11")
            .finalize(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

    /// RFC 6455, section 1.3.
    #[test]
    fn the_example_of_the_rfc() {
        assert_eq!(accept(KEY), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert_eq!(Base64::encode_string(b"the sample nonce"), KEY);
    }

    #[test]
    fn request_and_answer_agree() {
        let head = request("example.com:81", "/ws", KEY, b"X-A: b\r\n");
        assert_eq!(read_request(&head, None), Ok(Some((head.len(), KEY.to_owned()))));
        assert_eq!(read_request(&head, Some("/ws")), Ok(Some((head.len(), KEY.to_owned()))));
        let with_more = [&head[..], b"more"].concat();
        assert_eq!(read_request(&with_more, None), Ok(Some((head.len(), KEY.to_owned()))));
        for binding in [&b""[..], b"abc"] {
            let head = acceptance(KEY, binding);
            let expected = if binding.is_empty() {
                None
            } else {
                Some("YWJj".to_owned())
            };
            let answer = Answer {
                length: head.len(),
                binding: expected,
            };
            assert_eq!(read_answer(&head, KEY), Ok(Some(answer)));
            (0..head.len()).for_each(|end| assert_eq!(read_answer(&head[..end], KEY), Ok(None), "{end}"));
        }
        (0..head.len()).for_each(|end| assert_eq!(read_request(&head[..end], None), Ok(None), "{end}"));
    }

    #[test]
    fn a_host_of_the_users_own_is_the_only_one() {
        let head = String::from_utf8(request("a", "/", KEY, b"HOST: b\r\n")).expect("text");
        assert!(head.contains("HOST: b\r\n") && !head.contains("Host: a"));
    }

    #[test]
    fn what_is_no_upgrade_gets_the_right_answer() {
        let status = |head: &str| {
            read_request(head.as_bytes(), Some("/ws"))
                .expect_err("a refusal")
                .status
        };
        assert_eq!(status("GET /ws HTTP/1.1\r\nHost: a\r\n\r\n"), UPGRADE_REQUIRED);
        assert_eq!(status("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), "404 Not Found");
        assert_eq!(status("POST /ws HTTP/1.1\r\n"), BAD_REQUEST);
        assert_eq!(status("\u{16}\u{3}\u{1}"), BAD_REQUEST);
        assert_eq!(status("GET /ws HTTP/1.1\r\n: x\r\n\r\n"), BAD_REQUEST);
        assert_eq!(
            status(&format!("GET /{}", "w".repeat(MAX_HEAD))),
            "431 Request Header Fields Too Large"
        );
        let head = "GET /ws HTTP/1.1\r\nUpgrade: websocket\r\nConnection: keep-alive, upgrade\r\n";
        assert_eq!(
            status(&format!("{head}Sec-WebSocket-Version: 8\r\n\r\n")),
            UPGRADE_REQUIRED
        );
        assert_eq!(status(&format!("{head}Sec-WebSocket-Version: 13\r\n\r\n")), BAD_REQUEST);
    }

    #[test]
    fn what_is_no_yes_is_a_sentence() {
        let words = |head: &str| read_answer(head.as_bytes(), KEY).expect_err("a refusal");
        assert!(words("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n").contains("502: a proxy is there"));
        assert!(words("HTTP/1.1 404 Not Found\r\n\r\n").contains("websocket.path"));
        assert!(words("SSH-2.0-x").contains("SSH"));
        assert!(words("HTTP/1.1 101 Ok\r\n\r\n").contains("not WebSocket"));
        let yes = "HTTP/1.1 101 Ok\r\nUpgrade: WebSocket\r\nConnection: upgrade\r\n";
        assert!(words(&format!("{yes}Sec-WebSocket-Accept: x\r\n\r\n")).contains("another request"));
        let accept = accept(KEY);
        let extended = format!("{yes}Sec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Extensions: x\r\n\r\n");
        assert!(words(&extended).contains("extension"));
        assert!(words(&format!("HTTP/1.1 101 {}", "x".repeat(MAX_HEAD))).contains("too long"));
    }
}
