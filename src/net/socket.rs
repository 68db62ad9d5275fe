//! A stream socket that many may look at: all its calls take `&self`, and say which task to wake.
//!
//! On tokio's `AsyncFd`, because there the reader decides when readiness is used up: a read that did not fill its
//! buffer has drained the socket, and the call that would only say so is saved.

use std::future::poll_fn;
use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::path::Path;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use socket2::{Domain, Protocol, SockAddr, SockRef, TcpKeepalive, Type};
use tokio::io::unix::AsyncFd;
use tokio::io::{Interest, Ready};

use crate::limits;

use super::sys;

/// A connected socket.
pub struct Socket {
    fd: AsyncFd<socket2::Socket>,
}

/// How a TCP connection is set up.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Small writes leave at once.
    pub nodelay: bool,
    /// Idle time until the first probe; `None`: no probes.
    pub keepalive: Option<Duration>,
    /// Time between probes; `None`: the system's.
    pub keepalive_interval: Option<Duration>,
    /// Bytes that the kernel holds unsent at most.
    pub unsent: u32,
}

impl Socket {
    /// Takes a connected socket.
    pub fn new(socket: socket2::Socket, options: &Options) -> io::Result<Socket> {
        let socket = Socket {
            fd: sys::watch(socket, Interest::READABLE | Interest::WRITABLE)?,
        };
        socket.set(options);
        Ok(socket)
    }

    /// Connects to `address`.
    pub async fn connect(address: SocketAddr, options: &Options) -> io::Result<Socket> {
        let socket = socket2::Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        match socket.connect(&SockAddr::from(address)) {
            Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => return Err(error),
            _ => {}
        }
        let socket = Socket::new(socket, options)?;
        let connected = socket.connected();
        tokio::time::timeout(Duration::from_secs(limits::CONNECT_TIME), connected).await??;
        Ok(socket)
    }

    /// Connects to the unix socket at `path`.
    pub async fn connect_unix(path: &Path, options: &Options) -> io::Result<Socket> {
        let connected = async {
            loop {
                let socket = socket2::Socket::new(Domain::UNIX, Type::STREAM, None)?;
                socket.set_nonblocking(true)?;
                match socket.connect(&SockAddr::unix(path)?) {
                    Ok(()) => return Socket::new(socket, options),
                    // Too many wait to be accepted there, and nothing says when there is room.
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        tokio::time::sleep(Duration::from_millis(limits::UNIX_RETRY)).await;
                    }
                    Err(error) => return Err(error),
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(limits::CONNECT_TIME), connected).await?
    }

    async fn connected(&self) -> io::Result<()> {
        let _ready = self.fd.writable().await?;
        match self.fd.get_ref().take_error()? {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    /// Sets what can be set; a system that lacks an option has the connection all the same.
    fn set(&self, options: &Options) {
        let socket = SockRef::from(self.fd.get_ref());
        let keepalive = options.keepalive.map(|idle| {
            let keepalive = TcpKeepalive::new().with_time(idle);
            match options.keepalive_interval {
                Some(interval) => keepalive.with_interval(interval),
                None => keepalive,
            }
        });
        let _ = socket.set_tcp_nodelay(options.nodelay);
        if let Some(keepalive) = keepalive {
            let _ = socket.set_tcp_keepalive(&keepalive);
        }
        self.set_unsent(options.unsent);
    }

    /// Limits what the kernel holds unsent, in bytes.
    pub fn set_unsent(&self, bytes: u32) {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        let _ = SockRef::from(self.fd.get_ref()).set_tcp_notsent_lowat(bytes);
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        let _ = bytes;
    }

    /// Reads into `place`; 0: the end.
    pub fn poll_read(&self, cx: &mut Context<'_>, place: &mut [u8]) -> Poll<io::Result<usize>> {
        loop {
            let mut guard = ready!(self.fd.poll_read_ready(cx))?;
            match self.fd.get_ref().read(place) {
                Ok(n) => {
                    if n < place.len() {
                        guard.clear_ready();
                    }
                    return Poll::Ready(Ok(n));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => guard.clear_ready(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    /// Writes what the socket takes of `bytes`.
    pub fn poll_write(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_parts(cx, &[IoSlice::new(bytes)])
    }

    /// Writes what the socket takes of `parts`, one behind the other.
    pub fn poll_write_parts(&self, cx: &mut Context<'_>, parts: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        loop {
            let mut guard = ready!(self.fd.poll_write_ready(cx))?;
            match self.fd.get_ref().write_vectored(parts) {
                Ok(n) => {
                    if n < parts.iter().map(|part| part.len()).sum() {
                        guard.clear_ready();
                    }
                    return Poll::Ready(Ok(n));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => guard.clear_ready(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    /// Waits until there is something to read, or an end.
    pub async fn readable(&self) -> io::Result<()> {
        self.fd.readable().await.map(|mut guard| guard.retain_ready())
    }

    /// Writes all of `bytes`.
    pub async fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let n = poll_fn(|cx| self.poll_write(cx, bytes)).await?;
            bytes = bytes.split_at(n).1;
        }
        Ok(())
    }

    /// Fills `place`.
    pub async fn read_exact(&self, mut place: &mut [u8]) -> io::Result<()> {
        while !place.is_empty() {
            let n = poll_fn(|cx| self.poll_read(cx, place)).await?;
            if n == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            place = place.split_at_mut(n).1;
        }
        Ok(())
    }

    /// Waits until `look` makes something of the bytes that came. They stay where they are; `place` is for a copy.
    pub async fn peek<T>(&self, place: &mut [u8], look: &dyn Fn(&[u8]) -> Option<T>) -> io::Result<T> {
        loop {
            let mut guard = self.fd.readable().await?;
            // Asked before the bytes are looked at: behind an end seen now, nothing comes.
            let is_end = guard.ready().is_read_closed();
            let found = match sys::peek(self.fd.get_ref(), place) {
                Ok(n) => look(place.split_at(n).0),
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => None,
                Err(error) => return Err(error),
            };
            match found {
                Some(found) => return Ok(found),
                None if is_end => return Err(io::ErrorKind::UnexpectedEof.into()),
                None => guard.clear_ready(),
            }
        }
    }

    /// Waits until the peer has reset the connection, even while nothing is read.
    pub async fn failed(&self) -> io::Error {
        loop {
            match self.fd.ready(Interest::ERROR).await {
                Err(error) => return error,
                Ok(mut guard) => match self.fd.get_ref().take_error() {
                    Ok(Some(error)) | Err(error) => return error,
                    Ok(None) => guard.clear_ready_matching(Ready::ERROR),
                },
            }
        }
    }

    /// Says that nothing more will be written.
    pub fn shut_write(&self) -> io::Result<()> {
        self.fd.get_ref().shutdown(Shutdown::Write)
    }

    /// Lets the peer see a reset, not an end, when this is dropped.
    pub fn reset_on_drop(&self) {
        let _ = self.fd.get_ref().set_linger(Some(Duration::ZERO));
    }
}

/// A socket that listens.
pub struct Listener {
    fd: AsyncFd<socket2::Socket>,
    address: SocketAddr,
}

impl Listener {
    /// Listens at `address`; `v6_only`: not for IPv4 as well.
    pub fn bind(address: SocketAddr, v6_only: bool) -> io::Result<Listener> {
        let socket = socket2::Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        if v6_only {
            socket.set_only_v6(true)?;
        }
        socket.set_nonblocking(true)?;
        socket.bind(&SockAddr::from(address))?;
        socket.listen(limits::BACKLOG)?;
        let address = socket.local_addr()?.as_socket().unwrap_or(address);
        Ok(Listener {
            fd: sys::watch(socket, Interest::READABLE)?,
            address,
        })
    }

    /// Where it listens; the port is the real one.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address that a connection from [`Self::accept`] asked.
    pub fn asked(&self, socket: &socket2::Socket) -> SocketAddr {
        if !self.address.ip().is_unspecified() {
            return self.address;
        }
        socket
            .local_addr()
            .ok()
            .and_then(|address| address.as_socket())
            .unwrap_or(self.address)
    }

    /// The next connection and where it comes from. An error is about that one, or about this process's means.
    pub async fn accept(&self) -> io::Result<(socket2::Socket, SocketAddr)> {
        loop {
            let mut guard = self.fd.readable().await?;
            match self.fd.get_ref().accept() {
                Ok((socket, address)) => {
                    socket.set_nonblocking(true)?;
                    let address = address.as_socket().ok_or(io::ErrorKind::AddrNotAvailable)?;
                    return Ok((socket, address));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => guard.clear_ready(),
                Err(error) => return Err(error),
            }
        }
    }
}
