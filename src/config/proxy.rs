//! A proxy's URL, `scheme://[user:password@]host[:port]`. No error repeats a piece of it: any may be of the password.

use super::{HostPort, Proxy, ProxyKind, Secret};

impl Proxy {
    /// Parses a URL. The error completes a sentence that starts with the key.
    pub fn parse(url: &str) -> Result<Proxy, String> {
        parse(url).map_err(|what| format!("{what}; expected one like \"socks5://user:password@example.com:1080\""))
    }
}

fn parse(url: &str) -> Result<Proxy, &'static str> {
    let (scheme, rest) = url.split_once("://").ok_or("is not a URL")?;
    let (kind, port) = match scheme.to_ascii_lowercase().as_str() {
        "http" => (ProxyKind::Http, 80),
        "socks5" | "socks5h" => (ProxyKind::Socks5, 1080),
        _ => return Err("has a scheme that is none of http, socks5, socks5h"),
    };
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    if rest.contains(['/', '?', '#']) {
        return Err("has something behind host and port (in user and password `/` is %2F, `?` %3F, `#` %23)");
    }
    let (user, host) = match rest.rsplit_once('@') {
        Some((user, host)) => (Some(user), host),
        None => (None, rest),
    };
    Ok(Proxy {
        kind,
        address: address(host, port)?,
        credentials: user.map(|user| credentials(kind, user)).transpose()?,
    })
}

fn address(host: &str, port: u16) -> Result<HostPort, &'static str> {
    const WRONG: &str = "has no host and port that can be reached (in user and password `@` is %40, `:` %3A)";
    HostPort::with_port(host, port).ok_or(WRONG)
}

fn credentials(kind: ProxyKind, text: &str) -> Result<(Secret, Secret), &'static str> {
    let (user, password) = text.split_once(':').unwrap_or((text, ""));
    let (user, password) = (decoded(user)?, decoded(password)?);
    match kind {
        _ if user.is_empty() => Err("has no user before the `@`"),
        _ if user.len().max(password.len()) > MAX_WORD => Err("has a user or password of more than 255 bytes"),
        ProxyKind::Http if user.contains(&b':') => Err("has a user with a `:`, which HTTP cannot carry"),
        _ => Ok((Secret::from(user), Secret::from(password))),
    }
}

fn decoded(text: &str) -> Result<Vec<u8>, &'static str> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => hexadecimal(rest.next(), rest.next())?,
            plain => plain,
        });
    }
    Ok(bytes)
}

fn hexadecimal(high: Option<u8>, low: Option<u8>) -> Result<u8, &'static str> {
    let digit = |byte: Option<u8>| char::from(byte?).to_digit(16)?.try_into().ok();
    let both: Option<(u8, u8)> = digit(high).zip(digit(low));
    both.map(|(high, low)| high << 4 | low)
        .ok_or("has a `%` in user or password that is not followed by two hexadecimal digits (`%` is %25)")
}

/// Bytes of user and of password at most: what SOCKS 5 carries.
const MAX_WORD: usize = 255;

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str) -> Proxy {
        Proxy::parse(url).unwrap_or_else(|error| panic!("{url}: {error}"))
    }

    #[test]
    fn the_scheme_has_its_port() {
        for (url, kind, address) in [
            ("http://proxy", ProxyKind::Http, "proxy:80"),
            ("HTTP://proxy:3128/", ProxyKind::Http, "proxy:3128"),
            ("socks5://192.0.2.1", ProxyKind::Socks5, "192.0.2.1:1080"),
            ("socks5h://[::1]", ProxyKind::Socks5, "[::1]:1080"),
            ("socks5://[2001:db8::1]:9", ProxyKind::Socks5, "[2001:db8::1]:9"),
        ] {
            let proxy = read(url);
            assert_eq!(
                (proxy.kind, proxy.address.to_string()),
                (kind, address.to_owned()),
                "{url}"
            );
            assert!(proxy.credentials.is_none());
        }
    }

    #[test]
    fn user_and_password_are_decoded() {
        for (words, user, password) in [
            ("me:secret", "me", "secret"),
            ("me", "me", ""),
            ("me:a:b", "me", "a:b"),
            ("m%40e:%3a%2F%25%c3%A4@", "m@e", ":/%ä@"),
        ] {
            let expected = Some((Secret::from(user), Secret::from(password)));
            assert!(read(&format!("socks5://{words}@h")).credentials == expected, "{words}");
        }
    }

    #[test]
    fn an_error_says_what_is_wrong_and_nothing_of_the_secret() {
        let long = format!("http://hunter2:{}@h", "x".repeat(256));
        for (url, hint) in [
            ("hunter2", "not a URL"),
            ("", "not a URL"),
            ("https://hunter2@h", "scheme"),
            ("hunter2://h", "scheme"),
            ("http://", "no host"),
            ("http://:80", "no host"),
            ("http://u:hunter2@", "no host"),
            ("http://h:0", "no host"),
            ("http://h:65536", "no host"),
            ("http://h:", "no host"),
            ("http://::1", "no host"),
            ("http://u:hunter2@hunter2:x", "no host"),
            ("http://u:hunter2/x@h", "%2F"),
            ("http://h/path", "%2F"),
            ("http://:hunter2@h", "no user"),
            ("http://a%3Ab:hunter2@h", "HTTP"),
            ("http://u:%hunter2@h", "%25"),
            ("http://u:hunter2%4@h", "%25"),
            (&long, "255"),
        ] {
            let error = Proxy::parse(url).expect_err(url);
            assert!(
                error.contains(hint) && error.contains("socks5://user:password@"),
                "{url}: {error}"
            );
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
