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

/// SIGHUPs: somebody wants the configuration to be read again.
pub struct Hangups(UnixStream);

impl Hangups {
    /// From the call on they are counted, and end the process no more. Inside the runtime.
    pub fn new() -> io::Result<Hangups> {
        UnixStream::from_std(pipe(&[libc::SIGHUP])?).map(Hangups)
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
