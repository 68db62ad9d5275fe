//! The arithmetic of Noise in a build without `noise-all`: what snow has of 25519 and ChaChaPoly, and BLAKE2s.
//!
//! snow's own BLAKE2 comes with BLAKE2b, which is 30 KiB on a MIPS router and of use to nobody there.

use blake2::{Blake2s256, Digest};
use snow::params::{CipherChoice, DHChoice, HashChoice};
use snow::resolvers::{CryptoResolver, DefaultResolver};
use snow::types::{Cipher, Dh, Hash, Random};

/// What this build has.
pub fn resolver() -> Box<dyn CryptoResolver + Send> {
    Box::new(Small)
}

/// Whether AES-GCM is quicker than ChaChaPoly here.
pub fn has_fast_aes() -> bool {
    false
}

struct Small;

impl CryptoResolver for Small {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        DefaultResolver.resolve_rng()
    }

    fn resolve_dh(&self, choice: &DHChoice) -> Option<Box<dyn Dh>> {
        DefaultResolver.resolve_dh(choice)
    }

    fn resolve_hash(&self, choice: &HashChoice) -> Option<Box<dyn Hash>> {
        match choice {
            HashChoice::Blake2s => Some(Box::<Blake2s>::default()),
            _ => None,
        }
    }

    fn resolve_cipher(&self, choice: &CipherChoice) -> Option<Box<dyn Cipher>> {
        DefaultResolver.resolve_cipher(choice)
    }
}

#[derive(Default)]
struct Blake2s(Blake2s256);

impl Hash for Blake2s {
    fn name(&self) -> &'static str {
        "BLAKE2s"
    }

    fn block_len(&self) -> usize {
        64
    }

    fn hash_len(&self) -> usize {
        32
    }

    fn reset(&mut self) {
        self.0 = Blake2s256::default();
    }

    fn input(&mut self, data: &[u8]) {
        self.0.update(data);
    }

    fn result(&mut self, out: &mut [u8]) {
        let hash = self.0.finalize_reset();
        if let Some(out) = out.first_chunk_mut::<32>() {
            *out = hash.into();
        }
    }
}
