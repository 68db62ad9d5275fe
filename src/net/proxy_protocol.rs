//! The PROXY protocol, versions 1 and 2: a header before a connection's first byte that says who is at its far end.
//! Pure: bytes in, bytes out. Its specification is `proxy-protocol.txt` of HAProxy.
//!
//! ```text
//! v1   PROXY TCP4|TCP6 source destination source-port destination-port CR LF         PROXY UNKNOWN CR LF
//! v2   | 0D 0A 0D 0A 00 0D 0A 51 55 49 54 0A | 2: 4 | command: 4 | family: 4 | protocol: 4 | length: 16 |
//!      | source | destination | source port: 16 | destination port: 16 | more, skipped …
//! ```
//! Towards a local service each connection begins with one header, and each datagram (v2 alone) too: a datagram that is
//! lost must not take the address of the others with it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use crate::limits::PROXY_HEADER;
use crate::proto::{Protocol, Visit};

/// How a header is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// As a line of text; for TCP alone.
    V1,
    /// In binary.
    V2,
}

/// A header that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Its bytes; what follows them is the visitor's.
    pub length: usize,
    /// Whom it names; nobody when the sender speaks for itself, as in a health check.
    pub visit: Visit,
}

/// Why bytes are no header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// They begin like none.
    Signature,
    /// A line that is not as it has to be.
    Line,
    /// A version, command, family or protocol that nobody may send, or too short for its addresses.
    Binary,
    /// More than is taken.
    TooLong,
}

impl Malformed {
    /// In a sentence.
    pub fn words(self) -> &'static str {
        match self {
            Malformed::Signature => "it does not begin with a PROXY protocol header",
            Malformed::Line => "its PROXY protocol header (v1) is not in order",
            Malformed::Binary => "its PROXY protocol header (v2) is not in order",
            Malformed::TooLong => "its PROXY protocol header is too long",
        }
    }
}

/// The header for a visitor. Without its address: one that says that nobody is known. Version 1 cannot be for datagrams.
pub fn proxy_header(version: Version, protocol: Protocol, visit: Visit) -> Vec<u8> {
    match (version, Ends::of(visit)) {
        (Version::V1, None) => b"PROXY UNKNOWN\r\n".to_vec(),
        (Version::V1, Some(ends)) => ends.line(),
        (Version::V2, None) => binary(LOCAL, 0, &[]),
        (Version::V2, Some(ends)) => ends.binary(protocol),
    }
}

/// Reads the header at the start of `bytes`; `None`: it may become one.
pub fn parse(bytes: &[u8]) -> Result<Option<Header>, Malformed> {
    if starts_alike(bytes, SIGNATURE) {
        return if bytes.len() < HEAD {
            Ok(None)
        } else {
            parse_binary(bytes)
        };
    }
    if starts_alike(bytes, NAME) {
        return parse_line(bytes);
    }
    Err(Malformed::Signature)
}

/// Both ends of a connection, of one family.
struct Ends {
    from: SocketAddr,
    to: SocketAddr,
}

impl Ends {
    /// An unknown destination is the unspecified address; when one end is IPv6, both are.
    fn of(visit: Visit) -> Option<Ends> {
        let from = canonical(visit.from?);
        let to = visit.to.map_or(SocketAddr::new(unspecified(from.ip()), 0), canonical);
        if from.is_ipv4() == to.is_ipv4() {
            return Some(Ends { from, to });
        }
        Some(Ends {
            from: mapped(from),
            to: mapped(to),
        })
    }

    fn line(&self) -> Vec<u8> {
        let (Ends { from, to }, family) = (self, if self.from.is_ipv4() { "TCP4" } else { "TCP6" });
        format!(
            "PROXY {family} {} {} {} {}\r\n",
            from.ip(),
            to.ip(),
            from.port(),
            to.port()
        )
        .into_bytes()
    }

    fn binary(&self, protocol: Protocol) -> Vec<u8> {
        let family = if self.from.is_ipv4() { INET } else { INET6 };
        let protocol = match protocol {
            Protocol::Tcp => STREAM,
            Protocol::Udp => DATAGRAM,
        };
        let mut ends = Vec::new();
        put_ip(&mut ends, self.from.ip());
        put_ip(&mut ends, self.to.ip());
        ends.extend_from_slice(&self.from.port().to_be_bytes());
        ends.extend_from_slice(&self.to.port().to_be_bytes());
        binary(PROXY, family << 4 | protocol, &ends)
    }
}

fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

fn unspecified(like: IpAddr) -> IpAddr {
    match like {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    }
}

fn mapped(address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) => SocketAddr::new(ip.to_ipv6_mapped().into(), address.port()),
        IpAddr::V6(_) => address,
    }
}

fn put_ip(out: &mut Vec<u8>, ip: IpAddr) {
    match ip {
        IpAddr::V4(ip) => out.extend_from_slice(&ip.octets()),
        IpAddr::V6(ip) => out.extend_from_slice(&ip.octets()),
    }
}

fn binary(command: u8, about: u8, ends: &[u8]) -> Vec<u8> {
    let mut header = SIGNATURE.to_vec();
    header.extend_from_slice(&[VERSION << 4 | command, about, 0, ends.len() as u8]);
    header.extend_from_slice(ends);
    header
}

/// Whether `bytes` and `start` do not differ as far as both go.
fn starts_alike(bytes: &[u8], start: &[u8]) -> bool {
    bytes.iter().zip(start).all(|(one, other)| one == other)
}

fn parse_binary(bytes: &[u8]) -> Result<Option<Header>, Malformed> {
    let Some(([.., what, about, l0, l1], rest)) = bytes.split_first_chunk::<HEAD>() else {
        return Ok(None);
    };
    let length = usize::from(u16::from_be_bytes([*l0, *l1]));
    let (command, family, protocol) = (what & 0xF, about >> 4, about & 0xF);
    if what >> 4 != VERSION || command > PROXY || family > UNIX || protocol > DATAGRAM {
        return Err(Malformed::Binary);
    }
    if HEAD + length > PROXY_HEADER {
        return Err(Malformed::TooLong);
    }
    let Some((ends, _)) = rest.split_at_checked(length) else {
        return Ok(None);
    };
    let visit = match (command, family) {
        (PROXY, INET) => take_ends::<4>(ends)?,
        (PROXY, INET6) => take_ends::<16>(ends)?,
        _ => Visit::default(),
    };
    Ok(Some(Header {
        length: HEAD + length,
        visit,
    }))
}

fn take_ends<const N: usize>(bytes: &[u8]) -> Result<Visit, Malformed>
where
    IpAddr: From<[u8; N]>,
{
    let taken = || {
        let (from, rest) = bytes.split_first_chunk::<N>()?;
        let (to, rest) = rest.split_first_chunk::<N>()?;
        let ([f0, f1, t0, t1], _) = rest.split_first_chunk::<4>()?;
        let end = |ip: &[u8; N], port| canonical(SocketAddr::new(IpAddr::from(*ip), u16::from_be_bytes(port)));
        Some(Visit {
            from: Some(end(from, [*f0, *f1])),
            to: Some(end(to, [*t0, *t1])),
        })
    };
    taken().ok_or(Malformed::Binary)
}

fn parse_line(bytes: &[u8]) -> Result<Option<Header>, Malformed> {
    let Some(end) = bytes.iter().take(LINE).position(|&byte| byte == b'\n') else {
        return if bytes.len() < LINE {
            Ok(None)
        } else {
            Err(Malformed::TooLong)
        };
    };
    let line = bytes.split_at(end).0.strip_suffix(b"\r").ok_or(Malformed::Line)?;
    let line = std::str::from_utf8(line).map_err(|_| Malformed::Line)?;
    let visit = line_visit(line).ok_or(Malformed::Line)?;
    Ok(Some(Header { length: end + 1, visit }))
}

/// What stands behind UNKNOWN is to be ignored.
fn line_visit(line: &str) -> Option<Visit> {
    let mut words = line.split(' ').skip(1);
    let read = match words.next()? {
        "UNKNOWN" => return Some(Visit::default()),
        "TCP4" => address::<Ipv4Addr>,
        "TCP6" => address::<Ipv6Addr>,
        _ => return None,
    };
    let (from, to) = (read(words.next()?)?, read(words.next()?)?);
    let (from_port, to_port) = (port(words.next()?)?, port(words.next()?)?);
    let end = |ip, port| Some(canonical(SocketAddr::new(ip, port)));
    words.next().is_none().then(|| Visit {
        from: end(from, from_port),
        to: end(to, to_port),
    })
}

fn address<T: FromStr + Into<IpAddr>>(word: &str) -> Option<IpAddr> {
    word.parse::<T>().ok().map(Into::into)
}

/// A number as the specification writes it: no sign, no zero before it.
fn port(word: &str) -> Option<u16> {
    let is_plain = word.bytes().all(|byte| byte.is_ascii_digit()) && (word == "0" || !word.starts_with('0'));
    if is_plain { word.parse().ok() } else { None }
}

const NAME: &[u8] = b"PROXY ";
/// Bytes of a line at most, its end included.
const LINE: usize = 107;
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// Bytes of a binary header before the addresses.
const HEAD: usize = 16;
const VERSION: u8 = 2;
const LOCAL: u8 = 0;
const PROXY: u8 = 1;
const INET: u8 = 1;
const INET6: u8 = 2;
const UNIX: u8 = 3;
const STREAM: u8 = 1;
const DATAGRAM: u8 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    fn visit(from: &str, to: &str) -> Visit {
        Visit {
            from: from.parse().ok(),
            to: to.parse().ok(),
        }
    }

    /// The header for `given` reads as `told`.
    fn round(version: Version, given: Visit, told: Visit) {
        let header = proxy_header(version, Protocol::Tcp, given);
        let length = header.len();
        assert_eq!(
            parse(&[&header[..], b"GET /"].concat()),
            Ok(Some(Header { length, visit: told }))
        );
        for n in 0..length {
            assert_eq!(parse(&header[..n]), Ok(None), "{n} bytes of {header:?}");
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let unknown = Visit::default();
        for version in [Version::V1, Version::V2] {
            for told in [
                visit("192.0.2.1:56324", "198.51.100.1:443"),
                visit("[2001:db8::1]:0", "[::1]:65535"),
                unknown,
            ] {
                round(version, told, told);
            }
            let given = visit("[::ffff:192.0.2.1]:5", "198.51.100.1:443");
            round(version, given, visit("192.0.2.1:5", "198.51.100.1:443"));
            round(version, visit("192.0.2.1:5", "?"), visit("192.0.2.1:5", "0.0.0.0:0"));
            round(version, visit("?", "192.0.2.1:5"), unknown);
            // On the wire both ends are of one family; the reader sees the IPv4 address again.
            let mixed = visit("192.0.2.1:5", "[2001:db8::1]:6");
            round(version, mixed, mixed);
        }
    }

    #[test]
    fn headers_as_the_specification_shows_them() {
        let seen = visit("192.0.2.1:56324", "198.51.100.1:443");
        let line = proxy_header(Version::V1, Protocol::Tcp, seen);
        assert_eq!(line, b"PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n");
        let line = proxy_header(Version::V1, Protocol::Tcp, visit("[2001:db8::1]:1", "192.0.2.1:2"));
        assert_eq!(line, b"PROXY TCP6 2001:db8::1 ::ffff:192.0.2.1 1 2\r\n");
        let ends = [192, 0, 2, 1, 198, 51, 100, 1, 0xDC, 0x04, 0x01, 0xBB];
        let binary = |protocol| proxy_header(Version::V2, protocol, seen);
        assert_eq!(binary(Protocol::Tcp), [SIGNATURE, &[0x21, 0x11, 0, 12], &ends].concat());
        assert_eq!(binary(Protocol::Udp), [SIGNATURE, &[0x21, 0x12, 0, 12], &ends].concat());
        let nobody = proxy_header(Version::V2, Protocol::Udp, Visit::default());
        assert_eq!(nobody, [SIGNATURE, &[0x20, 0, 0, 0]].concat());
    }

    #[test]
    fn a_line_that_is_not_in_order() {
        for (line, fault) in [
            ("GET / HTTP/1.1\r\n", Malformed::Signature),
            ("proxy TCP4 1.1.1.1 2.2.2.2 1 2\r\n", Malformed::Signature),
            ("PROXY\r\n", Malformed::Signature),
            ("PROXY \r\n", Malformed::Line),
            ("PROXY TCP4 1.1.1.1 2.2.2.2 1 2\n", Malformed::Line),
            ("PROXY TCP4 1.1.1.1 2.2.2.2 1\r\n", Malformed::Line),
            ("PROXY TCP4 1.1.1.1 2.2.2.2 1 2 3\r\n", Malformed::Line),
            ("PROXY TCP4  1.1.1.1 2.2.2.2 1 2\r\n", Malformed::Line),
            ("PROXY TCP4 1.1.1.1 2.2.2.2 1 65536\r\n", Malformed::Line),
            ("PROXY TCP4 1.1.1.1 2.2.2.2 01 2\r\n", Malformed::Line),
            ("PROXY TCP4 1.1.1.1 2.2.2.2 +1 2\r\n", Malformed::Line),
            ("PROXY TCP4 1.1.1.1 2.2.2.2  2\r\n", Malformed::Line),
            ("PROXY TCP4 ::1 ::1 1 2\r\n", Malformed::Line),
            ("PROXY TCP6 1.1.1.1 2.2.2.2 1 2\r\n", Malformed::Line),
            ("PROXY UDP4 1.1.1.1 2.2.2.2 1 2\r\n", Malformed::Line),
            ("PROXY TCP4 1.1.1.256 2.2.2.2 1 2\r\n", Malformed::Line),
        ] {
            assert_eq!(parse(line.as_bytes()), Err(fault), "{line:?}");
        }
        let unknown = Header {
            length: 27,
            visit: Visit::default(),
        };
        assert_eq!(
            parse(b"PROXY UNKNOWN and whatever\r\n"),
            Ok(Some(Header { length: 28, ..unknown }))
        );
        let long = [b"PROXY UNKNOWN ", &[b'x'; 100][..]].concat();
        assert_eq!(parse(&long), Err(Malformed::TooLong));
        assert_eq!(parse(b"PROXY \xff\r\n"), Err(Malformed::Line));
    }

    #[test]
    fn a_binary_header_that_is_not_in_order() {
        let header = |what, about, length: u16| {
            let [l0, l1] = length.to_be_bytes();
            parse(&[SIGNATURE, &[what, about, l0, l1], &vec![1; length.into()]].concat())
        };
        for (what, about, length) in [(0x11, 0x11, 12), (0x31, 0x11, 12), (0x22, 0x11, 12), (0x21, 0x41, 12)] {
            assert_eq!(header(what, about, length), Err(Malformed::Binary));
        }
        assert_eq!(header(0x21, 0x13, 12), Err(Malformed::Binary));
        assert_eq!(header(0x21, 0x11, 11), Err(Malformed::Binary));
        assert_eq!(header(0x21, 0x21, 35), Err(Malformed::Binary));
        assert_eq!(header(0x21, 0x11, PROXY_HEADER as u16), Err(Malformed::TooLong));
        assert_eq!(parse(b"\r\n\r\n\0\r\nQUIX"), Err(Malformed::Signature));
    }

    #[test]
    fn a_binary_header_may_say_more_and_may_say_nothing() {
        let header = |what, about, rest: &[u8]| {
            parse(&[SIGNATURE, &[what, about, 0, rest.len() as u8], rest].concat()).map(|read| read.expect("a header"))
        };
        let ends = [1, 1, 1, 1, 2, 2, 2, 2, 0, 1, 0, 2];
        let told = visit("1.1.1.1:1", "2.2.2.2:2");
        assert_eq!(
            header(0x21, 0x11, &[&ends[..], &[4; 99]].concat()),
            Ok(Header {
                length: 127,
                visit: told
            })
        );
        // A health check, a unix socket, a family of nobody's.
        for (what, about) in [(0x20, 0x11), (0x20, 0), (0x21, 0x31), (0x21, 0)] {
            assert_eq!(
                header(what, about, &ends),
                Ok(Header {
                    length: 28,
                    visit: Visit::default()
                })
            );
        }
    }

    #[test]
    fn no_bytes_make_it_panic() {
        let mut state = 1_u64;
        let mut random = move || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize
        };
        let seen = visit("192.0.2.1:56324", "[2001:db8::1]:443");
        for round in 0..50_000 {
            let version = if round % 2 == 0 { Version::V1 } else { Version::V2 };
            let mut bytes = proxy_header(version, Protocol::Tcp, seen);
            for _ in 0..random() % 4 {
                let at = random() % bytes.len();
                bytes[at] = random() as u8;
            }
            bytes.truncate(random() % (bytes.len() + 1));
            if let Ok(Some(header)) = parse(&bytes) {
                assert!(header.length <= bytes.len() && header.length <= PROXY_HEADER);
            }
        }
    }
}
