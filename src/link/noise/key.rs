//! Keys: 32 bytes, as text standard base64 with padding.

use base64ct::{Base64, Encoding};
use zeroize::Zeroizing;

use crate::config::Secret;
use crate::proto::End;

use super::Torn;
use super::pattern::{Pattern, USUAL};

/// A static key of either kind, or one shared in advance.
pub type Key = [u8; 32];

/// Reads a key. The error completes a sentence that starts with the text, or with where it stands.
pub fn decode_key(text: &str) -> Result<Zeroizing<Key>, &'static str> {
    let mut bytes = Zeroizing::new([0; 48]);
    let text = text.as_bytes();
    match Base64::decode(text, bytes.as_mut_slice()) {
        Ok(key) => key.try_into().map(Zeroizing::new).map_err(|_| WRONG_LENGTH),
        Err(_) if text.len() > 64 => Err(WRONG_LENGTH),
        Err(_) => Err("is not base64 with its padding, as `pinhole --genkey` prints keys"),
    }
}

const WRONG_LENGTH: &str = "is not a key of 32 bytes, which are 44 characters of base64";

/// A key as text.
pub fn encode_key(key: &Key) -> String {
    Base64::encode_string(key)
}

/// A new key pair as text: private, public.
pub fn generate() -> Result<(Zeroizing<String>, String), String> {
    let keys = pair(&Pattern::parse(USUAL)?)?;
    Ok((
        Zeroizing::new(Base64::encode_string(&keys.private)),
        Base64::encode_string(&keys.public),
    ))
}

/// A key of the configuration, which has checked it.
pub fn secret(secret: &Secret) -> Result<Zeroizing<Key>, Torn> {
    let text = str::from_utf8(secret.as_bytes()).unwrap_or_default();
    decode_key(text).map_err(|error| Torn(format!("a key {error}")))
}

/// A private key for this process alone. Peers that must know it beforehand cannot: that is worth a warning.
pub fn fresh(pattern: &Pattern, end: End) -> Result<Zeroizing<Key>, Torn> {
    let keys = pair(pattern).map_err(Torn)?;
    let public = Base64::encode_string(&keys.public);
    if pattern.is_known_before(end) {
        log::warn!(
            "no local_private_key: a new key for this process alone, which the other end must know as its \
             remote_public_key: {public}"
        );
    } else {
        log::debug!("no local_private_key: a new key for this process alone: {public}");
    }
    keys.private
        .as_slice()
        .try_into()
        .map(Zeroizing::new)
        .map_err(|_| Torn("a key has not 32 bytes".into()))
}

fn pair(pattern: &Pattern) -> Result<Pair, String> {
    let keys = pattern.bare_builder().generate_keypair();
    let keys = keys.map_err(|_| "no random numbers for a key".to_owned())?;
    Ok(Pair {
        private: Zeroizing::new(keys.private),
        public: keys.public,
    })
}

struct Pair {
    private: Zeroizing<Vec<u8>>,
    public: Vec<u8>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_text_and_back() {
        let text = "QLYMByBnjgM254zT6YKaBVvuAA61swyZfFxoA/SKZHM=";
        let key = decode_key(text).expect("a key");
        assert_eq!(encode_key(&key), text);
        let (private, public) = generate().expect("a pair");
        assert!(decode_key(&private).is_ok() && decode_key(&public).is_ok() && *private != public);
    }

    #[test]
    fn what_is_no_key_is_named() {
        for text in ["", "AAAA", &"A".repeat(88)] {
            assert_eq!(decode_key(text).expect_err(text), WRONG_LENGTH);
        }
        for text in ["?", "QLYMByBnjgM254zT6YKaBVvuAA61swyZfFxoA/SKZHM", "secret of mine"] {
            assert!(decode_key(text).expect_err(text).contains("base64"), "{text}");
        }
    }
}
