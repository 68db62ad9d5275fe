//! `"${NAME}"` in a string value is the environment's variable of that name; `$${NAME}` is `${NAME}` itself.
//!
//! Anything else with a dollar stands for itself, so that a token of rathole's time needs no change. Only what is used
//! is looked at: the tables of the other role may name variables that are not there. Values are never shown.

use std::borrow::Cow;

use toml::de::{DeTable, DeValue};
use zeroize::Zeroize;

use super::Role;
use super::check::is_used;
use super::errors::Faults;
use super::keys::{self, KeyPath};

/// Puts the values of variables in their places. True: a secret stands in the text itself.
pub(super) fn expand(document: &mut DeTable<'_>, roles: &[Role], faults: &mut Faults<'_>) -> bool {
    let mut walk = Walk {
        roles,
        faults,
        has_secret: false,
    };
    walk.table(document, &KeyPath::ROOT);
    walk.has_secret
}

/// Overwrites what the parser or [`expand`] has copied out of the text.
pub(super) fn wipe(table: &mut DeTable<'_>) {
    for (_, value) in table.iter_mut() {
        wipe_value(value.get_mut());
    }
}

fn wipe_value(value: &mut DeValue<'_>) {
    match value {
        DeValue::String(Cow::Owned(text)) => text.zeroize(),
        DeValue::Table(table) => wipe(table),
        DeValue::Array(array) => array.iter_mut().for_each(|value| wipe_value(value.get_mut())),
        _ => {}
    }
}

struct Walk<'f, 's> {
    roles: &'f [Role],
    faults: &'f mut Faults<'s>,
    has_secret: bool,
}

impl Walk<'_, '_> {
    /// Strings first: which tables are used hangs on `type`, which may be a variable too.
    fn table(&mut self, table: &mut DeTable<'_>, path: &KeyPath<'_>) {
        for is_second in [false, true] {
            let names = table.keys().map(|key| is_used(path, table, key.get_ref(), self.roles));
            let used: Vec<bool> = names.collect();
            for ((key, value), is_used) in table.iter_mut().zip(used) {
                if is_used && value.get_ref().is_table() == is_second {
                    let at = value.span().start;
                    self.value(value.get_mut(), &path.key(key.get_ref(), at));
                }
            }
        }
    }

    fn value(&mut self, value: &mut DeValue<'_>, key: &KeyPath<'_>) {
        match value {
            DeValue::Table(table) => self.table(table, key),
            DeValue::Array(array) => {
                for value in array.iter_mut() {
                    let at = value.span().start;
                    self.value(value.get_mut(), &key.part(at));
                }
            }
            DeValue::String(text) => self.string(text, key),
            _ => {}
        }
    }

    fn string(&mut self, text: &mut Cow<'_, str>, key: &KeyPath<'_>) {
        match substitute(text, &|name| std::env::var(name).ok()) {
            Ok(None) => self.has_secret |= key.row().is_some_and(keys::Row::is_secret),
            Ok(Some(expanded)) => *text = Cow::Owned(expanded),
            Err(name) => {
                let text = format!("the environment has no variable {name} (write `$${{{name}}}` for the text itself)");
                self.faults.wrong(key.at, key, &text);
            }
        }
    }
}

/// `text` with the variables that it names; `None` if it names none. The error is the name of one that is not there.
fn substitute(text: &str, variable: &dyn Fn(&str) -> Option<String>) -> Result<Option<String>, String> {
    let mut expanded = String::new();
    let mut rest = text;
    while let Some((before, name, after)) = next_reference(rest) {
        match before.strip_suffix('$') {
            Some(before) => expanded.extend([before, "${", name, "}"]),
            None => {
                let mut value = variable(name).ok_or_else(|| name.to_owned())?;
                expanded.extend([before, &value]);
                value.zeroize();
            }
        }
        rest = after;
    }
    if rest.len() == text.len() {
        return Ok(None);
    }
    expanded.push_str(rest);
    Ok(Some(expanded))
}

/// What stands before the first `${NAME}`, the name, and what stands behind it.
fn next_reference(text: &str) -> Option<(&str, &str, &str)> {
    let mut from = 0;
    loop {
        let (_, rest) = text.get(from..)?.split_once("${")?;
        let start = text.len() - rest.len();
        match rest.split_once('}') {
            Some((name, after)) if is_name(name) => return Some((text.get(..start - 2)?, name, after)),
            _ => from = start,
        }
    }
}

fn is_name(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_ascii_digit())
        && !name.is_empty()
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(text: &str) -> Result<Option<String>, String> {
        substitute(text, &|name| match name {
            "A" => Some("alpha".to_owned()),
            "_B2" => Some("${A}".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        })
    }

    #[test]
    fn a_variable_is_put_in_its_place_once() {
        for (text, expected) in [
            ("${A}", "alpha"),
            ("x${A}y${A}", "xalphayalpha"),
            ("${_B2}", "${A}"),
            ("[${EMPTY}]", "[]"),
            ("$${A}", "${A}"),
            ("a$${A}${A}", "a${A}alpha"),
            ("$${NONE}", "${NONE}"),
            ("${ ${A}", "${ alpha"),
        ] {
            assert_eq!(expanded(text), Ok(Some(expected.to_owned())), "{text}");
        }
    }

    #[test]
    fn another_dollar_stands_for_itself() {
        for text in [
            "", "$", "$A", "${", "${}", "${a b}", "${1}", "pa$$word", "$$", "{A}", "${A",
        ] {
            assert_eq!(expanded(text), Ok(None), "{text}");
        }
    }

    #[test]
    fn a_variable_that_is_not_there_is_named() {
        assert_eq!(expanded("x${NONE}"), Err("NONE".to_owned()));
        assert_eq!(expanded("${A}${a}"), Err("a".to_owned()));
    }
}
