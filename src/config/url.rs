//! A webhook's URL, `http://host[:port][/path]`. No error repeats a piece of it: a path may be a password.

use std::fmt;

use super::{HostPort, Secret};
use crate::limits::MAX_WEBHOOK;

/// Where something is posted. Never printed but for its host.
#[derive(Clone, PartialEq, Eq)]
pub struct Url {
    /// Whether TLS runs under it.
    pub is_tls: bool,
    /// Whom to connect to.
    pub address: HostPort,
    /// Host and port as the URL has them, for the `Host` line.
    pub host: String,
    /// Path and query; begins with `/`.
    pub path: Secret,
}

impl Url {
    /// Parses a URL. The error completes a sentence that starts with the key.
    pub fn parse(url: &str) -> Result<Url, String> {
        parse(url).map_err(|what| format!("{what}; expected one like \"https://example.com/alert\""))
    }
}

fn parse(url: &str) -> Result<Url, &'static str> {
    if url.len() > MAX_WEBHOOK {
        return Err("is too long");
    }
    if !url.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("has a blank or a character that no URL contains");
    }
    let (is_tls, port, rest) = match url.split_once("://") {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => (false, 80, rest),
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => (true, 443, rest),
        _ => return Err("has a scheme that is neither http nor https"),
    };
    let rest = rest.split('#').next().unwrap_or(rest);
    let at = rest.find(['/', '?']).unwrap_or(rest.len());
    let (host, path) = rest.split_at(at);
    if host.contains('@') {
        return Err("has a user before its host; what is secret can stand in the path");
    }
    let slash = if path.starts_with('/') { "" } else { "/" };
    Ok(Url {
        is_tls,
        address: HostPort::with_port(host, port).ok_or("has no host and port that can be reached")?,
        host: host.to_owned(),
        path: Secret::from(format!("{slash}{path}").into_bytes()),
    })
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_tls { "https" } else { "http" };
        write!(f, "{scheme}://{}", self.host)
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart() {
        for (text, address, path) in [
            ("http://a.example", "a.example:80", "/"),
            ("https://a.example/x?y=z#w", "a.example:443", "/x?y=z"),
            ("HTTP://192.0.2.1:8080?q", "192.0.2.1:8080", "/?q"),
            ("http://[2001:db8::1]/x", "[2001:db8::1]:80", "/x"),
        ] {
            let url = Url::parse(text).unwrap();
            assert_eq!(
                (&*url.address.to_string(), url.path.as_bytes()),
                (address, path.as_bytes())
            );
            assert_eq!(url.is_tls, text.starts_with("https"));
        }
    }

    #[test]
    fn what_is_none_is_not_repeated() {
        let long = format!("http://x/{}", "hunter2".repeat(MAX_WEBHOOK));
        for text in [
            "hunter2",
            "ftp://hunter2",
            "http:///hunter2",
            "http://me:hunter2@x/",
            "http://x:0/hunter2",
            "http://x/hunter2 y",
            "http://x/\r\nhunter2",
            &long,
        ] {
            let error = Url::parse(text).unwrap_err();
            assert!(
                error.contains("expected one like") && !error.contains("hunter2"),
                "{error}"
            );
        }
        let url = Url::parse("http://x/hunter2").unwrap();
        assert_eq!(format!("{url} {url:?}"), "http://x http://x");
    }
}
