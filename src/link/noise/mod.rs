//! Noise under a link (<https://noiseprotocol.org/noise.html>), by the crate `snow`: what `transport.type = "noise"`
//! means.
//!
//! The client is the initiator. Each handshake message and each record is preceded by its length:
//!
//! ```text
//!  0        2                     2 + length
//! +--------+---------------------+
//! | length |  message or record  |   length: u16, big endian
//! +--------+---------------------+
//! ```
//!
//! - A handshake message has exactly the length that the pattern gives it, with one byte of payload; the prologue is
//!   `pinhole noise 1`. What has another length is a stranger's and costs no arithmetic.
//! - The payload is what an end offers: 1 = AES-256-GCM for its records, because its CPU has instructions for that and
//!   nobody has named another cipher; 0 = nothing. If both offer it, the records are AES-GCM's under the handshake's two
//!   keys (which then seal nothing else), with the nonces and the renewal that Noise gives it (§12.4); otherwise
//!   the pattern's own cipher's. Who changes an offer on the way changes the handshake's hash, so that there is no link.
//! - A record is 1 to 65,519 bytes under a tag of 16. Frames of one write share records. After every 65,536 records a
//!   direction's key is renewed (Rekey, §4.2).
//! - The protocol's proofs are bound to the handshake's hash.
//! - There is no last record: how a link ends is the protocol's to say.
//!
//! ```text
//! mod        what a process has for all its links; one link's cover
//! pattern    the name of a pattern: what it needs, what this build has of it
//! handshake  from the first message to keys
//! record     from bytes to records and back
//! direction  sealing or opening: cipher, key, count
//! frames     lengths and what is not whole yet
//! crypto     the arithmetic that this build has
//! key        keys as text, new keys
//! ```

#[cfg(not(feature = "noise-all"))]
mod crypto;
#[cfg(feature = "noise-all")]
#[path = "crypto_all.rs"]
mod crypto;
mod direction;
mod frames;
mod handshake;
mod key;
mod pattern;
mod record;
#[cfg(test)]
mod tests;

use std::rc::Rc;

use zeroize::Zeroizing;

use crate::config;
use crate::proto::{Channel, End};

use super::{Peer, Torn};

use frames::Frames;
use handshake::{AES, Handshake};
use record::{Records, Spare};

pub use key::{Key, decode_key, generate};
pub use pattern::Pattern;

/// What all Noise links of a process share: the pattern and the keys.
pub struct Setup {
    pattern: Pattern,
    local: Option<Zeroizing<Key>>,
    remote: Option<Key>,
    psk: Option<Zeroizing<Key>>,
    authorized: Option<Vec<config::AuthorizedKey>>,
    /// See [`AES`].
    offer: u8,
    spare: Rc<Spare>,
}

impl Setup {
    /// As the configuration says. A key that the pattern wants and that is not there is a new one.
    pub fn new(config: &config::Noise, end: End) -> Result<Setup, Torn> {
        let pattern = Pattern::parse(&config.pattern).map_err(Torn)?;
        warn_of_needless(config, &pattern, end);
        let mut local = config.local_private_key.as_ref().map(key::secret).transpose()?;
        if local.is_none() && pattern.has_static(end) {
            local = Some(key::fresh(&pattern, end)?);
        }
        Ok(Setup {
            local,
            pattern,
            remote: config.remote_public_key,
            psk: config.psk.as_ref().map(key::secret).transpose()?,
            authorized: config.authorized_keys.clone(),
            offer: if config.any_cipher && crypto::has_fast_aes() {
                AES
            } else {
                0
            },
            spare: Rc::default(),
        })
    }

    /// Whether a peer may show this static public key. Decides nothing about patterns in which it shows none.
    pub fn is_authorized(&self, key: &Key) -> bool {
        let is_pinned = self.remote.is_none_or(|pinned| pinned == *key);
        is_pinned && (self.authorized.is_none() || self.name(key).is_some())
    }

    /// Goes through a handshake with itself. What that takes is what a stranger can make this machine do.
    pub fn rehearse(&self) {
        let _ = self.pattern.rehearse();
    }

    fn name(&self, key: &Key) -> Option<&str> {
        let known = self.authorized.iter().flatten().find(|known| known.key == *key);
        known.map(|known| known.name.as_str())
    }
}

/// Of keys without meaning, which rathole's users may have.
fn warn_of_needless(config: &config::Noise, pattern: &Pattern, end: End) {
    let name = pattern.handshake();
    if config.local_private_key.is_some() && !pattern.has_static(end) {
        log::warn!("local_private_key is of no use: the pattern {name} has no key at this end");
    }
    if config.remote_public_key.is_some() && !pattern.has_static(end.other()) {
        log::warn!("remote_public_key is of no use: the pattern {name} has no key at the other end");
    }
}

/// One link's cover.
pub struct Cover {
    setup: Rc<Setup>,
    frames: Frames,
    /// Until it is over.
    handshake: Option<Handshake>,
    /// From then on.
    records: Option<Records>,
    binding: Vec<u8>,
    peer: Option<Key>,
    unsent: Vec<u8>,
}

impl Cover {
    /// For a new link. A client's first message is then to be sent.
    pub fn new(setup: &Rc<Setup>, end: End) -> Result<Cover, Torn> {
        let mut cover = Cover {
            handshake: Some(Handshake::new(setup, end)?),
            setup: setup.clone(),
            frames: Frames::default(),
            records: None,
            binding: Vec::new(),
            peer: None,
            unsent: Vec::new(),
        };
        cover.go_on()?;
        Ok(cover)
    }

    /// Whether the handshake is over.
    pub fn is_ready(&self) -> bool {
        self.records.is_some()
    }

    /// What proofs are bound to.
    pub fn channel(&self) -> Channel {
        Channel {
            label: "noise",
            binding: self.binding.clone(),
        }
    }

    /// Who is at the other end, as far as its static key says.
    pub fn peer(&self) -> Option<Peer> {
        let key = self.peer?;
        Some(Peer {
            key,
            name: self.setup.name(&key).map(str::to_owned),
        })
    }

    /// Records that carry `plain`.
    pub fn seal(&mut self, plain: &[u8]) -> Result<&[u8], Torn> {
        match &mut self.records {
            Some(records) => Ok(records.seal(plain)),
            None => Ok(&[]),
        }
    }

    /// What `wire` carries, after what came before.
    pub fn open(&mut self, wire: &[u8]) -> Result<&[u8], Torn> {
        let mut input = wire;
        while let Some(handshake) = &mut self.handshake {
            handshake.check_length(&self.frames, input)?;
            let Some(message) = self.frames.next(&mut input) else {
                return Ok(&[]);
            };
            handshake.handle(message)?;
            self.go_on()?;
        }
        match &mut self.records {
            Some(records) => records.open(&mut self.frames, input),
            None => Ok(&[]),
        }
    }

    /// Adds what is to be sent of the handshake.
    pub fn poll_output(&mut self, out: &mut Vec<u8>) {
        out.append(&mut self.unsent);
    }

    /// Lets go of the buffers.
    pub fn relax(&mut self) {
        self.frames.relax();
        if let Some(records) = &mut self.records {
            records.relax();
        }
    }

    /// Says what it is this end's turn to say; then takes the keys if that was all.
    fn go_on(&mut self) -> Result<(), Torn> {
        let Some(handshake) = &mut self.handshake else {
            return Ok(());
        };
        handshake.poll_output(&mut self.unsent)?;
        if handshake.is_over() {
            self.binding = handshake.hash();
            self.peer = handshake.peer();
            let directions = self.handshake.take().and_then(Handshake::into_directions);
            let directions = directions.ok_or_else(handshake::broken)?;
            self.records = Some(Records::new(directions, &self.setup.spare));
        }
        Ok(())
    }
}
