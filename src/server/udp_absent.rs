//! A build without UDP has no UDP service: its configuration is refused before.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

use crate::net::task::Owned;

use super::Server;
use super::services::Service;

/// Says so.
pub fn open(_: &Rc<Server>, _: &Rc<Service>, _: SocketAddr, _: bool) -> io::Result<(SocketAddr, Owned)> {
    Err(io::ErrorKind::Unsupported.into())
}
