//! What a tunnel will be, and the files that say so.

use std::net::{IpAddr, SocketAddr};

use super::{Kind, Role, Service, Tunnel, address};

/// The token of both sides unless a test says otherwise.
pub const TOKEN: &str = "a token of the tests";

/// What carries the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Plain TCP.
    Tcp,
}

/// How the client finds the server.
enum Remote {
    Direct,
    Named(String),
    Through(SocketAddr),
}

/// What a [`Tunnel`] will be.
pub struct Builder {
    address: IpAddr,
    transport: Transport,
    services: Vec<Service>,
    lines: [Vec<String>; 2],
    transport_lines: [Vec<String>; 2],
    remote: Remote,
    filter: Option<String>,
    one_file: bool,
}

impl Transport {
    /// Those that the traffic tests go through, one after the other.
    pub const ALL: [Transport; 1] = [Transport::Tcp];

    fn name(self) -> &'static str {
        match self {
            Transport::Tcp => "tcp",
        }
    }
}

impl Remote {
    /// What stands in the client's file when the server listens at `control`.
    fn address(&self, control: SocketAddr) -> String {
        match self {
            Remote::Direct => control.to_string(),
            Remote::Named(host) => format!("{host}:{}", control.port()),
            Remote::Through(address) => address.to_string(),
        }
    }
}

impl Builder {
    /// No service, over plain TCP.
    pub fn new() -> Builder {
        Builder {
            address: address::own(),
            transport: Transport::Tcp,
            services: Vec::new(),
            lines: [Vec::new(), Vec::new()],
            transport_lines: [Vec::new(), Vec::new()],
            remote: Remote::Direct,
            filter: None,
            one_file: false,
        }
    }

    /// Exposes `local` as `name`.
    pub fn service(self, name: &str, kind: Kind, local: SocketAddr) -> Builder {
        self.with(Service::new(name, kind, local))
    }

    /// Exposes a service that is special.
    pub fn with(mut self, service: Service) -> Builder {
        self.services.push(service);
        self
    }

    /// What carries the link; plain TCP unless said.
    pub fn transport(mut self, transport: Transport) -> Builder {
        self.transport = transport;
        self
    }

    /// Where everything listens; a loopback address of its own unless said.
    pub fn address(mut self, address: IpAddr) -> Builder {
        self.address = address;
        self
    }

    /// The client knows the server by this name.
    pub fn remote_host(mut self, host: &str) -> Builder {
        self.remote = Remote::Named(host.to_owned());
        self
    }

    /// The client connects to `address`, from where a [`Wire`](super::Wire) leads to the server.
    pub fn through(mut self, address: SocketAddr) -> Builder {
        self.remote = Remote::Through(address);
        self
    }

    /// One more line in the `[server]` or `[client]` table.
    pub fn line(mut self, role: Role, line: &str) -> Builder {
        self.lines[role as usize].push(line.to_owned());
        self
    }

    /// One more line in the `[server.transport]` or `[client.transport]` table.
    pub fn transport_line(mut self, role: Role, line: &str) -> Builder {
        self.transport_lines[role as usize].push(line.to_owned());
        self
    }

    /// The `RUST_LOG` of both processes; unset unless said.
    pub fn log_filter(mut self, filter: &str) -> Builder {
        self.filter = Some(filter.to_owned());
        self
    }

    /// Both roles in one file.
    pub fn one_file(mut self) -> Builder {
        self.one_file = true;
        self
    }

    /// Decides the ports. Nothing runs yet.
    pub fn build(mut self) -> Tunnel {
        let ports = address::free_ports(self.address, self.services.len() + 1);
        for (service, &port) in self.services.iter_mut().zip(&ports[1..]) {
            service.public.get_or_insert(port);
        }
        Tunnel::new(self, ports[0])
    }

    /// Starts server and client and returns once every service is up that can be.
    #[track_caller]
    pub fn start(self) -> Tunnel {
        let mut tunnel = self.build();
        tunnel.start_server();
        tunnel.start_client();
        tunnel.wait_until_up();
        tunnel
    }

    /// The services of either file.
    pub fn services(&self) -> &[Service] {
        &self.services
    }

    /// The `RUST_LOG` of both processes.
    pub fn filter(&self) -> Option<&str> {
        self.filter.as_deref()
    }

    /// The name and the text of the file for `role` when the server listens at `control`.
    pub fn file(&self, role: Role, control: SocketAddr) -> (String, String) {
        if self.one_file {
            let text = self.text(Role::Server, control) + &self.text(Role::Client, control);
            return ("both.toml".to_owned(), text);
        }
        (format!("{role}.toml"), self.text(role, control))
    }

    fn text(&self, role: Role, control: SocketAddr) -> String {
        let address = match role {
            Role::Server => format!("bind_addr = \"{control}\""),
            Role::Client => format!("remote_addr = \"{}\"", self.remote.address(control)),
        };
        let lines = self.lines[role as usize].join("\n");
        let transport = self.transport.name();
        let transport_lines = self.transport_lines[role as usize].join("\n");
        let services: String = self.services.iter().map(|service| service.table(role)).collect();
        format!(
            "[{role}]\n{address}\ndefault_token = \"{TOKEN}\"\n{lines}\n\
             [{role}.transport]\ntype = \"{transport}\"\n{transport_lines}\n\
             [{role}.services]\n{services}"
        )
    }
}
