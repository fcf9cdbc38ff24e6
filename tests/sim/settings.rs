//! What a run's host is configured as: policy, bounds, shards. Drawn from the seed alone, small more often than large.

use crate::dice::Dice;

/// A gap wait that passes in no run, milliseconds.
pub(crate) const NEVER: u64 = 1_000_000_000_000;

/// `order.gap.then`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    Skip,
    DeadLetter,
    Park,
}

/// `order.late`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Late {
    DeadLetter,
    Drop,
    Deliver,
}

/// What a run's host is told.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// Every event comes, and no gap can give up: what is applied is known exactly.
    pub(crate) in_time: bool,
    /// The entity stands in a subject token (each catches up by a pass of its own), not in a header (one scan for all).
    pub(crate) token: bool,
    /// Messages carry an epoch.
    pub(crate) epochs: bool,
    pub(crate) shards: usize,
    /// `None` = any.
    pub(crate) first: Option<u64>,
    pub(crate) gap_wait: u64,
    pub(crate) gap_then: Then,
    pub(crate) late: Late,
    /// An exhausted event parks its entity (else it is dead-lettered).
    pub(crate) failed_parks: bool,
    pub(crate) retry: Vec<u64>,
    pub(crate) held_max: usize,
    pub(crate) queue_max: usize,
    pub(crate) jump_max: u64,
    pub(crate) ids: usize,
    pub(crate) commits_max: u32,
    pub(crate) ranges_max: usize,
    pub(crate) settle: u64,
    pub(crate) outbox_max: usize,
    pub(crate) own_outbox_max: usize,
    /// Per shard.
    pub(crate) held_bytes: u64,
    /// Per shard.
    pub(crate) entities_max: usize,
    pub(crate) calls_max: usize,
    pub(crate) catch_ups_max: usize,
    /// Changes in flight per shard before it takes no more mail.
    pub(crate) changes_max: usize,
    /// Entries that wait for the committer.
    pub(crate) commit_queue: usize,
    /// Entities of the owing index that a start looks at in one page.
    pub(crate) owing_page: usize,
    /// Messages that the reader hands on at once, at most.
    pub(crate) batch_max: usize,
    pub(crate) publish_window: usize,
    /// Duplicate window of the output streams, milliseconds.
    pub(crate) window: u64,
    /// Largest payload that the output stream takes; 0 = any.
    pub(crate) output_max: usize,
    /// Calls that do not end at once: one in so many; 0 = none.
    pub(crate) slow_calls: u64,
}

impl Settings {
    pub(crate) fn draw(dice: &mut Dice) -> Self {
        let in_time = dice.once_in(3);
        let retries = dice.size(0, 3);
        let first = match dice.range(0, 5) {
            0 if !in_time => None,
            1 => Some(5),
            _ => Some(1),
        };
        // Small bounds in many seeds, roomy ones in the others: what is small decides what happens.
        let mut bound = |small: (u64, u64), large: u64| if dice.once_in(2) { dice.range(small.0, small.1) } else { large };
        let mut size = |small: (u64, u64), large: u64| usize::try_from(bound(small, large)).unwrap();
        let (held_max, queue_max, ids) = (size((2, 5), 100), size((1, 4), 100), size((1, 4), 64));
        let (outbox_max, own_outbox_max, entities_max) = (size((1, 3), 1000), size((1, 3), 1000), size((1, 3), 1000));
        let (batch_max, publish_window) = (size((1, 8), 256), size((1, 4), 256));
        let (changes_max, commit_queue, owing_page) = (size((1, 4), 8192), size((1, 6), 16_384), size((1, 2), 512));
        let (commits_max, held_bytes) = (bound((1, 3), 16), bound((400, 3000), 1 << 30));
        Self {
            in_time,
            token: dice.once_in(2),
            epochs: dice.once_in(4),
            shards: dice.pick(&[1, 1, 2, 3]),
            first,
            gap_wait: if in_time { NEVER } else { dice.pick(&[50, 1_000, 1_000, 20_000]) },
            gap_then: dice.pick(&[Then::Skip, Then::DeadLetter, Then::Park]),
            late: dice.pick(&[Late::DeadLetter, Late::Drop, Late::Deliver]),
            failed_parks: dice.once_in(3),
            retry: (0..retries).map(|_| dice.pick(&[0, 10, 1_000])).collect(),
            held_max,
            queue_max,
            jump_max: 1_000,
            ids,
            commits_max: u32::try_from(commits_max).unwrap(),
            ranges_max: dice.pick(&[1, 3, 64, 64]),
            settle: dice.pick(&[10, 100, 1_000]),
            outbox_max,
            own_outbox_max,
            held_bytes,
            entities_max,
            calls_max: dice.pick(&[1, 2, 8]),
            catch_ups_max: dice.pick(&[1, 2, 8]),
            changes_max,
            commit_queue,
            owing_page,
            batch_max,
            publish_window,
            window: dice.pick(&[2_000, 20_000, 120_000]),
            // An output that is refused parks its entity: nothing exact can be said of that.
            output_max: if !in_time && dice.once_in(6) { 60 } else { 0 },
            slow_calls: dice.pick(&[0, 0, 5, 2]),
        }
    }
}
