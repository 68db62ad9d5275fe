//! A link's socket under its cover: plaintext in and out, nothing lost when the socket is full.

use std::io;
use std::task::{Context, Poll, ready};

use crate::link::{Cover, Peer, Torn};
use crate::proto::Channel;

use super::socket::Socket;

/// The socket, what protects its bytes, and what it has not taken yet.
pub struct Wire {
    socket: Socket,
    cover: Cover,
    unsent: Vec<u8>,
    sent: usize,
    taken: usize,
}

impl Wire {
    /// Over a connected socket.
    pub fn new(socket: Socket, cover: Cover) -> Self {
        Wire {
            socket,
            cover,
            unsent: Vec::new(),
            sent: 0,
            taken: 0,
        }
    }

    /// Lets the cover finish its own handshake; then gives what proofs are bound to. `place` is for what is received;
    /// plaintext that came already is put into `early`.
    pub fn poll_cover(
        &mut self,
        cx: &mut Context<'_>,
        place: &mut [u8],
        early: &mut Vec<u8>,
    ) -> Poll<io::Result<Channel>> {
        loop {
            ready!(self.poll_flush(cx))?;
            if self.cover.is_ready() {
                return Poll::Ready(Ok(self.cover.channel()));
            }
            let n = ready!(self.socket.poll_read(cx, place))?;
            if n == 0 {
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
            early.extend_from_slice(self.cover.open(place.split_at(n).0)?);
        }
    }

    /// Who is at the other end, as far as the cover has proof of it.
    pub fn peer(&self) -> Option<Peer> {
        self.cover.peer()
    }

    /// The socket itself.
    pub fn socket(&self) -> &Socket {
        &self.socket
    }

    /// Reads into `place` and gives the plaintext. Empty bytes are no end: the cover may have kept what came.
    pub fn poll_recv<'a>(&'a mut self, cx: &mut Context<'_>, place: &'a mut [u8]) -> Poll<io::Result<Received<'a>>> {
        if self.cover.is_over() {
            return Poll::Ready(Ok(Received::End));
        }
        let n = ready!(self.socket.poll_read(cx, place))?;
        if n == 0 {
            return Poll::Ready(Ok(Received::End));
        }
        let plain = self.cover.open(place.split_at(n).0)?;
        Poll::Ready(Ok(Received::Bytes(plain)))
    }

    /// Takes all of `plain`; what the socket does not take at once waits for [`Self::poll_flush`], which must have been
    /// ready before.
    pub fn send(&mut self, cx: &mut Context<'_>, plain: &[u8]) -> io::Result<()> {
        let mut bytes = self.cover.seal(plain)?;
        while !bytes.is_empty() {
            match self.socket.poll_write(cx, bytes) {
                Poll::Ready(n) => {
                    let n = n?;
                    self.taken += n;
                    bytes = bytes.split_at(n).1;
                }
                Poll::Pending => break,
            }
        }
        self.unsent.extend_from_slice(bytes);
        Ok(())
    }

    /// Ready when the socket has taken everything, the cover's own words too. Those are asked for when there is room:
    /// what a peer makes the cover say does not pile up here.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            while self.sent < self.unsent.len() {
                let n = ready!(self.socket.poll_write(cx, self.unsent.split_at(self.sent).1))?;
                self.sent += n;
                self.taken += n;
            }
            self.unsent.clear();
            self.sent = 0;
            self.cover.poll_output(&mut self.unsent);
            if self.unsent.is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// Whether the socket has taken everything.
    pub fn is_flushed(&self) -> bool {
        self.unsent.is_empty()
    }

    /// Bytes that the socket took since this was asked last.
    pub fn take_count(&mut self) -> usize {
        core::mem::take(&mut self.taken)
    }

    /// Lets the peer know that nothing more will come. What was sent must have been flushed.
    pub fn poll_shut(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.cover.close();
        ready!(self.poll_flush(cx))?;
        Poll::Ready(self.socket.shut_write())
    }

    /// After the cover is torn: what it still has to say, and then until the peer has closed, as bytes unread would take
    /// it back.
    pub fn poll_last_words(&mut self, cx: &mut Context<'_>, place: &mut [u8]) -> Poll<io::Result<()>> {
        ready!(self.poll_flush(cx))?;
        self.socket.shut_write()?;
        while ready!(self.socket.poll_read(cx, place))? > 0 {}
        Poll::Ready(Ok(()))
    }

    /// Lets go of memory that a busy time needed.
    pub fn relax(&mut self) {
        self.cover.relax();
        if self.unsent.is_empty() {
            self.unsent = Vec::new();
        }
    }
}

/// What came over a wire.
pub enum Received<'a> {
    /// Plaintext, maybe none.
    Bytes(&'a [u8]),
    /// The peer sends no more.
    End,
}

impl From<Torn> for io::Error {
    fn from(torn: Torn) -> Self {
        io::Error::new(io::ErrorKind::InvalidData, torn)
    }
}
