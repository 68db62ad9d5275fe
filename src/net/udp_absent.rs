//! A build without UDP: there are no flows.

use std::rc::Rc;

use crate::proto::StreamId;

/// There is none.
pub enum Flow {}

impl Flow {
    /// Which stream it would have.
    pub fn stream(&self) -> StreamId {
        match *self {}
    }

    /// Would end.
    pub fn cut(&self) {
        match *self {}
    }
}

/// What would leave together.
#[derive(Default)]
pub struct Run;

impl Run {
    /// Would add a datagram.
    pub fn push(&mut self, flow: &Rc<Flow>, _: &[u8]) {
        match **flow {}
    }

    /// Nothing leaves.
    pub fn send(&mut self) {}
}
