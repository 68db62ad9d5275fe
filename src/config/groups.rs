//! Keys of tunnels that clients name, of groups and of their health checks: the types, and the rules that concern
//! several of them.

use std::time::Duration;

use toml::de::DeValue;

use super::build::Section;
use super::check::number;
use super::errors::Faults;
use super::{Group, Kind, Local, Secret, Url, require};
use crate::proto::terms::{Check, KeyHash, key_hash};

/// What clients may name themselves, and how much there may be of anything.
#[derive(Clone, Debug, PartialEq)]
pub struct Tunnels {
    /// The token that such services are proven with; `None` = there can be none.
    pub token: Option<Secret>,
    /// Ports of those of either kind; `None` = off.
    pub tcp: Option<Ports>,
    /// See `tcp`.
    pub udp: Option<Ports>,
    /// Of one client; 0 = any number.
    pub most: u32,
    /// Visitors of one service at the same time; 0 = any number.
    pub max_visitors: u32,
    /// New visitors, or datagrams, of one service in a second; 0 = any number.
    pub rate: u32,
}

impl Tunnels {
    /// Ports of such services of `kind`.
    pub fn ports(&self, kind: Kind) -> Option<Ports> {
        match kind {
            Kind::Tcp => self.tcp,
            Kind::Udp => self.udp,
        }
    }
}

/// A range of ports, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    /// Never 0.
    pub first: u16,
    /// Not before `first`.
    pub last: u16,
}

impl Ports {
    /// Whether `port` is one of them.
    pub fn contains(self, port: u16) -> bool {
        (self.first..=self.last).contains(&port)
    }
}

/// `[server.load_balancing]`, and what its alerts say.
#[derive(Clone, Debug, PartialEq)]
pub struct Balancing {
    /// Whether several clients may share a service.
    pub is_enabled: bool,
    /// Whom to tell when no member of a group is healthy.
    pub webhook: Option<Url>,
    /// Which webhooks of members count.
    pub member_webhooks: MemberWebhooks,
    /// What this server is called there.
    pub region: String,
}

/// Which webhooks of members are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberWebhooks {
    /// None.
    Off,
    /// Those at public addresses.
    Public,
    /// All.
    Any,
}

/// Membership of a group.
#[derive(Clone, Debug, PartialEq)]
pub struct Membership {
    /// The group's name.
    pub name: String,
    /// What its members have in common.
    pub key: GroupKey,
    /// At least 1.
    pub weight: u16,
    /// Visitors from one address get the same member.
    pub is_sticky: bool,
}

/// A group's key, as its hash. Not printed: whoever has it can join.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct GroupKey(pub KeyHash);

impl std::fmt::Debug for GroupKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MASKED")
    }
}

/// How a client looks whether its local service is well.
#[derive(Clone, Debug, PartialEq)]
pub struct HealthCheck {
    /// `None` = not at all.
    pub kind: Option<Check>,
    /// Where.
    pub addr: Local,
    /// For HTTP.
    pub path: String,
    /// Between two looks; at least a second, as `timeout`.
    pub interval: Duration,
    /// For one look.
    pub timeout: Duration,
    /// Failures in a row until it is not well; at least 1.
    pub max_failed: u32,
    /// Only an answer with a status of 200 to 299 counts.
    pub expects_success: bool,
    /// Whom the server is to tell; empty = nobody.
    pub webhook: String,
}

// ---- server -------------------------------------------------------------------------------------------------------

pub(super) fn tunnels(block: &Section<'_>, token: Option<Secret>, faults: &mut Faults<'_>) -> Tunnels {
    let [tcp, udp] = [TCP, UDP].map(|key| ports(block.value(key)?).ok()?);
    if tcp.is_some_and(|tcp| udp.is_some_and(|udp| tcp.first <= udp.last && udp.first <= tcp.last)) {
        let text = format!("overlaps {}; each port belongs to one of them", block.path.key(TCP, 0));
        block.wrong(UDP, &text, faults);
    }
    for key in [TCP, UDP] {
        if block.has(key) && !block.has_secret("default_token") && (tcp.is_some() || udp.is_some()) {
            let text = "needs `default_token`, which such services are proven with";
            block.lacks(key, text, faults);
        }
    }
    Tunnels {
        token,
        tcp,
        udp,
        most: block.number("max_tunnels_per_client"),
        max_visitors: block.number("max_connections_per_service"),
        rate: block.number("rate_limit_rps"),
    }
}

const TCP: &str = "tcp_port_range";
const UDP: &str = "udp_port_range";

/// `[first, last]`; `None`: `[0, 0]`. The error completes a sentence that starts with the value.
pub(super) fn ports(value: &DeValue<'_>) -> Result<Option<Ports>, String> {
    const WRONG: &str = "is no range; expected two ports like [20000, 20099], or [0, 0]";
    let DeValue::Array(items) = value else {
        return Err(WRONG.to_owned());
    };
    let port = |index: usize| number(items.get(index)?.get_ref(), u16::MAX.into());
    match (items.len(), port(0), port(1)) {
        (2, Some(0), Some(0)) => Ok(None),
        (2, Some(first), Some(last)) if 0 < first && first <= last => Ok(Some(Ports {
            first: first as u16,
            last: last as u16,
        })),
        _ => Err(WRONG.to_owned()),
    }
}

pub(super) fn balancing(block: &Section<'_>, faults: &mut Faults<'_>) -> Balancing {
    let section = block.section("load_balancing");
    let webhook = section.text("alert_webhook_url").and_then(|url| Url::parse(url).ok());
    if webhook.as_ref().is_some_and(|url| url.is_tls)
        && let Err(text) = require(Group::Transport, "tls")
    {
        section.lacks(
            "alert_webhook_url",
            &format!("is https and cannot be used: {text}"),
            faults,
        );
    }
    Balancing {
        is_enabled: section.flag("enabled"),
        webhook,
        member_webhooks: match section.word("member_webhooks") {
            "off" => MemberWebhooks::Off,
            "any" => MemberWebhooks::Any,
            _ => MemberWebhooks::Public,
        },
        region: block.word("region").to_owned(),
    }
}

pub(super) fn group_keys(section: &Section<'_>) -> Vec<KeyHash> {
    let mut keys = Vec::new();
    for text in section.list("group_keys") {
        if let Some(hash) = hash(text) {
            keys.push(hash);
        }
    }
    keys
}

/// 64 hexadecimal digits.
pub(super) fn hash(text: &str) -> Option<KeyHash> {
    let mut hash = [0; 32];
    for (index, digit) in text.chars().enumerate() {
        let byte = hash.get_mut(index / 2)?;
        *byte = *byte << 4 | digit.to_digit(16)? as u8;
    }
    (text.len() == 64).then_some(hash)
}

/// The hash of a group's key, as `group_keys` lists it.
pub fn hash_text(key: &[u8]) -> String {
    hex(&key_hash(key))
}

/// In hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.filter_map(|digit| char::from_digit(digit.into(), 16)).collect()
}

// ---- client -------------------------------------------------------------------------------------------------------

pub(super) fn remote_port(section: &Section<'_>) -> Option<u16> {
    let port = section.value("remote_port")?;
    number(port, u16::MAX.into()).map(|port| port as u16)
}

/// Either both of name and key, or none.
pub(super) fn membership(section: &Section<'_>, faults: &mut Faults<'_>) -> Option<Membership> {
    match (section.has(GROUP), section.has_secret(KEY)) {
        (true, false) => {
            let text = "needs `group_key`, which all its members have in common";
            section.lacks(GROUP, text, faults);
        }
        (false, true) => section.lacks(KEY, "needs `group`, whose key it is", faults),
        _ => {}
    }
    let name = section.text(GROUP)?;
    if super::check::service_name(name).is_err() {
        let text = "is no name of a group: that has 1 to 255 bytes of printable text";
        section.wrong(GROUP, text, faults);
    }
    Some(Membership {
        name: name.to_owned(),
        key: GroupKey(key_hash(section.secret(KEY, faults)?.as_bytes())),
        weight: section.number("weight").max(1) as u16,
        is_sticky: section.has("sticky"),
    })
}

const GROUP: &str = "group";
const KEY: &str = "group_key";

pub(super) fn health_check(service: &Section<'_>, faults: &mut Faults<'_>) -> Option<HealthCheck> {
    let section = service.section("health_check");
    section.table?;
    let kind = match section.word("type") {
        "tcp" => Some(Check::Tcp),
        "http" => Some(Check::Http),
        _ => None,
    };
    let path = section.word("path");
    let fits = path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic());
    if kind == Some(Check::Http) && !fits {
        let text = "of type \"http\" requires a `path`, which begins with `/` and has no blanks";
        section.lacks("path", text, faults);
    }
    if kind.is_some() && service.kind() == Some(Kind::Udp) && !section.has("addr") {
        let text = "of a udp service requires an `addr`: there is nothing to be seen at its own";
        section.lacks("addr", text, faults);
    }
    if section.has("alert_webhook") && !service.has(GROUP) {
        let text = "is told of groups alone, and this service has no `group`";
        section.lacks("alert_webhook", text, faults);
    }
    let addr = match section.has("addr") {
        true => section.local("addr"),
        false => service.local("local_addr"),
    };
    let seconds = |key| Duration::from_secs(section.number(key).max(1).into());
    Some(HealthCheck {
        kind,
        addr,
        path: path.to_owned(),
        interval: seconds("interval_secs"),
        timeout: seconds("timeout_secs"),
        max_failed: section.number("max_failed").max(1),
        expects_success: section.flag("expect_2xx"),
        webhook: section.word("alert_webhook").to_owned(),
    })
}

#[cfg(all(test, feature = "client", feature = "groups"))]
mod tests {
    use std::time::Duration;

    use crate::config::{ClientService, Config, parse};

    fn service(lines: &str) -> Result<ClientService, String> {
        let text = format!(
            "[client]\nremote_addr = 'x:1'\ndefault_token = 't'\n[client.services.a]\nlocal_addr = 'y:2'\n{lines}"
        );
        match parse(&text, "x.toml", None) {
            Ok(Config::Client(mut client)) => Ok(client.services.remove(0)),
            Ok(_) => Err("not a client".into()),
            Err(errors) => Err(errors.to_string()),
        }
    }

    #[track_caller]
    fn refused(lines: &str) -> String {
        service(lines).err().unwrap_or_default()
    }

    #[test]
    fn name_and_key_of_a_group_go_together() {
        assert!(refused("group = 'g'").contains("client.services.a.group: needs `group_key`"));
        assert!(refused("group_key = 'hunter2'").contains("client.services.a.group_key: needs `group`"));
        let both = service("group = 'g'\ngroup_key = 'shared-secret'\nweight = 0").expect("a member");
        let group = both.group.expect("a group");
        assert_eq!((&*group.name, group.weight), ("g", 1));
        assert_eq!(super::hex(&group.key.0), super::hash_text(b"shared-secret"));
        assert!(super::hash_text(b"shared-secret").starts_with("d3046ecc"));
        assert_eq!(format!("{:?}", group.key), "MASKED");
    }

    #[test]
    fn a_check_has_its_defaults() {
        let check = |lines: &str| service(lines).expect("a service").health_check.expect("a check");
        let usual = check("health_check = { type = 'tcp' }");
        let seconds = Duration::from_secs;
        assert_eq!(
            (usual.interval, usual.timeout, usual.max_failed),
            (seconds(10), seconds(3), 3)
        );
        assert!(usual.expects_success && usual.addr.to_string() == "y:2");
        let least = check("health_check = { type = 'tcp', interval_secs = 0, timeout_secs = 0, max_failed = 0 }");
        assert_eq!(
            (least.interval, least.timeout, least.max_failed),
            (seconds(1), seconds(1), 1)
        );
        assert!(check("health_check = {}").kind.is_none());
    }

    #[test]
    fn a_check_that_cannot_be_is_an_error() {
        assert!(refused("health_check = { type = 'icmp' }").contains("expected one of \"tcp\", \"http\""));
        assert!(refused("health_check = { type = 'http' }").contains("requires a `path`"));
        assert!(refused("health_check = { type = 'http', path = 'x' }").contains("requires a `path`"));
        assert!(refused("health_check = { alert_webhook = 'ftp://hunter2' }").contains("neither http nor https"));
        let lone = refused("health_check = { type = 'tcp', alert_webhook = 'http://hunter2/' }");
        assert!(
            lone.contains("health_check.alert_webhook: is told of groups alone"),
            "{lone}"
        );
        assert!(!lone.contains("hunter2"));
    }
}
