//! A real SSH server for the tests alone.

use std::fs;
use std::net::SocketAddr;
use std::process::Command;

use super::program::{find, is_root, run, skip};
use super::{Process, TempDir, address};

/// An sshd that lets the user of the test in, by a key of its own.
pub struct Sshd {
    /// Its files, and room for more.
    pub dir: TempDir,
    address: SocketAddr,
    _process: Process,
}

impl Sshd {
    /// Starts it; `None`: something is missing, and the calling test is skipped.
    #[track_caller]
    pub fn start() -> Option<Sshd> {
        let (sshd, keygen) = (find("sshd", "openssh-server")?, find("ssh-keygen", "openssh-client")?);
        // sshd insists on this directory as root; its package's service makes it, and there may be no service here.
        if is_root() && fs::create_dir_all("/run/sshd").is_err() {
            skip("/run/sshd is missing and cannot be made");
            return None;
        }
        let dir = TempDir::new();
        for key in ["host", "user"] {
            let path = dir.path().join(key);
            let path = path.to_str().expect("ASCII");
            run(&keygen, &["-q", "-t", "ed25519", "-N", "", "-f", path]);
        }
        let address = address::free_port(address::own());
        let mut command = Command::new(sshd);
        command.arg("-D").arg("-e").arg("-f");
        command.arg(dir.write("sshd_config", config(&dir, address)));
        let process = Process::start("sshd", command);
        process.wait_for("Server listening");
        Some(Sshd {
            dir,
            address,
            _process: process,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What `ssh` and `scp` are to be told to come to it by way of `port`.
    pub fn options(&self, port: u16) -> Vec<String> {
        let options = [
            "-F",
            "/dev/null",
            "-oBatchMode=yes",
            "-oStrictHostKeyChecking=no",
            "-oUserKnownHostsFile=/dev/null",
            "-oLogLevel=ERROR",
        ];
        let identity = self.dir.path().join("user");
        let own = [
            format!("-oPort={port}"),
            format!("-oIdentityFile={}", identity.display()),
        ];
        options.map(str::to_owned).into_iter().chain(own).collect()
    }
}

fn config(dir: &TempDir, address: SocketAddr) -> String {
    let here = dir.path().display();
    let pam = if is_root() { "yes" } else { "no" };
    format!(
        "ListenAddress {address}\nHostKey {here}/host\nAuthorizedKeysFile {here}/user.pub\nPidFile none\n\
         StrictModes no\nUsePAM {pam}\nPermitRootLogin yes\nSubsystem sftp internal-sftp\n"
    )
}
