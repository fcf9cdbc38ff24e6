//! A shard without its thread, for simulations: whoever owns it says when it does what, and what time it is.

use super::run::Shard;
use super::{Completion, Mail, Parts, Question};
use futures_util::FutureExt;
use futures_util::stream::StreamExt;

/// See the module. Every method takes the host's time in milliseconds since the Unix epoch.
pub struct Stepped {
    shard: Shard,
    completions: Vec<Completion>,
}

impl Stepped {
    /// Loads the pipelines' own records; what their outboxes hold leaves at once.
    #[must_use]
    pub fn start(parts: Parts, host_now: u64) -> Self {
        let mut shard = Shard::new(parts);
        shard.host_now = host_now;
        shard.load_own();
        Self { shard, completions: Vec::new() }
    }

    /// One round of its loop: completions, timers and alarms, handing over to the committer.
    pub fn round(&mut self, host_now: u64) {
        self.shard.host_now = host_now;
        self.shard.round(&mut self.completions);
    }

    /// Whether it would take mail now.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.shard.has_room()
    }

    /// Whether it would take a question now.
    #[must_use]
    pub fn takes_questions(&self) -> bool {
        !self.shard.is_full()
    }

    /// Takes one mail.
    pub fn take(&mut self, host_now: u64, mail: Mail) {
        self.shard.host_now = host_now;
        self.shard.take_mail(mail);
    }

    /// Answers one question, as soon as what it decides is durable.
    pub fn ask(&mut self, host_now: u64, question: Question) {
        self.shard.host_now = host_now;
        self.shard.ask(question);
    }

    /// Looks at the calls set aside; tells how many still are.
    pub fn poll_calls(&mut self, host_now: u64) -> usize {
        self.shard.host_now = host_now;
        while let Some(Some(done)) = self.shard.calls.next().now_or_never() {
            self.shard.call_ended(done);
            self.shard.start_deferred();
        }
        self.shard.calls.len()
    }

    /// When a timer or an alarm rings next, on host time.
    #[must_use]
    pub fn next_wakeup(&self) -> Option<u64> {
        self.shard.next_wakeup()
    }

    /// Nothing is in flight, and every outbox is empty or refused.
    #[must_use]
    pub fn idle(&self) -> bool {
        self.shard.idle()
    }
}
