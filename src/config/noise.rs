//! `[*.transport.noise]`: whether the keys are those that the pattern wants at this end.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use crate::link::{Key, Pattern, decode_key};
use crate::proto::End;

use super::build::{Section, file_key};
use super::errors::Faults;
use super::source::shown;
use super::{AuthorizedKey, Input, Noise, Role, Secret, keys};

/// The table of one role; `None` only if something is wrong, all of which is then in `faults`.
pub(super) fn noise(section: &Section<'_>, role: Role, faults: &mut Faults<'_>) -> Option<Noise> {
    let mut table = Table {
        section,
        end: end(role),
        faults,
    };
    let pattern = table.pattern()?;
    let local_private_key = table.secret("local_private_key");
    let remote_public_key = table.remote_public_key(&pattern);
    let psk = table.psk(&pattern);
    let authorized_keys = table.authorized_keys(&pattern);
    Some(Noise {
        pattern: section.word("pattern")?.to_owned(),
        local_private_key: local_private_key?,
        remote_public_key: remote_public_key?,
        psk: psk?,
        authorized_keys: authorized_keys?,
    })
}

fn end(role: Role) -> End {
    match role {
        Role::Server => End::Server,
        Role::Client => End::Client,
    }
}

fn other(end: End) -> (End, &'static str) {
    match end {
        End::Server => (End::Client, "client"),
        End::Client => (End::Server, "server"),
    }
}

struct Table<'a, 'f, 's> {
    section: &'a Section<'a>,
    end: End,
    faults: &'f mut Faults<'s>,
}

/// What a key is; the inner `None`: absent, and rightly so. The outer one: wrong.
type Found<T> = Option<Option<T>>;

impl Table<'_, '_, '_> {
    fn pattern(&mut self) -> Option<Pattern> {
        let name = self.section.word("pattern")?;
        let pattern = Pattern::parse(name);
        pattern
            .map_err(|error| self.wrong("pattern", &format!("\"{}\" {error}", shown(name))))
            .ok()
    }

    fn psk(&mut self, pattern: &Pattern) -> Found<Secret> {
        match (self.section.has_secret("psk"), pattern.has_psk()) {
            (true, false) => self.needless("psk", pattern, "has no psk; one like NKpsk0 or XXpsk3 has"),
            (false, true) => self.missing("psk", pattern, "mixes in a key that both ends share"),
            _ => self.secret("psk"),
        }
    }

    /// One that the pattern does not want is let pass, as rathole does.
    fn remote_public_key(&mut self, pattern: &Pattern) -> Found<Key> {
        let (other, name) = other(self.end);
        let key = "remote_public_key";
        let Some(text) = self.section.text(key) else {
            let reason = format!("wants the {name}'s key to be known beforehand");
            return match pattern.is_known_before(other) {
                true => self.missing(key, pattern, &reason),
                false => Some(None),
            };
        };
        match decode_key(text) {
            Ok(public) => Some(Some(*public)),
            Err(error) => {
                self.wrong(key, &format!("\"{}\" {error}", shown(text)));
                None
            }
        }
    }

    fn authorized_keys(&mut self, pattern: &Pattern) -> Found<Vec<AuthorizedKey>> {
        let key = "authorized_keys";
        if !self.has(key) || self.end == End::Client {
            return Some(None);
        }
        if !pattern.has_static(End::Client) {
            return self.needless(key, pattern, "has no key of the client; one like XX, IK or KK has");
        }
        match self.section.text(key) {
            Some(file) => self.keys_of_file(file).map(Some),
            None => self.keys_of_table().map(Some),
        }
    }

    fn keys_of_table(&mut self) -> Option<Vec<AuthorizedKey>> {
        let section = self.section.section("authorized_keys");
        let mut known = Vec::new();
        for (name, value) in section.table? {
            let (name, text) = (name.get_ref().as_ref(), value.get_ref().as_str()?);
            let checked = check_name(name).and_then(|()| decode_key(text));
            match checked {
                Ok(key) => known.push(AuthorizedKey {
                    name: name.to_owned(),
                    key: *key,
                }),
                Err(error) => {
                    let path = format!("{}.{}", keys::display(&section.path), keys::display(&[name]));
                    self.faults.wrong(value.span().start, &path, error);
                }
            }
        }
        (known.len() == section.table?.len()).then_some(known)
    }

    fn keys_of_file(&mut self, name: &str) -> Option<Vec<AuthorizedKey>> {
        let path = self.faults.source.beside(name);
        let read = read(&path).map_err(|error| format!("cannot be read: {error}"));
        self.faults.inputs.push(Input { path, is_secret: false });
        let known = read.and_then(|text| parse_lines(&text));
        known
            .map_err(|error| self.wrong("authorized_keys", &format!("\"{}\" {error}", shown(name))))
            .ok()
    }

    fn has(&self, key: &str) -> bool {
        self.section.has(key)
    }

    fn secret(&mut self, key: &str) -> Found<Secret> {
        if !self.section.has_secret(key) {
            return Some(None);
        }
        let secret = self.section.secret(key, self.faults)?;
        let text = str::from_utf8(secret.as_bytes()).unwrap_or_default();
        match decode_key(text) {
            Ok(_) => Some(Some(secret)),
            Err(error) => {
                self.wrong(key, error);
                None
            }
        }
    }

    fn missing<T>(&mut self, key: &str, pattern: &Pattern, reason: &str) -> Found<T> {
        let text = format!("is missing; the pattern {} {reason}", pattern.handshake());
        self.faults.missing(self.section.at, &self.section.key(key), &text);
        None
    }

    fn needless<T>(&mut self, key: &str, pattern: &Pattern, reason: &str) -> Found<T> {
        self.wrong(
            key,
            &format!("is of no use: the pattern {} {reason}", pattern.handshake()),
        );
        None
    }

    /// `key` is wrong as it stands, here or in a file of its own.
    fn wrong(&mut self, key: &str, text: &str) {
        let file_key = file_key(key);
        let key = if self.section.has(key) { key } else { &file_key };
        self.faults
            .wrong(self.section.at_value(key), &self.section.key(key), text);
    }
}

/// Lines of a name, blanks and a key; empty ones and those that begin with `#` are skipped.
fn parse_lines(text: &str) -> Result<Vec<AuthorizedKey>, String> {
    let mut known: Vec<AuthorizedKey> = Vec::new();
    let lines = text
        .lines()
        .map(str::trim)
        .zip(1..)
        .filter(|(line, _)| !line.is_empty() && !line.starts_with('#'));
    for (line, number) in lines {
        let entry = parse_line(line).and_then(|entry| match known.iter().any(|before| before.name == entry.name) {
            true => Err("has a name that was there before"),
            false => Ok(entry),
        });
        known.push(entry.map_err(|error| format!("line {number} {error}"))?);
    }
    Ok(known)
}

fn parse_line(line: &str) -> Result<AuthorizedKey, &'static str> {
    let (name, key) = line
        .split_once(char::is_whitespace)
        .ok_or("is not a name, a blank and a key")?;
    check_name(name)?;
    Ok(AuthorizedKey {
        name: name.to_owned(),
        key: *decode_key(key.trim_start())?,
    })
}

fn check_name(name: &str) -> Result<(), &'static str> {
    match name.is_empty() || name.len() > MAX_NAME || name.contains(|c: char| c.is_whitespace() || c.is_control()) {
        true => Err("has a name that is no word of 1 to 64 bytes"),
        false => Ok(()),
    }
}

fn read(path: &Path) -> io::Result<String> {
    // Opening a pipe would wait for its writer.
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a file"));
    }
    let mut text = String::new();
    File::open(path)?.take(MAX_FILE).read_to_string(&mut text)?;
    Ok(text)
}

/// Bytes of a client's name at most: it stands in many lines of the log.
const MAX_NAME: usize = 64;
/// Bytes of a file of keys at most: ten thousand clients.
const MAX_FILE: u64 = 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "xrpknQcAagcd/b9foMwxSCD+EindWxq450NEONk8XQo=";

    /// Without Noise there are no keys.
    fn has_noise() -> bool {
        decode_key(KEY).is_ok()
    }

    #[test]
    fn a_file_of_keys_may_have_comments_and_any_blanks() {
        if !has_noise() {
            return;
        }
        let known = parse_lines(&format!("# clients\r\n\r\n  a {KEY}\r\nb\t \t{KEY}  \n")).expect("two keys");
        let names: Vec<&str> = known.iter().map(|known| known.name.as_str()).collect();
        assert_eq!(names, ["a", "b"]);
        assert!(parse_lines("").is_ok_and(|known| known.is_empty()));
    }

    #[test]
    fn a_file_of_keys_is_wrong_in_a_certain_line() {
        if !has_noise() {
            return;
        }
        for (text, error) in [
            (KEY.to_owned(), "line 1 is not a name, a blank and a key"),
            (format!("\na {KEY}\na {KEY}"), "line 3 has a name that was there before"),
            ("a no-key".to_owned(), "line 1 is not base64"),
            (format!("a {KEY} b"), "line 1 is not base64"),
            (format!("{} {KEY}", "a".repeat(65)), "line 1 has a name that is no word"),
        ] {
            let found = parse_lines(&text).expect_err(&text);
            assert!(found.starts_with(error), "{found}");
        }
    }
}
