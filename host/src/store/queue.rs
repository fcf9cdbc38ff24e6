//! The bounded queue into the committer: many senders, one taker, order kept per sender. A sender hands over many entries under one lock and
//! the taker takes all there is under one lock, so that an entry costs a move, not a hand-over.
//!
//! Full: `push_all` waits, `try_push_all` leaves the rest with the caller (who may wait for `room`). Closed: everyone is told, nobody waits.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// See the module.
#[derive(Debug)]
pub(crate) struct Queue<T> {
    inner: Mutex<Inner<T>>,
    filled: Condvar,
    drained: Condvar,
    room: Notify,
    max: usize,
}

#[derive(Debug)]
struct Inner<T> {
    items: VecDeque<T>,
    closed: bool,
}

/// The queue takes nothing any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Closed;

/// How long the taker waits for the first entry.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Patience {
    None,
    For(Duration),
    Forever,
}

impl<T> Queue<T> {
    /// At most `max` entries (at least 1) wait in it.
    pub(crate) fn new(max: usize) -> Self {
        let inner = Inner { items: VecDeque::new(), closed: false };
        Self { inner: Mutex::new(inner), filled: Condvar::new(), drained: Condvar::new(), room: Notify::new(), max: max.max(1) }
    }

    fn lock(&self) -> MutexGuard<'_, Inner<T>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes over as many from the front as fit; true when none is left.
    pub(crate) fn try_push_all(&self, items: &mut VecDeque<T>) -> Result<bool, Closed> {
        let mut inner = self.lock();
        if inner.closed {
            return Err(Closed);
        }
        self.take_over(&mut inner, items);
        Ok(items.is_empty())
    }

    /// Takes over all of them; waits while the queue is full.
    pub(crate) fn push_all(&self, items: &mut VecDeque<T>) -> Result<(), Closed> {
        let mut inner = self.lock();
        loop {
            if inner.closed {
                return Err(Closed);
            }
            self.take_over(&mut inner, items);
            if items.is_empty() {
                return Ok(());
            }
            inner = self.drained.wait(inner).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn take_over(&self, inner: &mut Inner<T>, items: &mut VecDeque<T>) {
        let fits = self.max.saturating_sub(inner.items.len()).min(items.len());
        if fits == 0 {
            return;
        }
        if inner.items.is_empty() {
            self.filled.notify_one();
        }
        inner.items.extend(items.drain(..fits));
    }

    /// Returns when the queue has room or is closed.
    pub(crate) async fn room(&self) {
        loop {
            let notified = self.room.notified();
            {
                let inner = self.lock();
                if inner.closed || inner.items.len() < self.max {
                    return;
                }
            }
            notified.await;
        }
    }

    /// Moves everything there is to the end of `into`; true when there was something.
    pub(crate) fn drain(&self, into: &mut VecDeque<T>, patience: Patience) -> Result<bool, Closed> {
        let deadline = match patience {
            Patience::For(time) => Some(Instant::now() + time),
            Patience::None | Patience::Forever => None,
        };
        let mut inner = self.lock();
        while inner.items.is_empty() && !inner.closed {
            inner = match (patience, deadline) {
                (Patience::None, _) => return Ok(false),
                (_, None) => self.filled.wait(inner).unwrap_or_else(PoisonError::into_inner),
                (_, Some(deadline)) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return Ok(false);
                    }
                    self.filled.wait_timeout(inner, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
        if inner.closed {
            return Err(Closed);
        }
        if into.is_empty() {
            std::mem::swap(&mut inner.items, into);
        } else {
            into.append(&mut inner.items);
        }
        drop(inner);
        self.drained.notify_all();
        self.room.notify_waiters();
        Ok(true)
    }

    /// Refuses everything from now on and drops what is inside.
    pub(crate) fn close(&self) {
        let items = {
            let mut inner = self.lock();
            inner.closed = true;
            std::mem::take(&mut inner.items)
        };
        self.filled.notify_all();
        self.drained.notify_all();
        self.room.notify_waiters();
        drop(items);
    }

    /// How many wait in it now.
    pub(crate) fn len(&self) -> usize {
        self.lock().items.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    const LONG: Duration = Duration::from_secs(30);

    #[test]
    fn takes_what_fits_and_leaves_the_rest() {
        let queue = Queue::new(3);
        let mut items = VecDeque::from([1, 2, 3, 4, 5]);
        assert_eq!(queue.try_push_all(&mut items), Ok(false));
        assert_eq!(items, [4, 5]);
        let mut into = VecDeque::from([0]);
        assert_eq!(queue.drain(&mut into, Patience::None), Ok(true));
        assert_eq!(into, [0, 1, 2, 3]);
        assert_eq!(queue.drain(&mut into, Patience::None), Ok(false));
        assert_eq!(queue.drain(&mut into, Patience::For(Duration::from_millis(1))), Ok(false));
        queue.close();
        assert_eq!(queue.try_push_all(&mut items), Err(Closed));
        assert_eq!(queue.drain(&mut into, Patience::Forever), Err(Closed));
    }

    #[test]
    fn senders_wait_for_the_taker_and_keep_their_order() {
        let queue = Arc::new(Queue::new(4));
        let senders: Vec<_> = (0..3u32)
            .map(|sender| {
                let queue = queue.clone();
                std::thread::spawn(move || (0..1000u32).try_for_each(|n| queue.push_all(&mut VecDeque::from([(sender, n)]))))
            })
            .collect();
        let mut taken = VecDeque::new();
        while taken.len() < 3000 {
            let before = taken.len();
            assert_eq!(queue.drain(&mut taken, Patience::For(LONG)), Ok(true));
            assert!(taken.len() - before <= 4);
        }
        for (sender, thread) in senders.into_iter().enumerate() {
            thread.join().unwrap().unwrap();
            assert!(taken.iter().filter(|item| item.0 as usize == sender).map(|item| item.1).eq(0..1000));
        }
    }

    #[test]
    fn closing_wakes_whoever_waits() {
        let queue = Arc::new(Queue::new(1));
        queue.push_all(&mut VecDeque::from([1])).unwrap();
        let sender = std::thread::spawn({
            let queue = queue.clone();
            move || queue.push_all(&mut VecDeque::from([2]))
        });
        queue.close();
        assert_eq!(sender.join().unwrap(), Err(Closed));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn room_is_announced() {
        let queue = Arc::new(Queue::new(1));
        for n in 0..200 {
            let mut items = VecDeque::from([n]);
            queue.push_all(&mut items).unwrap();
            let waiting = tokio::spawn({
                let queue = queue.clone();
                async move { queue.room().await }
            });
            queue.drain(&mut VecDeque::new(), Patience::None).unwrap();
            tokio::time::timeout(LONG, waiting).await.expect("in time").unwrap();
        }
    }
}
