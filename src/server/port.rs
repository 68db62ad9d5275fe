//! Bound addresses: the server's own, and those of its services.

use std::fmt;
use std::io;
use std::net::SocketAddr;

use crate::config::HostPort;
use crate::net::names::Names;
use crate::net::task::Owned;

/// Addresses where somebody may come, and the tasks that take them. Dropping it closes them.
pub struct Port {
    addresses: Vec<SocketAddr>,
    tasks: Vec<Owned>,
}

/// An address of the configuration, and what its name stands for.
pub struct Candidates<'a> {
    at: &'a HostPort,
    addresses: Vec<SocketAddr>,
}

/// Binds one address. `true`: for IPv6 alone, since IPv4 has the port too. Gives the real address, and the task that
/// takes who comes there.
pub type Open<'a> = &'a dyn Fn(SocketAddr, bool) -> io::Result<(SocketAddr, Owned)>;

/// Looks all of `addresses` up.
pub async fn resolve<'a>(names: &Names, addresses: &'a [HostPort]) -> io::Result<Vec<Candidates<'a>>> {
    let mut found = Vec::new();
    for at in addresses {
        let resolved = names.resolve(&at.host, at.port, false).await;
        let resolved = resolved.map_err(|error| about(at, addresses.len(), error))?;
        found.push(Candidates {
            at,
            addresses: resolved,
        });
    }
    Ok(found)
}

/// The same at this port.
pub fn at_port<'a>(all: &[Candidates<'a>], port: u16) -> Vec<Candidates<'a>> {
    let moved = |address: &SocketAddr| SocketAddr::new(address.ip(), port);
    all.iter()
        .map(|one| Candidates {
            at: one.at,
            addresses: one.addresses.iter().map(moved).collect(),
        })
        .collect()
}

impl Port {
    /// Opens one address of each of `all`, or none.
    pub fn open(all: &[Candidates<'_>], open: Open<'_>) -> io::Result<Port> {
        let mut port = Port {
            addresses: Vec::new(),
            tasks: Vec::new(),
        };
        for one in all {
            let opened = first_of(&one.addresses, &|address| open(address, is_shared(address, all)));
            let (address, task) = opened.map_err(|error| about(one.at, all.len(), error))?;
            port.addresses.push(address);
            port.tasks.push(task);
        }
        Ok(port)
    }

    /// Its number.
    pub fn number(&self) -> u16 {
        self.addresses.first().map_or(0, SocketAddr::port)
    }

    /// Whether it may stand in the way of one of `found`, having the same number.
    pub fn is_among(&self, found: &[Candidates<'_>]) -> bool {
        let mut found = found.iter().flat_map(|one| &one.addresses);
        found.any(|address| self.addresses.iter().any(|own| own.port() == address.port()))
    }

    /// Closes it, and returns when the addresses are free.
    pub async fn close(mut self) {
        for task in &mut self.tasks {
            task.end().await;
        }
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<String> = self.addresses.iter().map(SocketAddr::to_string).collect();
        f.write_str(&words.join(","))
    }
}

/// Of several addresses, says which one it was.
fn about(at: &HostPort, count: usize, error: io::Error) -> io::Error {
    match count {
        1 => error,
        _ => io::Error::new(error.kind(), format!("{at}: {error}")),
    }
}

/// Whether `address` is of IPv6, and its port is wanted for IPv4 too.
fn is_shared(address: SocketAddr, all: &[Candidates<'_>]) -> bool {
    let mut others = all.iter().flat_map(|one| &one.addresses);
    address.is_ipv6() && others.any(|other| other.is_ipv4() && other.port() == address.port())
}

/// What `open` makes of the first of `addresses` that it can make something of.
fn first_of<T>(addresses: &[SocketAddr], open: &dyn Fn(SocketAddr) -> io::Result<T>) -> io::Result<T> {
    let mut failed = io::ErrorKind::AddrNotAvailable.into();
    for &address in addresses {
        match open(address) {
            Ok(opened) => return Ok(opened),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}
