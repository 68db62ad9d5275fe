//! Stands in for TLS and for WebSocket where they are not in the build: types without values, so that nothing of it is left.

use crate::config;
use crate::proto::{Channel, End};

use super::{Torn, Unfit};

/// There is none.
pub enum Setup {}

/// There is none.
pub enum Cover {}

impl Setup {
    pub fn from_tls(_: &config::Tls, _: End) -> Result<Setup, Unfit> {
        Err(absent())
    }

    pub fn from_websocket(_: &config::Websocket, _: super::Setup) -> Result<Setup, Unfit> {
        Err(absent())
    }

    pub fn carry(&mut self, _: &[u8]) {
        match *self {}
    }

    pub fn cover(&self, _: End, _: &str, _: u16) -> Result<Cover, Torn> {
        match *self {}
    }

    pub fn below(&self) -> &super::Setup {
        match *self {}
    }

    pub fn rehearse(&self) {
        match *self {}
    }
}

fn absent() -> Unfit {
    Unfit {
        key: "type",
        text: "is not in this build".to_owned(),
    }
}

impl Cover {
    pub fn is_ready(&self) -> bool {
        match *self {}
    }

    pub fn is_over(&self) -> bool {
        match *self {}
    }

    pub fn channel(&self) -> Channel {
        match *self {}
    }

    pub fn seal<'a>(&'a mut self, _: &'a [u8]) -> Result<&'a [u8], Torn> {
        match *self {}
    }

    pub fn open<'a>(&'a mut self, _: &'a [u8]) -> Result<&'a [u8], Torn> {
        match *self {}
    }

    pub fn poll_output(&mut self, _: &mut Vec<u8>) {
        match *self {}
    }

    pub fn close(&mut self) {
        match *self {}
    }

    pub fn relax(&mut self) {
        match *self {}
    }
}
