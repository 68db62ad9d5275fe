//! Proof of a token without sending it.
//!
//! Both ends hash everything that makes this link this link into a [`Transcript`]: both Hellos with their nonces, the
//! transport's name and its channel binding. A proof is an HMAC-SHA256 keyed with the token over the prover's role,
//! the transcript and the registration it stands in. So it cannot be replayed on another link, reflected to its
//! sender, moved to another channel, or used for another registration.

use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// Bytes of a proof.
pub const PROOF: usize = 32;

/// Which end speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Behind NAT; it registers services.
    Client,
    /// Public; it opens streams.
    Server,
}

impl End {
    /// The one that hears what this one says.
    pub fn other(self) -> End {
        match self {
            End::Client => End::Server,
            End::Server => End::Client,
        }
    }
}

/// Hash of what both ends said before anything was proven.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Transcript([u8; 32]);

impl Transcript {
    /// Of both ends' first bytes (preamble and Hello frame as sent), the transport's `label` and its channel
    /// `binding` (empty for plain TCP).
    pub fn new(client: &[u8], server: &[u8], label: &str, binding: &[u8]) -> Self {
        let mut hash = Sha256::new();
        for part in [&b"pinhole transcript"[..], client, server, label.as_bytes(), binding] {
            hash.update((part.len() as u32).to_be_bytes());
            hash.update(part);
        }
        Transcript(hash.finalize().into())
    }

    /// What `end` shows of `token` for a `registration`: the Register frame's bytes without the proof itself.
    pub fn prove(&self, end: End, token: &[u8], registration: &[u8]) -> [u8; PROOF] {
        self.mac(end, token, registration)
            .map_or([0; PROOF], |mac| mac.finalize().into_bytes().into())
    }

    /// Whether `proof` is what `end` would show. In constant time.
    pub fn verify(&self, end: End, token: &[u8], registration: &[u8], proof: &[u8; PROOF]) -> bool {
        self.mac(end, token, registration)
            .is_some_and(|mac| mac.verify_slice(proof).is_ok())
    }

    /// What hides the hash of a group's key in the registration number `count` of this link.
    pub fn cover(&self, token: &[u8], count: u32) -> [u8; PROOF] {
        self.keyed(token, b"pinhole group key", &count.to_be_bytes())
            .map_or([0; PROOF], |mac| mac.finalize().into_bytes().into())
    }

    fn mac(&self, end: End, token: &[u8], registration: &[u8]) -> Option<Hmac<Sha256>> {
        let label = match end {
            End::Client => &b"pinhole client proof"[..],
            End::Server => b"pinhole server proof",
        };
        self.keyed(token, label, registration)
    }

    fn keyed(&self, token: &[u8], label: &[u8], what: &[u8]) -> Option<Hmac<Sha256>> {
        // HMAC takes a key of any length; the error exists in the type alone.
        let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(token).ok()?;
        mac.update(label);
        mac.update(&self.0);
        mac.update(what);
        Some(mac)
    }
}

/// Whether two secrets are the same, in constant time for their length.
pub fn same(a: &[u8], b: &[u8]) -> bool {
    a.ct_eq(b).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_holds_for_its_end_token_link_and_registration_alone() {
        let link = Transcript::new(b"client", b"server", "tcp", b"");
        let proof = link.prove(End::Client, b"token", b"registration");
        assert!(link.verify(End::Client, b"token", b"registration", &proof));
        assert!(!link.verify(End::Server, b"token", b"registration", &proof));
        assert!(!link.verify(End::Client, b"Token", b"registration", &proof));
        assert!(!link.verify(End::Client, b"token", b"registratioN", &proof));
        for other in [
            Transcript::new(b"Client", b"server", "tcp", b""),
            Transcript::new(b"client", b"Server", "tcp", b""),
            Transcript::new(b"client", b"server", "tls", b""),
            Transcript::new(b"client", b"server", "tcp", b"channel"),
            Transcript::new(b"clients", b"erver", "tcp", b""),
        ] {
            assert!(!other.verify(End::Client, b"token", b"registration", &proof));
        }
    }

    /// RFC 4231 has no case with our input; this one was computed with Python's hmac and hashlib.
    #[test]
    fn known_answer() {
        let link = Transcript::new(b"c", b"s", "tcp", b"");
        let proof = link.prove(End::Client, b"secret", b"r");
        assert_eq!(hex(&proof), include_str!("known-proof.hex").trim());
    }

    fn hex(bytes: &[u8]) -> alloc::string::String {
        bytes.iter().map(|byte| alloc::format!("{byte:02x}")).collect()
    }
}
