//! Walks the parsed file beside the rows of [`keys`](super::keys).
//!
//! Everywhere: spelling, TOML types, words of a choice. In what is *used* (the blocks of the chosen roles, without the
//! tables of other transports), also that values are in range, that this build has what they need, and that nothing
//! required is missing.

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::addr::dial;
use super::errors::Faults;
use super::groups;
use super::keys::{self, Form, KeyPath, Row};
use super::suggest::suggest;
use super::{HostPort, Local, Network, Proxy, Role, Url, require};
use crate::limits::{MAX_NAME, MAX_SERVICES};

/// Checks the whole file as one that `roles` will use.
pub(super) fn check(document: &DeTable<'_>, roles: &[Role], faults: &mut Faults<'_>) {
    Checker { roles, faults }.table(&KeyPath::ROOT, document, true);
}

/// A value, and where it stands.
pub(super) type Value<'a> = Spanned<DeValue<'a>>;

/// The value of `key`. The one look into tables: each more is a search of its own in the machine code.
pub(super) fn get<'a, 'd>(table: &'a DeTable<'d>, key: &str) -> Option<&'a Value<'d>> {
    entry(table, key).map(|(_, value)| value)
}

/// With its key as it stands in the text.
pub(super) fn entry<'a, 'd>(table: &'a DeTable<'d>, key: &str) -> Option<(&'a Spanned<DeString<'d>>, &'a Value<'d>)> {
    table.get_key_value(key)
}

/// The number, unless the value is none or more than `max`.
pub(super) fn number(value: &DeValue<'_>, max: u32) -> Option<u32> {
    let integer = value.as_integer()?;
    u32::from_str_radix(integer.as_str(), integer.radix())
        .ok()
        .filter(|number| *number <= max)
}

/// Whether `key` of the table at `path` counts: one file may carry both roles and all transports.
pub(super) fn is_used(path: &KeyPath<'_>, table: &DeTable<'_>, key: &str, roles: &[Role]) -> bool {
    if path.is_root() {
        return roles.iter().any(|role| role.name() == key);
    }
    if !path.matches("*.transport") || get(table, key).is_none_or(|value| !value.get_ref().is_table()) {
        return true;
    }
    let chosen = get(table, "type").and_then(|word| word.get_ref().as_str());
    key == "tcp" || chosen == Some(key) || key == "tls" && chosen == Some("websocket") && runs_on_tls(table)
}

struct Checker<'f, 's> {
    roles: &'f [Role],
    faults: &'f mut Faults<'s>,
}

impl Checker<'_, '_> {
    fn table(&mut self, path: &KeyPath<'_>, table: &DeTable<'_>, is_used: bool) {
        let mut misspelt = Vec::new();
        for (key, value) in table {
            let is_used = is_used && self::is_used(path, table, key.get_ref(), self.roles);
            let key = path.key(key.get_ref(), key.span().start);
            match key.row() {
                Some(row) => self.entry(row, &key, value, is_used),
                None => {
                    let suggestion = suggest(path, key.name);
                    self.faults.wrong(key.at, &key, &suggestion.text);
                    misspelt.extend(suggestion.meant);
                }
            }
        }
        if is_used {
            self.missing(path, table, &misspelt);
        }
    }

    /// A key that was only misspelt is not reported a second time.
    fn missing(&mut self, path: &KeyPath<'_>, table: &DeTable<'_>, misspelt: &[&str]) {
        for row in keys::inside(path).filter(|row| row.is_required()) {
            let name = row.name();
            if get(table, name).is_none() && !misspelt.contains(&name) {
                let text = format!("is missing; expected {}", row.form.expected());
                self.faults.missing(path.at, &path.key(name, path.at), &text);
            }
        }
    }

    fn entry(&mut self, row: &Row, key: &KeyPath<'_>, value: &Value<'_>, is_used: bool) {
        match value.get_ref() {
            DeValue::Table(table) if row.form.is_table() => {
                if let (true, Err(text)) = (is_used, row.supported()) {
                    self.faults.wrong(key.at, key, &text);
                }
                if is_used && matches!(row.form, Form::Services) {
                    self.names(key, table);
                }
                self.table(key, table, is_used);
            }
            DeValue::Array(items) if row.form.is_list() && !items.is_empty() => {
                for item in items.iter() {
                    let at = item.span().start;
                    self.single(row, &key.part(at), item, is_used);
                }
            }
            _ => self.single(row, key, value, is_used),
        }
    }

    fn single(&mut self, row: &Row, key: &KeyPath<'_>, value: &Value<'_>, is_used: bool) {
        let found = value.get_ref();
        if !row.form.takes(found) {
            return self.wrong_type(row, key, value);
        }
        let result = match is_used {
            true => row.usable(found),
            false => row.form.word(found),
        };
        if let Err(text) = result {
            let shown = match row.is_secret() {
                true => String::new(),
                false => self.faults.source.value(value.span()) + " ",
            };
            self.faults.wrong(value.span().start, key, &(shown + &text));
        }
    }

    fn names(&mut self, path: &KeyPath<'_>, services: &DeTable<'_>) {
        if services.len() > usize::from(MAX_SERVICES) {
            let text = format!("has {} services; one side can have {MAX_SERVICES}", services.len());
            self.faults.wrong(path.at, path, &text);
        }
        for name in services.keys() {
            if let Err(text) = service_name(name.get_ref()) {
                let at = name.span().start;
                self.faults.wrong(at, &path.key(name.get_ref(), at), text);
            }
        }
    }

    /// A table has no value worth showing: it is pointed at by its key.
    fn wrong_type(&mut self, row: &Row, key: &KeyPath<'_>, value: &Value<'_>) {
        let (kind, is_shown) = match value.get_ref() {
            DeValue::Array(items) if items.is_empty() => ("an empty array", false),
            DeValue::Array(_) => ("an array", false),
            DeValue::Table(_) => ("a table", false),
            DeValue::Integer(_) => ("an integer", true),
            DeValue::String(_) => ("a string", true),
            DeValue::Float(_) => ("a float", true),
            DeValue::Boolean(_) => ("a boolean", true),
            DeValue::Datetime(_) => ("a datetime", true),
        };
        let mut text = format!("expected {}, found {kind}", row.form.expected());
        if is_shown && !row.is_secret() {
            text.push_str(", ");
            text.push_str(&self.faults.source.value(value.span()));
        }
        let at = if is_shown { value.span().start } else { key.at };
        self.faults.wrong(at, key, &text);
    }
}

fn runs_on_tls(transport: &DeTable<'_>) -> bool {
    let websocket = get(transport, "websocket").and_then(|table| table.get_ref().as_table());
    websocket.and_then(|table| get(table, "tls")?.get_ref().as_bool()) == Some(true)
}

pub(super) fn service_name(name: &str) -> Result<(), &'static str> {
    if name.is_empty() {
        Err("a service needs a name")
    } else if name.len() > MAX_NAME {
        Err("is too long; a service's name has at most 255 bytes")
    } else if name.chars().any(char::is_control) {
        Err("has a control character; a service's name is printable text")
    } else {
        Ok(())
    }
}

impl Row {
    /// Whether this build has what the key needs. The error completes a sentence that starts with the key or its value.
    fn supported(&self) -> Result<(), String> {
        match self.needs {
            Some((group, name)) => require(*group, name).map_err(|text| format!("cannot be used: {text}")),
            None => Ok(()),
        }
    }

    /// Whether this build can use the value. The error completes a sentence that starts with it.
    fn usable(&self, value: &DeValue<'_>) -> Result<(), String> {
        self.supported()?;
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
        let text = match self {
            Form::Seconds(max) => return format!("a whole number of seconds, 0 to {max}"),
            Form::Number(max) => return format!("a whole number, 0 to {max}"),
            Form::Choice(_, words) | Form::OneOf(words) => return format!("one of \"{}\"", words.join("\", \"")),
            Form::Table => "a table",
            Form::Services => "a table of services, which may be empty",
            Form::Keys => "a table of names and keys, or a string like \"/etc/pinhole/keys\"",
            Form::Listen => "a string like \"0.0.0.0:2333\", or a list of such",
            Form::Dial => "a string like \"example.com:2333\", or a list of such",
            Form::Local => "a string like \"127.0.0.1:80\" or \"unix:/run/service.sock\"",
            Form::Path | Form::SecretFile => "a string like \"/etc/pinhole/file\"",
            Form::Token | Form::Secret | Form::Text => "a string in quotes",
            Form::Flag => "true or false",
            Form::Ports => "two ports like [20000, 20099], or [0, 0]",
            Form::Hashes => "a list of hashes, 64 hexadecimal digits each; `pinhole --hash-key` makes one",
            Form::Url => "a string like \"https://example.com/alert\"",
            Form::Proxy => "a string like \"socks5://user:password@example.com:1080\"",
            Form::Networks => "a list like [\"10.0.0.0/8\", \"192.0.2.1\"]",
        };
        text.to_owned()
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
            Form::Seconds(max) | Form::Number(max) if number(value, *max).is_none() => {
                Err(format!("is out of range; expected {}", self.expected()))
            }
            _ => Ok(()),
        }
    }
}
