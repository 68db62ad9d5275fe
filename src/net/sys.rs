//! The system calls that no well-kept crate wraps. The only file with `unsafe` in it.
#![allow(unsafe_code)]

use std::io;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Registers `socket` with the runtime.
pub fn watch(socket: socket2::Socket, interest: Interest) -> io::Result<AsyncFd<socket2::Socket>> {
    // SAFETY: a `Socket` owns its descriptor, gives the same one each time, and is closed only when the `AsyncFd` that
    // it moves into lets it go.
    let watched = unsafe { AsyncFd::register_with_interest(socket, interest) };
    watched.map_err(io::Error::from)
}

/// Raises the number of files that this process may have open as far as it is allowed to. Gives what holds now.
pub fn raise_open_files() -> u64 {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a valid place for the answer, and what is set was given by the kernel.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) != 0 {
            return 0;
        }
        let soft = limit.rlim_cur;
        limit.rlim_cur = limit.rlim_max;
        if libc::setrlimit(libc::RLIMIT_NOFILE, &limit) != 0 {
            limit.rlim_cur = soft;
        }
    }
    #[allow(clippy::unnecessary_cast, reason = "the type's width depends on the C library")]
    {
        limit.rlim_cur as u64
    }
}

/// Bytes of memory that this process can count on: the machine's, or its own limit of address space.
pub fn memory() -> u64 {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: plain questions; `limit` is a valid place for the answer.
    let (pages, size, limited) = unsafe {
        let limited = libc::getrlimit(libc::RLIMIT_AS, &mut limit) == 0;
        (libc::sysconf(libc::_SC_PHYS_PAGES), libc::sysconf(libc::_SC_PAGESIZE), limited)
    };
    let machine = u64::try_from(pages).unwrap_or(0).saturating_mul(u64::try_from(size).unwrap_or(0));
    #[allow(clippy::unnecessary_cast, reason = "the type's width depends on the C library")]
    let own = if limited { limit.rlim_cur as u64 } else { u64::MAX };
    machine.min(own)
}
