//! JSON, written: objects, strings, numbers and lists are all that is ever said in it.

use std::fmt::Write;

/// JSON under construction.
#[derive(Default)]
pub struct Json(String);

impl Json {
    /// As it stands.
    pub fn raw(&mut self, text: &str) -> &mut Self {
        self.0.push_str(text);
        self
    }

    /// A key of the object that is open.
    pub fn key(&mut self, key: &str) -> &mut Self {
        if !self.0.ends_with('{') {
            self.0.push(',');
        }
        self.string(key).raw(":")
    }

    /// A key and a number.
    pub fn number(&mut self, key: &str, value: u64) -> &mut Self {
        self.key(key);
        let _ = write!(self.0, "{value}");
        self
    }

    /// A key and a truth.
    pub fn flag(&mut self, key: &str, value: bool) -> &mut Self {
        self.key(key).raw(if value { "true" } else { "false" })
    }

    /// A key and a text.
    pub fn text(&mut self, key: &str, value: &str) -> &mut Self {
        self.key(key).string(value)
    }

    fn string(&mut self, value: &str) -> &mut Self {
        self.0.push('"');
        for c in value.chars() {
            match c {
                '"' | '\\' => self.0.extend(['\\', c]),
                c if c.is_control() => drop(write!(self.0, "\\u{:04x}", u32::from(c))),
                c => self.0.push(c),
            }
        }
        self.raw("\"")
    }

    /// What was written.
    pub fn into_text(self) -> String {
        self.0
    }
}
