//! A build without groups looks after nobody's health: its configuration is refused before.

use std::rc::Rc;

use super::Client;
use super::services::Service;

/// Does nothing.
pub fn attend(_: &Rc<Client>, _: &Rc<Service>) {}
