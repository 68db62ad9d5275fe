//! Every key of the file, one row each: path, what a value looks like, what holds when it is absent, what it means.
//!
//! The checker, the defaults, `--help-config` and the README's reference all read these rows, so they cannot drift. In a
//! path, `*` stands for either role (first) or for a service's name (third).

use std::fmt;

use super::source::{MAX_SHOWN, shown};
use super::{Doc, Group};

/// One key.
pub(super) struct Row {
    pub(super) path: &'static str,
    pub(super) form: Form,
    pub(super) absent: Absent,
    /// What the build must have for the key to be used.
    pub(super) needs: Option<&'static (Group, &'static str)>,
    pub(super) doc: Doc,
}

/// What a value looks like.
pub(super) enum Form {
    /// A table whose keys have rows.
    Table,
    /// A table whose keys are names of the user's.
    Services,
    /// host:port, port 0 included, or a list of that.
    Listen,
    /// host:port with a port that can be dialled, or a list of that.
    Dial,
    /// host:port with a port that can be dialled, or unix:/path.
    Local,
    /// A table of names of the user's and public keys, or the name of a file with them.
    Keys,
    /// A string that is masked and never empty.
    Token,
    /// A string that is masked.
    Secret,
    /// A proxy's URL; masked.
    Proxy,
    /// One or a list of addresses or networks, `10.0.0.0/8`.
    Networks,
    /// One of these words, which every build knows.
    OneOf(&'static [&'static str]),
    /// Any string.
    Text,
    /// The name of a file.
    Path,
    /// The name of a file with a secret in it.
    SecretFile,
    /// `true` or `false`.
    Flag,
    /// 0 up to this many seconds.
    Seconds(u32),
    /// 0 up to this.
    Number(u32),
    /// The first and the last port of a range.
    Ports,
    /// A list of SHA-256 hashes in hexadecimal.
    Hashes,
    /// A webhook's URL; masked.
    Url,
    /// One of these words, each of which the build may or may not have.
    Choice(Group, &'static [&'static str]),
}

/// What holds when a key is absent.
pub(super) enum Absent {
    /// It must be there.
    Required,
    /// Something that depends, in words.
    Means(&'static str),
    /// This word.
    Word(&'static str),
    /// This number, or so many seconds.
    Number(u32),
    /// This.
    Flag(bool),
}

use Absent::{Means, Required, Word};
use Form::{Choice, Dial, Listen, Local, Networks, OneOf, Path, Secret, SecretFile, Services, Table, Text, Token};

/// A year: more is a slip, and no sum with a clock overflows.
const LONG: u32 = 365 * 86_400;
/// The most that Linux takes for TCP_KEEPIDLE and TCP_KEEPINTVL.
const KEEPALIVE: u32 = 32_767;

/// Requests and visitors in a second, visitors at once.
const MANY: u32 = 1_000_000_000;

const KINDS: &[&str] = &["tcp", "udp"];
const PROXY_PROTOCOLS: &[&str] = &["v1", "v2"];
const STICKY: &[&str] = &["source"];
const CHECKS: &[&str] = &["tcp", "http"];
const WEBHOOKS: &[&str] = &["off", "public", "any"];
const TRANSPORTS: &[&str] = &["tcp", "tls", "noise", "websocket"];

macro_rules! rows {
    ($($path:literal: $form:expr, $absent:expr $(, needs $group:ident $what:literal)?; $doc:literal)*) => {
        /// In the order in which they are documented; a table stands before its keys.
        pub(super) static ROWS: &[Row] = &[$(Row {
            path: $path,
            form: $form,
            absent: $absent,
            needs: rows!(@needs $($group $what)?),
            doc: doc!($doc),
        }),*];
    };
    (@needs) => { None };
    (@needs $group:ident $what:literal) => { Some(&(Group::$group, $what)) };
}

rows! {
    "server": Table, Means("not a server");
        "The end with the public address: clients and visitors connect to it."
    "server.bind_addr": Listen, Required;
        "Where clients connect. A list, such as `[\"0.0.0.0:2333\", \"[::]:2333\"]`: at each of these."
    "server.default_token": Token, Means("none");
        "The token of every service that has none of its own."
    "server.default_token_file": SecretFile, Means("none");
        "A file whose one line is that token. Relative to this file's folder."
    "server.heartbeat_interval": Form::Seconds(LONG), Absent::Number(30);
        "How often a client hears from the server. 0: never."
    "server.heartbeat_timeout": Form::Seconds(LONG), Means("4/3 of `heartbeat_interval`");
        "A client that is silent for so long is gone, and its visitors are closed. 0: TCP alone decides."
    "server.control_socket": Path, Means("off"), needs Feature "status";
        "Where the unix socket for `pinhole status` is made (mode 0600). Relative to this file's folder."
    "server.tcp_port_range": Form::Ports, Means("off: `[0, 0]`");
        "The ports, first and last, of tcp services that only clients name (`remote_port`). They need `default_token`."
    "server.udp_port_range": Form::Ports, Means("off: `[0, 0]`");
        "The same for udp services."
    "server.max_tunnels_per_client": Form::Number(MANY), Absent::Number(10);
        "Services that one client may name. 0: any number."
    "server.max_connections_per_service": Form::Number(MANY), Absent::Number(0);
        "Visitors of one service at the same time; further ones are turned away. 0: as many as there is room for."
    "server.rate_limit_rps": Form::Number(MANY), Absent::Number(0);
        "New visitors of one service in a second, of a udp service datagrams from visitors; the rest is dropped. 0: any number."
    "server.region": Text, Word("default");
        "What alerts call this server."
    "server.load_balancing": Table, Means("off"), needs Feature "groups";
        "Several clients share one service when they name the same `group` and have its key."
    "server.load_balancing.enabled": Form::Flag, Absent::Flag(false);
        "Otherwise `group` is ignored, and each client is alone."
    "server.load_balancing.alert_webhook_url": Form::Url, Means("nobody");
        "Is told, by a POST, when no member of a group is healthy any more."
    "server.load_balancing.member_webhooks": OneOf(WEBHOOKS), Word("public");
        "The same for the `alert_webhook` of members: not at all, at public addresses, or at any address as seen from here."
    "server.services": Services, Required;
        "What is exposed, one table per service. The table must be there, and may be empty."
    "server.services.*": Table, Means("");
        "One service. The client has one of the same name."
    "server.services.*.type": Choice(Group::Service, KINDS), Word("tcp");
        "What visitors speak; the same on both sides."
    "server.services.*.bind_addr": Listen, Required;
        "Where visitors connect; bound while a client offers the service. A list: at each of these."
    "server.services.*.token": Token, Means("`server.default_token`");
        "The secret that a client must know to offer this service. It needs one here or there."
    "server.services.*.token_file": SecretFile, Means("none");
        "A file whose one line is the token."
    "server.services.*.nodelay": Form::Flag, Means("`server.transport.tcp.nodelay`");
        "TCP_NODELAY on the visitors' connections."
    "server.services.*.udp_timeout": Form::Seconds(LONG), Absent::Number(60), needs Service "udp";
        "Without a datagram either way for so long, a visitor of a UDP service is forgotten. 0: when others need its place."
    "server.services.*.accept_proxy_protocol": Form::Flag, Absent::Flag(false);
        "Behind a load balancer: its connections begin with a PROXY protocol header (v1 or v2) that names the visitor. TCP."
    "server.services.*.proxy_protocol_from": Networks, Means("nobody");
        "Who sends that header, a list of addresses and networks; from others nothing is believed. Required with it."
    "server.services.*.group_keys": Form::Hashes, Means("the first member's"), needs Feature "groups";
        "SHA-256 hashes of the keys that members of this service's group may have; `pinhole --hash-key` makes one."
    "server.services.*.sticky": OneOf(STICKY), Means("off"), needs Feature "groups";
        "Visitors from one address get the same member of the group, as long as it is healthy."

    "client": Table, Means("not a client");
        "The end beside the local services, behind NAT: it connects to the server."
    "client.remote_addr": Dial, Required;
        "The server: its `bind_addr` as seen from here. A name is looked up again at every attempt. A list: the first \
         that answers, in this order."
    "client.default_token": Token, Means("none");
        "The token of every service that has none of its own."
    "client.default_token_file": SecretFile, Means("none");
        "A file whose one line is that token. Relative to this file's folder."
    "client.heartbeat_timeout": Form::Seconds(LONG), Absent::Number(40);
        "A server that is silent for so long is gone. Longer than its `heartbeat_interval`. 0: TCP alone decides."
    "client.retry_interval": Form::Seconds(LONG), Absent::Number(1);
        "The longest pause between two attempts to connect."
    "client.prefer_ipv6": Form::Flag, Absent::Flag(false);
        "Try the server's IPv6 addresses first."
    "client.control_socket": Path, Means("off"), needs Feature "status";
        "Where the unix socket for `pinhole status` is made (mode 0600). Relative to this file's folder."
    "client.drain_secs": Form::Seconds(LONG), Absent::Number(0);
        "When told to end, take no new visitors and wait so long for those that are there."
    "client.services": Services, Required;
        "What is offered, one table per service. The table must be there, and may be empty."
    "client.services.*": Table, Means("");
        "One service. The server has one of the same name."
    "client.services.*.type": Choice(Group::Service, KINDS), Word("tcp");
        "What visitors speak; the same on both sides."
    "client.services.*.local_addr": Local, Required;
        "The local service: an address, or the path of a unix socket (TCP only)."
    "client.services.*.token": Token, Means("`client.default_token`");
        "The secret that the server has for this service. It needs one here or there."
    "client.services.*.token_file": SecretFile, Means("none");
        "A file whose one line is the token."
    "client.services.*.nodelay": Form::Flag, Means("`client.transport.tcp.nodelay`");
        "TCP_NODELAY on the connections to the local service."
    "client.services.*.retry_interval": Form::Seconds(LONG), Means("`client.retry_interval`");
        "The pause before this service is offered again after the server refused it."
    "client.services.*.prefer_ipv6": Form::Flag, Absent::Flag(false);
        "Try the local service's IPv6 addresses first."
    "client.services.*.proxy_protocol": OneOf(PROXY_PROTOCOLS), Means("off");
        "Tell the local service the visitor's address by a PROXY protocol header of this version. UDP: v2."
    "client.services.*.remote_port": Form::Number(65_535), Means("the server names it");
        "The server has no service of this name: it is to be public at this port of a range of its. 0: at any."
    "client.services.*.group": Text, Means("none"), needs Feature "groups";
        "Several clients share this service, if the server balances. With `remote_port` the group's name counts, else the \
         service's."
    "client.services.*.group_key": Token, Means("none");
        "What the members of a group have in common; the server gets its hash alone. Required with `group`."
    "client.services.*.group_key_file": SecretFile, Means("none");
        "A file whose one line is that key."
    "client.services.*.weight": Form::Number(1000), Absent::Number(1);
        "How many visitors this member gets, relative to the others. At least 1."
    "client.services.*.sticky": OneOf(STICKY), Means("off"), needs Feature "groups";
        "Visitors from one address get the same member, as long as it is healthy. The first member of a group decides."
    "client.services.*.health_check": Table, Means("none"), needs Feature "groups";
        "Look whether the local service is well; if not, other members of the group get the visitors."
    "client.services.*.health_check.type": OneOf(CHECKS), Means("no check: always well");
        "Whether it takes a connection, or also answers to an HTTP request."
    "client.services.*.health_check.addr": Dial, Means("`local_addr`");
        "Where to look. Required for a udp service."
    "client.services.*.health_check.path": Text, Means("none");
        "What to ask for. Required for `http`."
    "client.services.*.health_check.interval_secs": Form::Seconds(LONG), Absent::Number(10);
        "The time between two looks."
    "client.services.*.health_check.timeout_secs": Form::Seconds(LONG), Absent::Number(3);
        "How long an answer may take."
    "client.services.*.health_check.max_failed": Form::Number(MANY), Absent::Number(3);
        "Failures in a row until the service counts as not well."
    "client.services.*.health_check.expect_2xx": Form::Flag, Absent::Flag(true);
        "Whether an answer must have a status from 200 to 299. Otherwise any will do."
    "client.services.*.health_check.alert_webhook": Form::Url, Means("nobody");
        "Is told by the server when no member of the group is healthy any more."

    "*.transport": Table, Means("plain TCP");
        "How the link between client and server is carried; the same on both sides."
    "*.transport.type": Choice(Group::Transport, TRANSPORTS), Word("tcp");
        "The tables of other transports are left alone."
    "*.transport.tcp": Table, Means("its defaults");
        "The link's TCP connection, whatever runs on it."
    "*.transport.tcp.nodelay": Form::Flag, Absent::Flag(true);
        "TCP_NODELAY on the link, and on services that do not say."
    "*.transport.tcp.keepalive_secs": Form::Seconds(KEEPALIVE), Absent::Number(20);
        "Silence after which the system probes the peer. 0: it does not."
    "*.transport.tcp.keepalive_interval": Form::Seconds(KEEPALIVE), Absent::Number(8);
        "Pause between two such probes. 0: as the system has it."
    "client.transport.tcp.proxy": Form::Proxy, Means("none"), needs Feature "proxy";
        "Reach the server through `http://[user:password@]host[:port]` or `socks5://…`, which looks up the server's name."
    "server.transport.tcp.proxy": Secret, Means("none");
        "Without meaning on a server; accepted as rathole does."
    "*.transport.noise": Table, Means("its defaults");
        "Noise, for `type = \"noise\"`."
    "*.transport.noise.pattern": Text, Word("Noise_NK_25519_ChaChaPoly_BLAKE2s");
        "Which side knows whose key, and by which arithmetic; the same on both sides. Unset, records may be AES-GCM's: see \
         Noise in the README."
    "*.transport.noise.local_private_key": Secret, Means("a new one at each start");
        "This side's key, base64, for a pattern in which it has one. `pinhole --genkey` makes a pair."
    "*.transport.noise.local_private_key_file": SecretFile, Means("none");
        "A file whose one line is that key."
    "*.transport.noise.remote_public_key": Text, Means("none; some patterns need it");
        "The other side's key, base64: the only one that it may have."
    "*.transport.noise.psk": Secret, Means("none");
        "A key that both sides share, 32 bytes in base64, for a pattern with `psk` in its name."
    "*.transport.noise.psk_file": SecretFile, Means("none");
        "A file whose one line is that key."
    "server.transport.noise.authorized_keys": Form::Keys, Means("any client with a token");
        "The clients that may come, for a pattern in which they have a key: a table of names and public keys, or the \
         path of a file with a name and a key on each line."
    "server.transport.noise.authorized_keys.*": Text, Means("");
        "A client's public key, base64. The log calls it by this name."
    "*.transport.tls": Table, Means("its defaults");
        "TLS, for `type = \"tls\"` and for `websocket.tls`."
    "*.transport.tls.hostname": Text, Means("the host of `remote_addr`");
        "The name that the server's certificate must carry. Client."
    "*.transport.tls.trusted_root": Path, Means("the system's");
        "PEM file with the authorities that alone may have signed the server's certificate, or with that itself. Client."
    "*.transport.tls.pkcs12": Path, Means("none");
        "The server's certificate and key in one PKCS#12 file. Server: this, or `certificate` and `private_key`."
    "*.transport.tls.pkcs12_password": Secret, Means("empty");
        "Opens that file."
    "server.transport.tls.certificate": Path, Means("none");
        "PEM file with the server's certificate, and those that lead from it to its authority."
    "server.transport.tls.private_key": Path, Means("none");
        "PEM file with the key of that certificate."
    "server.transport.tls.client_ca": Path, Means("none");
        "PEM file with authorities: only clients with a certificate of one of them are let in."
    "client.transport.tls.client_certificate": Path, Means("none");
        "PEM file with the certificate to show to a server that has `client_ca`."
    "client.transport.tls.client_private_key": Path, Means("none");
        "PEM file with the key of that certificate."
    "*.transport.websocket": Table, Means("none");
        "WebSocket, for `type = \"websocket\"`."
    "*.transport.websocket.tls": Form::Flag, Absent::Flag(false);
        "Whether TLS runs under it. A server behind a proxy that speaks TLS needs none of its own."
    "*.transport.websocket.path": Text, Means("`/`; a server takes any");
        "Where it is. A server answers 404 elsewhere."
    "client.transport.websocket.headers": Table, Means("none");
        "Header lines for the request, for a proxy that wants some."
    "client.transport.websocket.headers.*": Secret, Means("");
        "One of them."
}

impl Row {
    /// The last segment: the key as it stands in its table.
    pub(super) fn name(&self) -> &'static str {
        self.path.rsplit('.').next().unwrap_or(self.path)
    }

    /// Whether this key can stand in `table`.
    pub(super) fn is_in(&self, table: &KeyPath<'_>) -> bool {
        match self.path.rsplit_once('.') {
            Some((path, _)) => table.matches(path),
            None => table.is_root(),
        }
    }

    pub(super) fn is_required(&self) -> bool {
        matches!(self.absent, Required)
    }

    pub(super) fn is_secret(&self) -> bool {
        matches!(self.form, Token | Secret | Form::Proxy | Form::Url)
    }
}

/// The rows of the keys that `table` can have.
pub(super) fn inside(table: &KeyPath<'_>) -> impl Iterator<Item = &'static Row> {
    ROWS.iter().filter(move |row| row.is_in(table))
}

/// Where in the file a key is: its name, and the table that it stands in.
#[derive(Clone, Copy)]
pub(super) struct KeyPath<'a> {
    table: Option<&'a KeyPath<'a>>,
    pub(super) name: &'a str,
    /// The place of its name in the text; of a key that is absent, that of its table's.
    pub(super) at: usize,
}

impl<'a> KeyPath<'a> {
    /// The table of everything.
    pub(super) const ROOT: KeyPath<'static> = KeyPath {
        table: None,
        name: "",
        at: 0,
    };

    /// That of the key `name` in this table.
    pub(super) fn key<'s>(&'s self, name: &'s str, at: usize) -> KeyPath<'s> {
        KeyPath {
            table: Some(self),
            name,
            at,
        }
    }

    /// The same, for a part of its value.
    pub(super) fn part(&self, at: usize) -> KeyPath<'a> {
        KeyPath { at, ..*self }
    }

    pub(super) fn is_root(&self) -> bool {
        self.table.is_none()
    }

    /// The block of the file that it is in; none if it is all of the file.
    pub(super) fn block(&self) -> Option<&'a str> {
        match self.table? {
            table if table.is_root() => Some(self.name),
            table => table.block(),
        }
    }

    /// Whether it is `path`, in which a `*` stands for any name.
    pub(super) fn matches(&self, path: &str) -> bool {
        let mut key = self;
        for name in path.rsplit('.') {
            match key.table {
                Some(table) if name == "*" || name == key.name => key = table,
                _ => return false,
            }
        }
        key.is_root()
    }

    /// Its row.
    pub(super) fn row(&self) -> Option<&'static Row> {
        ROWS.iter().find(|row| self.matches(row.path))
    }
}

/// As the file would write it.
impl fmt::Display for KeyPath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(table) = self.table.filter(|table| !table.is_root()) {
            write!(f, "{table}.")?;
        }
        let is_plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
        match self.name.len() {
            1..=MAX_SHOWN if self.name.bytes().all(is_plain) => f.write_str(self.name),
            _ => write!(f, "\"{}\"", shown(self.name)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl<'a> KeyPath<'a> {
        pub(in super::super) fn of(names: &[&'a str]) -> KeyPath<'a> {
            let below = |table: KeyPath<'a>, name: &&'a str| Box::leak(Box::new(table)).key(name, 0);
            names.iter().fold(KeyPath::ROOT, below)
        }
    }

    #[test]
    fn a_service_can_have_any_name() {
        let name = |path: &[&str]| KeyPath::of(path).row().map(|row| row.path);
        assert_eq!(name(&["server", "services", "a.b"]), Some("server.services.*"));
        assert_eq!(
            name(&["client", "transport", "tcp", "nodelay"]),
            Some("*.transport.tcp.nodelay")
        );
        assert_eq!(name(&["client", "services"]), Some("client.services"));
        assert_eq!(name(&["client", "transport", "udp"]), None);
        assert_eq!(name(&["client", "bind_addr"]), None);
        assert_eq!(name(&["peer"]), None);
    }

    #[test]
    fn every_key_is_in_a_table_that_has_a_row_before_it() {
        for (index, row) in ROWS.iter().enumerate() {
            let Some((table, _)) = row.path.rsplit_once('.') else {
                continue;
            };
            let table: Vec<&str> = table.split('.').collect();
            let is_before = ROWS[..index].iter().any(|row| KeyPath::of(&table).matches(row.path));
            assert!(is_before || table == ["*"], "{}", row.path);
        }
    }

    #[test]
    fn no_row_twice() {
        for (index, row) in ROWS.iter().enumerate() {
            assert!(
                ROWS[..index].iter().all(|before| before.path != row.path),
                "{}",
                row.path
            );
        }
    }
}
