//! A build without UDP has no UDP service: its configuration is refused before.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

use super::Server;
use super::public::Public;

/// Says so.
pub fn open(_: &Rc<Server>, _: usize, _: &[SocketAddr]) -> io::Result<Public> {
    Err(io::ErrorKind::Unsupported.into())
}
