//! Walks the parsed file beside the rows of [`keys`](super::keys).
//!
//! Everywhere: spelling, TOML types, words of a choice. In what is *used* (the blocks of the chosen roles, without the
//! tables of other transports), also that values are in range, that this build has what they need, and that nothing
//! required is missing.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::addr::dial;
use super::errors::Faults;
use super::groups;
use super::keys::{self, Form, Row};
use super::source::shown;
use super::suggest::suggest;
use super::{HostPort, Local, Network, Proxy, Role, Url, require};
use crate::limits::{MAX_NAME, MAX_SERVICES};

/// Checks the whole file as one that `roles` will use.
pub(super) fn check<'a>(document: &'a DeTable<'a>, roles: &[Role], faults: &mut Faults<'_>) {
    Checker {
        roles,
        faults,
        path: Vec::new(),
    }
    .table(document, 0, true);
}

/// The seconds, unless the value is not a number of them.
pub(super) fn seconds(value: &DeValue<'_>, max: u64) -> Option<u64> {
    let integer = value.as_integer()?;
    u64::from_str_radix(integer.as_str(), integer.radix())
        .ok()
        .filter(|seconds| *seconds <= max)
}

/// Whether `key` of the table at `path` counts: one file may carry both roles and all transports.
pub(super) fn is_used(path: &[&str], table: &DeTable<'_>, key: &str, roles: &[Role]) -> bool {
    match path {
        [] => roles.iter().any(|role| role.name() == key),
        [_, "transport"] if table.get(key).is_some_and(|value| value.get_ref().is_table()) => {
            let chosen = table.get("type").and_then(|word| word.get_ref().as_str());
            key == "tcp" || chosen == Some(key) || key == "tls" && chosen == Some("websocket") && runs_on_tls(table)
        }
        _ => true,
    }
}

struct Checker<'a, 'f, 's> {
    roles: &'f [Role],
    faults: &'f mut Faults<'s>,
    path: Vec<&'a str>,
}

impl<'a> Checker<'a, '_, '_> {
    /// `at` is where the table's own key stands.
    fn table(&mut self, table: &'a DeTable<'a>, at: usize, is_used: bool) {
        let mut misspelt = Vec::new();
        for (key, value) in table {
            let is_used = is_used && self::is_used(&self.path, table, key.get_ref(), self.roles);
            self.path.push(key.get_ref());
            match keys::find(&self.path) {
                Some(row) => self.entry(row, key.span().start, value, is_used),
                None => misspelt.extend(self.unknown(key.span().start)),
            }
            self.path.pop();
        }
        if is_used {
            self.missing(table, at, &misspelt);
        }
    }

    fn unknown(&mut self, at: usize) -> Option<&'static str> {
        let (key, table) = self.path.split_last()?;
        let suggestion = suggest(table, key);
        self.faults.wrong(at, &keys::display(&self.path), &suggestion.text);
        suggestion.meant
    }

    /// A key that was only misspelt is not reported a second time.
    fn missing(&mut self, table: &DeTable<'_>, at: usize, misspelt: &[&str]) {
        let is_absent =
            |row: &&Row| row.is_required() && !table.contains_key(row.name()) && !misspelt.contains(&row.name());
        for row in keys::inside(&self.path).filter(is_absent) {
            let key = format!("{}.{}", keys::display(&self.path), row.name());
            self.faults
                .missing(at, &key, &format!("is missing; expected {}", row.form.expected()));
        }
    }

    fn entry(&mut self, row: &Row, at: usize, value: &'a Spanned<DeValue<'a>>, is_used: bool) {
        match value.get_ref() {
            DeValue::Table(table) if row.form.is_table() => {
                if is_used && matches!(row.form, Form::Services) {
                    self.names(table, at);
                }
                self.table(table, at, is_used);
            }
            DeValue::Array(_) if row.form.takes(value.get_ref()) => self.single(row, at, value, is_used),
            DeValue::Array(items) if row.form.is_list() && !items.is_empty() => {
                let each = items.iter();
                each.for_each(|item| self.single(row, item.span().start, item, is_used));
            }
            _ => self.single(row, at, value, is_used),
        }
    }

    fn single(&mut self, row: &Row, at: usize, value: &'a Spanned<DeValue<'a>>, is_used: bool) {
        let found = value.get_ref();
        if !row.form.takes(found) {
            return self.wrong_type(row, at, value);
        }
        let result = if is_used {
            row.usable(found)
        } else {
            row.form.word(found)
        };
        if let Err(text) = result {
            self.wrong(row, value.span(), &text);
        }
    }

    fn names(&mut self, services: &DeTable<'_>, at: usize) {
        if services.len() > usize::from(MAX_SERVICES) {
            let text = format!("has {} services; one side can have {MAX_SERVICES}", services.len());
            self.faults.wrong(at, &keys::display(&self.path), &text);
        }
        for name in services.keys() {
            if let Err(text) = service_name(name.get_ref()) {
                let key = format!("{}.\"{}\"", keys::display(&self.path), shown(name.get_ref()));
                self.faults.wrong(name.span().start, &key, text);
            }
        }
    }

    /// A table has no value worth showing: it is pointed at by its key.
    fn wrong_type(&mut self, row: &Row, at: usize, value: &Spanned<DeValue<'_>>) {
        let found = value.get_ref();
        let article = if matches!(found, DeValue::Integer(_) | DeValue::Array(_)) {
            "an"
        } else {
            "a"
        };
        let kind = match found {
            DeValue::Array(items) if items.is_empty() => "empty array",
            _ => found.type_str(),
        };
        let text = format!("expected {}, found {article} {kind}", row.form.expected());
        let (at, shown) = match found {
            DeValue::Table(_) | DeValue::Array(_) => (at, String::new()),
            _ if row.is_secret() => (value.span().start, String::new()),
            _ => (
                value.span().start,
                format!(", {}", self.faults.source.value(value.span())),
            ),
        };
        self.faults
            .wrong(at, &keys::display(&self.path), &format!("{text}{shown}"));
    }

    fn wrong(&mut self, row: &Row, span: Range<usize>, text: &str) {
        let key = keys::display(&self.path);
        match row.is_secret() {
            true => self.faults.wrong(span.start, &key, text),
            false => {
                let value = self.faults.source.value(span.clone());
                self.faults.wrong(span.start, &key, &format!("{value} {text}"));
            }
        }
    }
}

fn runs_on_tls(transport: &DeTable<'_>) -> bool {
    let websocket = transport.get("websocket").and_then(|table| table.get_ref().as_table());
    websocket.and_then(|table| table.get("tls")?.get_ref().as_bool()) == Some(true)
}

pub(super) fn service_name(name: &str) -> Result<(), &'static str> {
    if name.is_empty() {
        Err("a service needs a name")
    } else if name.len() > MAX_NAME {
        Err("is too long; a service's name has at most 255 bytes")
    } else if name.contains(char::is_control) {
        Err("has a control character; a service's name is printable text")
    } else {
        Ok(())
    }
}

impl Row {
    /// Whether this build can use the value. The error completes a sentence that starts with it.
    fn usable(&self, value: &DeValue<'_>) -> Result<(), String> {
        if let Some((group, name)) = self.needs {
            require(group, name).map_err(|text| format!("cannot be used: {text}"))?;
        }
        self.form.word(value)?;
        self.form.value(value)
    }
}

impl Form {
    fn is_table(&self) -> bool {
        matches!(self, Form::Table | Form::Services | Form::Keys)
    }

    /// Whether it may be a list of what it can be.
    fn is_list(&self) -> bool {
        matches!(self, Form::Networks | Form::Listen | Form::Dial | Form::Hashes)
    }

    fn takes(&self, value: &DeValue<'_>) -> bool {
        match self {
            Form::Table | Form::Services => value.is_table(),
            Form::Keys => value.is_table() || value.is_str(),
            Form::Flag => value.is_bool(),
            Form::Seconds(_) | Form::Number(_) => value.is_integer(),
            Form::Ports => value.is_array(),
            _ => value.is_str(),
        }
    }

    /// What would be right, for a sentence with "expected".
    fn expected(&self) -> String {
        match self {
            Form::Table => "a table".to_owned(),
            Form::Services => "a table of services, which may be empty".to_owned(),
            Form::Keys => "a table of names and keys, or a string like \"/etc/pinhole/keys\"".to_owned(),
            Form::Listen => "a string like \"0.0.0.0:2333\", or a list of such".to_owned(),
            Form::Dial => "a string like \"example.com:2333\", or a list of such".to_owned(),
            Form::Local => "a string like \"127.0.0.1:80\" or \"unix:/run/service.sock\"".to_owned(),
            Form::Path | Form::SecretFile => "a string like \"/etc/pinhole/file\"".to_owned(),
            Form::Token | Form::Secret | Form::Text => "a string in quotes".to_owned(),
            Form::Flag => "true or false".to_owned(),
            Form::Seconds(max) => format!("a whole number of seconds, 0 to {max}"),
            Form::Number(max) => format!("a whole number, 0 to {max}"),
            Form::Ports => "two ports like [20000, 20099], or [0, 0]".to_owned(),
            Form::Hashes => "a list of hashes, 64 hexadecimal digits each; `pinhole --hash-key` makes one".to_owned(),
            Form::Url => "a string like \"https://example.com/alert\"".to_owned(),
            Form::Proxy => "a string like \"socks5://user:password@example.com:1080\"".to_owned(),
            Form::Networks => "a list like [\"10.0.0.0/8\", \"192.0.2.1\"]".to_owned(),
            Form::Choice(_, words) | Form::OneOf(words) => format!("one of \"{}\"", words.join("\", \"")),
        }
    }

    fn word(&self, value: &DeValue<'_>) -> Result<(), String> {
        match (self, value.as_str()) {
            (Form::Choice(_, words) | Form::OneOf(words), Some(word)) if !words.contains(&word) => {
                Err(format!("is not known; expected {}", self.expected()))
            }
            _ => Ok(()),
        }
    }

    fn value(&self, value: &DeValue<'_>) -> Result<(), String> {
        let text = value.as_str().unwrap_or_default();
        match self {
            Form::Choice(group, _) => require(*group, text).map_err(|text| format!("cannot be used: {text}")),
            Form::Listen => HostPort::parse(text).map(drop),
            Form::Dial => dial(text).map(drop),
            Form::Local => Local::parse(text).map(drop),
            Form::Proxy => Proxy::parse(text).map(drop),
            Form::Networks => Network::parse(text).map(drop),
            Form::Token if text.is_empty() => {
                Err("is empty: anyone could prove to know it; choose a long random one".to_owned())
            }
            Form::Path | Form::SecretFile if text.is_empty() => Err("is empty; leave the key out instead".to_owned()),
            Form::Url => Url::parse(text).map(drop),
            Form::Hashes if groups::hash(text).is_none() => Err(format!("is no hash; expected {}", self.expected())),
            Form::Ports => groups::ports(value).map(drop),
            Form::Seconds(max) | Form::Number(max) if seconds(value, *max).is_none() => {
                Err(format!("is out of range; expected {}", self.expected()))
            }
            _ => Ok(()),
        }
    }
}
