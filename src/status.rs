//! What a running pinhole is doing, as one plain value: the control socket prints it, an API and metrics will.

use std::fmt::{self, Write};

use crate::json::Json;

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
    /// Whether the local service is well; `None`: nobody looks, nothing is known yet, or on a server a group has it.
    pub healthy: Option<bool>,
    /// What went wrong last; empty if nothing since it came up.
    pub last_error: String,
    /// The group that shares it, on a server; `None`: one client has it for itself.
    pub group: Option<Group>,
}

/// A group of clients that share a service.
#[derive(Debug, Default)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// The first eight digits of its key's hash.
    pub key: String,
    /// Visitors that were given to members.
    pub dispatched: u64,
    /// Bad news of members' health.
    pub failures: u64,
    /// Who is there.
    pub members: Vec<Member>,
    /// The last changes, the oldest first.
    pub changes: Vec<Change>,
}

/// A member of a group.
#[derive(Debug, Default)]
pub struct Member {
    /// What it is called in the list of changes.
    pub number: u32,
    /// Its client.
    pub client: String,
    /// Whether it gets visitors.
    pub healthy: bool,
    /// `tcp`, `http` or `none`.
    pub check: &'static str,
    /// Its share of visitors, relative to the others.
    pub weight: u16,
    /// Visitors that it was given.
    pub dispatched: u64,
}

/// A change of a member.
#[derive(Debug, Default)]
pub struct Change {
    /// Seconds since it came.
    pub ago: u64,
    /// Of which one.
    pub number: u32,
    /// How it is since.
    pub healthy: bool,
    /// Why.
    pub reason: String,
}

impl Snapshot {
    /// As one line of JSON.
    pub fn json(&self) -> String {
        let mut out = Json::default();
        out.raw("{")
            .text("role", self.role)
            .text("version", env!("CARGO_PKG_VERSION"))
            .number("uptime_s", self.uptime);
        out.text("last_error", &self.last_error);
        out.number("streams", self.streams.0.into())
            .number("max_streams", self.streams.1.into());
        list(&mut out, "links", self.links.iter().map(|link| link as &dyn Item));
        list(
            &mut out,
            "services",
            self.services.iter().map(|service| service as &dyn Item),
        );
        out.raw("}");
        out.into_text()
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
        write!(out, "service {} ({}) {state}", Plain(&self.name), self.kind)?;
        if self.up {
            write!(out, ", {} -> {}", Plain(&self.public), self.target)?;
        }
        if let Some(healthy) = self.healthy {
            write!(out, ", {}", health(healthy))?;
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
        writeln!(out)?;
        match &self.group {
            Some(group) => group.write_text(out),
            None => Ok(()),
        }
    }
}

impl Group {
    fn write_text(&self, out: &mut String) -> fmt::Result {
        let healthy = self.members.iter().filter(|member| member.healthy).count();
        let (name, all) = (Plain(&self.name), self.members.len());
        writeln!(
            out,
            "  group {name} ({}), {healthy} of {all} members healthy, {} dispatched, {} failures",
            self.key, self.dispatched, self.failures
        )?;
        for member in &self.members {
            let Member {
                number,
                client,
                check,
                weight,
                dispatched,
                ..
            } = member;
            let state = health(member.healthy);
            writeln!(
                out,
                "  member {number} {client} {state}, check {check}, weight {weight}, {dispatched} dispatched"
            )?;
        }
        for change in &self.changes {
            let Change {
                ago, number, reason, ..
            } = change;
            writeln!(
                out,
                "  {} ago: member {number} {}: {reason}",
                Span(*ago),
                health(change.healthy)
            )?;
        }
        Ok(())
    }
}

fn health(healthy: bool) -> &'static str {
    if healthy { "healthy" } else { "not healthy" }
}

/// A text that a peer may have written, on one line and harmless to a terminal.
struct Plain<'a>(&'a str);

impl fmt::Display for Plain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .chars()
            .try_for_each(|c| f.write_char(if crate::log::is_unsafe(c) { '?' } else { c }))
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
        out.flag("up", self.up);
        out.text("public", &self.public).text("target", &self.target);
        out.number("open", self.open.into())
            .number("visitors", self.total)
            .number("refused", self.refused);
        out.number("dropped", self.dropped);
        out.number("bytes_in", self.inward).number("bytes_out", self.outward);
        match self.healthy {
            Some(healthy) => out.flag("healthy", healthy),
            None => out.key("healthy").raw("null"),
        };
        out.text("last_error", &self.last_error);
        if let Some(group) = &self.group {
            out.key("group").raw("{");
            group.put(out);
            out.raw("}");
        }
    }
}

impl Item for Group {
    fn put(&self, out: &mut Json) {
        out.text("name", &self.name)
            .text("key_hash_short", &self.key)
            .number("dispatched", self.dispatched)
            .number("failures", self.failures);
        list(out, "members", self.members.iter().map(|member| member as &dyn Item));
        list(out, "changes", self.changes.iter().map(|change| change as &dyn Item));
    }
}

impl Item for Member {
    fn put(&self, out: &mut Json) {
        out.number("member", self.number.into())
            .text("client", &self.client)
            .flag("healthy", self.healthy)
            .text("check", self.check)
            .number("weight", self.weight.into())
            .number("dispatched", self.dispatched);
    }
}

impl Item for Change {
    fn put(&self, out: &mut Json) {
        out.number("ago_s", self.ago)
            .number("member", self.number.into())
            .flag("healthy", self.healthy)
            .text("reason", &self.reason);
    }
}

fn list<'a>(out: &mut Json, key: &str, items: impl Iterator<Item = &'a dyn Item>) {
    out.key(key).raw("[");
    for (n, item) in items.enumerate() {
        out.raw(if n == 0 { "{" } else { ",{" });
        item.put(out);
        out.raw("}");
    }
    out.raw("]");
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
            healthy: Some(false),
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
            r#""open":2,"visitors":3,"refused":0,"dropped":0,"bytes_in":0,"bytes_out":0,"healthy":false,"last_error":"x\u000ay"}]}"#,
        );
        assert_eq!(snapshot().json(), expected);
    }

    #[test]
    fn what_a_client_calls_its_service_is_one_line() {
        let mut snapshot = snapshot();
        snapshot.services[0].name = "x\n\u{1b}[2Jser\u{202e}vice y".into();
        snapshot.services[0].public = "\r0.0.0.0:80".into();
        let text = snapshot.text();
        assert!(
            text.contains("service x??[2Jser?vice y (tcp) up, ?0.0.0.0:80"),
            "{text}"
        );
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
