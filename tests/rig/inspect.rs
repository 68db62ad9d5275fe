//! What Linux tells about a process: descriptors, memory, connections and how they are set up.

use std::collections::{HashMap, HashSet};
use std::fs::{self, DirEntry};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::RawFd;
use std::time::Duration;

use socket2::Socket;

use super::{Process, sys};

/// Open descriptors of a process.
pub fn descriptors(process: &Process) -> usize {
    fs::read_dir(format!("/proc/{}/fd", process.id()))
        .expect("the descriptors of a running process")
        .count()
}

/// Time that a process has computed so far.
pub fn computed(process: &Process) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{}/stat", process.id())).expect("the state of a process");
    // Behind the name, which may have anything in it: user and system time are the 12th and 13th, in 1/100 s.
    let (_, fields) = stat.rsplit_once(") ").expect("fields of /proc/PID/stat");
    let ticks = fields.split(' ').skip(11).take(2);
    let ticks: u64 = ticks.map(|ticks| ticks.parse::<u64>().expect("ticks")).sum();
    Duration::from_millis(10 * ticks)
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
    let table = table(process, peer);
    let (peer, own) = (hex(peer), sockets(process));
    let rows = table.lines().filter_map(established);
    let found = rows.filter(|row| row.peer == peer && own.contains_key(row.inode));
    found.map(|row| row.inode).collect::<HashSet<_>>().len()
}

/// Sockets of a process that listen at `address`.
pub fn listeners(process: &Process, address: SocketAddr) -> usize {
    let table = table(process, address);
    let (address, own) = (hex(address), sockets(process));
    let rows = table.lines().filter_map(|line| row(line, "0A"));
    let found = rows.filter(|row| row.local == address && own.contains_key(row.inode));
    found.map(|row| row.inode).collect::<HashSet<_>>().len()
}

/// A handle of a process's one established TCP connection that has `address` at either end. Not allowed everywhere.
pub fn connection(process: &Process, address: SocketAddr) -> io::Result<Socket> {
    let table = table(process, address);
    let (address, own) = (hex(address), sockets(process));
    let rows = table.lines().filter_map(established);
    let mut found: Vec<_> = rows
        .filter(|row| row.peer == address || row.local == address)
        .filter_map(|row| own.get(row.inode).copied())
        .collect();
    // A row that moves while the table is read is there twice.
    found.sort_unstable();
    found.dedup();
    let [descriptor] = found[..] else {
        panic!("{} connections instead of one", found.len());
    };
    sys::descriptor_of(process.id(), descriptor).map(Socket::from)
}

/// The table of sockets in which a process's connections to `address` are.
fn table(process: &Process, address: SocketAddr) -> String {
    let name = match address.ip() {
        IpAddr::V4(_) => "tcp",
        IpAddr::V6(_) => "tcp6",
    };
    fs::read_to_string(format!("/proc/{}/net/{name}", process.id())).expect("the table of sockets")
}

/// A row of /proc/net/tcp.
struct Row<'a> {
    local: &'a str,
    peer: &'a str,
    inode: &'a str,
}

fn established(line: &str) -> Option<Row<'_>> {
    row(line, "01")
}

/// A line of a socket in `state`, as the kernel numbers them.
fn row<'a>(line: &'a str, state: &str) -> Option<Row<'a>> {
    let columns: Vec<_> = line.split_whitespace().collect();
    (*columns.get(3)? == state).then_some(Row {
        local: columns[1],
        peer: columns[2],
        inode: columns.get(9)?,
    })
}

/// A process's sockets: their inodes, as in /proc/net/tcp, and their descriptors.
fn sockets(process: &Process) -> HashMap<String, RawFd> {
    let descriptors = fs::read_dir(format!("/proc/{}/fd", process.id())).expect("the descriptors");
    descriptors.filter_map(|entry| socket(&entry.ok()?)).collect()
}

fn socket(entry: &DirEntry) -> Option<(String, RawFd)> {
    let target = fs::read_link(entry.path()).ok()?;
    let inode = target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?;
    Some((inode.to_owned(), entry.file_name().to_str()?.parse().ok()?))
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
