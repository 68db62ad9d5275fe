//! What a running pinhole is doing, as one plain value: the control socket prints it, an API and metrics will.

use std::fmt::{self, Write};

/// Everything at one moment.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// `server` or `client`.
    pub role: &'static str,
    /// Seconds since the start.
    pub uptime: u64,
    /// Links that are there.
    pub links: Vec<Link>,
    /// Services of the configuration.
    pub services: Vec<Service>,
    /// Streams that are open, and that may be.
    pub streams: (u32, u32),
    /// Why there is no link, if there was one or an attempt at one; else empty.
    pub last_error: String,
}

/// One link.
#[derive(Debug, Default)]
pub struct Link {
    /// The other end.
    pub peer: String,
    /// Seconds since it is there.
    pub up: u64,
    /// µs, the least of late; `None`: not measured yet.
    pub round_trip: Option<u64>,
    /// Visitors on it.
    pub visitors: usize,
    /// Payload bytes that came over it.
    pub received: u64,
    /// Payload bytes that went over it.
    pub sent: u64,
}

/// One service.
#[derive(Debug, Default)]
pub struct Service {
    /// Its name in the configuration.
    pub name: String,
    /// `tcp` or `udp`.
    pub kind: &'static str,
    /// Whether visitors can come.
    pub up: bool,
    /// Where they come, if they can; on a client as the server says.
    pub public: String,
    /// Where they are taken: the member's address on a server, the local service's on a client.
    pub target: String,
    /// Visitors that are there.
    pub open: u32,
    /// Visitors that came.
    pub total: u64,
    /// Visitors turned away.
    pub refused: u64,
    /// Datagrams dropped.
    pub dropped: u64,
    /// Payload bytes from visitors.
    pub inward: u64,
    /// Payload bytes to visitors.
    pub outward: u64,
    /// What went wrong last; empty if nothing since it came up.
    pub last_error: String,
}

impl Snapshot {
    /// As one line of JSON.
    pub fn json(&self) -> String {
        let mut out = Json(String::new());
        out.raw("{")
            .text("role", self.role)
            .text("version", env!("CARGO_PKG_VERSION"))
            .number("uptime_s", self.uptime);
        out.text("last_error", &self.last_error);
        out.number("streams", self.streams.0.into())
            .number("max_streams", self.streams.1.into());
        out.list("links", self.links.iter().map(|link| link as &dyn Item));
        out.list("services", self.services.iter().map(|service| service as &dyn Item));
        out.raw("}");
        out.0
    }

    /// As lines for a person.
    pub fn text(&self) -> String {
        let mut out = String::new();
        // Writing to a string does not fail.
        let _ = self.write_text(&mut out);
        out
    }

    fn write_text(&self, out: &mut String) -> fmt::Result {
        let (open, most) = self.streams;
        writeln!(out, "{} up {}, {open} of {most} visitors", self.role, Span(self.uptime))?;
        if self.links.is_empty() {
            let why = if self.last_error.is_empty() {
                "none yet"
            } else {
                &self.last_error
            };
            writeln!(out, "no link: {why}")?;
        }
        for link in &self.links {
            write!(out, "link {} up {}", link.peer, Span(link.up))?;
            if let Some(trip) = link.round_trip {
                write!(out, ", round trip {}.{:03} ms", trip / 1000, trip % 1000)?;
            }
            writeln!(
                out,
                ", {} visitors, {} received, {} sent",
                link.visitors,
                Bytes(link.received),
                Bytes(link.sent)
            )?;
        }
        for service in &self.services {
            service.write_text(out)?;
        }
        Ok(())
    }
}

impl Service {
    fn write_text(&self, out: &mut String) -> fmt::Result {
        let state = if self.up { "up" } else { "down" };
        write!(out, "service {} ({}) {state}", self.name, self.kind)?;
        if self.up {
            write!(out, ", {} -> {}", self.public, self.target)?;
        }
        write!(
            out,
            ", {} visitors ({} in all, {} refused)",
            self.open, self.total, self.refused
        )?;
        write!(out, ", {} in, {} out", Bytes(self.inward), Bytes(self.outward))?;
        if !self.last_error.is_empty() {
            write!(out, ", last error: {}", Plain(&self.last_error))?;
        }
        writeln!(out)
    }
}

/// A text that a peer may have written, on one line and without control characters.
struct Plain<'a>(&'a str);

impl fmt::Display for Plain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .chars()
            .try_for_each(|c| f.write_char(if c.is_control() { '?' } else { c }))
    }
}

/// Seconds.
struct Span(u64);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, hours, minutes) = (self.0 / 86400, self.0 / 3600 % 24, self.0 / 60 % 60);
        match self.0 {
            ..60 => write!(f, "{} s", self.0),
            60..3600 => write!(f, "{minutes} min"),
            3600..86400 => write!(f, "{hours} h {minutes} min"),
            _ => write!(f, "{days} d {hours} h"),
        }
    }
}

/// A count of bytes, in the unit that leaves up to four digits.
struct Bytes(u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut count = self.0;
        for unit in ["B", "KiB", "MiB", "GiB"] {
            if count < 10_000 {
                return write!(f, "{count} {unit}");
            }
            count /= 1024;
        }
        write!(f, "{count} TiB")
    }
}

trait Item {
    fn put(&self, out: &mut Json);
}

impl Item for Link {
    fn put(&self, out: &mut Json) {
        out.text("peer", &self.peer).number("up_s", self.up);
        match self.round_trip {
            Some(trip) => out.number("round_trip_us", trip),
            None => out.key("round_trip_us").raw("null"),
        };
        out.number("visitors", self.visitors as u64)
            .number("received", self.received)
            .number("sent", self.sent);
    }
}

impl Item for Service {
    fn put(&self, out: &mut Json) {
        out.text("name", &self.name).text("type", self.kind);
        out.key("up").raw(if self.up { "true" } else { "false" });
        out.text("public", &self.public).text("target", &self.target);
        out.number("open", self.open.into())
            .number("visitors", self.total)
            .number("refused", self.refused);
        out.number("dropped", self.dropped);
        out.number("bytes_in", self.inward)
            .number("bytes_out", self.outward)
            .text("last_error", &self.last_error);
    }
}

/// JSON under construction: objects, strings, numbers and lists of objects are all that a snapshot has.
struct Json(String);

impl Json {
    fn raw(&mut self, text: &str) -> &mut Self {
        self.0.push_str(text);
        self
    }

    fn key(&mut self, key: &str) -> &mut Self {
        if !self.0.ends_with('{') {
            self.0.push(',');
        }
        self.string(key).raw(":")
    }

    fn number(&mut self, key: &str, value: u64) -> &mut Self {
        self.key(key);
        let _ = write!(self.0, "{value}");
        self
    }

    fn text(&mut self, key: &str, value: &str) -> &mut Self {
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

    fn list<'a>(&mut self, key: &str, items: impl Iterator<Item = &'a dyn Item>) {
        self.key(key).raw("[");
        for (n, item) in items.enumerate() {
            self.raw(if n == 0 { "{" } else { ",{" });
            item.put(self);
            self.raw("}");
        }
        self.raw("]");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot() -> Snapshot {
        let link = Link {
            peer: "192.0.2.1:5".into(),
            up: 61,
            round_trip: Some(1234),
            sent: 20_000,
            ..Link::default()
        };
        let service = Service {
            name: "a\"b\n".into(),
            kind: "tcp",
            up: true,
            public: "0.0.0.0:80".into(),
            target: "192.0.2.1:5".into(),
            open: 2,
            total: 3,
            last_error: "x\ny".into(),
            ..Service::default()
        };
        Snapshot {
            role: "server",
            uptime: 90_000,
            links: vec![link],
            services: vec![service],
            ..Snapshot::default()
        }
    }

    #[test]
    fn json() {
        let expected = concat!(
            r#"{"role":"server","version":""#,
            env!("CARGO_PKG_VERSION"),
            r#"","uptime_s":90000,"last_error":"","streams":0,"max_streams":0,"#,
            r#""links":[{"peer":"192.0.2.1:5","up_s":61,"round_trip_us":1234,"visitors":0,"received":0,"sent":20000}],"#,
            r#""services":[{"name":"a\"b\u000a","type":"tcp","up":true,"public":"0.0.0.0:80","target":"192.0.2.1:5","#,
            r#""open":2,"visitors":3,"refused":0,"dropped":0,"bytes_in":0,"bytes_out":0,"last_error":"x\u000ay"}]}"#,
        );
        assert_eq!(snapshot().json(), expected);
    }

    #[test]
    fn text() {
        let text = snapshot().text();
        assert!(text.starts_with("server up 1 d 1 h, 0 of 0 visitors\nlink 192.0.2.1:5 up 1 min, round trip 1.234 ms"));
        assert!(
            text.contains("19 KiB sent") && text.ends_with("last error: x?y\n"),
            "{text}"
        );
        assert!(Snapshot::default().text().contains("no link: none yet"));
    }
}
