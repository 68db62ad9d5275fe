//! A build or a system without inotify: nothing is watched, a reload is asked for by SIGHUP.

use std::io;
use std::path::PathBuf;

/// Watches nothing.
pub struct Watch;

impl Watch {
    /// Says so.
    pub fn new(_: Vec<PathBuf>) -> io::Result<Watch> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Never.
    pub async fn stirred(&self) {
        std::future::pending().await
    }

    /// Nobody knows.
    pub fn is_being_written(&self) -> bool {
        false
    }
}
