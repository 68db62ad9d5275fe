//! Local services: what the client forwards to.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::thread::{self, JoinHandle};

use socket2::SockRef;

use super::visitor::patient;
use super::{PATIENCE, Payload, address, receive, send};

/// A service in threads of the test. Its port is closed on drop; connections that it has accepted go on.
pub struct Local {
    address: SocketAddr,
    listener: TcpListener,
    listening: Option<JoinHandle<()>>,
}

/// Connections that wait to be accepted. The 128 of the standard library overflow when thousands come at once, and what
/// comes next depends on the kernel: it may answer with a cookie, and then with a reset.
const BACKLOG: i32 = 4096;

/// A service whose connections the test handles itself, in the order of their arrival.
pub struct Door {
    local: Local,
    arrivals: Receiver<TcpStream>,
}

impl Local {
    /// Runs `handle` for each connection, on a thread of its own.
    pub fn serve(handle: impl Fn(TcpStream) + Send + Sync + 'static) -> Local {
        Local::on(address::listen(address::own()), handle)
    }

    /// The same on an address that is known.
    pub fn serve_at(address: SocketAddr, handle: impl Fn(TcpStream) + Send + Sync + 'static) -> Local {
        Local::on(
            TcpListener::bind(address).expect("the address of the local service"),
            handle,
        )
    }

    /// The same on any port of `address`.
    pub fn serve_on(address: IpAddr, handle: impl Fn(TcpStream) + Send + Sync + 'static) -> Local {
        Local::on(address::listen(address), handle)
    }

    /// A service that the test answers for.
    pub fn door() -> Door {
        let (sender, arrivals) = mpsc::channel();
        let local = Local::serve(move |stream| {
            // A test that has ended does not wait for it any more.
            let _ = sender.send(patient(stream));
        });
        Door { local, arrivals }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    fn on(listener: TcpListener, handle: impl Fn(TcpStream) + Send + Sync + 'static) -> Local {
        let address = listener.local_addr().expect("its own address");
        SockRef::from(&listener).listen(BACKLOG).expect("a longer queue");
        let accepting = listener.try_clone().expect("a second handle");
        let listening = thread::spawn(move || accept(&accepting, Arc::new(handle)));
        Local {
            address,
            listener,
            listening: Some(listening),
        }
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        // Whoever waits in `accept` is told so: no connection, which might come from another namespace, is needed.
        let _ = SockRef::from(&self.listener).shutdown(Shutdown::Both);
        if let Some(listening) = self.listening.take() {
            let _ = listening.join();
        }
    }
}

impl Door {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.local.address
    }

    /// The next connection.
    #[track_caller]
    pub fn arrival(&self) -> TcpStream {
        self.arrivals
            .recv_timeout(PATIENCE)
            .expect("a connection to the local service")
    }
}

/// Sends everything back; when the peer is done, so is it.
pub fn echo(stream: TcpStream) {
    let _ = io::copy(&mut &stream, &mut &stream);
    let _ = stream.shutdown(Shutdown::Write);
}

/// Sends as fast as it can, without end.
pub fn flood(mut stream: TcpStream) {
    let mut payload = Payload::new(1);
    while stream.write_all(payload.next_piece()).is_ok() {}
}

/// The service's half of [`exchange_with`].
pub fn exchange(stream: TcpStream) {
    // Nobody looks at a thread of a local service: the visitor notices what goes wrong here.
    let _ = try_exchange(&stream);
}

/// Sends `length` bytes and receives as many at the same time; both are compared by their hashes.
pub fn exchange_with(mut stream: &TcpStream, seed: u64, length: u64) -> io::Result<()> {
    stream.write_all(&seed.to_le_bytes())?;
    stream.write_all(&length.to_le_bytes())?;
    let (sent, received) = thread::scope(|scope| {
        let sending = scope.spawn(|| send(stream, seed, length));
        let received = receive(stream, length);
        (sending.join().expect("the sending thread"), received)
    });
    let (sent, received) = (sent?, received?);
    let mut hashes = [[0; 32]; 2];
    stream.read_exact(hashes.as_flattened_mut())?;
    assert!(hashes == [received, sent], "the hashes of visitor {seed} differ");
    Ok(())
}

fn try_exchange(mut stream: &TcpStream) -> io::Result<()> {
    let (mut seed, mut length) = ([0; 8], [0; 8]);
    stream.read_exact(&mut seed)?;
    stream.read_exact(&mut length)?;
    let (seed, length) = (!u64::from_le_bytes(seed), u64::from_le_bytes(length));
    let (sent, received) = thread::scope(|scope| {
        let sending = scope.spawn(|| send(stream, seed, length));
        let received = receive(stream, length);
        (sending.join().expect("the sending thread"), received)
    });
    stream.write_all(&sent?)?;
    stream.write_all(&received?)
}

/// Accepts until the listener is shut.
fn accept(listener: &TcpListener, handle: Arc<impl Fn(TcpStream) + Send + Sync + 'static>) {
    while let Ok((stream, _)) = listener.accept() {
        let handle = handle.clone();
        // Thousands of these run at once: their stacks are small.
        let thread = thread::Builder::new()
            .stack_size(128 * 1024)
            .spawn(move || handle(stream));
        thread.expect("a thread for a connection");
    }
}
