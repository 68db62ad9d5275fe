//! A checked table becomes the types of [`types`](super::types): defaults from the rows, inheritance, and the few rules
//! that concern more than one key.
//!
//! Whatever is wrong with one value has been said by [`check`](super::check), and nothing that is built of a wrong file
//! is ever used: so what is wrong counts as absent here, and what is absent and has no default is empty. That is much
//! less machine code than to give up at every value, and more mistakes are found at once.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use toml::de::{DeTable, DeValue};

use super::check::{Value, entry, get, number};
use super::covers;
use super::errors::Faults;
use super::groups;
use super::keys::{Absent, KeyPath};
use super::noise;
use super::source::order;
use super::{
    Addresses, Client, ClientService, Config, Group, HostPort, Input, Kind, Local, Network, Proxy, ProxyProtocol, Role,
    Secret, Server, ServerService, Tcp, Tls, Transport, TransportKind, Websocket, require, secret,
};

/// The configuration of one role. It counts only if nothing is in `faults` in the end.
pub(super) fn build(document: &DeTable<'_>, role: Role, faults: &mut Faults<'_>) -> Config {
    let document = Section {
        table: Some(document),
        path: KeyPath::ROOT,
    };
    let block = &document.section(role.name());
    match role {
        Role::Server => Config::Server(server(block, faults)),
        Role::Client => Config::Client(client(block, faults)),
    }
}

fn server(block: &Section<'_>, faults: &mut Faults<'_>) -> Server {
    let default_token = block.secret("default_token", faults);
    let mut services = Vec::new();
    let sections = block.section("services");
    for section in sections.entries().into_iter().map(Section::of) {
        let service = server_service(&section, block, &default_token, faults);
        if section.kind().is_some() {
            refuse_taken_address(&service, &services, &section, block, faults);
            services.push(service);
        }
    }
    let heartbeat_interval = block.nonzero("heartbeat_interval");
    Server {
        bind_addr: block.addresses("bind_addr"),
        heartbeat_interval,
        heartbeat_timeout: match block.has("heartbeat_timeout") {
            true => block.nonzero("heartbeat_timeout"),
            false => heartbeat_interval.map(|interval| interval * 4 / 3),
        },
        transport: transport(&block.section("transport"), Role::Server, faults),
        services,
        tunnels: groups::tunnels(block, default_token, faults),
        balancing: groups::balancing(block, faults),
        inputs: faults.inputs.clone(),
        control_socket: block.path("control_socket", faults),
    }
}

fn server_service(
    section: &Section<'_>,
    block: &Section<'_>,
    default_token: &Option<Secret>,
    faults: &mut Faults<'_>,
) -> ServerService {
    ServerService {
        name: section.path.name.to_owned(),
        kind: section.kind().unwrap_or(Kind::Tcp),
        bind_addr: section.addresses("bind_addr"),
        token: token(section, block, default_token, faults),
        udp_timeout: section.nonzero("udp_timeout"),
        nodelay: nodelay(section, block),
        balancers: balancers(section, faults),
        group_keys: groups::group_keys(section),
        is_sticky: section.has("sticky"),
    }
}

/// Whoever may send the header can claim any address: that is nobody unless the file says who.
fn balancers(section: &Section<'_>, faults: &mut Faults<'_>) -> Vec<Network> {
    const FLAG: &str = "accept_proxy_protocol";
    const FROM: &str = "proxy_protocol_from";
    let mut balancers = Vec::new();
    if !section.flag(FLAG) {
        return balancers;
    }
    if section.kind() == Some(Kind::Udp) {
        section.wrong(FLAG, "is for services of type \"tcp\"", faults);
    }
    if !section.has(FROM) {
        let text = format!("needs `{FROM}`, a list of who sends the header, for example [\"10.0.0.0/8\"]");
        section.lacks(FLAG, &text, faults);
    }
    for text in section.list(FROM) {
        if let Ok(network) = Network::parse(text) {
            balancers.push(network);
        }
    }
    balancers
}

/// Only one of two listeners can have an address; port 0 is another one each time.
fn refuse_taken_address(
    service: &ServerService,
    others: &[ServerService],
    section: &Section<'_>,
    block: &Section<'_>,
    faults: &mut Faults<'_>,
) {
    let control = block.addresses("bind_addr");
    for address in service.bind_addr.iter().filter(|address| address.port != 0) {
        let is_same = |other: &&ServerService| other.kind == service.kind && other.bind_addr.contains(address);
        let holder = match others.iter().find(is_same) {
            Some(other) => block.path.key("services", 0).key(&other.name, 0).to_string(),
            None if service.kind == Kind::Tcp && control.contains(address) => "server.bind_addr".to_owned(),
            None => continue,
        };
        let text = format!("\"{address}\" is already taken by {holder}; each service needs an address of its own");
        section.wrong("bind_addr", &text, faults);
    }
}

fn client(block: &Section<'_>, faults: &mut Faults<'_>) -> Client {
    let default_token = block.secret("default_token", faults);
    let mut services = Vec::new();
    let sections = block.section("services");
    for section in sections.entries().into_iter().map(Section::of) {
        services.push(client_service(&section, block, &default_token, faults));
    }
    Client {
        remote_addr: block.addresses("remote_addr"),
        heartbeat_timeout: block.nonzero("heartbeat_timeout"),
        retry_interval: block.duration("retry_interval"),
        prefer_ipv6: block.flag("prefer_ipv6"),
        transport: transport(&block.section("transport"), Role::Client, faults),
        services,
        drain: block.duration("drain_secs"),
        inputs: faults.inputs.clone(),
        control_socket: block.path("control_socket", faults),
    }
}

fn client_service(
    section: &Section<'_>,
    block: &Section<'_>,
    default_token: &Option<Secret>,
    faults: &mut Faults<'_>,
) -> ClientService {
    let pause = if section.has("retry_interval") { section } else { block };
    ClientService {
        name: section.path.name.to_owned(),
        kind: section.kind().unwrap_or(Kind::Tcp),
        local_addr: local_addr(section, faults),
        token: token(section, block, default_token, faults),
        nodelay: nodelay(section, block),
        retry_interval: pause.duration("retry_interval"),
        prefer_ipv6: section.flag("prefer_ipv6"),
        proxy_protocol: proxy_protocol(section, faults),
        remote_port: groups::remote_port(section),
        group: groups::membership(section, faults),
        health_check: groups::health_check(section, faults),
    }
}

fn local_addr(section: &Section<'_>, faults: &mut Faults<'_>) -> Local {
    let local = section.local("local_addr");
    if matches!(local, Local::Unix(_)) && section.kind() == Some(Kind::Udp) {
        let text = "is a unix socket, which is for connections alone; a service of type \"udp\" has host:port";
        section.wrong("local_addr", text, faults);
    }
    local
}

fn proxy_protocol(section: &Section<'_>, faults: &mut Faults<'_>) -> Option<ProxyProtocol> {
    const KEY: &str = "proxy_protocol";
    let word = section.text(KEY)?;
    let version = ProxyProtocol::ALL.into_iter().find(|version| version.name() == word)?;
    if version == ProxyProtocol::V1 && section.kind() == Some(Kind::Udp) {
        let text = "\"v1\" is for connections alone; a service of type \"udp\" can have \"v2\"";
        section.wrong(KEY, text, faults);
    }
    Some(version)
}

fn token(section: &Section<'_>, block: &Section<'_>, default: &Option<Secret>, faults: &mut Faults<'_>) -> Secret {
    let token = match section.has_secret("token") {
        true => section.secret("token", faults),
        false => default.clone(),
    };
    if !section.has_secret("token") && !block.has_secret("default_token") {
        let all = block.path.key("default_token", 0);
        let text = format!("has no token; set `token` here or `{all}` for all");
        faults.missing(section.path.at, &section.path, &text);
    }
    token.unwrap_or_default()
}

/// Its own, or that of links.
fn nodelay(section: &Section<'_>, block: &Section<'_>) -> bool {
    match section.has("nodelay") {
        true => section.flag("nodelay"),
        false => block.section("transport").section("tcp").flag("nodelay"),
    }
}

fn transport(section: &Section<'_>, role: Role, faults: &mut Faults<'_>) -> Arc<Transport> {
    let mut transport = Transport {
        kind: kind(section.word("type")),
        noise: None,
        tls: Tls::default(),
        websocket: Websocket::default(),
        tcp: tcp(&section.section("tcp")),
    };
    match transport.kind {
        TransportKind::Tcp => {}
        // Its keys are looked at one by one: only what runs makes one that is missing.
        TransportKind::Noise => transport.noise = noise::noise(&section.section("noise"), role, faults),
        TransportKind::Tls | TransportKind::Websocket => {
            let before = faults.count();
            covers::fill(&mut transport, section, role, faults);
            // What could not be read cannot be tried.
            if faults.count() == before {
                covers::check(&transport, section, role, faults);
            }
        }
    }
    Arc::new(transport)
}

/// Plain TCP, if it is unknown or not in this build.
fn kind(word: &str) -> TransportKind {
    let known = TransportKind::ALL.into_iter().find(|kind| kind.name() == word);
    known
        .filter(|_| require(Group::Transport, word).is_ok())
        .unwrap_or(TransportKind::Tcp)
}

fn tcp(section: &Section<'_>) -> Tcp {
    Tcp {
        nodelay: section.flag("nodelay"),
        keepalive_secs: section.nonzero("keepalive_secs"),
        keepalive_interval: section.nonzero("keepalive_interval"),
        proxy: section.text("proxy").and_then(|url| Proxy::parse(url).ok()),
    }
}

pub(super) fn file_key(key: &str) -> String {
    format!("{key}_file")
}

/// A table of the file, or one that is absent and has its defaults.
#[derive(Clone, Copy)]
pub(super) struct Section<'a> {
    pub(super) table: Option<&'a DeTable<'a>>,
    pub(super) path: KeyPath<'a>,
}

/// A key of a table, and its value.
pub(super) type Entry<'a> = (KeyPath<'a>, &'a Value<'a>);

impl<'a> Section<'a> {
    pub(super) fn section<'s>(&'s self, key: &'s str) -> Section<'s> {
        let entry = self.table.and_then(|table| entry(table, key));
        Section {
            table: entry.and_then(|(_, value)| value.get_ref().as_table()),
            path: self
                .path
                .key(key, entry.map_or(self.path.at, |(key, _)| key.span().start)),
        }
    }

    /// What stands in it, in the order of the file.
    pub(super) fn entries(&self) -> Vec<Entry<'_>> {
        let mut entries = Vec::new();
        if let Some(table) = self.table {
            for (key, value) in table {
                entries.push((self.path.key(key.get_ref(), key.span().start), value));
            }
        }
        let order = order(entries.len(), &|index| entries[index].0.at);
        order.into_iter().map(|(_, index)| entries[index]).collect()
    }

    fn of((path, value): Entry<'a>) -> Section<'a> {
        Section {
            table: value.get_ref().as_table(),
            path,
        }
    }

    /// `key` is wrong as it stands.
    pub(super) fn wrong(&self, key: &str, text: &str, faults: &mut Faults<'_>) {
        let at = self.at_value(key);
        faults.wrong(at, &self.path.key(key, at), text);
    }

    /// The same, and what stands there is to be seen unless it is secret.
    pub(super) fn wrong_value(&self, key: &str, text: &str, faults: &mut Faults<'_>) {
        let is_secret = self.path.key(key, 0).row().is_none_or(|row| row.is_secret());
        let shown = match self.spanned(key) {
            Some(value) if value.get_ref().is_str() && !is_secret => faults.source.value(value.span()) + " ",
            _ => String::new(),
        };
        self.wrong(key, &(shown + text), faults);
    }

    /// `key`, or what it stands for, lacks something.
    pub(super) fn lacks(&self, key: &str, text: &str, faults: &mut Faults<'_>) {
        let at = self.at_value(key);
        faults.missing(at, &self.path.key(key, at), text);
    }

    pub(super) fn at_value(&self, key: &str) -> usize {
        self.spanned(key).map_or(self.path.at, |value| value.span().start)
    }

    pub(super) fn spanned(&self, key: &str) -> Option<&'a Value<'a>> {
        get(self.table?, key)
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.value(key).is_some()
    }

    pub(super) fn value(&self, key: &str) -> Option<&'a DeValue<'a>> {
        self.spanned(key).map(Value::get_ref)
    }

    fn default(&self, key: &str) -> Option<&'static Absent> {
        self.path.key(key, 0).row().map(|row| &row.absent)
    }

    pub(super) fn text(&self, key: &str) -> Option<&'a str> {
        self.value(key)?.as_str()
    }

    pub(super) fn word(&self, key: &str) -> &'a str {
        match (self.value(key), self.default(key)) {
            (Some(value), _) => value.as_str().unwrap_or_default(),
            (None, Some(Absent::Word(word))) => word,
            _ => "",
        }
    }

    /// `None`: it is unknown.
    pub(super) fn kind(&self) -> Option<Kind> {
        let word = self.word("type");
        Kind::ALL.into_iter().find(|kind| kind.name() == word)
    }

    pub(super) fn flag(&self, key: &str) -> bool {
        match (self.value(key), self.default(key)) {
            (Some(value), _) => value.as_bool() == Some(true),
            (None, default) => matches!(default, Some(Absent::Flag(true))),
        }
    }

    pub(super) fn number(&self, key: &str) -> u32 {
        match (self.value(key), self.default(key)) {
            (Some(value), _) => number(value, u32::MAX).unwrap_or_default(),
            (None, Some(Absent::Number(number))) => *number,
            _ => 0,
        }
    }

    pub(super) fn duration(&self, key: &str) -> Duration {
        Duration::from_secs(self.number(key).into())
    }

    /// For keys where 0 means off.
    fn nonzero(&self, key: &str) -> Option<Duration> {
        Some(self.duration(key)).filter(|duration| !duration.is_zero())
    }

    pub(super) fn addresses(&self, key: &str) -> Addresses {
        let mut addresses = Vec::new();
        for text in self.list(key) {
            if let Ok(address) = HostPort::parse(text) {
                addresses.push(address);
            }
        }
        Addresses(addresses)
    }

    /// The first, if it is a list.
    pub(super) fn local(&self, key: &str) -> Local {
        let list = self.list(key);
        let local = Local::parse(list.first().copied().unwrap_or_default());
        local.unwrap_or_else(|_| Local::Unix(PathBuf::new()))
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
            self.wrong(&file_key, &text, faults);
            return None;
        }
        let path = faults.source.beside(name);
        let read = secret::read(&path);
        faults.inputs.push(Input { path, is_secret: true });
        read.map_err(|text| self.wrong_value(&file_key, &text, faults)).ok()
    }

    /// The strings of a list, or the one that stands in place of it.
    pub(super) fn list(&self, key: &str) -> Vec<&'a str> {
        let Some(value) = self.spanned(key) else {
            return Vec::new();
        };
        let items = match value.get_ref() {
            DeValue::Array(items) => &**items,
            _ => std::slice::from_ref(value),
        };
        let mut texts = Vec::new();
        for item in items {
            if let Some(text) = item.get_ref().as_str() {
                texts.push(text);
            }
        }
        texts
    }

    /// A path, which starts at the configuration's folder.
    fn path(&self, key: &str, faults: &Faults<'_>) -> Option<PathBuf> {
        Some(faults.source.beside(self.text(key)?))
    }
}
