//! `host:port`, as rathole writes addresses: an IPv4 literal, an IPv6 literal in brackets, or a name.
//!
//! Only the shape is checked here. Names are resolved where they are used, again at each attempt.

use std::fmt;
use std::net::Ipv6Addr;
use std::ops::Deref;
use std::path::PathBuf;

/// What stands before a unix socket's path.
const UNIX: &str = "unix:";
/// Bytes of that path at most: `sun_path` of Linux with its zero; macOS has less, and says so.
const MAX_UNIX: usize = 107;

/// An address to listen at or to dial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPort {
    /// A literal (IPv6 without its brackets) or a name; never empty.
    pub host: String,
    /// 0 only where listening: the system chooses.
    pub port: u16,
}

impl HostPort {
    /// Parses `host:port`. The error completes a sentence that starts with `text`.
    pub fn parse(text: &str) -> Result<HostPort, String> {
        let (host, port) = split(text)?;
        let host = match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            Some(literal) => check_ipv6(literal)?,
            None => check_name(host, port)?,
        };
        Ok(HostPort {
            host: host.to_owned(),
            port: parse_port(port)?,
        })
    }

    /// Parses `host` or `host:port`, which has this port unless it says another; `None`: it cannot be reached.
    pub(super) fn with_port(host: &str, port: u16) -> Option<HostPort> {
        let (_, behind) = host.rsplit_once(']').unwrap_or(("", host));
        let parsed = match behind.contains(':') {
            true => HostPort::parse(host),
            false => HostPort::parse(&format!("{host}:{port}")),
        };
        parsed.ok().filter(|address| address.port != 0)
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (open, close) = if self.host.contains(':') { ("[", "]") } else { ("", "") };
        write!(f, "{open}{}{close}:{}", self.host, self.port)
    }
}

/// Addresses that belong together: to listen at all of them, or to dial in this order. Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addresses(pub(crate) Vec<HostPort>);

impl Addresses {
    /// The first of them.
    pub fn first(&self) -> &HostPort {
        &self.0[0]
    }
}

impl Deref for Addresses {
    type Target = [HostPort];

    fn deref(&self) -> &[HostPort] {
        &self.0
    }
}

impl fmt::Display for Addresses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, address) in self.iter().enumerate() {
            f.write_str(if index == 0 { "" } else { "," })?;
            address.fmt(f)?;
        }
        Ok(())
    }
}

/// Where a local service is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Local {
    /// In a network, mostly of this machine alone.
    Network(HostPort),
    /// At a unix socket.
    Unix(PathBuf),
}

impl Local {
    /// Parses `host:port` or `unix:/path`. The error completes a sentence that starts with `text`.
    pub fn parse(text: &str) -> Result<Local, String> {
        let Some(path) = text.strip_prefix(UNIX) else {
            return dial(text).map(Local::Network);
        };
        if !path.starts_with('/') || path.contains('\0') {
            Err("has no absolute path; expected one like `unix:/run/service.sock`".to_owned())
        } else if path.len() > MAX_UNIX {
            Err(format!(
                "has a path of more than {MAX_UNIX} bytes, which no unix socket has"
            ))
        } else {
            Ok(Local::Unix(path.into()))
        }
    }
}

impl fmt::Display for Local {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Local::Network(address) => address.fmt(f),
            Local::Unix(path) => write!(f, "{UNIX}{}", path.display()),
        }
    }
}

/// A `host:port` that can be reached.
pub(super) fn dial(text: &str) -> Result<HostPort, String> {
    match HostPort::parse(text)? {
        HostPort { port: 0, .. } => Err("has the port 0, where nothing can be reached; expected 1 to 65535".to_owned()),
        address => Ok(address),
    }
}

fn split(text: &str) -> Result<(&str, &str), String> {
    // First, because the other errors repeat the host: an open quote may have made half a file of it.
    if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err("has a character that no host name contains".to_owned());
    }
    if text.contains('/') {
        return Err("is not host:port; write it without a scheme or path, for example `example.com:2333`".to_owned());
    }
    if is_ipv6(text) {
        return Err(no_brackets(text));
    }
    if !text.is_empty() && is_number(text) {
        return Err(format!("has no host; add the host, for example `0.0.0.0:{text}`"));
    }
    match text.rsplit_once(':') {
        Some((_, port)) if port.ends_with(']') => Err(no_port(text)),
        Some((host, "")) => Err(no_port(host)),
        Some(parts) => Ok(parts),
        None => Err(no_port(text)),
    }
}

/// `::1:80` is an address as it stands, but the last group is more likely meant as the port.
fn no_brackets(text: &str) -> String {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if is_ipv6(host) && is_number(port) => (host, port),
        _ => (text, "2333"),
    };
    format!("is an IPv6 address without brackets; write `[{host}]:{port}`")
}

fn no_port(host: &str) -> String {
    let host = if host.is_empty() { "0.0.0.0" } else { host };
    format!("has no port; add the port, for example `{host}:2333`")
}

fn parse_port(port: &str) -> Result<u16, String> {
    let number = if is_number(port) { port.parse().ok() } else { None };
    number.ok_or_else(|| "has a port that is not a number from 0 to 65535".to_owned())
}

fn check_ipv6(literal: &str) -> Result<&str, String> {
    let address = literal.split_once('%').map_or(literal, |(address, _zone)| address);
    if is_ipv6(address) {
        Ok(literal)
    } else {
        Err("has brackets around something that is not an IPv6 address".to_owned())
    }
}

fn check_name<'a>(host: &'a str, port: &str) -> Result<&'a str, String> {
    let is_wrong = |b: u8| matches!(b, b'@' | b'?' | b'[' | b']' | b',');
    if host.is_empty() {
        Err(format!(
            "has no host; every address of this machine, to listen at, is `0.0.0.0:{port}` or `[::]:{port}`"
        ))
    } else if host.contains(':') {
        Err(format!("has an IPv6 address without brackets; write `[{host}]:{port}`"))
    } else if host.bytes().any(is_wrong) {
        Err("has a character that no host name contains".to_owned())
    } else if is_overflowing_ipv4(host) {
        Err("is not an IPv4 address: each of the four numbers is at most 255".to_owned())
    } else {
        Ok(host)
    }
}

fn is_ipv6(text: &str) -> bool {
    text.parse::<Ipv6Addr>().is_ok()
}

/// `u16::from_str` would take a sign, too.
fn is_number(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit())
}

fn is_overflowing_ipv4(host: &str) -> bool {
    let small = |part: &str| part.parse::<u8>().is_ok();
    host.split('.').count() == 4 && host.split('.').all(is_number) && !host.split('.').all(small)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_rathole_takes_is_taken_and_printed_back() {
        for text in [
            "0.0.0.0:2333",
            "localhost:80",
            "[::]:2333",
            "[fe80::1%eth0]:1",
            "my_box.example.:65535",
            "127.1:0",
        ] {
            assert_eq!(
                HostPort::parse(text).map(|address| address.to_string()),
                Ok(text.to_owned())
            );
        }
    }

    #[test]
    fn brackets_are_not_part_of_the_host() {
        assert_eq!(
            HostPort::parse("[::1]:80"),
            Ok(HostPort {
                host: "::1".to_owned(),
                port: 80
            })
        );
    }

    #[test]
    fn a_local_service_may_be_at_a_unix_socket() {
        let long = format!("unix:/{}", "a".repeat(MAX_UNIX - 1));
        for text in ["localhost:80", "unix:/run/a.sock", "unix:/a b", &long] {
            assert_eq!(Local::parse(text).map(|at| at.to_string()), Ok(text.to_owned()));
        }
        for (text, hint) in [
            ("unix:a.sock", "absolute path"),
            ("unix:", "absolute path"),
            ("unix:/a\0b", "absolute path"),
            (&*format!("{long}a"), "more than 107 bytes"),
            ("localhost:0", "port 0"),
            ("/run/a.sock", "is not host:port"),
        ] {
            let error = Local::parse(text).expect_err(text);
            assert!(error.contains(hint), "{text}: {error}");
        }
    }

    #[test]
    fn the_error_says_what_would_be_right() {
        for (text, hint) in [
            ("x", "for example `x:2333`"),
            ("x:", "for example `x:2333`"),
            ("[::1]", "for example `[::1]:2333`"),
            ("", "for example `0.0.0.0:2333`"),
            ("2333", "for example `0.0.0.0:2333`"),
            (":2333", "`[::]:2333`"),
            ("::1", "write `[::1]:2333`"),
            ("::", "write `[::]:2333`"),
            ("fe80::1%eth0:80", "write `[fe80::1%eth0]:80`"),
            ("2001:db8::zz:80", "write `[2001:db8::zz]:80`"),
            ("[::g]:80", "not an IPv6 address"),
            ("x:65536", "0 to 65535"),
            ("x:+1", "0 to 65535"),
            ("x:http", "0 to 65535"),
            ("http://x", "without a scheme"),
            ("::1:80", "write `[::1]:80`"),
            ("a b:80", "character"),
            ("::1\ntoken = 'x':80", "character"),
            ("10.0.0.256:80", "at most 255"),
        ] {
            let error = HostPort::parse(text).expect_err(text);
            assert!(error.contains(hint), "{text}: {error}");
        }
    }
}
