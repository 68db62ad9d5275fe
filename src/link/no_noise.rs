//! A build without the feature `noise`: its types, of which there can be no value.

use std::convert::Infallible;
use std::rc::Rc;

use zeroize::Zeroizing;

use crate::config;
use crate::proto::{Channel, End};

use super::{Peer, Torn};

/// See `noise/`.
pub type Key = [u8; 32];

/// See `noise/`.
pub struct Setup(Infallible);

/// See `noise/`.
pub struct Cover(Infallible);

/// See `noise/`.
pub struct Pattern(Infallible);

#[allow(missing_docs, reason = "as in noise/")]
impl Setup {
    pub fn new(_: &config::Noise, _: End) -> Result<Setup, Torn> {
        Err(Torn(ABSENT.into()))
    }

    pub fn is_authorized(&self, _: &Key) -> bool {
        match self.0 {}
    }

    pub fn rehearse(&self) {
        match self.0 {}
    }
}

#[allow(missing_docs, reason = "as in noise/")]
impl Cover {
    pub fn new(setup: &Rc<Setup>, _: End) -> Result<Cover, Torn> {
        match setup.0 {}
    }

    pub fn is_ready(&self) -> bool {
        match self.0 {}
    }

    pub fn channel(&self) -> Channel {
        match self.0 {}
    }

    pub fn peer(&self) -> Option<Peer> {
        match self.0 {}
    }

    pub fn seal(&mut self, _: &[u8]) -> Result<&[u8], Torn> {
        match self.0 {}
    }

    pub fn open(&mut self, _: &[u8]) -> Result<&[u8], Torn> {
        match self.0 {}
    }

    pub fn poll_output(&mut self, _: &mut Vec<u8>) {
        match self.0 {}
    }

    pub fn relax(&mut self) {
        match self.0 {}
    }
}

#[allow(missing_docs, reason = "as in noise/")]
impl Pattern {
    pub fn parse(_: &str) -> Result<Pattern, String> {
        Err(ABSENT.into())
    }

    pub fn handshake(&self) -> &str {
        match self.0 {}
    }

    pub fn has_static(&self, _: End) -> bool {
        match self.0 {}
    }

    pub fn is_known_before(&self, _: End) -> bool {
        match self.0 {}
    }

    pub fn has_psk(&self) -> bool {
        match self.0 {}
    }
}

/// See `noise/`.
pub fn decode_key(_: &str) -> Result<Zeroizing<Key>, &'static str> {
    Err(ABSENT)
}

/// See `noise/`.
pub fn generate() -> Result<(Zeroizing<String>, String), String> {
    Err(ABSENT.into())
}

const ABSENT: &str = "Noise is not in this build";
