//! What Linux tells about a process: descriptors, memory, connections.

use std::collections::HashSet;
use std::fs;
use std::net::{IpAddr, SocketAddr};

use super::Process;

/// Open descriptors of a process.
pub fn descriptors(process: &Process) -> usize {
    fs::read_dir(format!("/proc/{}/fd", process.id()))
        .expect("the descriptors of a running process")
        .count()
}

/// KiB of memory that a process held at its highest so far.
pub fn peak_memory(process: &Process) -> u64 {
    status_line(process, "VmHWM:")
}

/// KiB of memory that a process holds.
pub fn memory(process: &Process) -> u64 {
    status_line(process, "VmRSS:")
}

/// Established TCP connections of a process to `peer`.
pub fn connections(process: &Process, peer: SocketAddr) -> usize {
    let table = match peer.ip() {
        IpAddr::V4(_) => "tcp",
        IpAddr::V6(_) => "tcp6",
    };
    let table = fs::read_to_string(format!("/proc/{}/net/{table}", process.id())).expect("the table of sockets");
    let own = sockets(process);
    table
        .lines()
        .filter_map(established)
        .filter(|row| row.peer == hex(peer) && own.contains(row.inode))
        .count()
}

/// A row of /proc/net/tcp.
struct Row<'a> {
    peer: &'a str,
    inode: &'a str,
}

fn established(line: &str) -> Option<Row<'_>> {
    let columns: Vec<_> = line.split_whitespace().collect();
    (columns.get(3)? == &"01").then_some(Row {
        peer: columns[2],
        inode: columns.get(9)?,
    })
}

/// The inodes of a process's sockets, as in /proc/net/tcp.
fn sockets(process: &Process) -> HashSet<String> {
    let descriptors = fs::read_dir(format!("/proc/{}/fd", process.id())).expect("the descriptors");
    descriptors
        .filter_map(|entry| fs::read_link(entry.ok()?.path()).ok())
        .filter_map(|target| Some(target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned()))
        .collect()
}

/// An address as /proc/net/tcp writes it: 32-bit words in the machine's order, and the port.
fn hex(address: SocketAddr) -> String {
    let bytes = match address.ip() {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    let words = bytes
        .chunks_exact(4)
        .map(|word| u32::from_ne_bytes([word[0], word[1], word[2], word[3]]));
    let words: String = words.map(|word| format!("{word:08X}")).collect();
    format!("{words}:{:04X}", address.port())
}

fn status_line(process: &Process, key: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", process.id())).expect("the status of a process");
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(key))
        .expect("a line of /proc/PID/status");
    line.trim().trim_end_matches(" kB").parse().expect("a number of kB")
}
