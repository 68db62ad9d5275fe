//! `[*.transport.noise]`: whether the keys are those that the pattern wants at this end.

use crate::link::{Key, Pattern, decode_key};
use crate::proto::End;

use super::build::{Section, file_key};
use super::errors::Faults;
use super::{AuthorizedKey, Input, Noise, Role, Secret, secret};

/// The table of one role; `None` if its pattern is wrong.
pub(super) fn noise(section: &Section<'_>, role: Role, faults: &mut Faults<'_>) -> Option<Noise> {
    let mut table = Table {
        section,
        end: end(role),
        faults,
    };
    let pattern = &table.pattern()?;
    Some(Noise {
        pattern: section.word("pattern").to_owned(),
        any_cipher: !section.has("pattern"),
        local_private_key: table.secret("local_private_key"),
        remote_public_key: table.remote_public_key(pattern),
        psk: table.psk(pattern),
        authorized_keys: table.authorized_keys(pattern),
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

/// What is wrong is reported, and counts as absent.
impl Table<'_, '_, '_> {
    fn pattern(&mut self) -> Option<Pattern> {
        let name = self.section.word("pattern");
        if self.section.value("pattern").is_some_and(|value| !value.is_str()) {
            return None;
        }
        let pattern = Pattern::parse(name);
        pattern
            .map_err(|error| self.section.wrong_value("pattern", &error, self.faults))
            .ok()
    }

    fn psk(&mut self, pattern: &Pattern) -> Option<Secret> {
        match (self.section.has_secret("psk"), pattern.has_psk()) {
            (true, false) => self.needless("psk", pattern, "has no psk; one like NKpsk0 or XXpsk3 has"),
            (false, true) => self.missing("psk", pattern, "mixes in a key that both ends share"),
            _ => {}
        }
        self.secret("psk")
    }

    /// One that the pattern does not want is let pass, as rathole does.
    fn remote_public_key(&mut self, pattern: &Pattern) -> Option<Key> {
        const KEY: &str = "remote_public_key";
        let (other, name) = other(self.end);
        if !self.section.has(KEY) && pattern.is_known_before(other) {
            let reason = format!("wants the {name}'s key to be known beforehand");
            self.missing(KEY, pattern, &reason);
        }
        let text = self.section.text(KEY)?;
        let key = decode_key(text).map_err(|error| self.section.wrong_value(KEY, error, self.faults));
        key.ok().map(|key| *key)
    }

    fn authorized_keys(&mut self, pattern: &Pattern) -> Option<Vec<AuthorizedKey>> {
        const KEY: &str = "authorized_keys";
        if !self.section.has(KEY) || self.end == End::Client {
            return None;
        }
        if !pattern.has_static(End::Client) {
            self.needless(KEY, pattern, "has no key of the client; one like XX, IK or KK has");
        }
        match self.section.text(KEY) {
            Some(file) => self.keys_of_file(file),
            None => Some(self.keys_of_table(&self.section.section(KEY))),
        }
    }

    fn keys_of_table(&mut self, section: &Section<'_>) -> Vec<AuthorizedKey> {
        let mut known = Vec::new();
        for (key, value) in section.entries() {
            let entry = value.get_ref().as_str().map(|text| AuthorizedKey::new(key.name, text));
            match entry {
                Some(Ok(entry)) => known.push(entry),
                Some(Err(error)) => section.wrong(key.name, error, self.faults),
                None => {}
            }
        }
        known
    }

    fn keys_of_file(&mut self, name: &str) -> Option<Vec<AuthorizedKey>> {
        let path = self.faults.source.beside(name);
        let read = secret::read_whole(&path);
        self.faults.inputs.push(Input { path, is_secret: false });
        let known = read.and_then(|file| parse_lines(&String::from_utf8_lossy(file.as_bytes())));
        known
            .map_err(|error| self.section.wrong_value("authorized_keys", &error, self.faults))
            .ok()
    }

    fn secret(&mut self, key: &str) -> Option<Secret> {
        let secret = self.section.secret(key, self.faults)?;
        let text = str::from_utf8(secret.as_bytes()).unwrap_or_default();
        if let Err(error) = decode_key(text) {
            self.wrong(key, error);
        }
        Some(secret)
    }

    fn missing(&mut self, key: &str, pattern: &Pattern, reason: &str) {
        let text = format!("is missing; the pattern {} {reason}", pattern.handshake());
        self.section.lacks(key, &text, self.faults);
    }

    fn needless(&mut self, key: &str, pattern: &Pattern, reason: &str) {
        let text = format!("is of no use: the pattern {} {reason}", pattern.handshake());
        self.wrong(key, &text);
    }

    /// `key` is wrong as it stands, here or in a file of its own.
    fn wrong(&mut self, key: &str, text: &str) {
        let file_key = file_key(key);
        let key = if self.section.has(key) { key } else { &file_key };
        self.section.wrong(key, text, self.faults);
    }
}

impl AuthorizedKey {
    fn new(name: &str, key: &str) -> Result<AuthorizedKey, &'static str> {
        check_name(name)?;
        Ok(AuthorizedKey {
            name: name.to_owned(),
            key: *decode_key(key)?,
        })
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
    AuthorizedKey::new(name, key.trim_start())
}

fn check_name(name: &str) -> Result<(), &'static str> {
    match name.is_empty() || name.len() > MAX_NAME || name.chars().any(|c| c.is_whitespace() || c.is_control()) {
        true => Err("has a name that is no word of 1 to 64 bytes"),
        false => Ok(()),
    }
}

/// Bytes of a client's name at most: it stands in many lines of the log.
const MAX_NAME: usize = 64;

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
