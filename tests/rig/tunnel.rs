//! A server and a client of `pinhole` with services exposed through them.

use std::env;
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::Command;

use super::log::field;
use super::{Builder, Kind, Process, Role, TempDir, Transport, certificates, visitor};

/// A tunnel: its files, and the processes that run.
pub struct Tunnel {
    plan: Builder,
    dir: TempDir,
    control: SocketAddr,
    processes: [Option<Process>; 2],
}

impl Tunnel {
    /// Begins with no service, over plain TCP.
    pub fn builder() -> Builder {
        Builder::new()
    }

    /// What `plan` says, with a server that will listen at `control`. Nothing runs yet.
    pub fn new(plan: Builder, control: SocketAddr) -> Tunnel {
        let (dir, processes) = (TempDir::new(), [None, None]);
        if plan.has_tls() {
            certificates::usual(dir.path());
        }
        Tunnel {
            plan,
            dir,
            control,
            processes,
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
        if let Some(filter) = self.plan.filter() {
            command.env("RUST_LOG", filter);
        }
        Process::start(&role.to_string(), command)
    }

    /// Waits until the server that runs now has every service up that can be.
    #[track_caller]
    pub fn wait_until_up(&self) {
        for service in self.plan.services().iter().filter(|service| service.is_sound()) {
            let words = format!("INFO  server: service is up service={} ", service.name);
            self.server().wait_for(&words);
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
        let mut services = self.plan.services().iter();
        let service = services.find(|service| service.name == name);
        let address = service
            .and_then(|service| service.public)
            .expect("a service of the tunnel");
        if address.port() != 0 {
            return address;
        }
        let words = format!("INFO  server: service is up service={name} ");
        let line = self.server().wait_for(&words);
        field(&line, "addr").parse().expect("an address in the log")
    }

    /// A new visitor of the service `name`.
    #[track_caller]
    pub fn visit(&self, name: &str) -> TcpStream {
        visitor::connect(self.public(name))
    }

    /// Where its files are.
    pub fn dir(&self) -> &TempDir {
        &self.dir
    }

    /// The path of the file for `role`, as it was written.
    pub fn path(&self, role: Role) -> PathBuf {
        self.dir.path().join(self.plan.file(role, self.control).0)
    }

    /// The path of the file for `role`, freshly written.
    pub fn file(&self, role: Role) -> PathBuf {
        let (name, text) = self.plan.file(role, self.control);
        self.dir.write(&name, text)
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
