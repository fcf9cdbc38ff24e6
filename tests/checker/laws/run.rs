//! What a run leaves behind, and what its config promised: everything the laws look at.

use super::said::Said;
use crate::checker::Kept;
use crate::checker::store::StoreView;

/// Everything the judge may look at.
#[derive(Clone, Debug, Default)]
pub struct Run {
    /// What the config promised.
    pub rules: Rules,
    /// The generator's log, ascending by stream sequence: what was stored in the source stream and what was meant by it. After a stream was
    /// restored one number may stand here twice; the later one is what the stream holds.
    pub sent: Vec<Meant>,
    /// What the source stream holds at the end.
    pub source: SourceView,
    /// The output stream(s), in stream order.
    pub outputs: Vec<Kept>,
    /// The stream `SERIATIM_DEAD_LETTERS`, in stream order.
    pub dead: Vec<Kept>,
    /// The store's content after the host ended. Without it only the streams are judged.
    pub store: Option<StoreView>,
    /// What operators said, in the order in which they said it.
    pub said: Vec<Said>,
    /// Faults had stopped and the host was given time: G8 must hold.
    pub settled: bool,
}

/// The source stream at the end.
#[derive(Clone, Copy, Debug, Default)]
pub struct SourceView {
    /// When it was created, nanoseconds since the Unix epoch.
    pub created: i64,
    /// Its first sequence: what lies below is gone.
    pub first_sequence: u64,
    /// Its last sequence.
    pub last_sequence: u64,
}

/// What the pipeline's config promises, as far as the laws depend on it.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Name of the pipeline.
    pub pipeline: String,
    /// Name of its handler, which echoes (`plugins/echo` or the same answered natively): state `count`, headers `Echo-*`.
    pub handler: String,
    /// First token of the outputs' subjects (the handler's config `to`).
    pub output_prefix: String,
    /// `order.first-sequence`; `None` = `"any"`.
    pub first: Option<u64>,
    /// `order.gap.then`.
    pub hole: Hole,
    /// `order.late`.
    pub late: LateRule,
    /// `failure.then`.
    pub failing: Failing,
    /// Attempts that an event gets: retries + 1.
    pub attempts: u32,
    /// `order.dedup.ids`.
    pub ids: usize,
    /// `order.gap.held-max`.
    pub held_max: usize,
    /// `order.gap.jump-max`.
    pub jump_max: u64,
    /// No gap can have given up for an event that came at all, so the result is known exactly.
    pub in_time: bool,
    /// Retention or a restored stream took unread messages.
    pub lost: bool,
    /// The highest generation that may stand in ids and in the store.
    pub generations: u64,
}

impl Default for Rules {
    /// The host's defaults, for pipeline `flights` with handler `echo`.
    fn default() -> Self {
        Self {
            pipeline: "flights".to_owned(),
            handler: "echo".to_owned(),
            output_prefix: "echo".to_owned(),
            first: Some(1),
            hole: Hole::Park,
            late: LateRule::DeadLetter,
            failing: Failing::DeadLetter,
            attempts: 4,
            ids: 64,
            held_max: 1_000,
            jump_max: 1_000_000,
            in_time: false,
            lost: false,
            generations: 0,
        }
    }
}

/// What a gap that gives up means (`order.gap.then`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hole {
    /// The missing events are passed over, by name.
    Skip,
    /// The early events are dead-lettered.
    DeadLetter,
    /// The entity parks.
    Park,
}

/// What happens to late events (`order.late`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LateRule {
    /// They are dead-lettered.
    DeadLetter,
    /// They are dropped, which leaves no trace in a stream.
    Drop,
    /// They are delivered out of order, where that is possible, and dead-lettered elsewhere.
    Deliver,
}

/// What an event means that failed on every attempt (`failure.then`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failing {
    /// It is dead-lettered and the entity goes on.
    DeadLetter,
    /// The entity parks at it.
    Park,
}

/// One message of the generator's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meant {
    /// Its number in the source stream.
    pub stream_sequence: u64,
    /// The broker's timestamp, milliseconds since the Unix epoch.
    pub time: u64,
    /// Its entity; for a malformed message whatever is known of it.
    pub entity: String,
    /// Its epoch, 0 without one.
    pub epoch: u64,
    /// Its sequence.
    pub sequence: u64,
    /// The id that the host can read of it (`Seriatim-Id`, else `Nats-Msg-Id`); empty = none.
    pub id: String,
    /// Its subject.
    pub subject: String,
    /// Headers as published.
    pub headers: Vec<(String, String)>,
    /// Payload as published. It should contain the entity's name, so that a leak into another entity's output is seen.
    pub payload: Vec<u8>,
    /// Whether the host can make an event of it.
    pub kind: MeantAs,
    /// What the handler does with it.
    pub handled: Handled,
}

/// Whether a message is an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MeantAs {
    /// It is one.
    Event,
    /// It cannot be decoded. (An event whose sequence lies too far ahead is still meant as an event.)
    Malformed,
}

/// What the handler does with an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handled {
    /// Accepts it.
    Accepts,
    /// Refuses it for good.
    Rejects,
    /// Asks for a retry on the attempts 1 to n (by the number of the attempt that the host tells it), then accepts.
    FailsThenAccepts(u32),
    /// Fails on every attempt; a dead letter has this reason (`retries-exhausted`, `trap`, `timeout`, …).
    AlwaysFails(&'static str),
}
