//! The text of a configuration file: reading it with a bound, and saying where in it something stands.

use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::{Errors, keys};

/// Bytes of a file at most: thousands of services fit; a log file or a device given by mistake does not fill memory.
const MAX_FILE: u64 = 1024 * 1024;
/// Characters of the user's text shown in an error at most.
pub(super) const MAX_SHOWN: usize = 60;

/// A file's name and text.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) file: &'a str,
    pub(super) text: &'a str,
    pub(super) path: &'a Path,
}

/// A text of the user's, short and on one line.
pub(super) fn shown(text: &str) -> String {
    let mut shown = String::new();
    for c in text.chars().take(MAX_SHOWN) {
        match c.is_control() {
            true => shown.extend(c.escape_unicode()),
            false => shown.push(c),
        }
    }
    if text.chars().nth(MAX_SHOWN).is_some() {
        shown.push('…');
    }
    shown
}

/// Reads the whole file, or says in a sentence why not.
pub(super) fn read(path: &Path) -> Result<Zeroizing<String>, Errors> {
    let file = path.to_string_lossy();
    let bytes = read_bytes(path).map_err(|error| Errors::one(&file, &reason(&error)))?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(Errors::one(&file, "is larger than 1 MiB, which no configuration is"));
    }
    let text =
        String::from_utf8(bytes).map_err(|error| not_utf8(&file, error.as_bytes(), error.utf8_error().valid_up_to()));
    text.map(Zeroizing::new)
}

fn read_bytes(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_FILE + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::IsADirectory => "is a directory; a configuration file is expected".to_owned(),
        _ => format!("cannot be read: {error}"),
    }
}

fn not_utf8(file: &str, bytes: &[u8], offset: usize) -> Errors {
    let (line, column) = position(bytes, offset);
    Errors::one(
        &format!("{file}:{line}:{column}"),
        "not UTF-8 from here on; TOML is UTF-8 text",
    )
}

impl<'a> Source<'a> {
    /// The path of `file`, which stands in it as seen from it.
    pub(super) fn beside(&self, file: &str) -> PathBuf {
        self.path.parent().unwrap_or(Path::new("")).join(file)
    }

    /// `file:line:column`, or the file alone when there is no offset.
    pub(super) fn place(&self, offset: Option<usize>) -> String {
        let Some(offset) = offset else {
            return self.file.to_owned();
        };
        let (line, column) = position(self.text.as_bytes(), offset);
        format!("{}:{line}:{column}", self.file)
    }

    /// The bytes of the line that `offset` stands in, without its end.
    pub(super) fn line(&self, offset: usize) -> Range<usize> {
        let bytes = self.text.as_bytes();
        let offset = offset.min(bytes.len());
        let start = bytes[..offset]
            .iter()
            .rposition(|b| *b == b'\n')
            .map_or(0, |newline| newline + 1);
        let end = bytes[offset..]
            .iter()
            .position(|b| *b == b'\n')
            .map_or(bytes.len(), |newline| offset + newline);
        start..end
    }

    /// A value as the file writes it, short and on one line.
    pub(super) fn value(&self, span: Range<usize>) -> String {
        shown(self.text.get(span).unwrap_or_default())
    }

    /// Whether the line at `offset` is (or was meant as) a `[header]`.
    pub(super) fn is_header(&self, offset: usize) -> bool {
        self.text[self.line(offset)].trim_start().starts_with('[')
    }

    /// The key that the line at `offset` is about, as far as it can be told without a parser.
    pub(super) fn key_near(&self, offset: usize) -> String {
        let line = self.line(offset);
        let header = self.header_before(line.end);
        match self.text[line.clone()].split_once('=') {
            Some((key, _)) if !self.is_header(offset) && is_known(key.trim()) => join(header, key.trim()),
            _ => header.to_owned(),
        }
    }

    fn header_before(&self, end: usize) -> &'a str {
        let text: &'a str = self.text;
        let mut lines = text[..end].lines().rev().map(str::trim);
        let header = lines.find(|line| line.starts_with('[')).unwrap_or_default();
        let inner = header.trim_start_matches('[');
        let end = inner.bytes().position(|b| matches!(b, b'#' | b']'));
        let inner = inner.get(..end.unwrap_or(inner.len())).unwrap_or_default();
        if is_plain(inner) { inner } else { "" }
    }
}

/// Indices of `count` things in the order of their places, with these. One sort for all that needs one: each more is
/// some KiB.
pub(super) fn order(count: usize, place: &dyn Fn(usize) -> usize) -> Vec<(usize, usize)> {
    let mut order: Vec<(usize, usize)> = (0..count).map(|index| (place(index), index)).collect();
    order.sort_unstable();
    order
}

/// What stands before a `=` is repeated only if it is one of our keys: it could be a piece of a broken secret.
fn is_known(key: &str) -> bool {
    let last = key.rsplit('.').next().unwrap_or(key);
    is_plain(key) && keys::ROWS.iter().any(|row| row.name() == last)
}

fn is_plain(key: &str) -> bool {
    key.bytes()
        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
}

fn join(table: &str, key: &str) -> String {
    if table.is_empty() {
        key.to_owned()
    } else {
        format!("{table}.{key}")
    }
}

/// Line and column of an offset, both from 1, in characters.
fn position(bytes: &[u8], offset: usize) -> (usize, usize) {
    let before = &bytes[..offset.min(bytes.len())];
    let line_start = before
        .iter()
        .rposition(|b| *b == b'\n')
        .map_or(0, |newline| newline + 1);
    let is_newline = |b: &&u8| **b == b'\n';
    let starts_character = |b: &&u8| **b & 0xC0 != 0x80;
    (
        before.iter().filter(is_newline).count() + 1,
        before[line_start..].iter().filter(starts_character).count() + 1,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "[server]\nbind_addr = \"ä:1\" # ö\n[server.services.a] # b\ntoken = x\nzzz = y\n";

    fn source() -> Source<'static> {
        Source {
            file: "x.toml",
            text: TEXT,
            path: Path::new("x.toml"),
        }
    }

    #[test]
    fn columns_count_characters() {
        let at = |needle: &str| source().place(TEXT.find(needle));
        assert_eq!(at("bind"), "x.toml:2:1");
        assert_eq!(at(":1"), "x.toml:2:15");
        assert_eq!(at("# b"), "x.toml:3:21");
        assert_eq!(source().place(Some(TEXT.len() + 9)), "x.toml:6:1");
        assert_eq!(source().place(None), "x.toml");
    }

    #[test]
    fn the_key_of_a_broken_line() {
        let near = |needle: &str| source().key_near(TEXT.find(needle).unwrap_or_default());
        assert_eq!(near("ä"), "server.bind_addr");
        assert_eq!(near("services"), "server.services.a");
        assert_eq!(near("x\n"), "server.services.a.token");
        assert_eq!(
            near("zzz"),
            "server.services.a",
            "an unknown word may be a piece of a secret"
        );
    }

    #[test]
    fn a_shown_value_is_short_and_on_one_line() {
        let shown = shown(&format!("a\nb{}", "x".repeat(100)));
        assert!(shown.starts_with("a\\u{a}bxx") && shown.ends_with("xx…"), "{shown}");
        assert!(shown.chars().count() < 70);
    }
}
