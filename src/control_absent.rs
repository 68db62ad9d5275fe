//! A build without status has no control socket, and nobody to ask.

use std::path::Path;
use std::rc::Rc;

use crate::StartError;

/// Nobody asks.
pub trait Reporting {}

impl<T> Reporting for T {}

/// None.
pub struct ControlSocket;

impl ControlSocket {
    /// Nothing will answer.
    pub fn new(_: Rc<dyn Reporting>) -> ControlSocket {
        ControlSocket
    }

    /// The configuration cannot ask for one in this build.
    pub fn open(&self, _: Option<&Path>) -> Result<(), StartError> {
        Ok(())
    }
}

/// A build without the feature has nobody to ask.
pub fn ask_status(_: &Path, _: bool) -> Result<String, StartError> {
    Err(StartError("this build has no status".into()))
}
