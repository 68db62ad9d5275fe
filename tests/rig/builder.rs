//! What a tunnel will be, and the files that say so.

use std::net::{IpAddr, SocketAddr};

use super::service::bind_addr;
use super::{Kind, Role, Service, Transport, Tunnel, address};

/// The token of both sides unless a test says otherwise.
pub const TOKEN: &str = "a token of the tests";

/// How the client finds the server.
enum Remote {
    Direct,
    Named(String),
    Through(SocketAddr),
}

/// What a [`Tunnel`] will be.
pub struct Builder {
    address: IpAddr,
    transport: [String; 2],
    has_tls: bool,
    services: Vec<Service>,
    lines: [Vec<String>; 2],
    control: Option<SocketAddr>,
    also: Option<SocketAddr>,
    transport_lines: [Vec<String>; 2],
    remote: Remote,
    filter: Option<String>,
    one_file: bool,
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
            transport: [Role::Server, Role::Client].map(|role| Transport::Tcp.table(role)),
            has_tls: false,
            services: Vec::new(),
            lines: [Vec::new(), Vec::new()],
            control: None,
            also: None,
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
        self.transport = [Role::Server, Role::Client].map(|role| transport.table(role));
        self.has_tls = transport.has_tls();
        self
    }

    /// The same for one role alone.
    pub fn transport_at(mut self, role: Role, transport: Transport) -> Builder {
        self.transport[role as usize] = transport.table(role);
        self
    }

    /// One more line at the end of the transport's table in the file of `role`.
    pub fn transport_line(mut self, role: Role, line: &str) -> Builder {
        self.transport[role as usize] += &format!("{line}\n");
        self
    }

    /// Another text for `old` in the transport's table in the file of `role`.
    #[track_caller]
    pub fn transport_edit(mut self, role: Role, old: &str, new: &str) -> Builder {
        let table = &mut self.transport[role as usize];
        assert!(table.contains(old), "no `{old}` in:\n{table}");
        *table = table.replace(old, new);
        self
    }

    /// No word about what carries the link but that of the lines.
    pub fn bare(mut self) -> Builder {
        self.transport = Default::default();
        self.has_tls = false;
        self
    }

    /// Whether certificates are to stand beside the files.
    pub fn has_tls(&self) -> bool {
        self.has_tls
    }

    /// Where everything listens; a loopback address of its own unless said.
    pub fn address(mut self, address: IpAddr) -> Builder {
        self.address = address;
        self
    }

    /// Where the server listens for clients, too.
    pub fn also_control(mut self, address: SocketAddr) -> Builder {
        self.also = Some(address);
        self
    }

    /// Where the server listens for clients; a free port of the address above unless said.
    pub fn control(mut self, control: SocketAddr) -> Builder {
        self.control = Some(control);
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
    pub fn link_line(mut self, role: Role, line: &str) -> Builder {
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
        let control = self.control.unwrap_or(ports[0]);
        Tunnel::new(self, control)
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
            Role::Server => bind_addr(control, self.also),
            Role::Client => format!("remote_addr = \"{}\"", self.remote.address(control)),
        };
        let lines = self.lines[role as usize].join("\n");
        // Keys of the transport's own table stand before the tables below it.
        let transport_lines = self.transport_lines[role as usize].join("\n");
        let transport = self.transport[role as usize].replacen("\"\n", &format!("\"\n{transport_lines}\n"), 1);
        let services: String = self.services.iter().map(|service| service.table(role)).collect();
        format!(
            "[{role}]\n{address}\ndefault_token = \"{TOKEN}\"\n{lines}\n\
             {transport}\
             [{role}.services]\n{services}"
        )
    }
}
