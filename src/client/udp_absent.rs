//! A build without UDP has no UDP service: its configuration is refused before.

use std::rc::Rc;

use crate::net::link::Link;
use crate::proto::{Cause, StreamId, Visit};

use super::Client;
use super::services::Service;

/// Refuses the visitor.
pub fn join(_: &Rc<Client>, link: &Rc<Link>, stream: StreamId, _: &Rc<Service>, _: Visit) {
    link.refuse(stream, Cause::Unreachable);
}
