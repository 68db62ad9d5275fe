//! A wire between client and server that can fail in ways that processes cannot.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock};
use std::thread;

use super::Local;

/// Forwards connections until they are frozen or cut; later ones pass again.
pub struct Wire {
    entrance: Local,
    exit: Arc<OnceLock<SocketAddr>>,
    connections: Arc<Mutex<Vec<Connection>>>,
    carried: Arc<AtomicU64>,
}

struct Connection {
    ends: [TcpStream; 2],
    frozen: Arc<OnceLock<()>>,
    passes: Arc<Gate>,
}

/// Closed, it holds bytes back.
#[derive(Default)]
struct Gate {
    closed: Mutex<bool>,
    opened: Condvar,
}

impl Gate {
    fn set(&self, closed: bool) {
        *self.closed.lock().expect("a gate") = closed;
        self.opened.notify_all();
    }

    fn pass(&self) {
        let closed = self.closed.lock().expect("a gate");
        drop(self.opened.wait_while(closed, |closed| *closed));
    }
}

impl Wire {
    /// Lays a wire that leads nowhere yet: whoever comes is turned away.
    pub fn lay() -> Wire {
        let (exit, connections) = <(Arc<OnceLock<SocketAddr>>, Arc<Mutex<Vec<Connection>>>)>::default();
        let carried = Arc::<AtomicU64>::default();
        let (target, list, count) = (exit.clone(), connections.clone(), carried.clone());
        let entrance = Local::serve(move |near| {
            if let Some(far) = target.get().and_then(|address| TcpStream::connect(address).ok()) {
                forward([near, far], &list, &count);
            }
        });
        Wire {
            entrance,
            exit,
            connections,
            carried,
        }
    }

    /// Where it begins.
    pub fn address(&self) -> SocketAddr {
        self.entrance.address()
    }

    /// Says where it ends.
    pub fn lead_to(&self, address: SocketAddr) {
        self.exit.set(address).expect("a wire that leads nowhere yet");
    }

    /// Bytes that came, either way.
    pub fn carried(&self) -> u64 {
        self.carried.load(Ordering::Relaxed)
    }

    /// The connections of now stay open, but nothing gets through any more: a NAT that forgot them.
    pub fn freeze(&self) {
        for connection in self.lock().iter() {
            let _ = connection.frozen.set(());
        }
    }

    /// The connections of now hold back what comes, until they are told to go on.
    pub fn stall(&self, stalled: bool) {
        self.lock().iter().for_each(|connection| connection.passes.set(stalled));
    }

    /// The connections of now end.
    pub fn cut(&self) {
        for connection in self.lock().drain(..) {
            connection.passes.set(false);
            for end in connection.ends {
                let _ = end.shutdown(Shutdown::Both);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.connections.lock().expect("the list of connections")
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.cut();
    }
}

fn forward([near, far]: [TcpStream; 2], list: &Mutex<Vec<Connection>>, carried: &AtomicU64) {
    let (frozen, passes) = <(Arc<OnceLock<()>>, Arc<Gate>)>::default();
    let ends = [&near, &far].map(|end| end.try_clone().expect("a second handle"));
    list.lock().expect("the list of connections").push(Connection {
        ends,
        frozen: frozen.clone(),
        passes: passes.clone(),
    });
    thread::scope(|scope| {
        scope.spawn(|| pump(&near, &far, &frozen, &passes, carried));
        pump(&far, &near, &frozen, &passes, carried);
    });
}

/// Carries bytes one way; those that come while frozen are lost, and so is the end.
fn pump(mut from: &TcpStream, mut to: &TcpStream, frozen: &OnceLock<()>, passes: &Gate, carried: &AtomicU64) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        passes.pass();
        carried.fetch_add(count as u64, Ordering::Relaxed);
        if frozen.get().is_none() && to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    if frozen.get().is_none() {
        let _ = to.shutdown(Shutdown::Both);
    }
}
