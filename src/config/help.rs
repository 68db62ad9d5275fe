//! The reference, from the rows of [`keys`](super::keys): plain for a terminal, Markdown for the README.

use std::fmt::{self, Display, Write};

use super::keys::{Absent, Form, ROWS, Row};

const INTRODUCTION: &str = "\
A configuration is a TOML file with the block [server], [client] or both.
In [*.transport], * is the role; NAME is a service's name, the same on both sides.
";

/// Writes the text of `--help-config`.
pub fn help(out: &mut dyn Write) -> fmt::Result {
    out.write_str(INTRODUCTION)?;
    for row in ROWS {
        match row.form {
            Form::Table | Form::Services => write!(out, "\n[{}]{}\n", Path(row), Facts(row))?,
            _ => writeln!(out, "  {:<20} {}{}", label(row), row.form, Facts(row))?,
        }
        for doc in row.doc {
            writeln!(out, "      {doc}")?;
        }
    }
    Ok(())
}

/// Writes the table of the README.
pub fn readme_reference(out: &mut dyn Write) -> fmt::Result {
    out.write_str("| key | value | if absent | meaning |\n|---|---|---|---|\n")?;
    for row in ROWS {
        writeln!(
            out,
            "| `{}` | {} | {} | {} |",
            Path(row),
            row.form,
            row.absent,
            row.doc.concat()
        )?;
    }
    Ok(())
}

/// A key that only one role has, in a table of both, says so.
fn label(row: &Row) -> String {
    let is_shared = |table: &str| ROWS.iter().any(|row| row.path.strip_prefix("*.") == Some(table));
    match row
        .path
        .split_once('.')
        .and_then(|(role, rest)| Some((role, rest.rsplit_once('.')?.0)))
    {
        Some((role, table)) if role != "*" && is_shared(table) => format!("{} ({role})", row.name()),
        _ => row.name().to_owned(),
    }
}

/// A row's path with NAME for a service's name.
struct Path(&'static Row);

impl Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.path.split_once(".*") {
            Some((table, rest)) => write!(f, "{table}.NAME{rest}"),
            None => f.write_str(self.0.path),
        }
    }
}

/// What follows a key: nothing for a table that may be absent like any other.
struct Facts(&'static Row);

impl Display for Facts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.absent {
            Absent::Required => f.write_str(", required"),
            Absent::Means(_) if matches!(self.0.form, Form::Table | Form::Services) => Ok(()),
            absent => write!(f, ", default {absent}"),
        }
    }
}

impl Display for Absent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Absent::Required => f.write_str("required"),
            Absent::Means(words) => f.write_str(words),
            Absent::Word(word) => write!(f, "\"{word}\""),
            Absent::Number(number) => write!(f, "{number}"),
            Absent::Flag(flag) => write!(f, "{flag}"),
        }
    }
}

impl Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Form::Table => f.write_str("table"),
            Form::Services => f.write_str("tables"),
            Form::Keys => f.write_str("table or path"),
            Form::Listen | Form::Dial => f.write_str("host:port, or a list"),
            Form::Local => f.write_str("host:port or unix:/path"),
            Form::Token | Form::Secret => f.write_str("string, never shown"),
            Form::Proxy | Form::Url => f.write_str("URL, never shown"),
            Form::Networks => f.write_str("address/bits, or a list"),
            Form::Text => f.write_str("string"),
            Form::Path | Form::SecretFile => f.write_str("path"),
            Form::Flag => f.write_str("true or false"),
            Form::Seconds(max) => write!(f, "seconds, 0 to {max}"),
            Form::Number(max) => write!(f, "number, 0 to {max}"),
            Form::Ports => f.write_str("[first, last]"),
            Form::Hashes => f.write_str("list of hashes"),
            Form::Choice(_, words) | Form::OneOf(words) => write!(f, "\"{}\"", words.join("\" or \"")),
        }
    }
}
