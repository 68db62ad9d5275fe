//! Wakes a task from outside: what happens to a link, a visitor or a flow while its own task sleeps.

use std::cell::{Ref, RefCell};
use std::task::{Context, Waker};

/// The waker of the task that polled last.
#[derive(Default)]
pub struct Bell(RefCell<Option<Waker>>);

impl Bell {
    /// Keeps the waker of the task that polls.
    pub fn hang(&self, cx: &Context<'_>) {
        let mut waker = self.0.borrow_mut();
        match &mut *waker {
            Some(known) => known.clone_from(cx.waker()),
            None => *waker = Some(cx.waker().clone()),
        }
    }

    /// Wakes that task.
    pub fn ring(&self) {
        if let Some(waker) = &*self.0.borrow() {
            waker.wake_by_ref();
        }
    }

    /// For whoever polls on that task's behalf; `None`: it has not polled yet.
    pub fn waker(&self) -> Ref<'_, Option<Waker>> {
        self.0.borrow()
    }
}
