//! The system calls that std does not offer: signals by process id, the limit of open files, network namespaces,
//! descriptors of other processes.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// A signal that tests send.
#[derive(Clone, Copy, Debug)]
pub enum Signal {
    /// SIGTERM
    Terminate,
    /// SIGINT, which is Ctrl-C
    Interrupt,
    /// SIGHUP
    Hangup,
    /// SIGUSR1
    User,
    /// SIGKILL
    Kill,
    /// SIGSTOP: the process freezes, its sockets stay open
    Stop,
    /// SIGCONT
    Continue,
}

impl Signal {
    fn number(self) -> libc::c_int {
        match self {
            Signal::Terminate => libc::SIGTERM,
            Signal::Interrupt => libc::SIGINT,
            Signal::Hangup => libc::SIGHUP,
            Signal::User => libc::SIGUSR1,
            Signal::Kill => libc::SIGKILL,
            Signal::Stop => libc::SIGSTOP,
            Signal::Continue => libc::SIGCONT,
        }
    }
}

/// Sends `signal` to the process `pid`, a child that was not waited for yet.
pub fn send_signal(pid: u32, signal: Signal) {
    // SAFETY: kill takes two integers and touches no memory of ours.
    let result = unsafe { libc::kill(pid as libc::pid_t, signal.number()) };
    assert_eq!(result, 0, "{signal:?} to {pid}: {}", io::Error::last_os_error());
}

/// Lets this process and the ones it starts open at least `count` files.
pub fn raise_descriptor_limit(count: libc::rlim_t) {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: getrlimit fills the structure that it is given.
    let result = unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) };
    assert_eq!(result, 0, "getrlimit: {}", io::Error::last_os_error());
    assert!(
        limit.rlim_max >= count,
        "this test needs {count} descriptors: `ulimit -Hn` is lower"
    );
    limit.rlim_cur = limit.rlim_max;
    // SAFETY: setrlimit reads the structure that it is given.
    let result = unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) };
    assert_eq!(result, 0, "setrlimit: {}", io::Error::last_os_error());
}

/// Whether this process runs as root.
pub fn is_root() -> bool {
    // SAFETY: geteuid takes nothing and cannot fail.
    unsafe { libc::geteuid() == 0 }
}

/// Moves the calling thread into a network namespace that is new.
pub fn leave_network() -> io::Result<()> {
    // SAFETY: unshare takes an integer and touches no memory of ours.
    match unsafe { libc::unshare(libc::CLONE_NEWNET) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// The network namespace of the calling thread.
pub fn network() -> io::Result<File> {
    File::open("/proc/thread-self/ns/net")
}

/// Moves the calling thread, and what it starts from now on, into `network`.
pub fn enter_network(network: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: setns takes a descriptor, which is open, and an integer.
    match unsafe { libc::setns(network.as_raw_fd(), libc::CLONE_NEWNET) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// A handle of what the process `pid`, a child, has open as `descriptor`.
pub fn descriptor_of(pid: u32, descriptor: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: both calls take integers alone.
    let process = owned(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) })?;
    owned(unsafe { libc::syscall(libc::SYS_pidfd_getfd, process.as_raw_fd(), descriptor, 0) })
}

/// What a system call that makes a descriptor has returned.
fn owned(result: libc::c_long) -> io::Result<OwnedFd> {
    match RawFd::try_from(result) {
        // SAFETY: it was just made for us.
        Ok(descriptor @ 0..) => Ok(unsafe { OwnedFd::from_raw_fd(descriptor) }),
        _ => Err(io::Error::last_os_error()),
    }
}
