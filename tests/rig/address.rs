//! Addresses that no other test uses, in this process or in another one.
//!
//! All of 127.0.0.0/8 is local on Linux, so each test takes an address of its own. A port that was free there stays
//! free: a server can be killed and started again on it while other tests run.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

/// A loopback address for the calling test alone.
pub fn own() -> IpAddr {
    static NETWORKS: Mutex<Vec<Network>> = Mutex::new(Vec::new());
    let mut networks = NETWORKS.lock().unwrap_or_else(PoisonError::into_inner);
    if networks.last().is_none_or(|network| network.taken == HOSTS) {
        networks.push(Network::claim());
    }
    networks.last_mut().expect("the network of above").next().into()
}

/// A port that no other test has at any address of this machine, and that the system gives nobody.
#[track_caller]
pub fn free_everywhere() -> u16 {
    static ASKED: AtomicU32 = AtomicU32::new(0);
    let first = process::id().wrapping_mul(16);
    let numbers = std::iter::repeat_with(|| first.wrapping_add(ASKED.fetch_add(1, Ordering::Relaxed)));
    let mut ports = numbers.map(|number| 6_000 + (number % 10_000) as u16).take(10_000);
    let is_free = |&port: &u16| TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok();
    ports.find(is_free).expect("a port that is free everywhere")
}

/// 127.x.y.1 to 127.x.y.254, held by a socket at its last address as long as the process lives.
struct Network {
    number: u16,
    taken: u8,
    _claim: UdpSocket,
}

/// Networks that there are, from 127.0.1.0 on: the first is everybody's, those from 127.128.0.0 are for floods of
/// made-up sources.
const NETWORKS: u32 = (1 << 15) - 1;

/// Addresses of a network.
const HOSTS: u8 = 254;

/// The port of the socket that holds a network: no client's, and no test asks for it.
const CLAIM: u16 = 4999;

impl Network {
    /// The first that no process holds, counted from one that this process is likely to find free.
    fn claim() -> Network {
        let first = process::id();
        (0..NETWORKS)
            .find_map(|n| Network::hold((first.wrapping_add(n) % NETWORKS) as u16 + 1))
            .expect("a network that no process holds")
    }

    fn hold(number: u16) -> Option<Network> {
        let _claim = UdpSocket::bind((host(number, u8::MAX), CLAIM)).ok()?;
        Some(Network {
            number,
            taken: 0,
            _claim,
        })
    }

    fn next(&mut self) -> Ipv4Addr {
        self.taken += 1;
        host(self.number, self.taken)
    }
}

fn host(network: u16, host: u8) -> Ipv4Addr {
    let [high, low] = network.to_be_bytes();
    Ipv4Addr::new(127, high, low, host)
}

/// `::1`, if the machine has it.
pub fn ipv6() -> Option<IpAddr> {
    let address = IpAddr::from(Ipv6Addr::LOCALHOST);
    TcpListener::bind((address, 0)).ok().map(|_| address)
}

/// A listener on a free port of `address`.
pub fn listen(address: IpAddr) -> TcpListener {
    TcpListener::bind((address, 0)).expect("a free port on loopback")
}

/// As many free ports of `address` as asked for, all different.
pub fn free_ports(address: IpAddr, count: usize) -> Vec<SocketAddr> {
    let held: Vec<_> = (0..count).map(|_| listen(address)).collect();
    held.iter()
        .map(|listener| listener.local_addr().expect("its own address"))
        .collect()
}

/// One free port of `address`.
pub fn free_port(address: IpAddr) -> SocketAddr {
    free_ports(address, 1)[0]
}
