//! What can go wrong with an event, a flow or the producer as a whole.

use super::version::Version;
use std::time::Duration;

/// Why an event is not confirmed, or a flow cannot be opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A field of the event cannot be sent. Nothing left, and nothing is blocked.
    #[error("event {sequence} of entity {entity:?}: {field}: {problem}")]
    Invalid {
        /// The entity, cut to 64 characters where it is the entity that is wrong.
        entity: String,
        /// The event's number; 0 = it has none yet.
        sequence: u64,
        /// Which field.
        field: String,
        /// What is wrong with it.
        problem: String,
    },
    /// No stream takes the subject, on the word of the broker. Nothing left, and nothing is blocked.
    #[error("no stream takes subject {subject}: create one that does, or correct the subject")]
    NoStream {
        /// The subject.
        subject: String,
    },
    /// Several streams take subjects of this pattern, so that no one of them can tell how far an entity's numbers have come.
    #[error("subjects {subjects} lie in several streams ({names}): name the stream, or narrower subjects")]
    SeveralStreams {
        /// The pattern.
        subjects: String,
        /// The streams.
        names: String,
    },
    /// Another stream takes the subject than [`Options::stream`](super::Options::stream). Nothing left, and nothing is blocked.
    #[error("subject {subject} goes to stream {found}, not to {expected}: correct the subject, or the stream's name")]
    OtherStream {
        /// The subject.
        subject: String,
        /// The stream that takes it.
        found: String,
        /// The stream that should.
        expected: String,
    },
    /// The broker will never take this event (too large, not permitted, stream sealed …). Later events of the entity are
    /// [blocked](Error::Blocked), because without this one they would leave a gap.
    #[error("event {sequence} of entity {entity:?} was refused for good on subject {subject}: {reason}")]
    Refused {
        /// Entity.
        entity: String,
        /// The event's number.
        sequence: u64,
        /// Where it should have gone.
        subject: String,
        /// Why, in one line.
        reason: String,
        /// The broker's error number; 0 = it gave none.
        code: u64,
    },
    /// An earlier event of this entity was refused for good, so this one did not leave.
    #[error(
        "event {sequence} of entity {entity:?} was not sent, because event {refused} before it was refused for good: correct that one, then open the \
         entity's flow again after the event before it (or call Producer::unblock) and send both"
    )]
    Blocked {
        /// Entity.
        entity: String,
        /// The number of the event that did not leave.
        sequence: u64,
        /// The number of the event that was refused.
        refused: u64,
    },
    /// The entity has a flow, or events of the last one are not confirmed yet.
    #[error(
        "entity {entity:?} has a flow already (or events of its last one that are not confirmed yet): one flow numbers an entity's events"
    )]
    FlowOpen {
        /// Entity.
        entity: String,
    },
    /// More entities with flows, or blocked, than the producer keeps account of.
    #[error("more than {max} entities {what}: close some, or use another producer")]
    TooMany {
        /// What of them.
        what: &'static str,
        /// The bound.
        max: usize,
    },
    /// Where an entity's numbers stand cannot be read from the stream, because it no longer has all of its messages.
    #[error(
        "stream {stream} cannot tell which number of entity {entity:?} comes next, because messages of it are gone: say it with Start::After, or \
         Start::First if the entity is new (for commands: with a Version of your own)"
    )]
    HistoryGone {
        /// Entity.
        entity: String,
        /// The stream.
        stream: String,
    },
    /// The subject of an entity that commands publish to holds a message that is no event of it, or one out of its order.
    #[error(
        "message {stream_sequence} of stream {stream} does not continue entity {entity:?}: {problem}. A subject that commands publish to holds the \
         numbered events of one entity, in their order, and nothing else"
    )]
    NotItsOwn {
        /// Entity.
        entity: String,
        /// The stream.
        stream: String,
        /// Which message.
        stream_sequence: u64,
        /// What is wrong with it.
        problem: String,
    },
    /// Another event took the version that this one was to have. This one is not in the stream and will not be.
    #[error(
        "event {sequence} of entity {entity:?} was not stored, because event {winner} was stored before it; the last one by now is {latest}: take up \
         what has happened, decide again, and publish under that version"
    )]
    Conflict {
        /// Entity.
        entity: String,
        /// The number that the event was to have.
        sequence: u64,
        /// The event that came next after the expected version: the one that won.
        winner: Box<Version>,
        /// The entity's last event when the conflict was found: the winner, or one after it.
        latest: Box<Version>,
    },
    /// Whether the event was stored cannot be found out now. Published again under the same version and [the same id](super::NewEvent::id), it is
    /// stored once, and the answer says what became of it.
    #[error(
        "whether event {sequence} of entity {entity:?} (id {id:?}) was stored is not known: {reason}; publish it again under the same version and id \
         to find out"
    )]
    Undecided {
        /// Entity.
        entity: String,
        /// The event's number.
        sequence: u64,
        /// The event's id.
        id: String,
        /// Why it is not known, in one line.
        reason: String,
    },
    /// Reading the stream failed.
    #[error("stream {stream} cannot be read: {reason}")]
    Read {
        /// The stream.
        stream: String,
        /// Why, in one line.
        reason: String,
    },
    /// The broker did not answer a question within [`Options::patience`](super::Options::patience).
    #[error("the broker gave no answer for {}: {reason}", humantime::format_duration(*patience))]
    Unavailable {
        /// How long it was asked.
        patience: Duration,
        /// The last answer, in one line.
        reason: String,
    },
    /// Nothing was confirmed for [`Options::patience`](super::Options::patience): the producer ended, with all that it owed. What had been sent
    /// may or may not be in the stream; published again by another producer (as the same events), it is there once.
    #[error("gave up: nothing was confirmed for {}; the last reason: {reason}", humantime::format_duration(*patience))]
    GaveUp {
        /// How long it waited.
        patience: Duration,
        /// The last reason, in one line.
        reason: String,
    },
    /// Every handle of the producer was dropped before the event was confirmed. It may or may not be in the stream.
    #[error("the producer was dropped before the event was confirmed: call finish")]
    Dropped,
    /// Some events failed ([`Producer::finish`](super::Producer::finish)).
    #[error("{failed} events were not published; the first: {first}")]
    Failed {
        /// How many.
        failed: u64,
        /// Why the first of them was not.
        first: Box<Error>,
    },
}
