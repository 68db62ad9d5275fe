//! `pinhole tcp 22 --server example.com:2333 --token …`: one service in one line, without a file.
//!
//! The line becomes the text of a configuration, so that there is one way to check and to run it.

use std::ffi::OsString;
use std::fmt::Write;

use lexopt::{Arg, Parser, ValueExt};

use super::{Command, UsageError, usage};
use crate::config::Kind;

/// What the line says.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Expose {
    /// `tcp` or `udp`.
    pub kind: &'static str,
    /// Of the local service.
    pub local_port: u16,
    /// Of the local service; `None`: this machine.
    pub local_host: Option<String>,
    /// `host:port` of the server.
    pub server: String,
    /// Its default token; `None`: in the environment.
    pub token: Option<String>,
    /// The public port, 0: any.
    pub remote_port: u16,
    /// The server's public key, for Noise.
    pub noise_key: Option<String>,
    /// What the server's log calls it; `None`: something unique.
    pub name: Option<String>,
}

/// Understands what follows `tcp` or `udp`.
pub(super) fn parse(kind: Kind, parser: &mut Parser) -> Result<Command, UsageError> {
    let mut line = Expose {
        kind: kind.name(),
        ..Expose::default()
    };
    while let Some(arg) = parser.next().map_err(|error| UsageError(error.to_string()))? {
        match arg {
            Arg::Long("server") => line.server = text(parser)?,
            Arg::Long("token") => line.token = Some(text(parser)?),
            Arg::Long("remote-port") => line.remote_port = port(&value(parser)?)?,
            Arg::Long("local-host") => line.local_host = Some(text(parser)?),
            Arg::Long("noise-key") => line.noise_key = Some(text(parser)?),
            Arg::Long("name") => line.name = Some(text(parser)?),
            Arg::Short('h') | Arg::Long("help") => return Ok(Command::Help),
            Arg::Value(word) if line.local_port == 0 => line.local_port = port(&word)?,
            other => return usage(&other.unexpected().to_string()),
        }
    }
    match () {
        () if line.local_port == 0 => usage(&format!("`{}` takes the PORT of a local service", line.kind)),
        () if line.server.is_empty() => usage("--server HOST:PORT is missing"),
        () => Ok(Command::Expose(line)),
    }
}

fn value(parser: &mut Parser) -> Result<OsString, UsageError> {
    parser.value().map_err(|error| UsageError(error.to_string()))
}

fn text(parser: &mut Parser) -> Result<String, UsageError> {
    let value = value(parser)?.string();
    value.map_err(|error| UsageError(error.to_string()))
}

fn port(word: &OsString) -> Result<u16, UsageError> {
    let port = word.to_str().and_then(|word| word.parse().ok());
    port.ok_or_else(|| UsageError(format!("`{}` is no port; expected 0 to 65535", word.to_string_lossy())))
}

impl Expose {
    /// What the server is to call it if the line does not say.
    pub fn name(&self, random: u32) -> String {
        let unique = || format!("{}-{}-{random:08x}", self.kind, self.local_port);
        self.name.clone().unwrap_or_else(unique)
    }

    /// The configuration that it stands for.
    pub fn config(&self, name: &str, token: &str) -> String {
        let host = self.local_host.as_deref().unwrap_or("127.0.0.1");
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let host = bare.unwrap_or(host);
        let (open, close) = if host.contains(':') { ("[", "]") } else { ("", "") };
        let local = format!("{open}{host}{close}:{}", self.local_port);
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = writeln!(text, "[client]\nremote_addr = {}", quoted(&self.server));
        let _ = writeln!(text, "default_token = {}", quoted(token));
        if let Some(key) = &self.noise_key {
            let _ = writeln!(
                text,
                "[client.transport]\ntype = \"noise\"\nnoise.remote_public_key = {}",
                quoted(key)
            );
        }
        let _ = writeln!(
            text,
            "[client.services.{}]\ntype = \"{}\"\nlocal_addr = {}\nremote_port = {}",
            quoted(name),
            self.kind,
            quoted(&local),
            self.remote_port
        );
        text
    }
}

/// A string of TOML.
fn quoted(text: &str) -> String {
    let mut out = String::from('"');
    // A variable of the environment would stand there.
    for c in text.replace("${", "$${").chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => drop(write!(out, "\\u{:04X}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
