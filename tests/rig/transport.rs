//! What carries a tunnel's link, and the tables of the files that say so.

use std::sync::OnceLock;

use super::tunnel::pinhole;
use super::{Role, certificates, program};

/// What carries the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Plain TCP.
    Tcp,
    /// Noise with a handshake like `NK`.
    Noise(&'static str),
    /// TLS.
    Tls,
    /// WebSocket over plain TCP.
    Websocket,
    /// WebSocket over TLS.
    WebsocketTls,
}

impl Transport {
    /// Those that the traffic tests go through, one after the other.
    pub const ALL: [Transport; 8] = [
        Transport::Tcp,
        Transport::Noise("NK"),
        Transport::Noise("KK"),
        Transport::Noise("XX"),
        Transport::Noise("NKpsk0"),
        Transport::Tls,
        Transport::Websocket,
        Transport::WebsocketTls,
    ];

    /// Those of them that the programs under test, and this machine, can run.
    pub fn available() -> impl Iterator<Item = Transport> {
        Transport::ALL
            .into_iter()
            .filter(|transport| transport.is_built() && (!transport.has_tls() || certificates::openssl().is_some()))
    }

    fn is_built(self) -> bool {
        static BUILT: OnceLock<[String; 2]> = OnceLock::new();
        let built = BUILT.get_or_init(|| [Role::Server, Role::Client].map(transports));
        let has = |need: &&str| built.iter().all(|names| names.split(", ").any(|name| name == *need));
        self.needs().iter().all(has)
    }

    /// What it is made of; the first is its `type`.
    fn needs(self) -> &'static [&'static str] {
        match self {
            Transport::Tcp => &["tcp"],
            Transport::Noise(_) => &["noise"],
            Transport::Tls => &["tls"],
            Transport::Websocket => &["websocket"],
            Transport::WebsocketTls => &["websocket", "tls"],
        }
    }

    /// Whether it needs certificates beside the files.
    pub fn has_tls(self) -> bool {
        self.needs().contains(&"tls")
    }

    /// The tables below `[role]` that say so.
    pub fn table(self, role: Role) -> String {
        let name = self.needs()[0];
        let mut text = format!("[{role}.transport]\ntype = \"{name}\"\n");
        if let Transport::Noise(handshake) = self {
            let keys = noise_keys(handshake, role);
            // Without a word the handshake is NK, and the cipher is the ends' to choose.
            let pattern = match handshake {
                "NK" => String::new(),
                _ => format!("pattern = \"Noise_{handshake}_25519_ChaChaPoly_BLAKE2s\"\n"),
            };
            text += &format!("[{role}.transport.noise]\n{pattern}{keys}");
        }
        if name == "websocket" {
            text += &format!("[{role}.transport.websocket]\ntls = {}\n", self.has_tls());
        }
        text += match role {
            _ if !self.has_tls() => "",
            Role::Server => "[server.transport.tls]\ncertificate = \"server.pem\"\nprivate_key = \"server.key\"\n",
            Role::Client => "[client.transport.tls]\ntrusted_root = \"ca.pem\"\nhostname = \"server.test\"\n",
        };
        text
    }
}

/// A pair of keys for Noise.
pub struct Pair {
    /// Base64.
    pub private: &'static str,
    /// Base64.
    pub public: &'static str,
}

/// The server's keys.
pub const SERVER: Pair = Pair {
    private: "QLYMByBnjgM254zT6YKaBVvuAA61swyZfFxoA/SKZHM=",
    public: "xrpknQcAagcd/b9foMwxSCD+EindWxq450NEONk8XQo=",
};
/// The client's keys.
pub const CLIENT: Pair = Pair {
    private: "meoup/HnB1xjB27DFlWA8O176KTqpD7nGb1OfJM/jF4=",
    public: "nCmhUE2XwHGXdZHtamEeAT17CAEk80RyJ0QbL/Zd9zI=",
};
/// What both share with a `psk` handshake.
pub const PSK: &str = "cHJlc2hhcmVkIGtleSBvZiB0aGUgdGVzdHMgLSAzMiE=";

/// What a handshake wants: its letters say whether the client's key and the server's key are none (N), known before
/// (K), or sent (X, I).
fn noise_keys(handshake: &str, role: Role) -> String {
    let (client, server) = (handshake.as_bytes()[0], handshake.as_bytes()[1]);
    let (own, own_pair, other, other_pair) = match role {
        Role::Client => (client, CLIENT, server, SERVER),
        Role::Server => (server, SERVER, client, CLIENT),
    };
    let mut keys = String::new();
    if own != b'N' {
        keys += &format!("local_private_key = \"{}\"\n", own_pair.private);
    }
    if other == b'K' {
        keys += &format!("remote_public_key = \"{}\"\n", other_pair.public);
    }
    if handshake.contains("psk") {
        keys += &format!("psk = \"{PSK}\"\n");
    }
    keys
}

/// What `--version` of the program for `role` says of its transports.
fn transports(role: Role) -> String {
    let output = program::output(pinhole(role).arg("--version"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = text.lines().find_map(|line| line.strip_prefix("transports: "));
    line.expect("a line about transports").to_owned()
}
