//! The arithmetic of Noise in a build with `noise-all`: everything that snow has, ring's ciphers first if they are there.

use snow::Builder;
use snow::params::NoiseParams;
use snow::resolvers::{CryptoResolver, DefaultResolver};

/// What this build has.
pub fn resolver() -> Box<dyn CryptoResolver + Send> {
    Box::new(DefaultResolver)
}

/// A handshake to be.
pub fn builder<'a>(params: NoiseParams) -> Builder<'a> {
    Builder::new(params)
}
