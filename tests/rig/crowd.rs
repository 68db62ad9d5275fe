//! One server and several clients, each with a file of its own text.

use std::net::{IpAddr, SocketAddr};

use super::{Process, Role, Signal, TempDir, address, pinhole};

/// A server whose services clients share or name themselves.
pub struct Crowd {
    /// The server.
    pub server: Process,
    dir: TempDir,
    control: SocketAddr,
    variables: Vec<(String, String)>,
}

/// The token of all.
pub const TOKEN: &str = "a token of the crowd";

impl Crowd {
    /// Starts a server with these lines after `bind_addr`. `ADDR` in them is its address.
    #[track_caller]
    pub fn new(lines: &str) -> Crowd {
        Crowd::with_variables(lines, &[])
    }

    /// The same with these variables in the environment of all.
    #[track_caller]
    pub fn with_variables(lines: &str, variables: &[(&str, &str)]) -> Crowd {
        let (dir, ip) = (TempDir::new(), address::own());
        let control = address::free_ports(ip, 1)[0];
        let variables: Vec<(String, String)> = variables.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
        let file = dir.write("server.toml", server_text(control, lines));
        let mut command = pinhole(Role::Server);
        command.arg("-s").arg(file);
        command.envs(variables.clone());
        let server = Process::start("server", command);
        server.wait_for("INFO  server: listening for clients addr=");
        Crowd {
            server,
            dir,
            control,
            variables,
        }
    }

    /// A client with these services; `lines` stand behind `remote_addr`.
    #[track_caller]
    pub fn client(&self, name: &str, lines: &str) -> Process {
        self.client_through(name, self.control, lines)
    }

    /// The same over `remote`.
    #[track_caller]
    pub fn client_through(&self, name: &str, remote: SocketAddr, lines: &str) -> Process {
        let text = format!("[client]\nremote_addr = \"{remote}\"\ndefault_token = \"{TOKEN}\"\n{lines}\n");
        let file = self.dir.write(&format!("{name}.toml"), text);
        let mut command = pinhole(Role::Client);
        command.arg("-c").arg(file);
        command.envs(self.variables.clone());
        Process::start(name, command)
    }

    /// Rewrites the server's file.
    pub fn rewrite(&self, lines: &str) {
        self.dir.write("server.toml", server_text(self.control, lines));
    }

    /// Rewrites the server's file, until that counts, whether the program watches it or not.
    #[track_caller]
    pub fn reload(&mut self, lines: &str) {
        self.rewrite(lines);
        let mark = self.server.log().mark();
        self.server.signal(Signal::Hangup);
        self.server.log().wait_after(mark, ": configuration is ");
    }

    /// Starts the server again, with other lines.
    #[track_caller]
    pub fn restart(&mut self, lines: &str) {
        self.server.kill();
        self.rewrite(lines);
        let mut command = pinhole(Role::Server);
        command.arg("-s").arg(self.dir.path().join("server.toml"));
        self.server = Process::start("server", command);
        self.server.wait_for("INFO  server: listening for clients addr=");
    }

    /// Where clients come.
    pub fn control(&self) -> SocketAddr {
        self.control
    }

    /// Its address, at `port`.
    pub fn at(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.ip(), port)
    }

    /// Its address.
    pub fn ip(&self) -> IpAddr {
        self.control.ip()
    }

    /// Where its files are.
    pub fn dir(&self) -> &TempDir {
        &self.dir
    }
}

fn server_text(control: SocketAddr, lines: &str) -> String {
    let lines = lines.replace("ADDR", &control.ip().to_string());
    format!("[server]\nbind_addr = \"{control}\"\n{lines}\n")
}
