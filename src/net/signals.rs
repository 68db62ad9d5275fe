//! SIGTERM and SIGINT as a future.

use std::io;
use std::os::unix::net::UnixStream as Pipe;

use tokio::net::UnixStream;

/// Ready when the process is asked to end. Its handlers are in place from the call on, before the first poll.
pub fn shutdown() -> io::Result<impl Future<Output = ()>> {
    let (receiver, sender) = Pipe::pair()?;
    receiver.set_nonblocking(true)?;
    for signal in [libc::SIGTERM, libc::SIGINT] {
        signal_hook::low_level::pipe::register(signal, sender.try_clone()?)?;
    }
    Ok(async move {
        // Without a runtime to watch the pipe with there is nothing to be ended either.
        if let Ok(receiver) = UnixStream::from_std(receiver) {
            let _ = receiver.readable().await;
        }
    })
}
