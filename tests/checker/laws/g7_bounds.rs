//! G7: what the store keeps of one entity stays within its bounds.

use super::Report;
use super::facts::Facts;
use super::report::Guarantee::G7;
use std::collections::HashSet;

/// Bounds of `[run]` that the rules do not name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// `run.given-up-ranges-max`.
    pub ranges_max: usize,
    /// `run.outbox-max`.
    pub outbox_max: usize,
    /// `run.commits-max`: so many events may be on their way to the store when the outbox becomes full.
    pub commits_max: usize,
}

impl Default for Bounds {
    /// The host's defaults.
    fn default() -> Self {
        Self { ranges_max: 64, outbox_max: 64, commits_max: 16 }
    }
}

/// Epochs whose last position is remembered.
const PAST_MAX: usize = 16;

pub(super) fn check(facts: &Facts<'_>, bounds: &Bounds, report: &mut Report) {
    let Some(store) = facts.store else { return };
    let rules = &facts.run.rules;
    let there: HashSet<&str> = facts.run.outputs.iter().filter_map(|kept| kept.header("Nats-Msg-Id")).collect();
    // The pipeline's own record keeps what the watermark has not passed.
    for (name, view) in store.entities.iter().filter(|(name, _)| !name.is_empty()) {
        // What its stream has already is confirmed, or about to be, and leaves the store with a later commit.
        let outputs = view.outbox.iter().filter(|entry| !entry.dead && !there.contains(entry.message_id.as_str())).count();
        // Only an early event that is finished moves its sequences into a range above; one event can always be held.
        for (check, what, found, max) in [
            ("ranges", "given-up ranges", view.given_up.len(), bounds.ranges_max),
            ("fates", "fates", view.fates.len(), rules.held_max.max(1)),
            ("ids", "remembered events", view.slots.len(), rules.ids.max(1).next_power_of_two()),
            ("past", "past epochs", view.past.len(), PAST_MAX),
            ("outbox", "outputs in the outbox", outputs, bounds.outbox_max + bounds.commits_max + 1),
        ] {
            if found > max {
                report.broken(G7, check, format!("entity {name:?} keeps {found} {what}, {max} are allowed"));
            }
        }
    }
}
