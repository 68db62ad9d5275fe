//! One visitor's socket (or, on the client, the local service's), joined to a stream of a link.
//!
//! Its task does little: it wakes the link when the socket may be read, writes what the socket had refused before, and
//! notices a reset at any time. Payload is moved by the link's own task, straight between its buffers and the socket;
//! so an idle visitor has no buffer.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use crate::limits::{CHUNK, CHUNKS_PER_WRITE, INITIAL_WINDOW};
use crate::proto::{Cause, StreamId};

use super::bell::Bell;
use super::link::Link;
use super::socket::Socket;

/// Live figures of one service.
#[derive(Default)]
pub struct Counters {
    /// Visitors that came.
    pub visitors: Cell<u64>,
    /// Visitors that are there.
    pub open: Cell<u32>,
    /// Bytes read from their sockets.
    pub read: Cell<u64>,
    /// Bytes written to their sockets.
    pub written: Cell<u64>,
    /// Visitors turned away.
    pub refused: Cell<u64>,
    /// Datagrams dropped.
    pub dropped: Cell<u64>,
}

/// A socket and its stream.
pub struct Visitor {
    stream: StreamId,
    link: Rc<Link>,
    counters: Rc<Counters>,
    /// On a client not before the local service has taken the connection.
    socket: OnceCell<Rc<Socket>>,
    /// What was read before it is known whether the client takes the visitor, if another one could.
    early: RefCell<Option<Early>>,
    opened: Cell<bool>,
    /// Of the visitor's task, from its first poll on.
    bell: Bell,
    backlog: RefCell<Backlog>,
    read_done: Cell<bool>,
    /// The peer's last bytes are here; the socket is to be told behind the backlog.
    end_due: Cell<bool>,
    write_done: Cell<bool>,
    gone: Cell<bool>,
}

impl Visitor {
    /// Of a stream that was just opened.
    pub fn new(link: &Rc<Link>, stream: StreamId, counters: &Rc<Counters>) -> Rc<Visitor> {
        arrive(link, counters);
        Rc::new(Visitor {
            stream,
            link: link.clone(),
            counters: counters.clone(),
            socket: OnceCell::new(),
            early: RefCell::default(),
            opened: Cell::new(false),
            bell: Bell::default(),
            backlog: RefCell::new(Backlog::default()),
            read_done: Cell::new(false),
            end_due: Cell::new(false),
            write_done: Cell::new(false),
            gone: Cell::new(false),
        })
    }

    /// Which stream it is.
    pub fn stream(&self) -> StreamId {
        self.stream
    }

    /// The stream is over before there was a socket.
    pub fn leave(&self) {
        self.link.forget(self.stream);
    }

    /// Waits for `work`, such as the connection to a local service, as long as the stream lives.
    pub async fn or_gone<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let mut work = pin!(work);
        std::future::poll_fn(|cx| {
            self.bell.hang(cx);
            if self.gone.get() {
                Poll::Ready(None)
            } else {
                work.as_mut().poll(cx).map(Some)
            }
        })
        .await
    }

    /// Server: keeps what it reads until the client has taken the visitor; `early`: from one that did not.
    pub fn keep_early(&self, early: Early) {
        *self.early.borrow_mut() = Some(Early { sent: 0, ..early });
    }

    /// Link: the client has taken the visitor.
    pub(super) fn on_opened(&self) {
        self.opened.set(true);
        let mut early = self.early.borrow_mut();
        if early.is_some() {
            early.take_if(|early| early.is_sent());
            self.bell.ring();
        }
    }

    /// Server: whether the client has not taken the visitor, and the stream is over.
    pub fn is_unserved(&self) -> bool {
        self.gone.get() && !self.opened.get()
    }

    /// Server: what an unserved visitor has said, for another client. `None`: that is not known.
    pub fn take_early(&self) -> Option<Early> {
        self.early.borrow_mut().take().filter(|_| self.is_unserved())
    }

    /// Lives until both directions are over or the stream is cut. The visitor's task.
    pub async fn serve(self: Rc<Self>, socket: Rc<Socket>) {
        let socket = self.socket.get_or_init(|| socket);
        let mut failed = pin!(socket.failed());
        let served = std::future::poll_fn(|cx| {
            if failed.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
            }
            self.poll(cx, socket)
        });
        if served.await.is_err() {
            self.link.reset(self.stream, Cause::Aborted);
        }
        if self.gone.get() && self.early.borrow().is_none() {
            socket.reset_on_drop();
        }
        self.link.forget(self.stream);
    }

    fn poll(&self, cx: &mut Context<'_>, socket: &Socket) -> Poll<io::Result<()>> {
        self.bell.hang(cx);
        if self.gone.get() {
            return Poll::Ready(Ok(()));
        }
        self.flush(cx, socket)?;
        if !self.read_done.get() {
            self.link.on_readable(self.stream);
        }
        if self.read_done.get() && self.write_done.get() {
            Poll::Ready(Ok(()))
        } else {
            Poll::Pending
        }
    }

    /// Link: cuts the visitor off; its socket is reset.
    pub fn cut(&self) {
        self.gone.set(true);
        self.bell.ring();
    }

    /// Link: takes bytes for the socket; `end`: the last ones. Gives how many the socket took at once, the rest waits
    /// in the backlog.
    pub fn deliver(&self, bytes: &[u8], end: bool) -> io::Result<usize> {
        // Who answers has taken the visitor, whatever else it says.
        self.opened.set(true);
        let taken = if self.backlog.borrow().is_empty() {
            self.write(bytes)?
        } else {
            0
        };
        self.backlog.borrow_mut().push(bytes.split_at(taken).1);
        if end {
            self.end_due.set(true);
            self.end_if_due()?;
        }
        Ok(taken)
    }

    /// Link: reads from the socket; `None`: nothing there now, 0: the end.
    pub fn read(&self, place: &mut [u8]) -> io::Result<Option<usize>> {
        let mut early = self.early.borrow_mut();
        if early.as_ref().is_some_and(|early| self.opened.get() && early.is_sent()) {
            *early = None;
        }
        match &mut *early {
            Some(early) => self.read_early(early, place),
            None => self.read_on(place),
        }
    }

    fn read_early(&self, early: &mut Early, place: &mut [u8]) -> io::Result<Option<usize>> {
        if let Some(n) = early.again(place) {
            self.read_done.set(n == 0);
            return Ok(Some(n));
        }
        let room = (INITIAL_WINDOW as usize)
            .saturating_sub(early.bytes.len())
            .min(place.len());
        if room == 0 {
            return Ok(None);
        }
        let place = place.split_at_mut(room).0;
        let read = self.read_on(place)?;
        if let Some(n) = read {
            early.keep(place.split_at(n).0);
        }
        Ok(read)
    }

    fn read_on(&self, place: &mut [u8]) -> io::Result<Option<usize>> {
        let (Some(socket), Some(waker)) = (self.socket.get(), &*self.bell.waker()) else {
            return Ok(None);
        };
        match socket.poll_read(&mut Context::from_waker(waker), place) {
            Poll::Pending => Ok(None),
            Poll::Ready(n) => {
                let n = n?;
                add(&self.counters.read, n as u64);
                self.read_done.set(n == 0);
                if n == 0 && self.write_done.get() {
                    waker.wake_by_ref();
                }
                Ok(Some(n))
            }
        }
    }

    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        let (Some(socket), Some(waker)) = (self.socket.get(), &*self.bell.waker()) else {
            return Ok(0);
        };
        let mut cx = Context::from_waker(waker);
        let mut taken = 0;
        while taken < bytes.len() {
            match socket.poll_write(&mut cx, bytes.split_at(taken).1) {
                Poll::Ready(n) => taken += n?,
                Poll::Pending => break,
            }
        }
        add(&self.counters.written, taken as u64);
        Ok(taken)
    }

    fn flush(&self, cx: &mut Context<'_>, socket: &Socket) -> io::Result<()> {
        let mut backlog = self.backlog.borrow_mut();
        let mut taken = 0;
        while !backlog.is_empty() {
            let mut parts = [IoSlice::new(&[]); CHUNKS_PER_WRITE];
            let Poll::Ready(n) = socket.poll_write_parts(cx, backlog.parts(&mut parts)) else {
                break;
            };
            let n = n?;
            backlog.advance(n);
            taken += n;
        }
        drop(backlog);
        add(&self.counters.written, taken as u64);
        self.end_if_due()?;
        if taken > 0 {
            self.link.consumed(self.stream, taken);
        }
        Ok(())
    }

    fn end_if_due(&self) -> io::Result<()> {
        let Some(socket) = self.socket.get() else { return Ok(()) };
        if self.end_due.get() && !self.write_done.get() && self.backlog.borrow().is_empty() {
            self.write_done.set(true);
            // A socket that the other side has reset meanwhile says so here; the reset is noticed as such elsewhere.
            let _ = socket.shut_write();
            self.bell.ring();
        }
        Ok(())
    }
}

impl Drop for Visitor {
    fn drop(&mut self) {
        close(&self.counters);
        depart(&self.link);
    }
}

/// One more of a service, and of the process.
pub(super) fn arrive(link: &Link, counters: &Counters) {
    add(&counters.visitors, 1);
    counters.open.set(counters.open.get() + 1);
    link.process.on_arrival();
}

/// One less of the service.
pub(super) fn close(counters: &Counters) {
    counters.open.set(counters.open.get().saturating_sub(1));
}

/// One less of the process.
pub(super) fn depart(link: &Link) {
    link.process.on_departure();
}

/// Counts on.
pub fn add(counter: &Cell<u64>, n: u64) {
    counter.set(counter.get().wrapping_add(n));
}

/// A visitor's first bytes, kept as long as another client may have to be told them: no more than one may have without
/// an answer, and in the place of what the visitor is not sent before.
#[derive(Default)]
pub struct Early {
    bytes: Vec<u8>,
    /// Bytes that this client was told.
    sent: usize,
    /// They are also the last ones.
    is_end: bool,
}

impl Early {
    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty() && !self.is_end
    }

    fn is_sent(&self) -> bool {
        self.sent == self.bytes.len()
    }

    /// What another client was told before: how many bytes of it are in `place`.
    fn again(&mut self, place: &mut [u8]) -> Option<usize> {
        let rest = self.bytes.get(self.sent..).unwrap_or_default();
        let n = rest.len().min(place.len());
        if n == 0 && !self.is_end {
            return None;
        }
        place.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
        self.sent += n;
        Some(n)
    }

    fn keep(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        self.sent = self.bytes.len();
        self.is_end = bytes.is_empty();
    }
}

/// Bytes that a full socket refused, in chunks small enough that memory follows what is really there.
#[derive(Default)]
struct Backlog {
    chunks: VecDeque<Vec<u8>>,
    /// Bytes of the first chunk that are written.
    done: usize,
}

impl Backlog {
    fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// The first ones, as far as there is place.
    fn parts<'a, 'b>(&'a self, place: &'b mut [IoSlice<'a>]) -> &'b [IoSlice<'a>] {
        let mut done = self.done;
        for (part, chunk) in place.iter_mut().zip(&self.chunks) {
            *part = IoSlice::new(chunk.split_at(core::mem::take(&mut done)).1);
        }
        let count = place.len().min(self.chunks.len());
        place.split_at(count).0
    }

    fn push(&mut self, mut bytes: &[u8]) {
        if let Some(last) = self.chunks.back_mut() {
            let (fits, rest) = bytes.split_at(bytes.len().min(CHUNK - last.len()));
            last.extend_from_slice(fits);
            bytes = rest;
        }
        for piece in bytes.chunks(CHUNK) {
            let mut chunk = Vec::with_capacity(CHUNK);
            chunk.extend_from_slice(piece);
            self.chunks.push_back(chunk);
        }
    }

    fn advance(&mut self, n: usize) {
        self.done += n;
        while let Some(chunk) = self.chunks.front().filter(|chunk| self.done >= chunk.len()) {
            self.done -= chunk.len();
            self.chunks.pop_front();
        }
        if self.chunks.is_empty() {
            self.chunks = VecDeque::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backlog_gives_what_was_put_into_it_however_it_is_taken() {
        let mut backlog = Backlog::default();
        let (mut put, mut taken) = (0, 0);
        for step in 0..2_000 {
            let more: Vec<u8> = (put..put + step * 1237 % (4 * CHUNK)).map(|n| n as u8).collect();
            backlog.push(&more);
            put += more.len();
            let mut place = [IoSlice::new(&[]); 4];
            let parts = backlog.parts(&mut place).iter().flat_map(|part| part.to_vec());
            let parts: Vec<u8> = parts.collect();
            let right = (taken..).map(|n| n as u8).take(parts.len());
            assert!(right.eq(parts.iter().copied()));
            let n = step * 977 % (parts.len() + 1);
            backlog.advance(n);
            taken += n;
            let room = backlog.chunks.len() * CHUNK;
            assert!(room < put - taken + 2 * CHUNK, "more than a chunk at either end");
            assert_eq!(backlog.is_empty(), put == taken);
        }
    }
}
