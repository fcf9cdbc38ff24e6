//! May a pipeline go on from what the store knows of it, and from where? Pure: the store's record, the config and the broker's facts go in.

use crate::nats::bucket::Entry;
use crate::nats::identity::{IdentityError, StreamFacts};
use crate::store::{Meaning, PipelineRecord, Progress, StreamIdentity};

/// What the operator accepts for one pipeline.
#[derive(Clone, Copy, Debug, Default)]
pub struct Accepts {
    /// `--accept-stream`
    pub stream: bool,
    /// `--accept-meaning`
    pub meaning: bool,
    /// `order.accept-missing-history`, or `order.first-sequence = "any"`.
    pub missing_history: bool,
}

/// Why a pipeline may not start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The config gives positions another meaning.
    #[error(
        "pipeline {pipeline}: the config differs from what the store's positions were made with: {differences}. Put it back, or accept the new meaning for all \
         entities with --accept-meaning {pipeline}"
    )]
    Meaning {
        /// The pipeline.
        pipeline: String,
        /// What differs.
        differences: String,
    },
    /// The stream is not the one that was read.
    #[error("pipeline {pipeline}: {error} {pipeline}")]
    Stream {
        /// The pipeline.
        pipeline: String,
        /// What is known.
        error: IdentityError,
    },
    /// The store is older than what the broker was told of it.
    #[error(
        "pipeline {pipeline}: the store stands at stream sequence {watermark}, but had told the broker {told}: it was restored from an older copy or its disk \
         lost writes, so what it did since would be done again. Put the newer store back, or go on with --take-over"
    )]
    RolledBack {
        /// The pipeline.
        pipeline: String,
        /// The store's watermark.
        watermark: u64,
        /// The broker's.
        told: u64,
    },
    /// Reading without acks would lose messages there.
    #[error(
        "pipeline {pipeline}: the retention of stream {stream} is not \"limits\": the broker deletes messages as it delivers them to a reader without acks. \
         Use a stream with limits retention (read = \"durable\" is not in this release)"
    )]
    Retention {
        /// The pipeline.
        pipeline: String,
        /// Its stream.
        stream: String,
    },
    /// A new pipeline would begin in the middle of its entities' histories.
    #[error(
        "pipeline {pipeline}: stream {stream} is read from {from} on, so entities may begin with a later event than order.first-sequence says; set \
         order.first-sequence = \"any\", or order.accept-missing-history = true"
    )]
    MissingHistory {
        /// The pipeline.
        pipeline: String,
        /// Its stream.
        stream: String,
        /// First stream sequence that would be read.
        from: u64,
    },
}

/// The record to go on with; `changed`: it must be written before the first pull.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The record.
    pub record: PipelineRecord,
    /// It differs from what is stored.
    pub changed: bool,
    /// A stream was accepted.
    pub accepted: bool,
}

impl Decision {
    /// `time`: the broker's, of the message at the watermark, if the stream has it. Where nothing of the stream was read yet, that message stands for what
    /// was passed: without it nobody would notice that the stream goes back below the watermark before anything is read.
    #[must_use]
    pub fn anchored(mut self, time: Option<u64>) -> Self {
        let progress = &mut self.record.progress;
        if let Some(time) = time
            && progress.highest == 0
        {
            (progress.highest, progress.highest_time) = (progress.watermark, time);
            self.changed = true;
        }
        self
    }

    /// The same, where it is noted when entities are seen, or is not. Whoever has no such note was seen before noting began: it counts from the latest
    /// moment that anything known of any entity can be of.
    #[must_use]
    pub fn noting(self, notes: bool) -> Self {
        let progress = self.record.progress;
        let now = progress.stream_time.max(progress.highest_time);
        let noted_since = notes.then(|| self.record.noted_since.unwrap_or(now));
        let changed = self.changed || noted_since != self.record.noted_since;
        Self { record: PipelineRecord { noted_since, ..self.record }, changed, ..self }
    }
}

/// A pipeline that the store does not know: `start` is the resolved stream sequence.
///
/// # Errors
/// It would begin in the middle of its entities' histories.
pub fn begin(pipeline: &str, meaning: Meaning, facts: &StreamFacts, start: u64, accepts: Accepts) -> Result<Decision, Refused> {
    if start > 1 && !accepts.missing_history {
        return Err(Refused::MissingHistory { pipeline: pipeline.to_owned(), stream: facts.name.clone(), from: start });
    }
    let progress = Progress { watermark: start.saturating_sub(1), ..Progress::default() };
    let stream = StreamIdentity { name: facts.name.clone(), created: facts.created_nanos };
    let record = PipelineRecord { progress, meaning, stream, generations: vec![(0, start)], ..PipelineRecord::default() };
    Ok(Decision { record, changed: true, accepted: false })
}

/// A pipeline that the store knows. `identity`: what the check against the stream found. `younger`: of a stream that went back, the first message that
/// is younger than the highest message read, if there is one.
///
/// # Errors
/// The meaning or the stream differs, and that was not accepted.
pub fn go_on(
    pipeline: &str,
    stored: &PipelineRecord,
    meaning: Meaning,
    facts: &StreamFacts,
    identity: Result<(), IdentityError>,
    younger: Option<u64>,
    accepts: Accepts,
) -> Result<Decision, Refused> {
    let differences = differences(&stored.meaning, &meaning);
    if !differences.is_empty() && !accepts.meaning {
        return Err(Refused::Meaning { pipeline: pipeline.to_owned(), differences });
    }
    let mut record = stored.clone();
    record.meaning = meaning;
    let mut changed = !differences.is_empty() || record.forgotten;
    record.forgotten = false;
    let mut accepted = false;
    if let Err(error) = identity {
        if !accepts.stream {
            return Err(Refused::Stream { pipeline: pipeline.to_owned(), error });
        }
        // A stream that only lost its end still has what was done below it, up to the first message that was published since: by the broker's clock,
        // for its number was another message's. Any other one is read from its first message, and what was applied before is recognised by its sequence.
        let (from, gone_from) = match error {
            IdentityError::WentBack { last, .. } => {
                let kept = last.min(younger.map_or(u64::MAX, |younger| younger.saturating_sub(1)));
                (stored.progress.watermark.min(kept).saturating_add(1), kept.saturating_add(1))
            }
            IdentityError::Recreated { .. } => (facts.first_sequence.max(1), 1),
            // What was not done when retention took it is still to be named.
            IdentityError::OtherMessage { .. } => (facts.first_sequence.max(1).min(stored.progress.watermark.saturating_add(1)), 1),
        };
        accepted = true;
        record.generation += 1;
        record.gone.push((record.generation, gone_from, stored.progress.highest));
        record.generations.push((record.generation, from));
        record.stream = StreamIdentity { name: facts.name.clone(), created: facts.created_nanos };
        // No message of it was read yet. Where it has none at all, the time of what was read before has passed: alarms of entities that wait stand behind it.
        record.progress = Progress { watermark: from.saturating_sub(1), highest: 0, ..stored.progress };
        changed = true;
    }
    Ok(Decision { record, changed, accepted })
}

/// A disk that lost fsynced writes, or a store put back from a copy, stands below what it told the broker. (A copy that ran since has a lower run
/// number, and is refused by the claim.)
///
/// # Errors
/// It does, and the operator does not insist.
pub fn not_rolled_back(
    pipeline: &str,
    record: &PipelineRecord,
    store_id: &str,
    told: Option<&Entry>,
    take_over: bool,
) -> Result<(), Refused> {
    let watermark = record.progress.watermark;
    match told {
        Some(entry) if entry.store_id == store_id && entry.generation == record.generation && entry.watermark > watermark && !take_over => {
            Err(Refused::RolledBack { pipeline: pipeline.to_owned(), watermark, told: entry.watermark })
        }
        _ => Ok(()),
    }
}

fn differences(stored: &Meaning, now: &Meaning) -> String {
    let text = |list: &[String]| format!("[{}]", list.join(", "));
    let none = || "none".to_owned();
    let fields = [
        ("stream", stored.stream.clone(), now.stream.clone()),
        ("subjects", text(&stored.subjects), text(&now.subjects)),
        ("event.entity", stored.entity.clone(), now.entity.clone()),
        ("event.sequence", stored.sequence.clone(), now.sequence.clone()),
        ("event.epoch", stored.epoch.clone().unwrap_or_else(none), now.epoch.clone().unwrap_or_else(none)),
        ("order.by", stored.by.clone(), now.by.clone()),
        ("order.first-sequence", stored.first_sequence.clone(), now.first_sequence.clone()),
    ];
    let differing = fields.iter().filter(|(_, stored, now)| stored != now);
    differing.map(|(key, stored, now)| format!("{key} was {stored}, is {now}")).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nats::identity::{Discard, Retention};

    fn facts(first: u64, last: u64) -> StreamFacts {
        StreamFacts {
            name: "S".into(),
            created_nanos: 7,
            first_sequence: first,
            last_sequence: last,
            messages: last,
            subjects: vec!["s.>".into()],
            retention: Retention::Limits,
            max_msgs_per_subject: 0,
            discard: Discard::Old,
            duplicate_window_ms: 120_000,
            max_message_size: 0,
            max_age_ms: 0,
            max_bytes: 0,
            replicas: 1,
            sealed: false,
            server_time_ms: 0,
        }
    }

    fn meaning(entity: &str) -> Meaning {
        Meaning { entity: entity.into(), stream: "S".into(), ..Meaning::default() }
    }

    fn stored() -> PipelineRecord {
        let progress = Progress { watermark: 70, highest: 90, highest_time: 5, stream_time: 6 };
        let stream = StreamIdentity { name: "S".into(), created: 7 };
        PipelineRecord {
            generation: 2,
            progress,
            meaning: meaning("subject:2"),
            stream,
            generations: vec![(0, 1), (2, 9)],
            ..PipelineRecord::default()
        }
    }

    #[test]
    fn when_entities_are_seen_is_noted_from_the_latest_known_moment_on() {
        let decision = |noted_since| Decision { record: PipelineRecord { noted_since, ..stored() }, changed: false, accepted: false };
        for (before, notes, after) in [(None, false, None), (None, true, Some(6)), (Some(3), true, Some(3)), (Some(3), false, None)] {
            let noted = decision(before).noting(notes);
            assert_eq!((noted.record.noted_since, noted.changed), (after, before != after), "{before:?} {notes}");
        }
    }

    #[test]
    fn a_pipeline_that_begins_in_the_middle_needs_a_word() {
        let none = Accepts::default();
        assert!(begin("p", meaning("subject:2"), &facts(1, 9), 1, none).is_ok());
        assert!(matches!(begin("p", meaning("subject:2"), &facts(5, 9), 5, none), Err(Refused::MissingHistory { from: 5, .. })));
        let accepted = begin("p", meaning("subject:2"), &facts(5, 9), 5, Accepts { missing_history: true, ..none });
        assert_eq!(accepted.map(|decision| decision.record.progress.watermark), Ok(4));
    }

    #[test]
    fn another_meaning_is_named_and_can_be_accepted() {
        let refused = go_on("p", &stored(), meaning("subject:3"), &facts(1, 99), Ok(()), None, Accepts::default());
        let text = refused.map_or_else(|error| error.to_string(), |_| String::new());
        assert!(text.contains("event.entity was subject:2, is subject:3") && text.contains("--accept-meaning p"), "{text}");
        let accepted =
            go_on("p", &stored(), meaning("subject:3"), &facts(1, 99), Ok(()), None, Accepts { meaning: true, ..Accepts::default() });
        assert_eq!(accepted.map(|decision| (decision.changed, decision.record.generation)), Ok((true, 2)));
        let same = go_on("p", &stored(), meaning("subject:2"), &facts(1, 99), Ok(()), None, Accepts::default());
        assert_eq!(same, Ok(Decision { record: stored(), changed: false, accepted: false }));
    }

    #[test]
    fn a_store_that_stands_below_what_it_told_the_broker_is_refused() {
        let told = |store: &str, generation, watermark| Entry { store_id: store.into(), generation, watermark, ..Entry::default() };
        let check = |entry: &Entry, take_over| not_rolled_back("p", &stored(), "me", Some(entry), take_over);
        assert!(matches!(check(&told("me", 2, 71), false), Err(Refused::RolledBack { watermark: 70, told: 71, .. })));
        assert_eq!(check(&told("me", 2, 71), true), Ok(()), "an operator may insist");
        assert_eq!(check(&told("me", 2, 70), false), Ok(()));
        assert_eq!(check(&told("me", 1, 99), false), Ok(()), "another generation numbers other messages");
        assert_eq!(check(&told("other", 2, 99), false), Ok(()), "that is for the claim to refuse");
        assert_eq!(not_rolled_back("p", &stored(), "me", None, false), Ok(()));
    }

    #[test]
    fn where_nothing_was_read_the_message_at_the_watermark_is_what_is_known() {
        let all = Accepts { missing_history: true, ..Accepts::default() };
        let begun = |time| begin("p", meaning("subject:2"), &facts(1, 80), 61, all).map(|decision| decision.anchored(time).record.progress);
        let known = begun(Some(7)).map(|progress| (progress.watermark, progress.highest, progress.highest_time));
        assert_eq!(known, Ok((60, 60, 7)));
        assert_eq!(begun(None).map(|progress| progress.highest), Ok(0));
        let read = go_on("p", &stored(), meaning("subject:2"), &facts(1, 99), Ok(()), None, all).map(|decision| decision.anchored(Some(7)));
        assert_eq!(read.map(|decision| decision.record), Ok(stored()), "more than that was read");
    }

    #[test]
    fn accepting_a_restored_stream_goes_on_below_its_end_in_a_new_generation() {
        let back = |last| IdentityError::WentBack { stream: "S".into(), last, highest: 90 };
        let refused = go_on("p", &stored(), meaning("subject:2"), &facts(1, 80), Err(back(80)), None, Accepts::default());
        assert!(matches!(refused, Err(Refused::Stream { .. })));
        for (last, younger, from) in [(80, None, 71), (50, None, 51), (80, Some(75), 71), (80, Some(60), 60), (50, Some(1), 1)] {
            let accepts = Accepts { stream: true, ..Accepts::default() };
            let decision = go_on("p", &stored(), meaning("subject:2"), &facts(1, last), Err(back(last)), younger, accepts);
            let record = decision.map(|decision| decision.record);
            assert_eq!(record.as_ref().map(|record| (record.generation, record.progress.watermark)), Ok((3, from - 1)));
            let time = record.as_ref().map(|record| (record.progress.highest, record.progress.highest_time));
            assert_eq!(time, Ok((0, stored().progress.highest_time)), "what waits for it must not wait for ever");
            assert_eq!(record.map(|record| record.generations.last().copied()), Ok(Some((3, from))));
        }
    }
}
