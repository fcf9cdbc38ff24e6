//! G1 to G9 as named checks over a run whose outcome was not known beforehand: gap time-outs, late events, retention and retries depend on
//! timing, so these are rules over what the streams and the store hold, never a comparison with one expected result.
//!
//! A check costs n log n in the messages of the run: the simulation calls it tens of thousands of times.

mod counts;
mod ends;
mod facts;
mod g1_no_loss;
mod g2_order;
mod g3_once;
mod g4_atomic;
mod g5_isolation;
mod g6_single_writer;
mod g7_bounds;
mod g8_progress;
mod g9_replay;
mod operators;
mod piece;
mod ranges;
mod report;
mod run;
mod said;
mod show;
#[cfg(test)]
mod tests;

use crate::checker::store::PipelineView;
use facts::Facts;
pub use g7_bounds::Bounds;
pub use report::{Broken, Counts, Guarantee, Report};
pub use run::{Failing, Handled, Hole, LateRule, Meant, MeantAs, Rules, Run, SourceView};
pub use said::{Answer, Head, Said, Word};

/// Every check, with the guarantee that it belongs to.
pub const CHECKS: [(Guarantee, &str); 46] = [
    (Guarantee::G1, "one-end"),
    (Guarantee::G1, "nothing-forgotten"),
    (Guarantee::G1, "dead-letter-once"),
    (Guarantee::G1, "dead-letter-names-a-message"),
    (Guarantee::G1, "dead-letter-form"),
    (Guarantee::G1, "dead-letter-as-it-came"),
    (Guarantee::G1, "reason-justified"),
    (Guarantee::G1, "lost-is-gone"),
    (Guarantee::G2, "order"),
    (Guarantee::G2, "missing-is-named"),
    (Guarantee::G2, "given-up-not-applied"),
    (Guarantee::G2, "word-names-the-head"),
    (Guarantee::G3, "output-once"),
    (Guarantee::G3, "place-once"),
    (Guarantee::G3, "count"),
    (Guarantee::G3, "state"),
    (Guarantee::G3, "exact"),
    (Guarantee::G3, "redriven-once"),
    (Guarantee::G3, "redriven-as-said"),
    (Guarantee::G4, "output-of-accepted"),
    (Guarantee::G4, "output-after-commit"),
    (Guarantee::G4, "slot-has-its-end"),
    (Guarantee::G4, "dead-letter-after-commit"),
    (Guarantee::G4, "outbox-in-line"),
    (Guarantee::G4, "component-of-the-record"),
    (Guarantee::G5, "undisturbed-goes-on"),
    (Guarantee::G5, "undisturbed-is-done"),
    (Guarantee::G5, "no-foreign-bytes"),
    (Guarantee::G6, "generation"),
    (Guarantee::G6, "one-payload-per-id"),
    (Guarantee::G7, "ranges"),
    (Guarantee::G7, "fates"),
    (Guarantee::G7, "ids"),
    (Guarantee::G7, "past"),
    (Guarantee::G7, "outbox"),
    (Guarantee::G8, "watermark"),
    (Guarantee::G8, "outbox-empty"),
    (Guarantee::G8, "nobody-waits"),
    (Guarantee::G8, "parked-justified"),
    (Guarantee::G8, "parked-stands-still"),
    (Guarantee::G8, "skipped-goes-on"),
    (Guarantee::G8, "owing-lists-all"),
    (Guarantee::G8, "owing-lists-only"),
    (Guarantee::G9, "output-form"),
    (Guarantee::G9, "output-of-an-event"),
    (Guarantee::G9, "output-payload"),
];

/// Checks every guarantee, with the host's defaults for the bounds that [`Rules`] does not name.
pub fn check(run: &Run) -> Report {
    check_with(run, &Bounds::default())
}

/// Checks every guarantee.
pub fn check_with(run: &Run, bounds: &Bounds) -> Report {
    let nothing = PipelineView::default();
    let mut facts = Facts::of(run, &nothing);
    let mut report = Report::default();
    g2_order::order(&mut facts, &mut report);
    let ends = ends::of(&facts);
    g1_no_loss::check(&facts, &ends, &mut report);
    g2_order::check(&facts, &mut report);
    g3_once::check(&facts, &mut report);
    g4_atomic::check(&facts, &mut report);
    g5_isolation::check(&facts, &mut report);
    g6_single_writer::check(&facts, &mut report);
    g7_bounds::check(&facts, bounds, &mut report);
    g8_progress::check(&facts, &mut report);
    g9_replay::check(&facts, &mut report);
    operators::check(&facts, &mut report);
    report.broken.sort_by_key(|broken| broken.guarantee);
    report.counts = counts::of(&facts, &ends);
    report
}
