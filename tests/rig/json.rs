//! A reader of JSON, just large enough for what `pinhole status --json` and `iperf3 -J` print.

use std::collections::BTreeMap;

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub enum Json {
    /// `null`
    Null,
    /// `true`, `false`
    Bool(bool),
    /// Any number.
    Number(f64),
    /// Text without its quotes and escapes.
    Text(String),
    /// `[…]`
    List(Vec<Json>),
    /// `{…}`
    Table(BTreeMap<String, Json>),
}

impl Json {
    /// Reads one value and nothing after it.
    #[track_caller]
    pub fn parse(text: &str) -> Json {
        let mut reader = Reader { text, rest: text };
        let value = reader.value();
        reader.skip_space();
        assert!(reader.rest.is_empty(), "more than one JSON value in: {text}");
        value
    }

    /// The value at `key`.
    #[track_caller]
    pub fn get(&self, key: &str) -> &Json {
        let Json::Table(table) = self else {
            panic!("no table to look up `{key}` in: {self:?}")
        };
        table.get(key).unwrap_or_else(|| panic!("no `{key}` in {self:?}"))
    }

    /// The elements of a list.
    #[track_caller]
    pub fn list(&self) -> &[Json] {
        let Json::List(list) = self else {
            panic!("not a list: {self:?}")
        };
        list
    }

    /// The number.
    #[track_caller]
    pub fn number(&self) -> f64 {
        let Json::Number(number) = self else {
            panic!("not a number: {self:?}")
        };
        *number
    }

    /// The text.
    #[track_caller]
    pub fn text(&self) -> &str {
        let Json::Text(text) = self else {
            panic!("not a text: {self:?}")
        };
        text
    }
}

struct Reader<'a> {
    text: &'a str,
    rest: &'a str,
}

impl Reader<'_> {
    fn value(&mut self) -> Json {
        self.skip_space();
        match self.rest.chars().next() {
            Some('{') => Json::Table(self.table()),
            Some('[') => Json::List(self.list()),
            Some('"') => Json::Text(self.string()),
            _ => self.word(),
        }
    }

    fn table(&mut self) -> BTreeMap<String, Json> {
        let mut table = BTreeMap::new();
        self.items('{', '}', |reader| {
            let key = reader.string();
            assert!(reader.take(':'), "no `:` after `{key}` in {}", reader.text);
            let value = reader.value();
            // iperf3 repeats keys in its reports; as in most readers the last one counts.
            table.insert(key, value);
        });
        table
    }

    fn list(&mut self) -> Vec<Json> {
        let mut list = Vec::new();
        self.items('[', ']', |reader| list.push(reader.value()));
        list
    }

    /// What stands between `open` and `close`, separated by commas.
    fn items(&mut self, open: char, close: char, mut item: impl FnMut(&mut Self)) {
        assert!(self.take(open));
        if self.take(close) {
            return;
        }
        loop {
            self.skip_space();
            item(self);
            if self.take(close) {
                return;
            }
            assert!(
                self.take(','),
                "no `,` or `{close}` before `{}` in {}",
                self.rest,
                self.text
            );
        }
    }

    fn string(&mut self) -> String {
        assert!(self.take('"'), "no string at `{}` in {}", self.rest, self.text);
        let mut string = String::new();
        loop {
            match self.next() {
                '"' => return string,
                '\\' => string.push(self.escape()),
                other => string.push(other),
            }
        }
    }

    fn escape(&mut self) -> char {
        match self.next() {
            'n' => '\n',
            't' => '\t',
            'r' => '\r',
            'b' => '\u{8}',
            'f' => '\u{c}',
            'u' => {
                let digits: String = (0..4).map(|_| self.next()).collect();
                let code = u32::from_str_radix(&digits, 16).expect("four hexadecimal digits");
                char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)
            }
            plain => plain,
        }
    }

    fn word(&mut self) -> Json {
        let end = self
            .rest
            .find([',', '}', ']', ' ', '\n', '\t', '\r'])
            .unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        match word {
            "null" => Json::Null,
            "true" => Json::Bool(true),
            "false" => Json::Bool(false),
            number => Json::Number(
                number
                    .parse()
                    .unwrap_or_else(|_| panic!("`{number}` is no JSON: {}", self.text)),
            ),
        }
    }

    fn take(&mut self, wanted: char) -> bool {
        self.skip_space();
        let rest = self.rest.strip_prefix(wanted);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn next(&mut self) -> char {
        let next = self
            .rest
            .chars()
            .next()
            .unwrap_or_else(|| panic!("the JSON is cut off: {}", self.text));
        self.rest = &self.rest[next.len_utf8()..];
        next
    }

    fn skip_space(&mut self) {
        self.rest = self.rest.trim_start();
    }
}
