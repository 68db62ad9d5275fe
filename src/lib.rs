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

pub mod link;
pub mod net;
mod transport;

pub mod limits;
pub mod proto;
#[cfg(feature = "status")]
pub mod status;

use std::fmt;
use std::pin::pin;

use config::Config;
use net::Process;
use net::task::Stop;

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
        StartError(format!("transport.{}: {}", unfit.key, unfit.text))
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
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()
        .map_err(|error| StartError(format!("cannot start: {error}")))?;
    let mut shutdown = pin!(shutdown);
    let tasks = tokio::task::LocalSet::new();
    tasks.block_on(&runtime, serve(config, shutdown.as_mut()))
}

async fn serve(config: Config, mut stop: Stop<'_>) -> Result<(), StartError> {
    warn_of_exposed(&config);
    let process = Process::new().map_err(|error| StartError(format!("no random numbers: {error}")))?;
    match config {
        #[cfg(any(feature = "server", not(feature = "client")))]
        Config::Server(config) => {
            let server = server::Server::new(process, config.clone())?;
            #[cfg(feature = "status")]
            let _control = open_control(
                config.control_socket.as_deref(),
                server.clone(),
                server::Server::snapshot,
            )?;
            server.run(&mut stop).await
        }
        #[cfg(any(feature = "client", not(feature = "server")))]
        Config::Client(config) => {
            let client = client::Client::new(process, config.clone())?;
            #[cfg(feature = "status")]
            let _control = open_control(
                config.control_socket.as_deref(),
                client.clone(),
                client::Client::snapshot,
            )?;
            client.run(&mut stop).await;
            Ok(())
        }
        #[allow(unreachable_patterns, reason = "a build of both roles has both")]
        other => Err(StartError(format!("this build has no {}", other.role().name()))),
    }
}

/// Secrets that everyone on this machine can read are used all the same.
fn warn_of_exposed(config: &Config) {
    for input in config.inputs().iter().filter(|input| input.is_exposed()) {
        ::log::warn!(
            "everyone can read {}, and a secret is in it: chmod 600 it",
            input.path.display()
        );
    }
}

#[cfg(feature = "status")]
fn open_control<T: 'static>(
    path: Option<&std::path::Path>,
    of: std::rc::Rc<T>,
    snapshot: fn(&T) -> status::Snapshot,
) -> Result<Option<net::control::Control>, StartError> {
    let Some(path) = path else { return Ok(None) };
    let answer = std::rc::Rc::new(move |json| {
        let snapshot = snapshot(&of);
        if json { snapshot.json() } else { snapshot.text() }
    });
    let opened = net::control::Control::open(path, answer);
    opened
        .map(Some)
        .map_err(|error| StartError(format!("cannot open control_socket {}: {error}", path.display())))
}

/// A new key pair for `transport.type = "noise"`, as text; both in base64.
pub fn generate_key() -> Result<String, StartError> {
    let (private, public) = link::generate().map_err(StartError)?;
    Ok(format!("Private Key:\n{}\n\nPublic Key:\n{public}\n", *private))
}

/// Asks a running pinhole how it is: at its control socket `path`, or at the one that the configuration `path` names.
#[cfg(feature = "status")]
pub fn ask_status(path: &std::path::Path, json: bool) -> Result<String, StartError> {
    let socket = if !path.is_file() {
        path.to_owned()
    } else {
        named_socket(path)?
    };
    let answer = net::control::ask(&socket, json);
    answer.map_err(|error| StartError(format!("no answer from {}: {error}", socket.display())))
}

/// A build without the feature has nobody to ask.
#[cfg(not(feature = "status"))]
pub fn ask_status(_: &std::path::Path, _: bool) -> Result<String, StartError> {
    Err(StartError("this build has no status".into()))
}

#[cfg(feature = "status")]
fn named_socket(file: &std::path::Path) -> Result<std::path::PathBuf, StartError> {
    let configs = config::check(file, None).map_err(|errors| StartError(errors.to_string()))?;
    let named = configs.into_iter().find_map(|config| match config {
        Config::Server(server) => server.control_socket,
        Config::Client(client) => client.control_socket,
    });
    named.ok_or_else(|| StartError(format!("{} sets no control_socket", file.display())))
}
