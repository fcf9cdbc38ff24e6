//! From how an entity stands to what an operator reads: one plain sentence first, then everything. Pure.

use super::{
    Alarm, Behind, Decision, EntityName, EntityReport, EntityState, Given, HandledBy, HandlerRow, Held, LastError, OutboxReport, Place,
    WaitReport,
};
use crate::shard::{Decided, LastFailure, Shown, What};
use crate::store::Stamp;
use seriatim_sequencer::{GapThen, Head, Policy, Status, WaitReason, Waiting};
use std::time::{Duration, UNIX_EPOCH};

/// What surrounds an entity.
#[derive(Clone, Copy, Debug)]
pub(super) struct Around<'a> {
    pub(super) policy: &'a Policy,
    pub(super) handlers: &'a [HandlerRow],
    /// From its record, by handler name.
    pub(super) stamps: &'a [(String, Stamp)],
    /// Highest message the pipeline has read.
    pub(super) highest: u64,
    /// The entity is in memory.
    pub(super) live: bool,
}

pub(super) const fn place(place: seriatim_sequencer::Place) -> Place {
    Place { epoch: place.epoch, sequence: place.sequence }
}

pub(super) const fn alarm(alarm: seriatim_sequencer::Alarm) -> Alarm {
    match alarm {
        seriatim_sequencer::Alarm::Host(at) => Alarm::Host(at),
        seriatim_sequencer::Alarm::Stream(at) => Alarm::Stream(at),
    }
}

pub(super) fn state(waiting: Option<&Waiting>) -> EntityState {
    match waiting {
        None => EntityState::Live,
        Some(waiting) if waiting.parked() => EntityState::Parked,
        Some(_) => EntityState::Waiting,
    }
}

/// Stream sequences between what an entity waits for and the highest message read, both included.
pub(super) fn backlog(waiting: Option<&Waiting>, highest: u64) -> u64 {
    waiting.map_or(0, |waiting| highest.saturating_add(1).saturating_sub(waiting.from))
}

/// The whole report.
pub(super) fn report(name: EntityName, shown: &Shown, around: Around<'_>) -> EntityReport {
    let status = &shown.status;
    let waiting = status.waiting.as_ref();
    let known = status.position.is_some() || status.held.is_some() || waiting.is_some();
    let floor = (shown.floor > seriatim_sequencer::Place::default()).then(|| place(shown.floor));
    EntityReport {
        sentence: sentence(&name.entity, shown, around),
        pipeline: name.pipeline,
        entity: name.entity,
        state: state(waiting),
        live: around.live,
        position: status.position.map(place),
        head: known.then(|| place(status.place)),
        floor,
        given_up: shown
            .given_up
            .iter()
            .map(|range| Given { epoch: range.first.epoch, first: range.first.sequence, last: range.last })
            .collect(),
        held: status.held.map(|(events, lowest, highest)| Held {
            events,
            lowest: place(lowest),
            highest: place(highest),
            since: status.held_since.unwrap_or_default(),
            bytes: shown.bytes,
        }),
        queued: status.queued,
        dropped: status.dropped,
        catching_up: status.catching_up,
        waiting: waiting.map(|waiting| WaitReport {
            reason: waiting.reason.name().to_owned(),
            from: waiting.from,
            since: waiting.since,
            alarm: waiting.alarm.map(alarm),
            attempts: waiting.attempts.count,
        }),
        last_error: shown.failure.as_ref().map(|failure| last_error(failure, around.handlers)),
        handlers: around.handlers.to_vec(),
        handled_by: around.stamps.iter().map(|(name, stamp)| handled_by(name, stamp, around.handlers)).collect(),
        outbox: OutboxReport { entries: shown.outbox, tries: shown.tries },
        decisions: shown.decisions.iter().map(decision).collect(),
        behind: Behind { highest: around.highest, backlog: backlog(waiting, around.highest) },
    }
}

fn last_error(failure: &LastFailure, handlers: &[HandlerRow]) -> LastError {
    let handler = handlers.get(failure.handler);
    LastError {
        handler: handler.map(|handler| handler.name.clone()).unwrap_or_default(),
        digest: handler.map(|handler| handler.digest.clone()).unwrap_or_default(),
        kind: failure.kind.to_owned(),
        message: failure.message.clone(),
        backtrace: failure.backtrace.clone(),
        place: place(failure.place),
        stream_sequence: failure.stream_sequence,
        attempt: failure.attempt,
        at: failure.at,
    }
}

/// A stopped host knows of no handlers; one that runs and has lost this one runs another component or none.
fn handled_by(name: &str, stamp: &Stamp, handlers: &[HandlerRow]) -> HandledBy {
    let runs = |handler: &HandlerRow| handler.name == name && *handler.digest == *stamp.component;
    HandledBy {
        name: name.to_owned(),
        digest: stamp.component.to_string(),
        state_version: stamp.version,
        current: (!handlers.is_empty()).then(|| handlers.iter().any(runs)),
    }
}

fn decision(decided: &Decided) -> Decision {
    let (what, detail) = match decided.what {
        What::Applied(1) => ("applied", String::new()),
        What::Applied(attempt) => ("applied", format!("at attempt {attempt}")),
        What::Redriven(dead) => ("redriven", format!("from dead letter {dead}")),
        What::Duplicate => ("duplicate", "seen before".to_owned()),
        What::DroppedLate => ("dropped-late", "its sequence had been given up before it came".to_owned()),
        What::DeadLettered(reason) => ("dead-lettered", reason.name().to_owned()),
        What::Waiting(reason, 0) => ("waiting", reason.name().to_owned()),
        What::Waiting(reason, attempts) => ("waiting", format!("{} after {attempts} failed attempts", reason.name())),
        What::Parked(reason) => ("parked", reason.name().to_owned()),
        What::Free => ("resumed", "nothing keeps it any more".to_owned()),
        What::GapOpened(missing) => ("gap-opened", format!("{missing} missing")),
        What::CatchUp(to) => ("catching-up", format!("reads its messages again up to stream sequence {to}")),
        What::Forgotten => ("forgotten", "state and ids were erased".to_owned()),
    };
    Decision {
        at: decided.at,
        what: what.to_owned(),
        place: (decided.place.sequence > 0).then(|| place(decided.place)),
        stream_sequence: (decided.stream_sequence > 0).then_some(decided.stream_sequence),
        detail,
    }
}

/// A moment in UTC: the time alone when it is of the same day as `now`.
fn clock(millis: u64, now: u64) -> String {
    let text = |millis| humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_millis(millis)).to_string();
    let (at, today) = (text(millis.min(MILLIS_MAX)), text(now.min(MILLIS_MAX)));
    match (at.split_once('T'), today.split_once('T')) {
        (Some((day, time)), Some((same, _))) if day == same => time.trim_end_matches('Z').to_owned(),
        _ => at,
    }
}

/// The last moment that has four digits for its year.
const MILLIS_MAX: u64 = 253_402_300_799_000;

fn numbered(word: &str, at: seriatim_sequencer::Place) -> String {
    match at.epoch {
        0 => format!("{word} {}", at.sequence),
        epoch => format!("{word} {} of epoch {epoch}", at.sequence),
    }
}

/// What the entity does, or why it does not move.
fn sentence(entity: &str, shown: &Shown, around: Around<'_>) -> String {
    let status = &shown.status;
    let head = numbered("event", status.place);
    let told = match status.head {
        Head::Stopped => format!("stopped its pipeline at {head}; a restart tries it again"),
        Head::Running(at) => format!("is handling {}", numbered("event", at)),
        Head::Blocked => {
            format!("cannot publish what it has put out ({} in its outbox) and waits for the stream; then {head}", shown.outbox)
        }
        Head::Missing(_) => missing(shown, around.policy),
        Head::Barred(_) => barred(shown, &head),
        Head::Parked(reason) => parked(reason, shown, &head),
        Head::Retrying { .. } | Head::Idle => idle(shown, &head),
    };
    format!("{entity} {told}")
}

fn since(waiting: Option<&Waiting>, shown: &Shown) -> String {
    waiting.map_or_else(String::new, |waiting| format!(" since {}", clock(waiting.since, shown.now.host)))
}

fn failed(shown: &Shown) -> String {
    shown.failure.as_ref().map_or_else(String::new, |failure| format!("; the last error: {} ({})", failure.message, failure.kind))
}

fn parked(reason: WaitReason, shown: &Shown, head: &str) -> String {
    let since = since(shown.status.waiting.as_ref(), shown);
    let attempts = shown.status.waiting.map_or(0, |waiting| waiting.attempts.count);
    match reason {
        WaitReason::Operator => format!("was parked by an operator{since}; resume goes on with {head}"),
        WaitReason::Failed(how) => format!(
            "is parked{since} at {head}, which failed {attempts} times ({}); resume tries it again, skip dead-letters it{}",
            how.name(),
            failed(shown)
        ),
        WaitReason::OutputUndeliverable => {
            format!("is parked{since}: one of its outputs was refused for good; mend its stream, then resume sends it again")
        }
        WaitReason::Record => format!("is parked{since}: its record in the store cannot be read; restore it from a copy"),
        WaitReason::RangesFull => {
            format!("is parked{since} at {head}: too many separate ranges of its events were given up; skip gives up what is missing")
        }
        WaitReason::Gap
        | WaitReason::Retry
        | WaitReason::Overflow
        | WaitReason::Resuming
        | WaitReason::OutputUnavailable
        | WaitReason::Breaker => {
            format!("is parked{since} at {head} ({})", reason.name())
        }
    }
}

/// It waits because the handlers are not called, or is about to go on since they are again.
fn barred(shown: &Shown, head: &str) -> String {
    let waiting = shown.status.waiting.as_ref();
    let tried = match waiting.map_or(0, |waiting| waiting.attempts.count) {
        0 => String::new(),
        attempts => format!(" (tried {attempts} times before)"),
    };
    format!(
        "waits{} to handle {head}{tried}: a handler of its pipeline fails so often that none is called (circuit breaker); it goes on when a probe succeeds or an operator closes it{}",
        since(waiting, shown),
        failed(shown)
    )
}

fn idle(shown: &Shown, head: &str) -> String {
    let status = &shown.status;
    let Some(waiting) = &status.waiting else {
        return match (status.head, status.position) {
            (Head::Retrying { .. }, _) => format!("is about to handle {head}"),
            (_, Some(position)) => format!("is up to date: {} was its last", numbered("event", position)),
            (_, None) => "has not finished any event yet".to_owned(),
        };
    };
    let from = waiting.from;
    match (waiting.reason, waiting.alarm) {
        (WaitReason::Retry, Some(seriatim_sequencer::Alarm::Host(at))) => format!(
            "waits to try {head} again at {}, after {} failed attempts{}",
            clock(at, shown.now.host),
            waiting.attempts.count,
            failed(shown)
        ),
        (WaitReason::OutputUnavailable, _) => {
            format!("waits{} for a stream that does not take its outputs ({} in its outbox)", since(Some(waiting), shown), shown.outbox)
        }
        _ if status.catching_up => format!("catches up: its messages from stream sequence {from} on are read again; then {head}"),
        _ => format!("works off what came since stream sequence {from}; {head} is next"),
    }
}

fn missing(shown: &Shown, policy: &Policy) -> String {
    let Status { place, held, waiting, .. } = &shown.status;
    let last_missing =
        held.map(|(_, lowest, _)| lowest).filter(|lowest| lowest.epoch == place.epoch).map(|lowest| lowest.sequence.saturating_sub(1));
    let what = match last_missing {
        Some(last) if last > place.sequence => format!("events {}–{last}", place.sequence),
        _ => numbered("event", *place),
    };
    let came = match held {
        None => waiting.map_or_else(String::new, |waiting| {
            format!("; what came meanwhile is in the stream, from stream sequence {} on, and is read again", waiting.from)
        }),
        Some((count, lowest, highest)) => {
            let since = shown.status.held_since.map_or_else(String::new, |at| format!(" since {}", clock(at, shown.now.stream)));
            let whole =
                lowest.epoch == highest.epoch && highest.sequence.saturating_sub(lowest.sequence).saturating_add(1) == *count as u64;
            match (count, whole) {
                (1, _) => format!(": {} came early and is held{since}", lowest.sequence),
                (_, true) => format!(": {}–{} came early and are held{since}", lowest.sequence, highest.sequence),
                (_, false) => format!(": {count} events from {} to {} came early and are held{since}", lowest.sequence, highest.sequence),
            }
        }
    };
    let then = match policy.gap_then {
        GapThen::Skip => "goes on without what is missing",
        GapThen::DeadLetter => "dead-letters what came early",
        GapThen::Park => "parks",
        GapThen::Stop => "stops the pipeline",
    };
    let stream_alarm = waiting.and_then(|waiting| waiting.alarm).and_then(|alarm| match alarm {
        seriatim_sequencer::Alarm::Stream(at) => Some(at),
        seriatim_sequencer::Alarm::Host(_) => None,
    });
    let ends = match (waiting, shown.status.gives_up.or(stream_alarm)) {
        (Some(waiting), _) if waiting.parked() => {
            "; that did not come in time and the entity is parked: it goes on when what is missing comes, or skip gives it up".to_owned()
        }
        (_, Some(at)) => format!("; gives up at {} of stream time and then {then}", clock(at, shown.now.stream)),
        (_, None) => String::new(),
    };
    format!("waits for {what}{came}{ends}")
}

#[cfg(test)]
mod tests;
