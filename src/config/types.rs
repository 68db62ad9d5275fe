//! The checked configuration: what the rest of the program reads.
//!
//! Every default is filled in, every inherited value resolved and every address parsed, so that nothing above this module
//! looks at TOML or asks "and if it is absent?". All of it compares and clones, which is what a reload diff needs.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::{Addresses, Balancing, HealthCheck, HostPort, Input, Local, Membership, Network, Secret, Tunnels};

/// Which end of the tunnel this process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Listens for clients and for visitors.
    Server,
    /// Sits beside the local services and dials the server.
    Client,
}

impl Role {
    /// Both, in the order in which they are reported.
    pub const ALL: [Role; 2] = [Role::Server, Role::Client];

    /// The block of the file that belongs to this role: `server` or `client`.
    pub fn name(self) -> &'static str {
        match self {
            Role::Server => "server",
            Role::Client => "client",
        }
    }
}

/// A complete configuration for one role.
#[derive(Clone, Debug, PartialEq)]
pub enum Config {
    /// From the `[server]` block.
    Server(Server),
    /// From the `[client]` block.
    Client(Client),
}

impl Config {
    /// The role this configuration is for.
    pub fn role(&self) -> Role {
        match self {
            Config::Server(_) => Role::Server,
            Config::Client(_) => Role::Client,
        }
    }

    /// The files that were read for it: the one it stands in, if any, and those that it names.
    pub fn inputs(&self) -> &[Input] {
        match self {
            Config::Server(server) => &server.inputs,
            Config::Client(client) => &client.inputs,
        }
    }

    /// Path of the status socket; `None` = off.
    pub fn control_socket(&self) -> Option<&Path> {
        match self {
            Config::Server(server) => server.control_socket.as_deref(),
            Config::Client(client) => client.control_socket.as_deref(),
        }
    }

    /// Another path for it.
    pub fn set_control_socket(&mut self, path: Option<PathBuf>) {
        match self {
            Config::Server(server) => server.control_socket = path,
            Config::Client(client) => client.control_socket = path,
        }
    }

    /// How many services it names.
    pub fn service_count(&self) -> usize {
        match self {
            Config::Server(server) => server.services.len(),
            Config::Client(client) => client.services.len(),
        }
    }
}

/// `[server]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Server {
    /// Where clients connect.
    pub bind_addr: Addresses,
    /// How often a client is sent something; `None` = no heartbeats.
    pub heartbeat_interval: Option<Duration>,
    /// How long a client may be silent; `None` = TCP alone decides.
    pub heartbeat_timeout: Option<Duration>,
    /// How links are carried.
    pub transport: Arc<Transport>,
    /// In the order of the file.
    pub services: Vec<ServerService>,
    /// What clients may name themselves, and how much there may be of anything.
    pub tunnels: Tunnels,
    /// Whether several clients may share a service.
    pub balancing: Balancing,
    /// The files that were read.
    pub inputs: Vec<Input>,
    /// Path of the status socket; `None` = off.
    pub control_socket: Option<PathBuf>,
}

/// `[server.services.NAME]`.
#[derive(Clone, Debug, PartialEq)]
pub struct ServerService {
    /// 1 to 255 bytes, no control characters.
    pub name: String,
    /// What visitors speak.
    pub kind: Kind,
    /// Where visitors connect. Port 0 lets the system choose.
    pub bind_addr: Addresses,
    /// Its own or the default token; never empty.
    pub token: Secret,
    /// How long a visitor of a UDP service is remembered without a datagram; `None` = until others need its place.
    pub udp_timeout: Option<Duration>,
    /// TCP_NODELAY of the visitors' sockets.
    pub nodelay: bool,
    /// Whose connections begin with a PROXY protocol header; empty = nobody's.
    pub balancers: Vec<Network>,
    /// Hashes of the keys that members of its group may have; empty = the first member's.
    pub group_keys: Vec<[u8; 32]>,
    /// Visitors from one address get the same member.
    pub is_sticky: bool,
}

/// `[client]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Client {
    /// The server's address; a name is resolved at each attempt.
    pub remote_addr: Addresses,
    /// How long the server may be silent; `None` = TCP alone decides.
    pub heartbeat_timeout: Option<Duration>,
    /// The longest pause between two attempts to connect; may be zero.
    pub retry_interval: Duration,
    /// Try IPv6 addresses of the server first.
    pub prefer_ipv6: bool,
    /// How links are carried.
    pub transport: Arc<Transport>,
    /// In the order of the file.
    pub services: Vec<ClientService>,
    /// When told to end, how long to wait for visitors to leave.
    pub drain: Duration,
    /// The files that were read.
    pub inputs: Vec<Input>,
    /// Path of the status socket; `None` = off.
    pub control_socket: Option<PathBuf>,
}

/// `[client.services.NAME]`.
#[derive(Clone, Debug, PartialEq)]
pub struct ClientService {
    /// 1 to 255 bytes, no control characters; the server has a service of this name.
    pub name: String,
    /// What visitors speak.
    pub kind: Kind,
    /// The local service.
    pub local_addr: Local,
    /// Its own or the default token; never empty.
    pub token: Secret,
    /// TCP_NODELAY of the sockets to the local service.
    pub nodelay: bool,
    /// The pause before registering again after a refusal; may be zero.
    pub retry_interval: Duration,
    /// Try IPv6 addresses of the local service first.
    pub prefer_ipv6: bool,
    /// How the local service is told the visitor's address; `None` = it is not.
    pub proxy_protocol: Option<ProxyProtocol>,
    /// The public port that is wanted, 0 = any; `None` = the server has a service of this name.
    pub remote_port: Option<u16>,
    /// The group of clients that share the service.
    pub group: Option<Membership>,
    /// How its health is looked after.
    pub health_check: Option<HealthCheck>,
}

/// `[server.transport]` or `[client.transport]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Transport {
    /// The chosen transport.
    pub kind: TransportKind,
    /// The TCP connection under it, whichever it is.
    pub tcp: Tcp,
    /// Noise, if that is the one.
    pub noise: Option<Noise>,
    /// For TLS, alone or under WebSocket; else empty.
    pub tls: Tls,
    /// For WebSocket; else empty.
    pub websocket: Websocket,
}

/// A way to carry links.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransportKind {
    /// Plain TCP.
    Tcp,
    /// Noise.
    Noise,
    /// TLS.
    Tls,
    /// WebSocket, over plain TCP or over TLS.
    Websocket,
}

impl TransportKind {
    /// All of them.
    pub const ALL: [TransportKind; 4] = [
        TransportKind::Tcp,
        TransportKind::Noise,
        TransportKind::Tls,
        TransportKind::Websocket,
    ];

    /// As the file spells it.
    pub fn name(self) -> &'static str {
        match self {
            TransportKind::Tcp => "tcp",
            TransportKind::Noise => "noise",
            TransportKind::Tls => "tls",
            TransportKind::Websocket => "websocket",
        }
    }
}

/// `[*.transport.tcp]`: options of a link's socket.
#[derive(Clone, Debug, PartialEq)]
pub struct Tcp {
    /// TCP_NODELAY.
    pub nodelay: bool,
    /// Silence after which the system probes the peer; `None` = no probes.
    pub keepalive_secs: Option<Duration>,
    /// Pause between two probes; `None` = the system's own.
    pub keepalive_interval: Option<Duration>,
    /// Client: what the server is reached through.
    pub proxy: Option<Proxy>,
}

/// `[*.transport.noise]`, with the keys that its pattern wants.
#[derive(Clone, Debug, PartialEq)]
pub struct Noise {
    /// The name of a pattern that this build has.
    pub pattern: String,
    /// It was not set: records may have another cipher, that both ends are quicker at.
    pub any_cipher: bool,
    /// Base64; `None` = a new one per process if the pattern wants one.
    pub local_private_key: Option<Secret>,
    /// The only key that the other end may have.
    pub remote_public_key: Option<[u8; 32]>,
    /// Base64, with a pattern that has one.
    pub psk: Option<Secret>,
    /// Clients that may come; `None` = whoever fits the other keys.
    pub authorized_keys: Option<Vec<AuthorizedKey>>,
}

/// A client that may come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthorizedKey {
    /// What the log calls it.
    pub name: String,
    /// Its public key.
    pub key: [u8; 32],
}

/// `[*.transport.tls]`, with what is in the files that it names.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tls {
    /// Client: the name of the server; `None` = the host of `remote_addr`.
    pub hostname: Option<String>,
    /// Client: the only authorities to trust; `None` = the system's.
    pub trusted_root: Option<File>,
    /// What this side shows of itself: a server always, a client if it is asked for it.
    pub identity: Option<Identity>,
    /// Server: the authority of clients that may come; `None` = all may.
    pub client_ca: Option<File>,
}

/// A certificate with its key.
#[derive(Clone, Debug, PartialEq)]
pub enum Identity {
    /// A chain of certificates and a private key, both PEM.
    Pem(File, File),
    /// A file with both, and its password.
    Pkcs12(File, Secret),
}

/// A file, as it was when the configuration was read.
#[derive(Clone, Debug, PartialEq)]
pub struct File {
    /// The key that names it, below `transport`.
    pub key: &'static str,
    /// What is in it.
    pub bytes: Secret,
}

/// `[*.transport.websocket]`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Websocket {
    /// Whether TLS runs under it.
    pub tls: bool,
    /// Where it is; `None` = anywhere at a server, `/` for a client.
    pub path: Option<String>,
    /// Lines that a client adds to its request: names and values.
    pub headers: Vec<(String, Secret)>,
}

/// What a service carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A byte stream.
    Tcp,
    /// Datagrams.
    Udp,
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 2] = [Kind::Tcp, Kind::Udp];

    /// As the file spells it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Tcp => "tcp",
            Kind::Udp => "udp",
        }
    }
}

/// Versions of the PROXY protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyProtocol {
    /// A line of text.
    V1,
    /// Binary.
    V2,
}

impl ProxyProtocol {
    /// All of them.
    pub const ALL: [ProxyProtocol; 2] = [ProxyProtocol::V1, ProxyProtocol::V2];

    /// As the file spells it.
    pub fn name(self) -> &'static str {
        match self {
            ProxyProtocol::V1 => "v1",
            ProxyProtocol::V2 => "v2",
        }
    }
}

/// A proxy on the way to the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proxy {
    /// What it speaks.
    pub kind: ProxyKind,
    /// Where it is; a name is resolved at each attempt.
    pub address: HostPort,
    /// User and password.
    pub credentials: Option<(Secret, Secret)>,
}

/// What a proxy speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyKind {
    /// HTTP's CONNECT.
    Http,
    /// SOCKS 5.
    Socks5,
}
