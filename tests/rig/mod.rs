//! The rig of the process tests: real `pinhole` processes, real sockets, visitors and local services around them.
//!
//! A test reads top-down: a [`Local`] service, a [`Tunnel`] that exposes it, visitors from [`visitor`]. Its rules:
//! - ports are free ones, on a loopback address of the test's own ([`address`]);
//! - nothing sleeps to wait: readiness is a log line ([`Log::wait_for`]), everything else is [`eventually`];
//! - nothing depends on speed: [`PATIENCE`] only decides when a hang is called one;
//! - every process ends with its guard ([`Process`]), by its id, and shows its log if the test fails.
//!
//! `PINHOLE_BIN` runs the tests on another binary than the one just built, `PINHOLE_SERVER_BIN` and
//! `PINHOLE_CLIENT_BIN` on two different ones.
#![allow(dead_code, unused_imports, reason = "each test crate uses a part of the rig")]

pub mod address;
mod builder;
pub mod certificates;
pub mod crowd;
pub mod datagrams;
pub mod inspect;
pub mod json;
pub mod local;
mod log;
pub mod namespace;
mod payload;
mod peer;
mod process;
pub mod program;
pub mod receiver;
mod service;
pub mod ssh;
mod sys;
mod temp;
pub mod transport;
mod tunnel;
pub mod visitor;
mod wait;
mod wire;

pub use self::builder::{Builder, TOKEN};
pub use self::crowd::Crowd;
pub use self::datagrams::Responder;
pub use self::local::{Door, Local};
pub use self::log::{Log, Mark, field};
pub use self::namespace::World;
pub use self::payload::{Payload, receive, send};
pub use self::peer::Peer;
pub use self::process::Process;
pub use self::receiver::Receiver;
pub use self::service::{Kind, Role, Service};
pub use self::sys::{Signal, raise_descriptor_limit};
pub use self::temp::TempDir;
pub use self::transport::Transport;
pub use self::tunnel::{Tunnel, pinhole};
pub use self::visitor::End;
pub use self::wait::{PATIENCE, eventually};
pub use self::wire::Wire;
