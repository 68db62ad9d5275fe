//! Signals as futures.

use std::io;
use std::os::unix::net::UnixStream as Pipe;

use tokio::net::UnixStream;

/// Ready when the process is asked to end, by SIGTERM or SIGINT. Its handlers are in place from the call on, before the
/// first poll.
pub fn shutdown() -> io::Result<impl Future<Output = ()>> {
    let receiver = pipe(&[libc::SIGTERM, libc::SIGINT])?;
    Ok(async move {
        // Without a runtime to watch the pipe with there is nothing to be ended either.
        if let Ok(receiver) = UnixStream::from_std(receiver) {
            let _ = receiver.readable().await;
        }
    })
}

/// What somebody may ask for again and again.
#[derive(Clone, Copy)]
pub enum Wish {
    /// SIGHUP: the configuration is to be read again.
    Reload,
    /// SIGUSR1: a new link is to be made.
    Reconnect,
}

/// Signals of one kind.
pub struct Wishes(UnixStream);

impl Wishes {
    /// From the call on they are counted, and end the process no more. Inside the runtime.
    pub fn new(wish: Wish) -> io::Result<Wishes> {
        let signal = match wish {
            Wish::Reload => libc::SIGHUP,
            Wish::Reconnect => libc::SIGUSR1,
        };
        UnixStream::from_std(pipe(&[signal])?).map(Wishes)
    }

    /// Waits for one. Several that came meanwhile are one.
    pub async fn next(&self) -> io::Result<()> {
        loop {
            self.0.readable().await?;
            match self.0.try_read(&mut [0; 64]) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return read.map(drop),
            }
        }
    }
}

/// Where a byte comes for each signal.
fn pipe(signals: &[libc::c_int]) -> io::Result<Pipe> {
    let (receiver, sender) = Pipe::pair()?;
    receiver.set_nonblocking(true)?;
    for &signal in signals {
        signal_hook::low_level::pipe::register(signal, sender.try_clone()?)?;
    }
    Ok(receiver)
}
