//! Secrets: bytes that are never printed and are wiped when they are let go of, and the files that hold one.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::limits::{MAX_PEM, MAX_SECRET};

/// Bytes that are never printed: a token, a password, a private key. Wiped on drop.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// The bytes themselves, for the one place that uses them.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Secret(Zeroizing::new(text.as_bytes().to_vec()))
    }
}

impl From<Vec<u8>> for Secret {
    fn from(bytes: Vec<u8>) -> Self {
        Secret(Zeroizing::new(bytes))
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MASKED")
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A file that a configuration names, or stands in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// Where it is; relative to the working directory, if at all.
    pub path: PathBuf,
    /// It is for its owner's eyes alone.
    pub is_secret: bool,
}

impl Input {
    /// Whether it is secret, and readable by everyone on this machine.
    pub fn is_exposed(&self) -> bool {
        self.is_secret && std::fs::metadata(&self.path).is_ok_and(|found| found.permissions().mode() & OTHERS_READ != 0)
    }
}

const OTHERS_READ: u32 = 0o004;

/// The one line of the file at `path`, without its end. The error completes a sentence that starts with the path.
pub(super) fn read(path: &Path) -> Result<Secret, String> {
    let bytes = read_bytes(path, MAX_SECRET)?;
    let line = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    match line {
        [] => Err("is empty; one line with the secret is expected".to_owned()),
        _ if bytes.len() > MAX_SECRET => Err(format!("is larger than {MAX_SECRET} bytes, which no secret is")),
        _ if line.contains(&b'\n') => Err("has more than one line; one line with the secret is expected".to_owned()),
        _ => Ok(Secret(Zeroizing::new(line.to_vec()))),
    }
}

/// All of the file at `path`: certificates, keys. The error completes a sentence that starts with the path.
pub(super) fn read_whole(path: &Path) -> Result<Secret, String> {
    let bytes = read_bytes(path, MAX_PEM)?;
    match bytes.len() <= MAX_PEM {
        true => Ok(Secret(bytes)),
        false => Err(format!(
            "is larger than {MAX_PEM} bytes, which no file of certificates or keys is"
        )),
    }
}

/// Up to one byte more than `most`.
fn read_bytes(path: &Path, most: usize) -> Result<Zeroizing<Vec<u8>>, String> {
    try_read(path, most).map_err(|error| format!("cannot be read: {error}"))
}

/// Opening a pipe would wait for its writer, so only files will do. Read into a place that never moves: no copy of the
/// secret is left behind.
fn try_read(path: &Path, most: usize) -> io::Result<Zeroizing<Vec<u8>>> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a file"));
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(most + 1));
    File::open(path)?.take(most as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;

    use super::*;

    struct TestFile(PathBuf);

    impl TestFile {
        fn new(name: &str, bytes: &[u8]) -> TestFile {
            let path = std::env::temp_dir().join(format!("pinhole-secret-{name}-{}", std::process::id()));
            fs::write(&path, bytes).unwrap();
            TestFile(path)
        }
    }

    impl Drop for TestFile {
        fn drop(&mut self) {
            let _ = fs::remove_file(&self.0);
        }
    }

    #[test]
    fn a_line_is_read_without_its_end() {
        for (written, expected) in [("s", "s"), ("s\n", "s"), ("s\r\n", "s"), (" s \n", " s ")] {
            let file = TestFile::new("line", written.as_bytes());
            assert_eq!(read(&file.0).unwrap().as_bytes(), expected.as_bytes(), "{written:?}");
        }
    }

    #[test]
    fn what_is_no_secret_is_a_sentence_without_it() {
        let long = vec![b'x'; MAX_SECRET + 1];
        for (written, expected) in [
            (&b""[..], "is empty"),
            (b"\n", "is empty"),
            (b"hunter2\nhunter2\n", "more than one line"),
            (&long, "larger"),
        ] {
            let error = read(&TestFile::new("wrong", written).0).unwrap_err();
            assert!(error.contains(expected) && !error.contains("hunter2"), "{error}");
        }
        assert!(read(Path::new("/")).unwrap_err().contains("not a file"));
        assert!(
            read(Path::new("/no/such"))
                .unwrap_err()
                .contains("cannot be read: No such file")
        );
    }

    #[test]
    fn only_a_secret_that_all_can_read_is_exposed() {
        let file = TestFile::new("mode", b"s");
        let input = |is_secret| Input {
            path: file.0.clone(),
            is_secret,
        };
        for (mode, expected) in [(0o600, false), (0o640, false), (0o644, true), (0o604, true)] {
            fs::set_permissions(&file.0, fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(input(true).is_exposed(), expected, "{mode:o}");
            assert!(!input(false).is_exposed());
        }
    }

    #[test]
    fn a_secret_is_not_printed() {
        let secret = Secret::from("hunter2");
        assert_eq!(format!("{secret} {secret:?}"), "MASKED MASKED");
    }
}
