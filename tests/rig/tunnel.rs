//! A server and a client of `pinhole` with their files, and services exposed through them.

use std::env;
use std::fmt::{self, Display, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::Command;

use super::log::field;
use super::{Process, TempDir, address, visitor};

/// The token of both sides unless a test says otherwise.
pub const TOKEN: &str = "a token of the tests";

/// Which half of the tunnel a process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// `pinhole -s`
    Server,
    /// `pinhole -c`
    Client,
}

/// What carries the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Plain TCP.
    Tcp,
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
    name: String,
    kind: [Kind; 2],
    token: [Option<String>; 2],
    exists: [bool; 2],
    public: Option<SocketAddr>,
    local: String,
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
    remote: Remote,
    filter: Option<String>,
    one_file: bool,
}

/// A tunnel: its files, and the processes that run.
pub struct Tunnel {
    plan: Builder,
    dir: TempDir,
    control: SocketAddr,
    processes: [Option<Process>; 2],
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
            local,
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

    /// On this public address; port 0 leaves the choice to the server.
    pub fn public(mut self, address: SocketAddr) -> Service {
        self.public = Some(address);
        self
    }

    /// Whether it can come up as it is.
    fn is_sound(&self) -> bool {
        self.exists == [true; 2] && self.kind[0] == self.kind[1] && self.token[0] == self.token[1]
    }

    fn table(&self, role: Role) -> String {
        let Service { name, local, .. } = self;
        let kind = self.kind[role as usize].name();
        let address = match role {
            Role::Server => format!("bind_addr = \"{}\"", self.public.expect("a public address")),
            Role::Client => format!("local_addr = \"{local}\""),
        };
        let token = self.token[role as usize]
            .as_ref()
            .map(|token| format!("token = \"{token}\"\n"));
        let token = token.unwrap_or_default();
        format!("[{role}.services.{name}]\ntype = \"{kind}\"\n{address}\n{token}")
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
        Tunnel {
            plan: self,
            dir: TempDir::new(),
            control: ports[0],
            processes: [None, None],
        }
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
}

impl Tunnel {
    /// Begins with no service, over plain TCP.
    pub fn builder() -> Builder {
        Builder {
            address: address::own(),
            transport: Transport::Tcp,
            services: Vec::new(),
            lines: [Vec::new(), Vec::new()],
            remote: Remote::Direct,
            filter: None,
            one_file: false,
        }
    }

    /// A tunnel with one echo service named `echo`.
    #[track_caller]
    pub fn with_echo(local: SocketAddr) -> Tunnel {
        Tunnel::builder().service("echo", Kind::Tcp, local).start()
    }

    /// Starts the server and waits until clients can come.
    #[track_caller]
    pub fn start_server(&mut self) {
        let server = self.spawn(Role::Server);
        server.wait_for("INFO  server: listening for clients addr=");
        self.processes[Role::Server as usize] = Some(server);
    }

    /// Starts the client and waits for nothing.
    #[track_caller]
    pub fn start_client(&mut self) {
        self.processes[Role::Client as usize] = Some(self.spawn(Role::Client));
    }

    /// Starts both with a log that may not say when they are ready.
    #[track_caller]
    pub fn start_unseen(&mut self) {
        for role in [Role::Server, Role::Client] {
            self.processes[role as usize] = Some(self.spawn(role));
        }
    }

    /// One more process of `role` with the tunnel's file.
    #[track_caller]
    pub fn spawn(&self, role: Role) -> Process {
        let mut command = pinhole(role);
        command.arg(role.option()).arg(self.file(role));
        if let Some(filter) = &self.plan.filter {
            command.env("RUST_LOG", filter);
        }
        Process::start(&role.to_string(), command)
    }

    /// Waits until the server that runs now has every service up that can be.
    #[track_caller]
    pub fn wait_until_up(&self) {
        for service in self.plan.services.iter().filter(|service| service.is_sound()) {
            self.server()
                .wait_for(&format!("INFO  server: service is up service={} ", service.name));
        }
    }

    /// The server.
    #[track_caller]
    pub fn server(&self) -> &Process {
        self.processes[Role::Server as usize]
            .as_ref()
            .expect("a running server")
    }

    /// The client.
    #[track_caller]
    pub fn client(&self) -> &Process {
        self.processes[Role::Client as usize]
            .as_ref()
            .expect("a running client")
    }

    /// The process of `role`, to send it signals.
    #[track_caller]
    pub fn process(&mut self, role: Role) -> &mut Process {
        self.processes[role as usize].as_mut().expect("a running process")
    }

    /// Where the server listens for clients.
    pub fn control(&self) -> SocketAddr {
        self.control
    }

    /// Where visitors of the service `name` go.
    #[track_caller]
    pub fn public(&self, name: &str) -> SocketAddr {
        let service = self
            .plan
            .services
            .iter()
            .find(|service| service.name == name)
            .expect("a service of the tunnel");
        let address = service.public.expect("a public address");
        if address.port() != 0 {
            return address;
        }
        let line = self
            .server()
            .wait_for(&format!("server: service is up service={name} "));
        field(&line, "addr").parse().expect("an address in the log")
    }

    /// A new visitor of the service `name`.
    #[track_caller]
    pub fn visit(&self, name: &str) -> TcpStream {
        visitor::connect(self.public(name))
    }

    /// A path in the tunnel's directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The path of the file for `role`, freshly written.
    pub fn file(&self, role: Role) -> PathBuf {
        if self.plan.one_file {
            return self
                .dir
                .write("both.toml", self.text(Role::Server) + &self.text(Role::Client));
        }
        self.dir.write(&format!("{role}.toml"), self.text(role))
    }

    fn text(&self, role: Role) -> String {
        let control = match role {
            Role::Server => format!("bind_addr = \"{}\"", self.control),
            Role::Client => format!("remote_addr = \"{}\"", self.plan.remote.address(self.control)),
        };
        let mut text = format!("[{role}]\n{control}\ndefault_token = \"{TOKEN}\"\n");
        for line in &self.plan.lines[role as usize] {
            let _ = writeln!(text, "{line}");
        }
        let _ = writeln!(text, "[{role}.transport]\ntype = \"{}\"", self.plan.transport.name());
        let services = self
            .plan
            .services
            .iter()
            .filter(|service| service.exists[role as usize]);
        let tables: String = services.map(|service| service.table(role)).collect();
        if tables.is_empty() {
            let _ = writeln!(text, "[{role}.services]");
        }
        text + &tables
    }
}

impl Role {
    fn option(self) -> &'static str {
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

/// The program under test, for `role`.
pub fn pinhole(role: Role) -> Command {
    let own = match role {
        Role::Server => "PINHOLE_SERVER_BIN",
        Role::Client => "PINHOLE_CLIENT_BIN",
    };
    let program = env::var_os(own).or_else(|| env::var_os("PINHOLE_BIN"));
    let mut command = Command::new(program.unwrap_or_else(|| env!("CARGO_BIN_EXE_pinhole").into()));
    command.env_remove("RUST_LOG");
    command
}
