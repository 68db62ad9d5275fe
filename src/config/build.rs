//! A checked table becomes the types of [`types`](super::types): defaults from the rows, inheritance, and the few rules
//! that concern more than one key.

use std::path::PathBuf;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::check::seconds;
use super::covers;
use super::errors::Faults;
use super::groups;
use super::keys::{self, Absent, Form, Row};
use super::noise;
use super::source::{order, shown};
use super::{
    Addresses, Client, ClientService, Config, Group, HostPort, Input, Kind, Local, Network, Proxy, ProxyProtocol, Role,
    Secret, Server, ServerService, Tcp, Tls, Transport, TransportKind, require, secret,
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
    let mut services = Vec::new();
    let default_token = block.secret("default_token", faults);
    for section in block.section("services").sections() {
        if let Some(service) = server_service(&section, block, &default_token, faults) {
            refuse_taken_address(&service, &services, &section, block, faults);
            services.push(service);
        }
    }
    let heartbeat_interval = block.nonzero("heartbeat_interval");
    let default_timeout = heartbeat_interval.map(|interval| interval * 4 / 3);
    Some(Server {
        bind_addr: block.addresses("bind_addr")?,
        heartbeat_interval,
        heartbeat_timeout: if block.has("heartbeat_timeout") {
            block.nonzero("heartbeat_timeout")
        } else {
            default_timeout
        },
        transport: transport(&block.section("transport"), Role::Server, faults)?,
        services,
        tunnels: groups::tunnels(block, default_token, faults)?,
        balancing: groups::balancing(block)?,
        inputs: faults.inputs.clone(),
        control_socket: block.path("control_socket", faults),
    })
}

fn server_service(
    section: &Section<'_>,
    block: &Section<'_>,
    default_token: &Option<Secret>,
    faults: &mut Faults<'_>,
) -> Option<ServerService> {
    let token = token(section, block, default_token, faults);
    Some(ServerService {
        name: section.name(),
        kind: section.kind()?,
        bind_addr: section.addresses("bind_addr")?,
        token: token?,
        udp_timeout: section.nonzero("udp_timeout"),
        nodelay: section.flag("nodelay").or_else(|| link_nodelay(block))?,
        balancers: balancers(section, faults)?,
        group_keys: groups::group_keys(section)?,
        is_sticky: section.has("sticky"),
    })
}

/// Whoever may send the header can claim any address: that is nobody unless the file says who.
fn balancers(section: &Section<'_>, faults: &mut Faults<'_>) -> Option<Vec<Network>> {
    const FLAG: &str = "accept_proxy_protocol";
    const FROM: &str = "proxy_protocol_from";
    if !section.flag(FLAG)? {
        return Some(Vec::new());
    }
    let (at, key) = (section.at_value(FLAG), section.key(FLAG));
    if section.kind()? != Kind::Tcp {
        faults.wrong(at, &key, "is for services of type \"tcp\"");
    }
    if !section.has(FROM) {
        let text = format!("needs `{FROM}`, a list of who sends the header, for example [\"10.0.0.0/8\"]");
        faults.missing(at, &key, &text);
    }
    section.networks(FROM)
}

/// Only one of two listeners can have an address; port 0 is another one each time.
fn refuse_taken_address(
    service: &ServerService,
    others: &[ServerService],
    section: &Section<'_>,
    block: &Section<'_>,
    faults: &mut Faults<'_>,
) {
    let control = block.addresses("bind_addr").filter(|_| service.kind == Kind::Tcp);
    let is_control = |address: &HostPort| control.as_ref().is_some_and(|control| control.contains(address));
    for address in service.bind_addr.iter().filter(|address| address.port != 0) {
        let is_same = |other: &&ServerService| other.kind == service.kind && other.bind_addr.contains(address);
        let holder = match others.iter().find(is_same) {
            Some(other) => keys::display(&["server", "services", &other.name]),
            None if is_control(address) => block.key("bind_addr"),
            None => continue,
        };
        let text = format!("\"{address}\" is already taken by {holder}; each service needs an address of its own");
        faults.wrong(section.at_value("bind_addr"), &section.key("bind_addr"), &text);
    }
}

fn client(block: &Section<'_>, faults: &mut Faults<'_>) -> Option<Client> {
    let mut services = Vec::new();
    let default_token = block.secret("default_token", faults);
    for section in block.section("services").sections() {
        services.extend(client_service(&section, block, &default_token, faults));
    }
    Some(Client {
        remote_addr: block.addresses("remote_addr")?,
        heartbeat_timeout: block.nonzero("heartbeat_timeout"),
        retry_interval: block.duration("retry_interval")?,
        prefer_ipv6: block.flag("prefer_ipv6")?,
        transport: transport(&block.section("transport"), Role::Client, faults)?,
        services,
        drain: block.duration("drain_secs")?,
        inputs: faults.inputs.clone(),
        control_socket: block.path("control_socket", faults),
    })
}

fn client_service(
    section: &Section<'_>,
    block: &Section<'_>,
    default_token: &Option<Secret>,
    faults: &mut Faults<'_>,
) -> Option<ClientService> {
    let token = token(section, block, default_token, faults);
    Some(ClientService {
        name: section.name(),
        kind: section.kind()?,
        local_addr: local_addr(section, faults)?,
        token: token?,
        nodelay: section.flag("nodelay").or_else(|| link_nodelay(block))?,
        retry_interval: section
            .duration("retry_interval")
            .or_else(|| block.duration("retry_interval"))?,
        prefer_ipv6: section.flag("prefer_ipv6")?,
        proxy_protocol: proxy_protocol(section, faults),
        remote_port: groups::remote_port(section),
        group: groups::membership(section, faults),
        health_check: groups::health_check(section, faults),
    })
}

fn local_addr(section: &Section<'_>, faults: &mut Faults<'_>) -> Option<Local> {
    const KEY: &str = "local_addr";
    let local = Local::parse(section.text(KEY)?).ok()?;
    if matches!(local, Local::Unix(_)) && section.kind() == Some(Kind::Udp) {
        let text = "is a unix socket, which is for connections alone; a service of type \"udp\" has host:port";
        faults.wrong(section.at_value(KEY), &section.key(KEY), text);
    }
    Some(local)
}

fn proxy_protocol(section: &Section<'_>, faults: &mut Faults<'_>) -> Option<ProxyProtocol> {
    const KEY: &str = "proxy_protocol";
    let word = section.text(KEY)?;
    let version = ProxyProtocol::ALL.into_iter().find(|version| version.name() == word)?;
    if version == ProxyProtocol::V1 && section.kind() == Some(Kind::Udp) {
        let text = "\"v1\" is for connections alone; a service of type \"udp\" can have \"v2\"";
        faults.wrong(section.at_value(KEY), &section.key(KEY), text);
    }
    Some(version)
}

fn token(
    section: &Section<'_>,
    block: &Section<'_>,
    default: &Option<Secret>,
    faults: &mut Faults<'_>,
) -> Option<Secret> {
    if section.has_secret("token") {
        return section.secret("token", faults);
    }
    if !block.has_secret("default_token") {
        let text = format!(
            "has no token; set `token` here or `{}` for all",
            block.key("default_token")
        );
        faults.missing(section.at, &keys::display(&section.path), &text);
    }
    default.clone()
}

fn transport(section: &Section<'_>, role: Role, faults: &mut Faults<'_>) -> Option<Transport> {
    let tcp = section.section("tcp");
    let word = section.word("type")?;
    let kind = TransportKind::ALL.into_iter().find(|kind| kind.name() == word)?;
    // If it is not, that has been said.
    require(Group::Transport, word).ok()?;
    let websocket = covers::websocket(section, kind, faults)?;
    let transport = Transport {
        kind,
        noise: match kind {
            TransportKind::Noise => Some(noise::noise(&section.section("noise"), role, faults)?),
            _ => None,
        },
        tls: match kind {
            TransportKind::Tls => covers::tls(section, role, faults)?,
            TransportKind::Websocket if websocket.tls => covers::tls(section, role, faults)?,
            _ => Tls::default(),
        },
        websocket,
        tcp: Tcp {
            nodelay: tcp.flag("nodelay")?,
            keepalive_secs: tcp.nonzero("keepalive_secs"),
            keepalive_interval: tcp.nonzero("keepalive_interval"),
            proxy: tcp.text("proxy").and_then(|url| Proxy::parse(url).ok()),
        },
    };
    // Noise's keys were looked at one by one: only what runs makes one that is missing.
    if kind != TransportKind::Noise {
        covers::check(&transport, role, section, faults)?;
    }
    Some(transport)
}

fn link_nodelay(block: &Section<'_>) -> Option<bool> {
    block.section("transport").section("tcp").flag("nodelay")
}

pub(super) fn file_key(key: &str) -> String {
    format!("{key}_file")
}

/// A table of the file, or one that is absent and has its defaults.
pub(super) struct Section<'a> {
    pub(super) table: Option<&'a DeTable<'a>>,
    pub(super) path: Vec<&'a str>,
    /// Where its key stands.
    pub(super) at: usize,
}

impl<'a> Section<'a> {
    pub(super) fn section(&self, key: &'a str) -> Section<'a> {
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
    pub(super) fn sections(&self) -> Vec<Section<'a>> {
        let entries: Vec<_> = self.table.into_iter().flatten().collect();
        let order = order(entries.iter().map(|(key, _)| key.span().start).collect());
        let in_order = order.into_iter().filter_map(|index| entries.get(index));
        in_order.map(|(key, value)| self.child(key, value)).collect()
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

    pub(super) fn key(&self, key: &str) -> String {
        format!("{}.{key}", keys::display(&self.path))
    }

    /// A value as the file writes it, and a space: to begin a sentence about it. Nothing for what is secret or absent.
    pub(super) fn shown(&self, key: &str, faults: &Faults<'_>) -> String {
        let value = self
            .table
            .and_then(|table| table.get(key))
            .filter(|value| value.get_ref().is_str());
        match value {
            Some(value) if self.row(key).is_some_and(|row| !row.is_secret()) => faults.source.value(value.span()) + " ",
            _ => String::new(),
        }
    }

    /// All its keys and strings.
    pub(super) fn texts(&self) -> Vec<(&'a str, &'a str)> {
        let entries = self.table.into_iter().flatten();
        entries
            .filter_map(|(key, value)| Some((&**key.get_ref(), value.get_ref().as_str()?)))
            .collect()
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.table.is_some_and(|table| table.contains_key(key))
    }

    pub(super) fn at_value(&self, key: &str) -> usize {
        self.table
            .and_then(|table| table.get(key))
            .map_or(self.at, |value| value.span().start)
    }

    pub(super) fn value(&self, key: &str) -> Option<&'a DeValue<'a>> {
        self.table?.get(key).map(Spanned::get_ref)
    }

    fn row(&self, key: &str) -> Option<&'static Row> {
        keys::inside(&self.path).find(|row| row.name() == key)
    }

    pub(super) fn text(&self, key: &str) -> Option<&'a str> {
        self.value(key)?.as_str()
    }

    pub(super) fn word(&self, key: &str) -> Option<&'a str> {
        match self.row(key)?.absent {
            Absent::Word(word) if !self.has(key) => Some(word),
            _ => self.text(key),
        }
    }

    pub(super) fn kind(&self) -> Option<Kind> {
        let word = self.word("type")?;
        Kind::ALL.into_iter().find(|kind| kind.name() == word)
    }

    pub(super) fn flag(&self, key: &str) -> Option<bool> {
        match self.row(key)?.absent {
            Absent::Flag(flag) if !self.has(key) => Some(flag),
            _ => self.value(key)?.as_bool(),
        }
    }

    pub(super) fn duration(&self, key: &str) -> Option<Duration> {
        self.number(key).map(Duration::from_secs)
    }

    pub(super) fn number(&self, key: &str) -> Option<u64> {
        let row = self.row(key)?;
        match (&row.absent, &row.form) {
            (Absent::Number(number), _) if !self.has(key) => Some(*number),
            (_, Form::Seconds(max) | Form::Number(max)) => seconds(self.value(key)?, *max),
            _ => None,
        }
    }

    /// For keys where 0 means off.
    fn nonzero(&self, key: &str) -> Option<Duration> {
        self.duration(key).filter(|duration| !duration.is_zero())
    }

    pub(super) fn addresses(&self, key: &str) -> Option<Addresses> {
        let all = self
            .one_or_more(key)?
            .into_iter()
            .map(|text| HostPort::parse(text).ok());
        all.collect::<Option<_>>().map(Addresses)
    }

    /// Whether the secret `key` is there, in the text or in a file of its own.
    pub(super) fn has_secret(&self, key: &str) -> bool {
        self.has(key) || self.has(&file_key(key))
    }

    /// The secret `key`, or the one in the file that `key` with `_file` names. `None` when neither is there, or when
    /// something is wrong, which is then in `faults`.
    pub(super) fn secret(&self, key: &str, faults: &mut Faults<'_>) -> Option<Secret> {
        let file_key = file_key(key);
        let Some(name) = self.text(&file_key) else {
            return self.text(key).map(Secret::from);
        };
        if self.has(key) {
            let text = format!("is beside `{key}`; only one of them can count");
            faults.wrong(self.at_value(&file_key), &self.key(&file_key), &text);
            return None;
        }
        let path = faults.source.beside(name);
        let read = secret::read(&path);
        faults.inputs.push(Input { path, is_secret: true });
        let wrong = |text: String| {
            faults.wrong(
                self.at_value(&file_key),
                &self.key(&file_key),
                &format!("\"{}\" {text}", shown(name)),
            )
        };
        read.map_err(wrong).ok()
    }

    fn networks(&self, key: &str) -> Option<Vec<Network>> {
        self.one_or_more(key)?
            .into_iter()
            .map(|text| Network::parse(text).ok())
            .collect()
    }

    pub(super) fn one_or_more(&self, key: &str) -> Option<Vec<&str>> {
        match self.value(key)? {
            DeValue::Array(items) => items.iter().map(|item| item.get_ref().as_str()).collect(),
            value => value.as_str().map(|text| vec![text]),
        }
    }

    /// A path, which starts at the configuration's folder.
    fn path(&self, key: &str, faults: &Faults<'_>) -> Option<PathBuf> {
        Some(faults.source.beside(self.text(key)?))
    }
}
