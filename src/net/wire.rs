//! A link's socket under its cover: plaintext in and out, nothing lost when the socket is full.

use std::io;
use std::task::{Context, Poll, ready};

use crate::link::Cover;
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
        Wire { socket, cover, unsent: Vec::new(), sent: 0, taken: 0 }
    }

    /// What proofs are bound to.
    pub fn channel(&self) -> Channel {
        self.cover.channel()
    }

    /// The socket itself.
    pub fn socket(&self) -> &Socket {
        &self.socket
    }

    /// Reads into `place` and gives the plaintext; empty: the end.
    pub fn poll_recv<'a>(&'a mut self, cx: &mut Context<'_>, place: &'a mut [u8]) -> Poll<io::Result<&'a [u8]>> {
        let n = ready!(self.socket.poll_read(cx, place))?;
        Poll::Ready(Ok(self.cover.open(place.split_at(n).0)))
    }

    /// Takes all of `plain`; what the socket does not take at once waits for [`Self::poll_flush`], which must have been
    /// ready before.
    pub fn send(&mut self, cx: &mut Context<'_>, plain: &[u8]) -> io::Result<()> {
        let mut bytes = self.cover.seal(plain);
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

    /// Ready when the socket has taken everything.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.sent < self.unsent.len() {
            let n = ready!(self.socket.poll_write(cx, self.unsent.split_at(self.sent).1))?;
            self.sent += n;
            self.taken += n;
        }
        self.unsent.clear();
        self.sent = 0;
        Poll::Ready(Ok(()))
    }

    /// Whether the socket has taken everything.
    pub fn is_flushed(&self) -> bool {
        self.unsent.is_empty()
    }

    /// Bytes that the socket took since this was asked last.
    pub fn take_count(&mut self) -> usize {
        core::mem::take(&mut self.taken)
    }

    /// Lets go of memory that a busy time needed.
    pub fn relax(&mut self) {
        if self.unsent.is_empty() {
            self.unsent = Vec::new();
        }
    }
}
