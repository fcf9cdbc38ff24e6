//! A mailbox that is never full: for answers of which there can be no more than requests made. The request side is what is bounded.

use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Answers on their way to the one loop that asked.
#[derive(Debug)]
pub struct Inbox<T> {
    items: Mutex<Vec<T>>,
    notify: Notify,
}

impl<T> Default for Inbox<T> {
    fn default() -> Self {
        Self { items: Mutex::new(Vec::new()), notify: Notify::new() }
    }
}

impl<T> Inbox<T> {
    fn lock(&self) -> MutexGuard<'_, Vec<T>> {
        self.items.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds one.
    pub fn push(&self, item: T) {
        self.lock().push(item);
        self.notify.notify_one();
    }

    /// Adds all of `items`, in order, leaving it empty.
    pub fn append(&self, items: &mut Vec<T>) {
        self.lock().append(items);
        self.notify.notify_one();
    }

    /// Takes everything, in order, into `into` (which is empty).
    pub fn take(&self, into: &mut Vec<T>) {
        std::mem::swap(&mut *self.lock(), into);
    }

    /// Whether something waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// Returns when something was added since it last returned.
    pub async fn notified(&self) {
        self.notify.notified().await;
    }
}
