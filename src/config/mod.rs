//! The configuration: TOML text in, a checked [`Config`] or all of its [`Errors`] out.
//!
//! ```text
//! source   reads the file, says where in it something stands
//! keys     one row per key: the only place that knows them
//! check    walks the file beside the rows: spelling, types, values, what is missing   (suggest: "did you mean …?")
//! build    a checked table becomes the types; rules that concern several keys
//! covers   … and those of TLS and WebSocket, with what is in their files
//! groups   … and those of tunnels that clients name, and of groups
//! diff     what a new configuration changes
//! errors   what was wrong, in the file's order
//! expand   `${NAME}`: the environment's variables in strings
//! noise    keys against patterns
//! secret   what is never printed, and the files with one
//! types    what the rest of the program reads            (addr: host:port; network: address/bits; proxy, url: URLs)
//! help     the rows, for a terminal and for the README
//! ```
//!
//! The file is rathole's, key by key, with a few keys of our own. A file may carry both roles and all transports: only
//! what is used must be complete, the rest must be spelt right.

#[cfg(feature = "key-docs")]
macro_rules! doc {
    ($text:literal) => {
        [$text]
    };
}
#[cfg(not(feature = "key-docs"))]
macro_rules! doc {
    ($text:literal) => {
        []
    };
}

/// What a key means, in words; nothing without the feature `key-docs`.
type Doc = [&'static str; cfg!(feature = "key-docs") as usize];

mod addr;
mod build;
mod check;
#[cfg_attr(not(any(feature = "tls", feature = "websocket")), path = "covers_absent.rs")]
mod covers;
pub mod diff;
mod errors;
mod expand;
mod groups;
mod help;
mod keys;
mod network;
mod noise;
#[cfg_attr(not(feature = "proxy"), path = "proxy_absent.rs")]
mod proxy;
mod secret;
mod source;
mod suggest;
mod types;
mod url;

use std::path::Path;

use toml::de::DeTable;

pub use addr::{Addresses, HostPort, Local};
pub use errors::Errors;
pub use groups::{Balancing, GroupKey, HealthCheck, MemberWebhooks, Membership, Ports, Tunnels, hash_text, hex};
pub use help::{help, readme_reference};
pub use network::Network;
pub use secret::{Input, Secret};
pub use types::{
    AuthorizedKey, Client, ClientService, Config, File, Identity, Kind, Noise, Proxy, ProxyKind, ProxyProtocol, Role,
    Server, ServerService, Tcp, Tls, Transport, TransportKind, Websocket,
};

pub use url::Url;

pub(crate) use suggest::distance;

use errors::Faults;
use source::Source;

/// What kind of thing a build has or lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// An end of the tunnel.
    Role,
    /// A way to carry a link.
    Transport,
    /// A type of service.
    Service,
    /// Anything else.
    Feature,
}

impl Group {
    /// As a sentence calls one of them.
    pub fn name(self) -> &'static str {
        match self {
            Group::Role => "role",
            Group::Transport => "transport",
            Group::Service => "service type",
            Group::Feature => "feature",
        }
    }
}

/// Everything that this build has, in the words of the file.
pub fn capabilities() -> &'static [(Group, &'static str)] {
    &[
        #[cfg(any(feature = "server", not(feature = "client")))]
        (Group::Role, "server"),
        #[cfg(any(feature = "client", not(feature = "server")))]
        (Group::Role, "client"),
        (Group::Transport, "tcp"),
        #[cfg(feature = "noise")]
        (Group::Transport, "noise"),
        #[cfg(feature = "tls")]
        (Group::Transport, "tls"),
        #[cfg(feature = "websocket")]
        (Group::Transport, "websocket"),
        (Group::Service, "tcp"),
        #[cfg(feature = "udp")]
        (Group::Service, "udp"),
        #[cfg(feature = "groups")]
        (Group::Feature, "groups"),
        #[cfg(feature = "proxy")]
        (Group::Feature, "proxy"),
        #[cfg(feature = "reload")]
        (Group::Feature, "reload"),
        #[cfg(feature = "status")]
        (Group::Feature, "status"),
        #[cfg(feature = "key-docs")]
        (Group::Feature, "key-docs"),
    ]
}

/// What this build has of one group.
pub fn available(group: Group) -> Vec<&'static str> {
    capabilities()
        .iter()
        .filter(|(of, _)| *of == group)
        .map(|(_, name)| *name)
        .collect()
}

/// Reads and checks the file at `path` for one role; `None` means the only one it has a block for.
pub fn load(path: &Path, role: Option<Role>) -> Result<Config, Errors> {
    let text = source::read(path)?;
    one(
        Source {
            file: &path.to_string_lossy(),
            text: &text,
            path,
        },
        role,
    )
}

/// Checks `text` for one role, as [`load`] does; `file_name` is what errors call it.
pub fn parse(text: &str, file_name: &str, role: Option<Role>) -> Result<Config, Errors> {
    one(
        Source {
            file: file_name,
            text,
            path: Path::new(file_name),
        },
        role,
    )
}

fn one(source: Source<'_>, role: Option<Role>) -> Result<Config, Errors> {
    let mut configs = evaluate(source, role, false)?;
    configs.pop().ok_or_else(|| Errors::one(source.file, NO_BLOCK))
}

/// Reads and checks the file at `path` for `role`; `None` means every role that it has a block for and that is in this
/// build.
pub fn check(path: &Path, role: Option<Role>) -> Result<Vec<Config>, Errors> {
    let text = source::read(path)?;
    evaluate(
        Source {
            file: &path.to_string_lossy(),
            text: &text,
            path,
        },
        role,
        true,
    )
}

fn evaluate(source: Source<'_>, role: Option<Role>, may_be_both: bool) -> Result<Vec<Config>, Errors> {
    let (mut document, syntax) = DeTable::parse_recoverable(source.text);
    let document = document.get_mut();
    let mut faults = Faults::new(source);
    let roles = choose(document, role, may_be_both).unwrap_or_else(|text| {
        faults.unfit(text);
        Vec::new()
    });
    let is_secret = expand::expand(document, &roles, &mut faults);
    faults.inputs.push(Input {
        path: source.path.to_owned(),
        is_secret,
    });
    check::check(document, &roles, &mut faults);
    let configs = roles
        .iter()
        .map(|role| build::build(document, *role, &mut faults))
        .collect();
    expand::wipe(document);
    faults.syntax(&syntax);
    faults.into_result().map(|()| configs)
}

fn choose(document: &DeTable<'_>, role: Option<Role>, may_be_both: bool) -> Result<Vec<Role>, String> {
    let in_build = |role: Role| require(Group::Role, role.name()).map(|()| vec![role]);
    let has = |role: Role| check::get(document, role.name()).is_some();
    match (role, has(Role::Server), has(Role::Client)) {
        (Some(role), ..) if has(role) => in_build(role),
        (Some(role), ..) => Err(format!("has no [{0}], and it is to be a {0}'s", role.name())),
        (None, false, false) => Err(NO_BLOCK.to_owned()),
        (None, true, false) => in_build(Role::Server),
        (None, false, true) => in_build(Role::Client),
        (None, true, true) if may_be_both => Ok(Role::ALL.into_iter().filter(|role| in_build(*role).is_ok()).collect()),
        (None, true, true) => Err("has both [server] and [client]; say which to run with -s or -c".to_owned()),
    }
}

/// Whether this build has `name`; if not, a sentence says what it has instead.
fn require(group: Group, name: &str) -> Result<(), String> {
    if capabilities().contains(&(group, name)) {
        return Ok(());
    }
    let missing = format!("{} `{name}` is not in this build", group.name());
    Err(match group {
        Group::Feature => missing,
        _ => format!("{missing}, which has: {}", available(group).join(", ")),
    })
}

const NO_BLOCK: &str = "has neither [server] nor [client]";
