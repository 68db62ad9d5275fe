//! A build with neither TLS nor WebSocket: no configuration that is right has any.

use super::build::Section;
use super::errors::Faults;
use super::{Role, Transport};

/// See `covers.rs`.
pub(super) fn fill(_: &mut Transport, _: &Section<'_>, _: Role, _: &mut Faults<'_>) {}

/// See `covers.rs`.
pub(super) fn check(_: &Transport, _: &Section<'_>, _: Role, _: &mut Faults<'_>) {}
