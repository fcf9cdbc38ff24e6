//! The host's poison: set once, with the first reason; from then on nothing is committed or published and the process ends.
//!
//! Set by the committer (a failed commit, a panic) and by whoever supervises a background task. Never cleared: start-up is recovery.

use futures_util::FutureExt;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, OnceLock};
use tokio::sync::watch;

/// A flag with a reason, shared by every part of the host. Clones are the same flag.
#[derive(Clone, Debug)]
pub struct Poison(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    reason: OnceLock<String>,
    set: watch::Sender<bool>,
}

impl Default for Poison {
    fn default() -> Self {
        Self::new()
    }
}

impl Poison {
    /// Runs a task; its panic poisons.
    pub async fn guards(self, name: &'static str, task: impl Future<Output = ()>) {
        if AssertUnwindSafe(task).catch_unwind().await.is_err() {
            self.set(format!("the {name} panicked; its last log lines say where"));
        }
    }

    /// Not poisoned.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(Inner { reason: OnceLock::new(), set: watch::Sender::new(false) }))
    }

    /// Poisons with this reason; the first one stays. True when this call was the first.
    pub fn set(&self, reason: impl Into<String>) -> bool {
        let first = self.0.reason.set(reason.into()).is_ok();
        if first {
            self.0.set.send_replace(true);
        }
        first
    }

    /// The reason, once poisoned. One atomic load: may be asked before every commit and publish.
    #[must_use]
    pub fn poisoned(&self) -> Option<String> {
        self.0.reason.get().cloned()
    }

    /// Whether it is set.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.0.reason.get().is_some()
    }

    /// Returns the reason when poisoned; never returns otherwise.
    pub async fn wait(&self) -> String {
        let mut set = self.0.set.subscribe();
        loop {
            if let Some(reason) = self.poisoned() {
                return reason;
            }
            // The sender lives in `self`: an error cannot happen, and would mean that nobody can poison any more.
            if set.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Poison;
    use std::time::Duration;

    #[test]
    fn the_first_reason_stays() {
        let poison = Poison::new();
        assert_eq!(poison.poisoned(), None);
        assert!(poison.set("disk full"));
        assert!(!poison.clone().set("later"));
        assert_eq!(poison.poisoned().as_deref(), Some("disk full"));
    }

    #[tokio::test]
    async fn whoever_waits_is_told() {
        let poison = Poison::new();
        let waiting = tokio::spawn({
            let poison = poison.clone();
            async move { poison.wait().await }
        });
        tokio::task::yield_now().await;
        poison.set("a reason");
        let reason = tokio::time::timeout(Duration::from_secs(10), waiting).await.expect("in time").expect("no panic");
        assert_eq!(reason, "a reason");
        assert_eq!(poison.wait().await, "a reason");
    }
}
