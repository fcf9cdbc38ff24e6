//! `entity list`, `show`, `history` and `state`: what there is to know. Changes nothing.

use super::{HistoryArgs, ListArgs, ShowArgs, StateArgs, name};
use crate::cli::door::{Failure, Said};
use crate::cli::output::{ago, alarm, at, json, line, lines, now, place, some_place, table};
use crate::control::{
    Control, EntityPage, EntityQuery, EntityReport, EntityRow, EntityState, HandledBy, HistoryPage, HistoryQuery, HistoryRow, StateEntry,
    WaitReport,
};

/// Entities asked for at a time.
const PAGE: usize = 1_000;
/// Longest line that is printed of a text from outside, characters.
const LINE_MAX: usize = 2_000;

const fn state_word(state: EntityState) -> &'static str {
    match state {
        EntityState::Live => "live",
        EntityState::Waiting => "waiting",
        EntityState::Parked => "parked",
    }
}

pub(super) async fn list(control: &dyn Control, args: &ListArgs) -> Result<Said, Failure> {
    let pipeline = args.pipeline.name(control).await?;
    let limit = usize::try_from(args.limit).unwrap_or(usize::MAX);
    let (mut entities, mut after) = (Vec::new(), args.after.clone());
    let now = now();
    loop {
        let query = EntityQuery {
            pipeline: pipeline.clone(),
            states: args.state.iter().map(|word| (*word).into()).collect(),
            reason: args.reason.clone(),
            handler: args.handler.clone(),
            older_than_seconds: args.older_than.map(|age| age.as_secs()),
            sort: args.sort.into(),
            after,
            limit: PAGE.min(limit - entities.len()),
        };
        let page = control.entities(query).await?;
        after = page.next;
        entities.extend(page.entities);
        if after.is_none() || entities.len() >= limit {
            break;
        }
    }
    let note = after.as_ref().map(|after| format!("there are more: --after {after:?}")).unwrap_or_default();
    let page = EntityPage { entities, next: after };
    let text = if args.host.running.json { json(&page)? } else { rows(&page.entities, now) };
    Ok(Said { text, note, failed: false })
}

fn rows(entities: &[EntityRow], now: u64) -> String {
    if entities.is_empty() {
        return "no entities".to_owned();
    }
    let titles = ["ENTITY", "STATE", "REASON", "FOR", "BACKLOG", "GOES ON"];
    let row = |row: &EntityRow| {
        vec![
            row.entity.clone(),
            state_word(row.state).to_owned(),
            row.reason.clone().unwrap_or_else(|| "-".to_owned()),
            row.since.map_or("-".to_owned(), |since| ago(since, now)),
            row.backlog.to_string(),
            alarm(row.alarm.as_ref()),
        ]
    };
    table(&titles, entities.iter().map(row))
}

pub(super) async fn show(control: &dyn Control, args: &ShowArgs) -> Result<Said, Failure> {
    let report = control.entity(name(control, &args.pipeline, &args.entity).await?).await?;
    Ok(Said::of(if args.host.running.json { json(&report)? } else { described(&report, now()) }))
}

/// The sentence, then everything else.
fn described(report: &EntityReport, now: u64) -> String {
    let mut parts = vec![line(&report.sentence, LINE_MAX), String::new(), table(&[], facts(report, now))];
    if let Some(error) = &report.last_error {
        parts.push(String::new());
        parts.push(format!(
            "last error: {} in handler {} at event {} (stream sequence {}), attempt {}, {}",
            line(&error.kind, LINE_MAX),
            line(&error.handler, LINE_MAX),
            place(&error.place),
            error.stream_sequence,
            error.attempt,
            at(error.at)
        ));
        parts.push(format!("  {}", lines(&error.message).replace('\n', "\n  ")));
        if let Some(backtrace) = &error.backtrace {
            parts.push(format!("  {}", lines(backtrace).replace('\n', "\n  ")));
        }
    }
    if !report.decisions.is_empty() {
        parts.push("\nlast decisions:".to_owned());
        let row = |decision: &crate::control::Decision| {
            vec![
                at(decision.at),
                decision.what.clone(),
                some_place(decision.place.as_ref()),
                decision.stream_sequence.map_or("-".to_owned(), |number| number.to_string()),
                decision.detail.clone(),
            ]
        };
        parts.push(table(&["AT", "WHAT", "EVENT", "STREAM", "DETAIL"], report.decisions.iter().map(row)));
    }
    parts.join("\n")
}

fn facts(report: &EntityReport, now: u64) -> Vec<Vec<String>> {
    let memory = if report.live { "in memory" } else { "not in memory" };
    let mut facts = vec![
        ("pipeline", report.pipeline.clone()),
        ("state", format!("{}, {memory}", state_word(report.state))),
        ("position", some_place(report.position.as_ref())),
        ("is at", some_place(report.head.as_ref())),
        ("floor", some_place(report.floor.as_ref())),
    ];
    let ranges = report.given_up.iter().map(|range| {
        let epoch = if range.epoch == 0 { String::new() } else { format!(" of epoch {}", range.epoch) };
        if range.first == range.last { format!("{}{epoch}", range.first) } else { format!("{}-{}{epoch}", range.first, range.last) }
    });
    facts.push(("given up", or_none(ranges.collect::<Vec<_>>().join(", "))));
    facts.push((
        "held",
        report.held.as_ref().map_or("none".to_owned(), |held| {
            let (lowest, highest) = (place(&held.lowest), place(&held.highest));
            format!("{} events, {lowest} to {highest}, {} bytes, since {}", held.events, held.bytes, at(held.since))
        }),
    ));
    facts.push(("queued", format!("{} events", report.queued)));
    if let Some((first, last)) = report.dropped {
        facts.push(("read again later", format!("stream sequences {first} to {last}")));
    }
    if report.catching_up {
        facts.push(("catch-up", "reads now".to_owned()));
    }
    if let Some(waiting) = &report.waiting {
        facts.extend(waits(waiting, now));
    }
    let outbox = &report.outbox;
    facts.push((
        "outbox",
        if outbox.entries == 0 {
            "empty".to_owned()
        } else {
            format!("{} not confirmed, first tried {} times", outbox.entries, outbox.tries)
        },
    ));
    facts.push(("behind", format!("{} of the stream's messages up to {}", report.behind.backlog, report.behind.highest)));
    let handlers = report.handlers.iter().map(|handler| ("handler", format!("{} {}", handler.name, handler.digest)));
    facts.extend(handlers);
    facts.extend(report.handled_by.iter().map(|handler| ("last event by", handled(handler))));
    facts.into_iter().map(|(name, value)| vec![format!("  {name}"), value]).collect()
}

/// The component that handled the entity's last event, and whether another one will handle the next.
fn handled(by: &HandledBy) -> String {
    let state = if by.state_version == 0 { String::new() } else { format!(", state in version {}", by.state_version) };
    let now = if by.current == Some(false) { ", which is not what runs now" } else { "" };
    format!("{} {}{state}{now}", by.name, by.digest)
}

fn waits(waiting: &WaitReport, now: u64) -> Vec<(&'static str, String)> {
    vec![
        ("waits for", waiting.reason.clone()),
        ("waits since", format!("{} ({})", at(waiting.since), ago(waiting.since, now))),
        ("still to do", format!("everything from stream sequence {}", waiting.from)),
        ("attempts", waiting.attempts.to_string()),
        ("goes on", if waiting.alarm.is_some() { alarm(waiting.alarm.as_ref()) } else { "when an operator says so".to_owned() }),
    ]
}

fn or_none(text: String) -> String {
    if text.is_empty() { "none".to_owned() } else { text }
}

pub(super) async fn history(control: &dyn Control, args: &HistoryArgs) -> Result<Said, Failure> {
    let name = name(control, &args.pipeline, &args.entity).await?;
    let limit = usize::try_from(args.limit).unwrap_or(usize::MAX);
    let (mut events, mut next) = (Vec::new(), Some(args.from));
    while let Some(from) = next.filter(|_| events.len() < limit) {
        let query = HistoryQuery { name: name.clone(), from, limit: PAGE.min(limit - events.len()) };
        let page = control.history(query).await?;
        events.extend(page.events);
        next = page.next;
    }
    let note = next.map(|next| format!("there are more: --from {next}")).unwrap_or_default();
    let page = HistoryPage { events, next };
    let text = if args.host.running.json { json(&page)? } else { past(&page.events) };
    Ok(Said { text, note, failed: false })
}

fn past(events: &[HistoryRow]) -> String {
    if events.is_empty() {
        return "no events of it in the stream".to_owned();
    }
    let row = |row: &HistoryRow| {
        vec![
            row.stream_sequence.to_string(),
            at(row.time),
            some_place(row.place.as_ref()),
            row.fate.clone(),
            row.id.clone(),
            row.subject.clone(),
            row.detail.clone(),
        ]
    };
    table(&["STREAM", "TIME", "EVENT", "FATE", "ID", "SUBJECT", "DETAIL"], events.iter().map(row))
}

pub(super) async fn state(control: &dyn Control, args: &StateArgs) -> Result<Said, Failure> {
    let name = name(control, &args.pipeline, &args.entity).await?;
    let report = control.state(name, args.handler.clone()).await?;
    if args.host.running.json {
        return Ok(Said::of(json(&report)?));
    }
    if report.entries.is_empty() {
        return Ok(Said::of("no state".to_owned()));
    }
    let entry = |entry: &StateEntry| {
        let value = match &entry.value {
            serde_json::Value::String(text) if entry.format != "json" && entry.format != "msgpack" => lines(text),
            other => json(other)?,
        };
        let title = format!("{} {} ({}, {} bytes)", line(&entry.handler, LINE_MAX), line(&entry.key, LINE_MAX), entry.format, entry.bytes);
        Ok(format!("{title}\n  {}\n", value.replace('\n', "\n  ")))
    };
    let entries: Result<Vec<_>, Failure> = report.entries.iter().map(entry).collect();
    Ok(Said::of(entries?.join("\n")))
}
