//! Addresses that no other test uses.
//!
//! All of 127.0.0.0/8 is local on Linux, so each test takes an address of its own. A port that was free there stays
//! free: a server can be killed and started again on it while other tests run.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

/// A loopback address for the calling test alone.
pub fn own() -> IpAddr {
    static TAKEN: AtomicU32 = AtomicU32::new(0);
    let [_, _, high, low] = process::id().to_be_bytes();
    let host = TAKEN.fetch_add(1, Ordering::Relaxed) % 254 + 1;
    Ipv4Addr::new(127, high | 1, low, host as u8).into()
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
