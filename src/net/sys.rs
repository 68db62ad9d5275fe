//! The system calls that no well-kept crate wraps. The only file with `unsafe` in it.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Registers `socket`, or another descriptor, with the runtime.
pub fn watch<T: Into<OwnedFd> + AsRawFd>(socket: T, interest: Interest) -> io::Result<AsyncFd<T>> {
    // SAFETY: what can become an `OwnedFd` owns its descriptor, gives the same one each time, and is closed only when the `AsyncFd` that
    // it moves into lets it go.
    let watched = unsafe { AsyncFd::register_with_interest(socket, interest) };
    watched.map_err(io::Error::from)
}

/// Undoes what quinn-udp sets up for QUIC: here a datagram is as large as its sender made it, and may be cut on its way;
/// nobody asks when packets came (which the system would then note of every one, whose ever it is) and how they were
/// marked.
#[cfg(feature = "udp")]
pub fn plain_datagrams(socket: &socket2::Socket, v6: bool) {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        let set = |level, name, value: libc::c_int| {
            // SAFETY: the descriptor is the socket's own, and the option's value is a `c_int` of that size.
            unsafe {
                let value = std::ptr::from_ref(&value).cast();
                libc::setsockopt(
                    socket.as_raw_fd(),
                    level,
                    name,
                    value,
                    size_of::<libc::c_int>() as libc::socklen_t,
                );
            }
        };
        set(libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, 0);
        set(libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_WANT);
        set(libc::IPPROTO_IP, libc::IP_RECVTOS, 0);
        if v6 {
            set(libc::IPPROTO_IPV6, libc::IPV6_RECVTCLASS, 0);
            set(libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, libc::IPV6_PMTUDISC_WANT);
            set(libc::IPPROTO_IPV6, libc::IPV6_DONTFRAG, 0);
        }
    }
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let _ = (socket, v6);
}

/// Reads from `socket` into `place` and leaves what was read where it is.
pub fn peek(socket: &socket2::Socket, place: &mut [u8]) -> io::Result<usize> {
    // SAFETY: the descriptor is open as long as `socket` is there, and `place` is valid for as many bytes as stated.
    let n = unsafe {
        libc::recv(
            socket.as_raw_fd(),
            place.as_mut_ptr().cast(),
            place.len(),
            libc::MSG_PEEK,
        )
    };
    usize::try_from(n).map_err(|_| io::Error::last_os_error())
}

/// Whether writing a little to `file` will not wait.
pub fn takes_more(file: &impl AsRawFd) -> bool {
    let mut question = libc::pollfd {
        fd: file.as_raw_fd(),
        events: libc::POLLOUT,
        revents: 0,
    };
    // SAFETY: one `pollfd` is what is pointed at, and stated.
    unsafe { libc::poll(&mut question, 1, 0) != 0 }
}

/// Raises the number of files that this process may have open as far as it is allowed to. Gives what holds now.
pub fn raise_open_files() -> u64 {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
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
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: plain questions; `limit` is a valid place for the answer.
    let (pages, size, limited) = unsafe {
        let limited = libc::getrlimit(libc::RLIMIT_AS, &mut limit) == 0;
        (
            libc::sysconf(libc::_SC_PHYS_PAGES),
            libc::sysconf(libc::_SC_PAGESIZE),
            limited,
        )
    };
    let machine = u64::try_from(pages)
        .unwrap_or(0)
        .saturating_mul(u64::try_from(size).unwrap_or(0));
    #[allow(clippy::unnecessary_cast, reason = "the type's width depends on the C library")]
    let own = if limited { limit.rlim_cur as u64 } else { u64::MAX };
    machine.min(own)
}

/// Gives the system what was freed inside the heap. glibc does that by itself at the heap's end only, musl everywhere.
pub fn trim_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it takes a number, and touches only what is free.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// What a thread of the standard library names itself by. musl's own would bring `printf` along for the names of other
/// threads: 20 KB on MIPS.
///
/// # Safety
/// `name` ends with 0, and the calling thread is the one that is named.
#[cfg(target_env = "musl")]
#[unsafe(no_mangle)]
unsafe extern "C" fn pthread_setname_np(_own: libc::pthread_t, name: *const libc::c_char) -> libc::c_int {
    // SAFETY: as the caller promises.
    unsafe { libc::prctl(libc::PR_SET_NAME, name) }
}

/// What the C library's resolver reads numbers with, those of addresses and of resolv.conf: each begins with a digit. musl's
/// own would bring a reader of formatted files along: 2 KB on ARM.
///
/// # Safety
/// `text` ends with 0, and `end` is a place for a pointer.
#[cfg(target_env = "musl")]
#[unsafe(no_mangle)]
unsafe extern "C" fn strtoul(
    text: *const libc::c_char,
    end: *mut *const libc::c_char,
    base: libc::c_int,
) -> libc::c_ulong {
    // SAFETY: as the caller promises; the number ends within the text.
    unsafe {
        let (value, length) = number(std::ffi::CStr::from_ptr(text).to_bytes(), base == 0);
        *end = text.add(length);
        value.into()
    }
}

/// See [`strtoul`]. Of numbers of interfaces, which have 32 bits.
///
/// # Safety
/// As there.
#[cfg(target_env = "musl")]
#[unsafe(no_mangle)]
unsafe extern "C" fn strtoull(
    text: *const libc::c_char,
    end: *mut *const libc::c_char,
    base: libc::c_int,
) -> libc::c_ulonglong {
    // SAFETY: as the caller promises.
    unsafe { strtoul(text, end, base).into() }
}

/// A number and how many bytes of `text` it has; one that is too large is the largest. `is_free`: it may be hexadecimal
/// (0x) or octal (0).
#[cfg(any(test, target_env = "musl"))]
fn number(text: &[u8], is_free: bool) -> (u32, usize) {
    let (base, mut length) = match text {
        [b'0', b'x' | b'X', digit, ..] if is_free && digit.is_ascii_hexdigit() => (16, 2),
        [b'0', ..] if is_free => (8, 0),
        _ => (10, 0),
    };
    let mut value = 0_u32;
    while let Some(digit) = text.get(length).and_then(|byte| char::from(*byte).to_digit(base)) {
        value = value.saturating_mul(base).saturating_add(digit);
        length += 1;
    }
    (value, length)
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn numbers_are_read_as_c_reads_them() {
        assert_eq!(number(b"", true), (0, 0));
        assert_eq!(number(b"x", true), (0, 0));
        assert_eq!(number(b"10.1", true), (10, 2));
        assert_eq!(number(b"010.1", true), (8, 3));
        assert_eq!(number(b"010 ", false), (10, 3));
        assert_eq!(number(b"0x1F.", true), (31, 4));
        assert_eq!(number(b"0xg", true), (0, 1));
        assert_eq!(number(b"0x1", false), (0, 1));
        assert_eq!(number(b"09", true), (0, 1));
        assert_eq!(number(b"4294967295", false), (u32::MAX, 10));
        assert_eq!(number(b"42949672960", false), (u32::MAX, 11));
    }
}
