//! The arithmetic of Noise in a build with `noise-all`: everything that snow has, ring's ciphers first if they are there.

use snow::resolvers::{BoxedCryptoResolver, DefaultResolver};

/// What this build has.
#[cfg(feature = "noise-ring")]
pub fn resolver() -> BoxedCryptoResolver {
    use snow::resolvers::{FallbackResolver, RingResolver};
    Box::new(FallbackResolver::new(Box::new(RingResolver), Box::new(DefaultResolver)))
}

/// What this build has.
#[cfg(not(feature = "noise-ring"))]
pub fn resolver() -> BoxedCryptoResolver {
    Box::new(DefaultResolver)
}

/// Whether AES-GCM is quicker than ChaChaPoly here: it is ring's, on a CPU with instructions for it.
pub fn has_fast_aes() -> bool {
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    let has_instructions =
        std::arch::is_x86_feature_detected!("aes") && std::arch::is_x86_feature_detected!("pclmulqdq");
    #[cfg(target_arch = "aarch64")]
    let has_instructions =
        std::arch::is_aarch64_feature_detected!("aes") && std::arch::is_aarch64_feature_detected!("pmull");
    #[cfg(not(any(target_arch = "x86", target_arch = "x86_64", target_arch = "aarch64")))]
    let has_instructions = false;
    cfg!(feature = "noise-ring") && has_instructions
}
