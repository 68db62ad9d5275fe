//! The name of a Noise protocol, `Noise_NK_25519_ChaChaPoly_BLAKE2s` and its like: which keys it wants at which end,
//! and whether this build can speak it.

use snow::params::{HandshakeChoice, HandshakeModifier, NoiseParams};
use snow::{Builder, Error};

use crate::limits::NOISE_MESSAGE;
use crate::proto::End;

use super::crypto;

/// A pattern that this build can speak.
#[derive(Clone)]
pub struct Pattern {
    pub(super) params: NoiseParams,
    /// Of its messages, in turn.
    pub(super) lengths: Vec<usize>,
}

/// What a pattern may be made of, as far as snow knows it.
const DHS: &[&str] = &["25519", "448"];
const CIPHERS: &[&str] = &["ChaChaPoly", "AESGCM", "XChaChaPoly"];
const HASHES: &[&str] = &["BLAKE2s", "BLAKE2b", "SHA256", "SHA512"];

impl Pattern {
    /// Understands a name. The error completes a sentence that starts with it.
    pub fn parse(name: &str) -> Result<Pattern, String> {
        let parts: Vec<&str> = name.split('_').collect();
        let ["Noise", handshake, dh, cipher, hash] = parts[..] else {
            return Err(format!(
                "is not the name of a Noise protocol; expected one like {USUAL}"
            ));
        };
        check("DH function", dh, DHS, has_dh)?;
        check("cipher", cipher, CIPHERS, has_cipher)?;
        check("hash", hash, HASHES, has_hash)?;
        let known: HandshakeChoice = handshake.parse().map_err(|_| unknown_handshake(handshake))?;
        if known.pattern.is_oneway() {
            return Err(format!("has the one-way handshake `{handshake}`; a link is two-way"));
        }
        let params = name.parse().map_err(|_| unknown_handshake(handshake))?;
        let mut pattern = Pattern {
            params,
            lengths: Vec::new(),
        };
        pattern.lengths = pattern.rehearse().map_err(|_| unknown_handshake(handshake))?;
        Ok(pattern)
    }

    /// Its handshake with its modifiers: `NK`, `XXpsk3`.
    pub fn handshake(&self) -> &str {
        self.params.name.split('_').nth(1).unwrap_or_default()
    }

    /// Whether `end` has a static key in it.
    pub fn has_static(&self, end: End) -> bool {
        self.params.handshake.pattern.needs_local_static_key(end == End::Client)
    }

    /// Whether the static key of `end` is known to the other end before the handshake.
    pub fn is_known_before(&self, end: End) -> bool {
        self.params
            .handshake
            .pattern
            .need_known_remote_pubkey(end == End::Server)
    }

    /// Whether a key shared in advance is mixed in.
    pub fn has_psk(&self) -> bool {
        self.params.handshake.is_psk()
    }

    /// Where such a key is mixed in.
    pub(super) fn psk_places(&self) -> impl Iterator<Item = u8> {
        self.params
            .handshake
            .modifiers
            .list
            .iter()
            .filter_map(|modifier| match modifier {
                HandshakeModifier::Psk(place) => Some(*place),
                HandshakeModifier::Fallback => None,
            })
    }

    /// A builder that knows of no key.
    pub(super) fn bare_builder<'a>(&self) -> Builder<'a> {
        Builder::with_resolver(self.params.clone(), crypto::resolver())
    }

    /// A builder for either end. What the pattern does not want is left out.
    pub(super) fn builder<'a>(&self, end: End, keys: &Keys<'a>) -> Result<Builder<'a>, Error> {
        let mut builder = self.bare_builder().prologue(PROLOGUE)?;
        if let Some(local) = keys.local.filter(|_| self.has_static(end)) {
            builder = builder.local_private_key(local)?;
        }
        if let Some(remote) = keys.remote.filter(|_| self.is_known_before(end.other())) {
            builder = builder.remote_public_key(remote)?;
        }
        for place in self.psk_places() {
            if let Some(psk) = keys.psk {
                builder = builder.psk(place, psk)?;
            }
        }
        Ok(builder)
    }

    /// Goes through a handshake of both ends with keys of no worth; gives the lengths of its messages.
    pub fn rehearse(&self) -> Result<Vec<usize>, Error> {
        let pair = self.bare_builder().generate_keypair()?;
        let keys = Keys {
            local: pair.private.first_chunk(),
            remote: pair.public.first_chunk(),
            psk: Some(&[0; 32]),
        };
        let mut speaker = self.builder(End::Client, &keys)?.build_initiator()?;
        let mut listener = self.builder(End::Server, &keys)?.build_responder()?;
        let mut lengths = Vec::new();
        while !speaker.is_handshake_finished() {
            let (mut message, mut nothing) = ([0; NOISE_MESSAGE], [0; NOISE_MESSAGE]);
            let length = speaker.write_message(&[0], &mut message)?;
            listener.read_message(&message[..length], &mut nothing)?;
            lengths.push(length);
            core::mem::swap(&mut speaker, &mut listener);
        }
        Ok(lengths)
    }
}

/// What one end knows.
pub(super) struct Keys<'a> {
    pub(super) local: Option<&'a [u8; 32]>,
    pub(super) remote: Option<&'a [u8; 32]>,
    pub(super) psk: Option<&'a [u8; 32]>,
}

fn check(what: &str, part: &str, known: &[&str], has: fn(&str) -> bool) -> Result<(), String> {
    if has(part) {
        return Ok(());
    }
    let here: Vec<&str> = known.iter().copied().filter(|name| has(name)).collect();
    let trouble = if known.contains(&part) {
        "not in this build"
    } else {
        "not known"
    };
    Err(format!(
        "has the {what} `{part}`, which is {trouble}; there is: {}",
        here.join(", ")
    ))
}

fn has_dh(name: &str) -> bool {
    name.parse()
        .is_ok_and(|dh| crypto::resolver().resolve_dh(&dh).is_some())
}

fn has_cipher(name: &str) -> bool {
    name.parse()
        .is_ok_and(|cipher| crypto::resolver().resolve_cipher(&cipher).is_some())
}

fn has_hash(name: &str) -> bool {
    name.parse()
        .is_ok_and(|hash| crypto::resolver().resolve_hash(&hash).is_some())
}

fn unknown_handshake(handshake: &str) -> String {
    format!(
        "has the handshake `{handshake}`, which is not known; expected one like NK, KK, XX, IK, also with psk0 to psk4 \
         behind it where its messages have that place"
    )
}

/// Mixed into every handshake; the last byte is the version of what the module describes.
const PROLOGUE: &[u8] = b"pinhole noise 1";
/// What is spoken unless something else is asked for.
pub const USUAL: &str = "Noise_NK_25519_ChaChaPoly_BLAKE2s";
