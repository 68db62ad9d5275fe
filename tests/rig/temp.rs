//! Directories that vanish with the test.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::{env, fs, process};

/// A directory that is removed on drop.
pub struct TempDir(PathBuf);

impl TempDir {
    /// Makes an empty directory under the system's temporary one.
    pub fn new() -> TempDir {
        static MADE: AtomicU32 = AtomicU32::new(0);
        // One of a process that had the same id may still be there.
        let path = std::iter::repeat_with(|| MADE.fetch_add(1, Ordering::Relaxed))
            .map(|number| env::temp_dir().join(format!("pinhole-test-{}-{number}", process::id())))
            .take(1000)
            .find(|path| fs::create_dir(path).is_ok());
        TempDir(path.expect("a new temporary directory"))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Writes `text` to the file `name` in it.
    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, text).expect("a file in the temporary directory");
        path
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
