//! pinhole: a reverse tunnel for NAT traversal that fits in a router.
//!
//! A *client* behind NAT keeps a *link* to a *server* with a public address. The server listens at the public addresses
//! of the client's *services*; every *visitor* that comes there is a *stream* over the link, and the client joins it to
//! the local service.
//!
//! # Layers
//!
//! Arrows go down only.
//!
//! ```text
//! main, cli, log       arguments, and the only place that prints and exits
//! config               text to a checked Config                                       (not known below server, client)
//! reload, control      what runs: its file followed, its control socket
//! server, client       who is registered, who gets a visitor; connecting, waiting
//! net                  sockets, timers, signals: all that knows tokio
//! transport            keys of the configuration to sockets and covers
//! link                 a byte stream, protected
//! proto                the wire protocol: bytes in, bytes out, events out. No clock, no socket
//! limits               every size, count and time
//! ```
//!
//! # Embedding
//!
//! ```no_run
//! let config = pinhole::config::parse(
//!     "[client]\nremote_addr = 'example.com:2333'\ndefault_token = 'secret'\n\
//!      [client.services.ssh]\nlocal_addr = '127.0.0.1:22'",
//!     "built in",
//!     None,
//! )?;
//! let forever = std::future::pending();
//! pinhole::run(config, forever)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![deny(unsafe_code)]

extern crate alloc;

pub mod cli;
pub mod config;
pub mod log;

#[cfg(any(feature = "client", not(feature = "server")))]
mod client;
#[cfg(any(feature = "server", not(feature = "client")))]
mod server;

#[cfg(feature = "status")]
mod control;
#[cfg(not(feature = "status"))]
#[path = "control_absent.rs"]
mod control;
mod reload;

pub mod link;
pub mod net;
mod transport;

#[cfg(any(feature = "status", feature = "groups"))]
#[cfg_attr(
    not(all(feature = "status", feature = "groups")),
    allow(dead_code, reason = "each uses a part")
)]
mod json;
pub mod limits;
pub mod proto;
#[cfg(feature = "status")]
pub mod status;

use std::fmt;
use std::path::Path;
use std::pin::pin;
use std::rc::Rc;

pub use control::ask_status;

use config::{Config, Input};
use control::ControlSocket;
use net::Process;
use net::task::Stop;
use reload::{Followed, Running};

/// Why the program could not start, in a sentence.
#[derive(Debug)]
pub struct StartError(pub(crate) String);

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for StartError {}

impl From<link::Unfit> for StartError {
    fn from(unfit: link::Unfit) -> Self {
        StartError(unfit.to_string())
    }
}

/// What is logged once when a link is neither on this machine nor encrypted.
pub(crate) const PLAIN_TCP: &str = "this link is plain TCP: whoever is on its way can read and change what it carries, \
                                    and try to guess weak tokens";

/// Runs a server or a client on this thread until `shutdown` is ready; then says goodbye to its peers and returns,
/// within two seconds.
///
/// `shutdown` is polled inside the runtime that this builds. An error means that it could not start: an address that
/// cannot be bound, for example. Whatever happens later is logged (crate `log`) and mended.
pub fn run(config: Config, shutdown: impl Future<Output = ()>) -> Result<(), StartError> {
    run_with(config, None, None, pin!(shutdown))
}

/// The same for a client, which says through `announce` where a service of its is public, as in `tcp://example.com:20000`,
/// each time that it is anew.
pub fn run_announced(config: Config, announce: fn(&str), shutdown: impl Future<Output = ()>) -> Result<(), StartError> {
    run_with(config, None, Some(announce), pin!(shutdown))
}

/// The same, and follows `file`, from which `config` was read: on SIGHUP, or when it changes (feature `reload`), what is
/// different is applied.
pub fn run_file(config: Config, file: &Path, shutdown: impl Future<Output = ()>) -> Result<(), StartError> {
    run_with(config, Some(file), None, pin!(shutdown))
}

fn run_with(config: Config, file: Option<&Path>, announce: Option<fn(&str)>, stop: Stop<'_>) -> Result<(), StartError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()
        .map_err(|error| StartError(format!("cannot start: {error}")))?;
    let tasks = tokio::task::LocalSet::new();
    tasks.block_on(&runtime, serve(config, file, announce, stop))
}

async fn serve(
    config: Config,
    file: Option<&Path>,
    announce: Option<fn(&str)>,
    mut stop: Stop<'_>,
) -> Result<(), StartError> {
    config.inputs().iter().for_each(warn_if_exposed);
    // A server has nothing to announce.
    let _ = announce;
    let file = file.map(Followed::new).transpose();
    let file = file.map_err(|error| StartError(format!("cannot handle signals: {error}")))?;
    let process = Process::new().map_err(|error| StartError(format!("no random numbers: {error}")))?;
    match config {
        #[cfg(any(feature = "server", not(feature = "client")))]
        Config::Server(ref server) => {
            let server = server::Server::new(process, server.clone())?;
            server.start().await?;
            let _attendants = attend(server.clone(), config, file)?;
            server.run(&mut stop).await;
            Ok(())
        }
        #[cfg(any(feature = "client", not(feature = "server")))]
        Config::Client(ref client) => {
            let client = client::Client::new(process, client.clone(), announce)?;
            let _attendants = attend(client.clone(), config, file)?;
            client.run(&mut stop).await;
            Ok(())
        }
        #[allow(unreachable_patterns, reason = "a build of both roles has both")]
        other => Err(StartError(format!("this build has no {}", other.role().name()))),
    }
}

/// Opens the control socket of what runs, and follows the file that says how. Both end with what is given.
fn attend(of: Rc<dyn Running>, config: Config, file: Option<Followed>) -> Result<impl Sized, StartError> {
    let control = Rc::new(ControlSocket::new(of.clone()));
    control.open(config.control_socket())?;
    let follower = file.map(|file| file.follow(of, control.clone(), config));
    Ok((control, follower))
}

/// A secret that everyone on this machine can read is used all the same.
fn warn_if_exposed(input: &Input) {
    if input.is_exposed() {
        let path = input.path.display();
        ::log::warn!("everyone can read {path}, and a secret is in it: chmod 600 it");
    }
}

/// A new key pair for `transport.type = "noise"`, as text; both in base64.
pub fn generate_key() -> Result<String, StartError> {
    let (private, public) = link::generate().map_err(StartError)?;
    Ok(format!("Private Key:\n{}\n\nPublic Key:\n{public}\n", *private))
}
