//! Real programs beside the tunnel, and tests that are skipped, loudly, where one is missing.

use std::env;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread;

pub use super::sys::is_root;

/// Where a program is. Without it the calling test is skipped, or fails if `PINHOLE_ALL_PROGRAMS` is set, as in CI.
pub fn find(name: &str, package: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let administration = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    let found = env::split_paths(&path)
        .chain(administration)
        .map(|dir| dir.join(name))
        .find(|path| path.is_file());
    if found.is_none() {
        let remedy = format!("{name} is missing: apt-get install {package}");
        assert!(env::var_os("PINHOLE_ALL_PROGRAMS").is_none(), "{remedy}");
        skip(&remedy);
    }
    found
}

/// Says that the rest of a test is skipped: past the capture of passing tests, in a line that `scripts/test` counts.
pub fn skip(reason: &str) {
    let test = thread::current();
    let line = format!("\nSKIP {}: {reason}\n", test.name().unwrap_or("a test"));
    // One write, so that lines of other tests stay whole.
    let _ = io::stderr().write_all(line.as_bytes());
}

/// Runs `program` to its end and returns its stdout; panics with what it wrote unless it succeeds.
#[track_caller]
pub fn run(program: &Path, arguments: &[&str]) -> String {
    let output = output(Command::new(program).args(arguments));
    let words = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{program:?} {arguments:?}: {}\n{words}\n{errors}",
        output.status
    );
    words
}

/// Runs `program`, which has to fail and to say why in one line that has `words`.
#[track_caller]
pub fn refuses(program: &Path, arguments: &[&str], words: &str) {
    let output = output(Command::new(program).args(arguments));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{arguments:?} are accepted");
    assert!(
        said.contains(words) && said.lines().count() == 1,
        "{arguments:?}: {said}"
    );
}

/// Runs `command` to its end, whatever that is.
#[track_caller]
pub fn output(command: &mut Command) -> Output {
    command
        .output()
        .unwrap_or_else(|error| panic!("{command:?} does not start: {error}"))
}
