//! What a peer can do wrong. Every fault ends the link; its name is the diagnosis, its code travels in Goodbye.

use core::fmt;

use super::frame::Kind;

/// A breach of the protocol by the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The first bytes are not pinhole's; the guess says whose they look like.
    Stranger(Guess),
    /// Another version of the protocol.
    Version(u8),
    /// A kind of frame that is neither known nor ignorable.
    UnknownKind(u8),
    /// Flags that the kind does not have.
    UnknownFlags(u8),
    /// A length that the kind cannot have.
    Length(u8, u16),
    /// A payload that ends within one of its parts.
    Truncated,
    /// An unknown field that must not be skipped: frame and tag.
    Critical(Kind, u8),
    /// A field or value that cannot be: frame it stood in.
    Invalid(Kind),
    /// A frame that this end, or this moment, does not take.
    Unexpected(Kind),
    /// A slot or registration out of the stated range, or already in use.
    BadId(Kind),
    /// A stream that was never opened.
    UnknownStream(Kind),
    /// More bytes than the credit allows.
    Overrun,
    /// Credit that goes backwards or beyond what was sent plus the largest window.
    BadCredit,
    /// Bytes after the last ones.
    AfterFin,
    /// The server's proof of a service's token is wrong.
    BadProof,
    /// Too many registrations on a link that has proven none.
    TooManyClaims,
    /// The peer's Hello is this process's own.
    Reflected,
}

/// Who a stranger seems to be, by its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Guess {
    Rathole,
    Pinhole,
    Noise,
    Http,
    Tls,
    Ssh,
    Unknown,
}

impl Guess {
    /// Judges the first bytes, however few.
    pub fn of(bytes: &[u8]) -> Guess {
        const METHODS: [&[u8]; 9] = [
            b"GET ",
            b"POST ",
            b"HEAD ",
            b"PUT ",
            b"OPTIONS ",
            b"CONNECT ",
            b"DELETE ",
            b"PRI * ",
            b"HTTP/",
        ];
        match bytes {
            [0 | 1, 0, 0, 0, ..] | [32 | 48 | 96, 0, ..] => Guess::Rathole,
            [0, 32..=255, ..] => Guess::Noise,
            [0x16, 0x03, ..] => Guess::Tls,
            _ if bytes.starts_with(b"pinhole") => Guess::Pinhole,
            _ if bytes.starts_with(b"SSH-") => Guess::Ssh,
            _ if METHODS.iter().any(|method| bytes.starts_with(method)) => Guess::Http,
            _ => Guess::Unknown,
        }
    }

    fn words(self) -> &'static str {
        match self {
            Guess::Rathole => "a rathole peer: both ends must be pinhole",
            Guess::Pinhole => "pinhole without the transport of this end: both ends need the same transport",
            Guess::Noise => "what looks like Noise: both ends need the same transport",
            Guess::Http => "HTTP",
            Guess::Tls => "TLS: both ends need the same transport",
            Guess::Ssh => "SSH",
            Guess::Unknown => "bytes that are not pinhole's: both ends need the same transport and keys",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = match *self {
            Fault::Stranger(guess) => guess.words(),
            Fault::Version(n) => return write!(f, "protocol version {n}, this is version {}", super::VERSION),
            Fault::UnknownKind(n) => return write!(f, "unknown frame kind {n}"),
            Fault::UnknownFlags(n) => return write!(f, "unknown frame flags {n}"),
            Fault::Length(kind, n) => return write!(f, "frame kind {kind} cannot have length {n}"),
            Fault::Critical(kind, tag) => {
                return write!(f, "unknown critical field {tag} in frame kind {}", kind as u8);
            }
            Fault::Invalid(kind) => return write!(f, "invalid value in frame kind {}", kind as u8),
            Fault::Unexpected(kind) => return write!(f, "unexpected frame kind {}", kind as u8),
            Fault::BadId(kind) => return write!(f, "id out of range or in use in frame kind {}", kind as u8),
            Fault::UnknownStream(kind) => return write!(f, "frame kind {} for a stream never opened", kind as u8),
            Fault::Truncated => "frame ends within a field",
            Fault::Overrun => "more bytes than credit",
            Fault::BadCredit => "impossible credit",
            Fault::AfterFin => "bytes after the last ones",
            Fault::BadProof => "the server does not know the service's token",
            Fault::TooManyClaims => "too many registrations without a proof",
            Fault::Reflected => "our own bytes came back",
        };
        f.write_str(words)
    }
}
