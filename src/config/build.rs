//! A checked table becomes the types of [`types`](super::types): defaults from the rows, inheritance, and the few rules
//! that concern more than one key.

use std::path::PathBuf;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::check::seconds;
use super::errors::Faults;
use super::keys::{self, Absent, Form, Row};
use super::{
    Client, ClientService, Config, HostPort, Kind, Role, Secret, Server, ServerService, Tcp, Transport, TransportKind,
};

/// The configuration of one role; `None` only if something is wrong, all of which is then in `faults`.
pub(super) fn build(document: &DeTable<'_>, role: Role, faults: &mut Faults<'_>) -> Option<Config> {
    let block = Section {
        table: Some(document),
        path: Vec::new(),
        at: 0,
    }
    .section(role.name());
    match role {
        Role::Server => server(&block, faults).map(Config::Server),
        Role::Client => client(&block, faults).map(Config::Client),
    }
}

fn server(block: &Section<'_>, faults: &mut Faults<'_>) -> Option<Server> {
    let transport = transport(&block.section("transport"));
    let mut services = Vec::new();
    for section in block.section("services").sections() {
        let service = server_service(&section, block, &transport, faults);
        services.extend(service.inspect(|service| shared_address(service, &services, &section, faults)));
    }
    let heartbeat_interval = block
        .duration("heartbeat_interval")
        .filter(|interval| !interval.is_zero());
    Some(Server {
        bind_addr: block.address("bind_addr")?,
        heartbeat_interval,
        heartbeat_timeout: match block.duration("heartbeat_timeout") {
            Some(timeout) => Some(timeout).filter(|timeout| !timeout.is_zero()),
            None => heartbeat_interval.map(|interval| interval * 4 / 3),
        },
        transport,
        services,
        control_socket: block.file("control_socket"),
    })
}

fn server_service(
    section: &Section<'_>,
    block: &Section<'_>,
    transport: &Transport,
    faults: &mut Faults<'_>,
) -> Option<ServerService> {
    let token = token(section, block, faults);
    Some(ServerService {
        name: section.name(),
        kind: section.kind()?,
        bind_addr: section.address("bind_addr")?,
        token: token?,
        nodelay: section.flag("nodelay").unwrap_or(transport.tcp.nodelay),
    })
}

/// Only one of two listeners can have an address; port 0 is another one each time.
fn shared_address(service: &ServerService, others: &[ServerService], section: &Section<'_>, faults: &mut Faults<'_>) {
    let is_shared = |other: &&ServerService| other.kind == service.kind && other.bind_addr == service.bind_addr;
    if let Some(other) = others.iter().find(is_shared).filter(|_| service.bind_addr.port != 0) {
        let text = format!(
            "\"{}\" is already the address of {}; each {} service needs its own",
            service.bind_addr,
            keys::display(&["server", "services", &other.name]),
            service.kind.name(),
        );
        faults.wrong(section.at_value("bind_addr"), &section.key("bind_addr"), &text);
    }
}

fn client(block: &Section<'_>, faults: &mut Faults<'_>) -> Option<Client> {
    let transport = transport(&block.section("transport"));
    let retry_interval = block.duration("retry_interval");
    let mut services = Vec::new();
    for section in block.section("services").sections() {
        services.extend(client_service(&section, block, &transport, faults));
    }
    Some(Client {
        remote_addr: block.address("remote_addr")?,
        heartbeat_timeout: block.duration("heartbeat_timeout").filter(|timeout| !timeout.is_zero()),
        retry_interval: retry_interval?,
        prefer_ipv6: block.flag("prefer_ipv6")?,
        transport,
        services,
        control_socket: block.file("control_socket"),
    })
}

fn client_service(
    section: &Section<'_>,
    block: &Section<'_>,
    transport: &Transport,
    faults: &mut Faults<'_>,
) -> Option<ClientService> {
    let token = token(section, block, faults);
    Some(ClientService {
        name: section.name(),
        kind: section.kind()?,
        local_addr: section.address("local_addr")?,
        token: token?,
        nodelay: section.flag("nodelay").unwrap_or(transport.tcp.nodelay),
        retry_interval: section
            .duration("retry_interval")
            .or_else(|| block.duration("retry_interval"))?,
        prefer_ipv6: section.flag("prefer_ipv6")?,
    })
}

fn token(section: &Section<'_>, block: &Section<'_>, faults: &mut Faults<'_>) -> Option<Secret> {
    if !section.has("token") && !block.has("default_token") {
        let text = format!(
            "has no token; set `token` here or `{}` for all",
            block.key("default_token")
        );
        faults.missing(section.at, &keys::display(&section.path), &text);
    }
    let text = section.text("token").or_else(|| block.text("default_token"));
    text.map(Secret::from)
}

fn transport(section: &Section<'_>) -> Transport {
    let tcp = section.section("tcp");
    let probing = |key| tcp.duration(key).filter(|pause| !pause.is_zero());
    Transport {
        kind: TransportKind::Tcp,
        tcp: Tcp {
            nodelay: tcp.flag("nodelay").unwrap_or_default(),
            keepalive_secs: probing("keepalive_secs"),
            keepalive_interval: probing("keepalive_interval"),
        },
    }
}

/// A table of the file, or one that is absent and has its defaults.
struct Section<'a> {
    table: Option<&'a DeTable<'a>>,
    path: Vec<&'a str>,
    /// Where its key stands.
    at: usize,
}

impl<'a> Section<'a> {
    fn section(&self, key: &'a str) -> Section<'a> {
        let entry = self.table.and_then(|table| table.get_key_value(key));
        match entry {
            Some((key, value)) => self.child(key, value),
            None => Section {
                table: None,
                path: self.extended(key),
                at: self.at,
            },
        }
    }

    /// The tables in this one, in the order of the file.
    fn sections(&self) -> Vec<Section<'a>> {
        let entries = self.table.into_iter().flatten();
        let mut sections: Vec<Section<'a>> = entries.map(|(key, value)| self.child(key, value)).collect();
        sections.sort_by_key(|section| section.at);
        sections
    }

    fn child(&self, key: &'a Spanned<DeString<'a>>, value: &'a Spanned<DeValue<'a>>) -> Section<'a> {
        Section {
            table: value.get_ref().as_table(),
            path: self.extended(key.get_ref()),
            at: key.span().start,
        }
    }

    fn extended(&self, key: &'a str) -> Vec<&'a str> {
        let mut path = self.path.clone();
        path.push(key);
        path
    }

    fn name(&self) -> String {
        self.path.last().copied().unwrap_or_default().to_owned()
    }

    fn key(&self, key: &str) -> String {
        format!("{}.{key}", keys::display(&self.path))
    }

    fn has(&self, key: &str) -> bool {
        self.table.is_some_and(|table| table.contains_key(key))
    }

    fn at_value(&self, key: &str) -> usize {
        self.table
            .and_then(|table| table.get(key))
            .map_or(self.at, |value| value.span().start)
    }

    fn value(&self, key: &str) -> Option<&'a DeValue<'a>> {
        self.table?.get(key).map(Spanned::get_ref)
    }

    fn row(&self, key: &str) -> Option<&'static Row> {
        keys::inside(&self.path).find(|row| row.name() == key)
    }

    fn text(&self, key: &str) -> Option<&'a str> {
        self.value(key)?.as_str()
    }

    fn word(&self, key: &str) -> Option<&'a str> {
        match self.row(key)?.absent {
            Absent::Word(word) if !self.has(key) => Some(word),
            _ => self.text(key),
        }
    }

    fn kind(&self) -> Option<Kind> {
        let word = self.word("type")?;
        [Kind::Tcp, Kind::Udp].into_iter().find(|kind| kind.name() == word)
    }

    fn flag(&self, key: &str) -> Option<bool> {
        match self.row(key)?.absent {
            Absent::Flag(flag) if !self.has(key) => Some(flag),
            _ => self.value(key)?.as_bool(),
        }
    }

    fn duration(&self, key: &str) -> Option<Duration> {
        let row = self.row(key)?;
        let number = match (&row.absent, &row.form) {
            (Absent::Seconds(number), _) if !self.has(key) => Some(*number),
            (_, Form::Seconds(max)) => seconds(self.value(key)?, *max),
            _ => None,
        };
        number.map(Duration::from_secs)
    }

    fn address(&self, key: &str) -> Option<HostPort> {
        HostPort::parse(self.text(key)?).ok()
    }

    fn file(&self, key: &str) -> Option<PathBuf> {
        self.text(key).map(PathBuf::from)
    }
}
