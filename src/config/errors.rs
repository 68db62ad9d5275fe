//! What is wrong with a file: collected while it is checked, then printed in the file's order, a line each.

use std::fmt;
use std::ops::Range;

use super::Input;
use super::keys::KeyPath;
use super::source::{Source, order};

/// Lines shown at most; who has more has the wrong file.
const MAX_SHOWN: usize = 20;
/// Mistakes of syntax looked at, at most: a megabyte that is not TOML has a million, and each takes a look around.
const MAX_SYNTAX: usize = 200;

/// Everything that is wrong with a file, in its order, one line each. No line shows a secret.
#[derive(Debug)]
pub struct Errors {
    lines: Vec<String>,
    inputs: Vec<Input>,
}

impl Errors {
    pub(super) fn one(place: &str, text: &str) -> Errors {
        Errors {
            lines: vec![format!("{place}: {text}")],
            inputs: Vec::new(),
        }
    }

    /// The files that were read until then, as far as it came.
    pub fn inputs(&self) -> &[Input] {
        &self.inputs
    }

    /// One by one.
    pub fn lines(&self) -> &[String] {
        &self.lines
    }
}

impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.lines.join("\n"))
    }
}

impl std::error::Error for Errors {}

/// One thing that is wrong.
struct Fault {
    at: Option<usize>,
    text: String,
    /// About something that is not there. When the file cannot be read to its end, it may be there after all.
    is_absence: bool,
}

impl Fault {
    /// Of one value the first thing that is wrong says enough.
    fn is_consequence(&self, earlier: &Fault) -> bool {
        self.at.is_some() && self.at == earlier.at && !self.is_absence && !earlier.is_absence
    }
}

/// The faults found so far.
pub(super) struct Faults<'a> {
    pub(super) source: Source<'a>,
    /// The files that were read on the way.
    pub(super) inputs: Vec<Input>,
    list: Vec<Fault>,
    /// Those that the parser found; no consequences of each other.
    syntax: Vec<Fault>,
}

impl<'a> Faults<'a> {
    pub(super) fn new(source: Source<'a>) -> Self {
        Faults {
            source,
            inputs: Vec::new(),
            list: Vec::new(),
            syntax: Vec::new(),
        }
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.list.len()
    }

    /// `key` is wrong as it stands at `at`.
    pub(super) fn wrong(&mut self, at: usize, key: &KeyPath<'_>, text: &str) {
        self.push(Some(at), format!("{key}: {text}"), false);
    }

    /// `key` is missing from what stands at `at`.
    pub(super) fn missing(&mut self, at: usize, key: &KeyPath<'_>, text: &str) {
        self.push(Some(at), format!("{key}: {text}"), true);
    }

    /// The file as a whole is not what was asked for.
    pub(super) fn unfit(&mut self, text: String) {
        self.push(None, text, true);
    }

    /// Adds what the TOML parser found, one sentence a line. A duplicate key leaves the rest meaningful; a broken line
    /// takes with it what was found on it and what may be only its consequence.
    pub(super) fn syntax(&mut self, errors: &[toml::de::Error]) {
        let mut reported = None;
        for (at, index) in order(errors.len(), &|index| start(&errors[index]))
            .into_iter()
            .take(MAX_SYNTAX)
        {
            let error = &errors[index];
            let line = self.source.line(at);
            if !is_duplicate(error) {
                self.forget_consequences(at, &line);
            }
            if reported.as_ref() != Some(&line) {
                let text = sentence(self.source, error);
                self.syntax.push(Fault {
                    at: Some(at),
                    text,
                    is_absence: false,
                });
            }
            if is_array(error) {
                break;
            }
            reported = Some(line);
        }
    }

    /// A broken header leaves open what the lines below it belong to.
    fn forget_consequences(&mut self, broken: usize, line: &Range<usize>) {
        let end = if self.source.is_header(broken) {
            usize::MAX
        } else {
            line.end
        };
        let is_consequence = |at: usize| (line.start..=end).contains(&at);
        self.list
            .retain(|fault| !fault.is_absence && !fault.at.is_some_and(is_consequence));
    }

    /// Nothing, if nothing is wrong.
    pub(super) fn into_result(mut self) -> Result<(), Errors> {
        self.list.append(&mut self.syntax);
        if self.list.is_empty() {
            return Ok(());
        }
        let list = &self.list;
        let (mut lines, mut more, mut last) = (Vec::new(), 0, None);
        for (_, index) in order(list.len(), &|index| list[index].at.map_or(0, |at| at + 1)) {
            let fault = &list[index];
            if last.is_some_and(|last| fault.is_consequence(last)) {
                continue;
            }
            last = Some(fault);
            match lines.len() < MAX_SHOWN {
                true => lines.push(format!("{}: {}", self.source.place(fault.at), fault.text)),
                false => more += 1,
            }
        }
        if more > 0 {
            lines.push(format!("… and {more} more"));
        }
        Err(Errors {
            lines,
            inputs: self.inputs,
        })
    }

    fn push(&mut self, at: Option<usize>, text: String, is_absence: bool) {
        self.list.push(Fault { at, text, is_absence });
    }
}

fn start(error: &toml::de::Error) -> usize {
    error.span().map_or(0, |span| span.start)
}

fn is_duplicate(error: &toml::de::Error) -> bool {
    error.message() == "duplicate key"
}

/// An array that is not closed swallows every line after it.
fn is_array(error: &toml::de::Error) -> bool {
    error.message().contains("array")
}

/// The parser's list of everything it would have taken is dropped, unless it is a single character.
fn sentence(source: Source<'_>, error: &toml::de::Error) -> String {
    let (what, expected) = error
        .message()
        .split_once(", expected ")
        .unwrap_or((error.message(), ""));
    let (what, expected) = match (what, expected) {
        ("duplicate key", _) => ("is there twice; only one can count", ""),
        ("string values must be quoted", _) if error.span().is_none_or(|span| span.is_empty()) => ("has no value", ""),
        ("string values must be quoted", _) => ("neither a number nor true or false; text must be in quotes", ""),
        (_, "`\"`" | "`'`" | "`\"\"\"`" | "`'''`") => ("the string is not closed", expected),
        (what, expected) if expected.starts_with('`') && !expected.contains(", ") => (what, expected),
        (what, _) => (what, ""),
    };
    let separator = if expected.is_empty() { "" } else { ", expected " };
    match source.key_near(start(error)).as_str() {
        "" => format!("{what}{separator}{expected}"),
        key => format!("{key}: {what}{separator}{expected}"),
    }
}
