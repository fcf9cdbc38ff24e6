//! The shards' mailboxes: bounded, first in, first out, as the channels of `shard::Handle`.

use seriatim::shard::Mail;
use std::collections::VecDeque;

/// Mail that waits for a shard.
const MAIL_MAX: usize = 4;

/// See the module.
pub(crate) struct Mailboxes(Vec<VecDeque<Mail>>);

impl Mailboxes {
    pub(crate) fn new(shards: usize) -> Self {
        Self((0..shards).map(|_| VecDeque::new()).collect())
    }

    pub(crate) fn has_room(&self, shard: usize) -> bool {
        self.0[shard].len() < MAIL_MAX
    }

    pub(crate) fn has_mail(&self, shard: usize) -> bool {
        !self.0[shard].is_empty()
    }

    pub(crate) fn all_empty(&self) -> bool {
        self.0.iter().all(VecDeque::is_empty)
    }

    /// Only when there is room.
    pub(crate) fn push(&mut self, shard: usize, mail: Mail) {
        assert!(self.has_room(shard), "a mailbox is bounded");
        self.0[shard].push_back(mail);
    }

    pub(crate) fn take(&mut self, shard: usize) -> Option<Mail> {
        self.0[shard].pop_front()
    }
}
