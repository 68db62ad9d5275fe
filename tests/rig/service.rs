//! Services as the files of server and client have them.

use std::fmt::{self, Display};
use std::net::SocketAddr;

/// Which half of the tunnel a process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// `pinhole -s`
    Server,
    /// `pinhole -c`
    Client,
}

/// What a service carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Connections.
    Tcp,
    /// Datagrams.
    Udp,
}

/// A service as both files have it, or one of them.
#[derive(Clone, Debug)]
pub struct Service {
    /// Its key in `services`.
    pub name: String,
    kind: [Kind; 2],
    token: [Option<String>; 2],
    exists: [bool; 2],
    /// Where visitors find it.
    pub public: Option<SocketAddr>,
    also: Option<SocketAddr>,
    local: String,
    lines: [String; 2],
}

impl Role {
    /// What tells the program.
    pub fn option(self) -> &'static str {
        match self {
            Role::Server => "-s",
            Role::Client => "-c",
        }
    }
}

impl Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Role::Server => "server",
            Role::Client => "client",
        })
    }
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Tcp => "tcp",
            Kind::Udp => "udp",
        }
    }
}

impl Service {
    /// A service in both files, with the token of the tests, on a free port of the tunnel's address.
    pub fn new(name: &str, kind: Kind, local: SocketAddr) -> Service {
        let (name, local) = (name.to_owned(), local.to_string());
        Service {
            name,
            kind: [kind; 2],
            token: [None, None],
            exists: [true; 2],
            public: None,
            also: None,
            local,
            lines: Default::default(),
        }
    }

    /// Another kind in the file of `role`.
    pub fn kind_at(mut self, role: Role, kind: Kind) -> Service {
        self.kind[role as usize] = kind;
        self
    }

    /// A token of its own in the file of `role`.
    pub fn token_at(mut self, role: Role, token: &str) -> Service {
        self.token[role as usize] = Some(token.to_owned());
        self
    }

    /// One more line in the file of `role`.
    pub fn line_at(mut self, role: Role, line: &str) -> Service {
        self.lines[role as usize] += &format!("{line}\n");
        self
    }

    /// Not in the file of `role`.
    pub fn missing_at(mut self, role: Role) -> Service {
        self.exists[role as usize] = false;
        self
    }

    /// With a local address that has this host instead of a literal one.
    pub fn local_host(mut self, host: &str) -> Service {
        let (_, port) = self.local.rsplit_once(':').expect("an address with a port");
        self.local = format!("{host}:{port}");
        self
    }

    /// Whose local address is spelled so.
    pub fn local(mut self, local: &str) -> Service {
        self.local = local.to_owned();
        self
    }

    /// On this public address, too.
    pub fn also_at(mut self, address: SocketAddr) -> Service {
        self.also = Some(address);
        self
    }

    /// On this public address; port 0 leaves the choice to the server.
    pub fn at(mut self, address: SocketAddr) -> Service {
        self.public = Some(address);
        self
    }

    /// Whether it can come up as it is.
    pub fn is_sound(&self) -> bool {
        self.exists == [true; 2] && self.kind[0] == self.kind[1] && self.token[0] == self.token[1]
    }

    /// Its part of the file for `role`, empty if it has none.
    pub fn table(&self, role: Role) -> String {
        if !self.exists[role as usize] {
            return String::new();
        }
        let Service { name, local, .. } = self;
        let kind = self.kind[role as usize].name();
        let address = match role {
            Role::Server => bind_addr(self.public.expect("a public address"), self.also),
            Role::Client => format!("local_addr = \"{local}\""),
        };
        let token = match &self.token[role as usize] {
            Some(token) => format!("token = \"{token}\"\n"),
            None => String::new(),
        };
        let lines = &self.lines[role as usize];
        format!("[{role}.services.{name}]\ntype = \"{kind}\"\n{address}\n{token}{lines}")
    }
}

/// The line that says where a server listens.
pub fn bind_addr(address: SocketAddr, also: Option<SocketAddr>) -> String {
    match also {
        Some(also) => format!("bind_addr = [\"{address}\", \"{also}\"]"),
        None => format!("bind_addr = \"{address}\""),
    }
}
