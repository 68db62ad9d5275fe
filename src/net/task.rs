//! Tasks with an owner, and waiting for one of two things.

use std::cell::Cell;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use tokio::task::JoinHandle;

use super::bell::Bell;

/// Ends its task when dropped.
pub struct Owned(JoinHandle<()>);

impl Owned {
    /// Starts `work` as a task of this thread.
    pub fn spawn(work: impl Future<Output = ()> + 'static) -> Owned {
        Owned(start(Box::pin(work)))
    }

    /// Whether the task is over.
    pub fn is_over(&self) -> bool {
        self.0.is_finished()
    }

    /// Ends it, and waits until what it held is let go of.
    pub async fn end(&mut self) {
        self.0.abort();
        self.over().await;
    }

    /// Waits until it is.
    pub async fn over(&mut self) {
        let _ = (&mut self.0).await;
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Starts a task of this thread that ends by itself.
pub fn detach(work: impl Future<Output = ()> + 'static) {
    drop(start(Box::pin(work)));
}

/// Each kind of future that tokio sees is 4 KiB of a router's flash: it sees this one.
fn start(work: Pin<Box<dyn Future<Output = ()>>>) -> JoinHandle<()> {
    tokio::task::spawn_local(work)
}

/// Wakes this task once the runtime has looked at sockets and timers. One that wakes itself is polled before that, again
/// and again.
pub fn yield_now(cx: &mut Context<'_>) {
    let _ = pin!(tokio::task::yield_now()).poll(cx);
}

/// What one task waits for and others raise.
#[derive(Default)]
pub struct Flag {
    is_raised: Cell<bool>,
    bell: Bell,
}

impl Flag {
    /// Once, or once more.
    pub fn raise(&self) {
        self.is_raised.set(true);
        self.bell.ring();
    }

    /// Waits until it is raised, or has been since the last time.
    pub async fn raised(&self) {
        std::future::poll_fn(|cx| {
            self.bell.hang(cx);
            match self.is_raised.take() {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        })
        .await;
    }
}

/// The end of an end: ready when the program is to stop.
pub type Stop<'a> = Pin<&'a mut dyn Future<Output = ()>>;

/// What `work` gives; `None`: `stop` was ready before it.
pub async fn until<T>(stop: &mut Stop<'_>, work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    std::future::poll_fn(|cx| {
        if stop.as_mut().poll(cx).is_ready() {
            return Poll::Ready(None);
        }
        work.as_mut().poll(cx).map(Some)
    })
    .await
}
