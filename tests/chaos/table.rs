//! The end of a run for people: what was done, what came of it, and what was not reached.

use crate::tally::{Minimum, Tally};
use std::time::Duration;

/// The whole table.
pub(crate) fn render(tally: &Tally, minimums: &[Minimum], elapsed: Duration) -> String {
    let mut text = format!("\n  {} s, {} hosts\n", elapsed.as_secs(), tally.lives);
    let parts = [("killed", &tally.host_kills), ("broker", &tally.broker_kills), ("faults", &tally.faults), ("phases", &tally.phases)];
    for (title, counts) in parts {
        let all: u64 = counts.values().sum();
        let each: Vec<_> = counts.iter().map(|(name, count)| format!("{name} {count}")).collect();
        line(&mut text, title, all, &each.join(", "));
    }
    let counts = &tally.counts;
    let planned: Vec<_> = tally.planned.iter().map(|(name, count)| format!("{name} {count}")).collect();
    line(&mut text, "stored", counts.messages, &planned.join(", "));
    let came = [
        ("delivered late", counts.delivered_late),
        ("after a retry", counts.retried),
        ("duplicates", counts.duplicates),
        ("late", counts.late),
        ("given up", counts.given_up),
        ("parked", counts.parked),
        ("catch-ups", tally.catch_ups),
    ];
    let came: Vec<_> = came.iter().map(|(name, count)| format!("{name} {count}")).collect();
    line(&mut text, "applied", counts.applied, &came.join(", "));
    let dead: Vec<_> = counts.dead.iter().map(|(reason, count)| format!("{reason} {count}")).collect();
    line(&mut text, "dead", counts.dead.values().sum(), &dead.join(", "));
    line(&mut text, "broken", tally.violations, "");
    for minimum in minimums.iter().filter(|minimum| !minimum.reached()) {
        text.push_str(&format!("  not reached: {}\n", missed(minimum)));
    }
    text
}

/// A minimum in words.
pub(crate) fn missed(minimum: &Minimum) -> String {
    format!("{}: {} of {}", minimum.name, minimum.found, minimum.wanted)
}

fn line(text: &mut String, title: &str, all: u64, parts: &str) {
    text.push_str(&format!("  {title:<8} {all:>8}   {parts}\n"));
}
