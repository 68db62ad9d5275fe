//! `host:port`, as rathole writes addresses: an IPv4 literal, an IPv6 literal in brackets, or a name.
//!
//! Only the shape is checked here. Names are resolved where they are used, again at each attempt.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

/// The longest name DNS can carry, in bytes (RFC 1035 §2.3.4, without the trailing dot's octet).
const MAX_HOST: usize = 253;

/// An address to listen at or to dial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPort {
    /// A literal (IPv6 without its brackets) or a name; never empty.
    pub host: String,
    /// 0 only where listening.
    pub port: u16,
}

impl HostPort {
    /// Parses `host:port`. The error completes the sentence "`text` …".
    pub fn parse(text: &str) -> Result<HostPort, String> {
        let (host, port) = split(text)?;
        let host = match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            Some(literal) => ipv6(literal)?,
            None => name(host)?,
        };
        let port = port.parse().map_err(|_| format!("has the port `{port}`; a port is a number from 0 to 65535"))?;
        Ok(HostPort { host: host.to_owned(), port })
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

fn split(text: &str) -> Result<(&str, &str), String> {
    if text.parse::<Ipv6Addr>().is_ok() {
        return Err(format!("is an IPv6 address without a port; write it in brackets and add the port, for example `[{text}]:2333`"));
    }
    match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => Ok((host, port)),
        _ => Err(format!("has no port; add the port, for example `{}:2333`", if text.is_empty() { "0.0.0.0" } else { text })),
    }
}

fn ipv6(literal: &str) -> Result<&str, String> {
    let address = literal.split_once('%').map_or(literal, |(address, _zone)| address);
    match address.parse::<Ipv6Addr>() {
        Ok(_) => Ok(literal),
        Err(_) => Err("has something in brackets that is not an IPv6 address".to_owned()),
    }
}

fn name(host: &str) -> Result<&str, String> {
    Ok(host)
}
