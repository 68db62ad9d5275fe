//! What carries a tunnel's link.

use std::process::Command;
use std::sync::OnceLock;

use super::{Role, certificates, pinhole};

/// What carries the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Plain TCP.
    Tcp,
    /// TLS.
    Tls,
    /// WebSocket over plain TCP.
    Websocket,
    /// WebSocket over TLS.
    WebsocketTls,
}

impl Transport {
    const ALL: [Transport; 4] = [
        Transport::Tcp,
        Transport::Tls,
        Transport::Websocket,
        Transport::WebsocketTls,
    ];

    /// Those that both programs have, one after the other.
    pub fn all() -> impl Iterator<Item = Transport> {
        static KNOWN: OnceLock<[String; 2]> = OnceLock::new();
        let known = KNOWN.get_or_init(|| [Role::Server, Role::Client].map(transports));
        let has = |name: &&str| known.iter().all(|known| known.split(", ").any(|known| known == *name));
        let can_run = move |transport: &Transport| {
            transport.needs().iter().all(has) && (!transport.has_tls() || certificates::openssl().is_some())
        };
        Transport::ALL.into_iter().filter(can_run)
    }

    fn needs(self) -> &'static [&'static str] {
        match self {
            Transport::Tcp => &["tcp"],
            Transport::Tls => &["tls"],
            Transport::Websocket => &["websocket"],
            Transport::WebsocketTls => &["websocket", "tls"],
        }
    }

    /// Whether it needs certificates beside the files.
    pub fn has_tls(self) -> bool {
        self.needs().contains(&"tls")
    }

    /// Its part of the file for `role`.
    pub fn tables(self, role: Role) -> String {
        let name = self.needs()[0];
        let mut text = format!("[{role}.transport]\ntype = \"{name}\"\n");
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

/// What the program for `role` has, as it prints it.
fn transports(role: Role) -> String {
    let output = Command::output(pinhole(role).arg("--version")).expect("the program under test");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = text.lines().find_map(|line| line.strip_prefix("transports: "));
    line.expect("a line about transports").to_owned()
}
