//! What is different between two configurations of one role: what a reload has to touch. Pure.
//!
//! A service is the same one as long as its name is.

use super::{AuthorizedKey, Client, Config, Noise, Ports, Secret, Server, Transport};

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A service of this name is new.
    Added(String),
    /// The service of this name is gone.
    Removed(String),
    /// The service of this name says something else.
    Changed(String),
    /// `server.bind_addr`.
    BindAddr,
    /// `client.remote_addr` or `client.prefer_ipv6`.
    RemoteAddr,
    /// How links are carried, or how their ends show that they live: links made before are out of date.
    Links,
    /// `server.transport.noise.authorized_keys`.
    AuthorizedKeys,
    /// What clients may name themselves, or how much there may be of anything.
    Tunnels,
    /// `server.load_balancing` or `server.region`.
    Balancing,
    /// `client.retry_interval`.
    RetryInterval,
    /// `client.drain_secs`.
    Drain,
    /// `control_socket`.
    ControlSocket,
}

impl Change {
    /// What it is about, unless that is a service.
    pub fn name(&self) -> Option<&'static str> {
        Some(match self {
            Change::Added(_) | Change::Removed(_) | Change::Changed(_) => return None,
            Change::BindAddr => "bind_addr",
            Change::RemoteAddr => "remote_addr",
            Change::Links => "transport",
            Change::AuthorizedKeys => "authorized_keys",
            Change::Tunnels => "ports and limits",
            Change::Balancing => "load_balancing",
            Change::RetryInterval => "retry_interval",
            Change::Drain => "drain_secs",
            Change::ControlSocket => "control_socket",
        })
    }
}

/// All differences; removed services come first, so that their addresses are free for others. None between roles: a
/// process keeps its own.
pub fn diff(old: &Config, new: &Config) -> Vec<Change> {
    match (old, new) {
        (Config::Server(old), Config::Server(new)) => server(old, new),
        (Config::Client(old), Config::Client(new)) => client(old, new),
        _ => Vec::new(),
    }
}

fn server(old: &Server, new: &Server) -> Vec<Change> {
    let [before, now] =
        [old, new].map(|config| config.services.iter().map(|service| &*service.name).collect::<Vec<_>>());
    let mut changes = services(&before, &now, &|before, now| old.services[before] == new.services[now]);
    let mut differs = |is_different: bool, change| {
        if is_different {
            changes.push(change);
        }
    };
    differs(old.bind_addr != new.bind_addr, Change::BindAddr);
    differs(
        authorized(&old.transport) != authorized(&new.transport),
        Change::AuthorizedKeys,
    );
    let timeouts = |server: &Server| [server.heartbeat_interval, server.heartbeat_timeout];
    let is_same = is_same_link(&old.transport, &new.transport) && timeouts(old) == timeouts(new);
    differs(!is_same, Change::Links);
    differs(named(old) != named(new), Change::Tunnels);
    differs(old.balancing != new.balancing, Change::Balancing);
    differs(old.control_socket != new.control_socket, Change::ControlSocket);
    changes
}

fn authorized(transport: &Transport) -> Option<&Vec<AuthorizedKey>> {
    transport.noise.as_ref()?.authorized_keys.as_ref()
}

/// Without ports nobody needs the token.
fn named(server: &Server) -> (Option<&Secret>, [Option<Ports>; 2], [u32; 3]) {
    let tunnels = &server.tunnels;
    let ports = [tunnels.tcp, tunnels.udp];
    let token = tunnels.token.as_ref().filter(|_| ports != [None, None]);
    (token, ports, [tunnels.most, tunnels.max_visitors, tunnels.rate])
}

/// Who may come is no matter of the links that are there.
fn is_same_link(old: &Transport, new: &Transport) -> bool {
    // Without `..`: a key that is new here has to be looked at.
    let Transport {
        kind: _,
        tcp: _,
        noise: _,
        tls: _,
        websocket: _,
    } = old;
    let noise = match (&old.noise, &new.noise) {
        (Some(old), Some(new)) => is_same_noise(old, new),
        (old, new) => old.is_none() && new.is_none(),
    };
    (old.kind, &old.tcp, &old.tls, &old.websocket) == (new.kind, &new.tcp, &new.tls, &new.websocket) && noise
}

fn is_same_noise(old: &Noise, new: &Noise) -> bool {
    let Noise {
        pattern: _,
        any_cipher: _,
        local_private_key: _,
        remote_public_key: _,
        psk: _,
        authorized_keys: _,
    } = old;
    old.pattern == new.pattern
        && old.any_cipher == new.any_cipher
        && old.local_private_key == new.local_private_key
        && old.remote_public_key == new.remote_public_key
        && old.psk == new.psk
}

fn client(old: &Client, new: &Client) -> Vec<Change> {
    let [before, now] =
        [old, new].map(|config| config.services.iter().map(|service| &*service.name).collect::<Vec<_>>());
    let mut changes = services(&before, &now, &|before, now| old.services[before] == new.services[now]);
    let mut differs = |is_different: bool, change| {
        if is_different {
            changes.push(change);
        }
    };
    let is_elsewhere = old.remote_addr != new.remote_addr || old.prefer_ipv6 != new.prefer_ipv6;
    let is_same = is_same_link(&old.transport, &new.transport) && old.heartbeat_timeout == new.heartbeat_timeout;
    differs(is_elsewhere, Change::RemoteAddr);
    differs(!is_same, Change::Links);
    differs(old.retry_interval != new.retry_interval, Change::RetryInterval);
    differs(old.drain != new.drain, Change::Drain);
    differs(old.control_socket != new.control_socket, Change::ControlSocket);
    changes
}

/// `is_same` compares an old one with a new one.
fn services(old: &[&str], new: &[&str], is_same: &dyn Fn(usize, usize) -> bool) -> Vec<Change> {
    let mut changes = Vec::new();
    for name in old.iter().filter(|name| !new.contains(name)) {
        changes.push(Change::Removed((*name).to_owned()));
    }
    for (index, name) in new.iter().enumerate() {
        match old.iter().position(|before| before == name) {
            None => changes.push(Change::Added((*name).to_owned())),
            Some(before) if !is_same(before, index) => changes.push(Change::Changed((*name).to_owned())),
            Some(_) => {}
        }
    }
    changes
}

#[cfg(test)]
#[cfg(any(
    all(feature = "client", feature = "server"),
    not(any(feature = "client", feature = "server"))
))]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::{Role, parse};
    use super::*;

    const SERVER: &str = "[server]\nbind_addr = 'x:1'\ndefault_token = 't'\n";
    const CLIENT: &str = "[client]\nremote_addr = 'x:1'\ndefault_token = 't'\n";
    const A: &str = "services.a";
    const B: &str = "services.b";

    /// The differences that `line`s make, in words: each is added to the block, or replaces the line with its key.
    fn changes(role: &str, before: &[&str], after: &[&str]) -> Vec<String> {
        let config = |lines: &[&str]| {
            let mut text: Vec<&str> = if role == "server" { SERVER } else { CLIENT }.lines().collect();
            for line in lines {
                let key = line.split('=').next().unwrap();
                text.retain(|line| line.split('=').next() != Some(key));
                text.push(line);
            }
            let text = text.join("\n");
            let text = if text.contains("services.") {
                text
            } else {
                text + "\nservices = {}"
            };
            parse(&text, "x.toml", None).unwrap()
        };
        let changes = diff(&config(before), &config(after));
        changes.iter().map(|change| format!("{change:?}")).collect()
    }

    fn service(role: &str, path: &str, more: &str) -> String {
        match role {
            "server" => format!("{path} = {{ bind_addr = '{path}:1', {more} }}"),
            _ => format!("{path} = {{ local_addr = '{path}:1', {more} }}"),
        }
    }

    #[test]
    fn nothing_is_different_from_itself() {
        for role in ["server", "client"] {
            let a = service(role, A, "");
            assert_eq!(changes(role, &[&a], &[&a]), [""; 0]);
        }
    }

    #[test]
    fn the_order_of_services_and_comments_are_no_difference() {
        for role in ["server", "client"] {
            let (a, b) = (service(role, A, ""), service(role, B, ""));
            assert_eq!(changes(role, &[&a, &b], &["# new", &b, &a]), [""; 0]);
        }
    }

    #[test]
    fn services_come_and_go() {
        for role in ["server", "client"] {
            let (a, b) = (service(role, A, ""), service(role, B, ""));
            assert_eq!(changes(role, &[], &[&a]), ["Added(\"a\")"]);
            assert_eq!(changes(role, &[&a], &[]), ["Removed(\"a\")"]);
            assert_eq!(changes(role, &[&a], &[&b]), ["Removed(\"a\")", "Added(\"b\")"]);
        }
    }

    #[test]
    fn every_key_of_a_service_changes_that_service_alone() {
        let server: &[&str] = &["token = 'u'", "type = 'udp'", "nodelay = false", "bind_addr = 'y:2'"];
        let client: &[&str] = &[
            "token = 'u'",
            "nodelay = false",
            "local_addr = 'y:2'",
            "retry_interval = 9",
            "prefer_ipv6 = true",
        ];
        for (role, keys) in [("server", server), ("client", client)] {
            let b = service(role, B, "");
            for key in keys.iter().filter(|key| !key.contains("udp") || cfg!(feature = "udp")) {
                let mut changed = service(role, A, key);
                if let Some(address) = key.split(" = ").next().filter(|key| key.ends_with("_addr")) {
                    changed = changed.replacen(&format!("{address} = 'services.a:1', "), "", 1);
                }
                let found = changes(role, &[&service(role, A, ""), &b], &[&changed, &b]);
                assert_eq!(found, ["Changed(\"a\")"], "{role} {key}");
            }
        }
    }

    #[test]
    fn what_services_inherit_changes_those_that_inherit_it() {
        for role in ["server", "client"] {
            let (a, b) = (service(role, A, ""), service(role, B, "token = 'own'"));
            let found = changes(role, &[&a, &b], &[&a, &b, "default_token = 'u'"]);
            assert_eq!(found, ["Changed(\"a\")"], "{role}");
        }
        let (a, b) = (service("client", A, ""), service("client", B, "retry_interval = 5"));
        let found = changes("client", &[&a, &b], &[&a, &b, "retry_interval = 7"]);
        assert_eq!(found, ["Changed(\"a\")", "RetryInterval"]);
    }

    #[test]
    fn every_other_key_is_a_difference_of_its_own() {
        for (role, line, expected) in [
            ("server", "bind_addr = 'y:1'", "BindAddr"),
            ("server", "heartbeat_interval = 7", "Links"),
            ("server", "heartbeat_timeout = 7", "Links"),
            ("server", "transport.tcp.nodelay = false", "Links"),
            ("server", "transport.tcp.keepalive_secs = 7", "Links"),
            ("server", "transport.tcp.keepalive_interval = 7", "Links"),
            ("server", "tcp_port_range = [2, 3]", "Tunnels"),
            ("server", "max_tunnels_per_client = 7", "Tunnels"),
            ("server", "region = 'x'", "Balancing"),
            ("client", "drain_secs = 7", "Drain"),
            ("client", "remote_addr = 'y:1'", "RemoteAddr"),
            ("client", "prefer_ipv6 = true", "RemoteAddr"),
            ("client", "heartbeat_timeout = 7", "Links"),
            ("client", "transport.tcp.nodelay = false", "Links"),
            ("client", "retry_interval = 7", "RetryInterval"),
        ] {
            assert_eq!(changes(role, &[], &[line]), [expected], "{role} {line}");
        }
    }

    #[cfg(feature = "status")]
    #[test]
    fn so_is_the_control_socket() {
        for role in ["server", "client"] {
            assert_eq!(changes(role, &[], &["control_socket = '/x'"]), ["ControlSocket"]);
        }
    }

    #[test]
    fn roles_are_not_compared() {
        let both = format!("{SERVER}services = {{}}\n{CLIENT}services = {{}}");
        let config = |role| parse(&both, "x.toml", Some(role)).unwrap();
        assert_eq!(diff(&config(Role::Server), &config(Role::Client)), []);
    }
}
