//! Outputs: each entity's exactly those expected, in order, once, with the right count, payload, subject, id and headers.

use super::{Expected, History, Kept, Sent, Verdict, decoded, find, token};
use std::collections::{BTreeMap, HashMap};

pub(super) fn check(history: &History, expected: &Expected, verdict: &mut Verdict) {
    once(&history.outputs, "output", verdict);
    let first = first_sent(&history.sent);
    let mut entities: BTreeMap<String, Vec<Output<'_>>> = BTreeMap::new();
    for kept in &history.outputs {
        match Output::of(kept) {
            Ok(output) => {
                form(&output, expected, &first, verdict);
                entities.entry(output.entity.to_owned()).or_default().push(output);
            }
            Err(problem) => verdict.broken(format!("output {} on {}: {problem}", kept.stream_sequence, kept.subject)),
        }
    }
    for (entity, wanted) in &expected.outputs {
        order(entity, wanted, entities.get(entity).map_or(&[][..], Vec::as_slice), verdict);
    }
    for (entity, outputs) in &entities {
        if !expected.outputs.contains_key(entity) {
            verdict.broken(format!("entity {entity}: outputs of an entity that nobody published\n{}", shown(outputs, 0)));
        }
    }
}

/// No message id twice in one stream.
pub(super) fn once(kept: &[Kept], what: &str, verdict: &mut Verdict) {
    let mut seen = HashMap::new();
    for kept in kept {
        let Some(id) = kept.header("Nats-Msg-Id") else {
            verdict.broken(format!("{what} {} on {} has no Nats-Msg-Id", kept.stream_sequence, kept.subject));
            continue;
        };
        if let Some(earlier) = seen.insert(id, kept.stream_sequence) {
            verdict.broken(format!("{what} {id} is there twice: as {earlier} and as {} of its stream", kept.stream_sequence));
        }
    }
}

/// An output, as far as the judge understands it.
struct Output<'a> {
    kept: &'a Kept,
    entity: &'a str,
    sequence: u64,
    count: u64,
}

impl<'a> Output<'a> {
    fn of(kept: &'a Kept) -> Result<Self, String> {
        let number = |name: &str| -> Result<u64, String> {
            let value = kept.header(name).ok_or_else(|| format!("no {name}"))?;
            value.parse().map_err(|_| format!("{name} is {value:?}"))
        };
        let entity = kept.header("Seriatim-Entity").ok_or("no Seriatim-Entity")?;
        Ok(Self { kept, entity, sequence: number("Echo-Sequence")?, count: number("Echo-Count")? })
    }
}

/// The sequences in order, and the handler's own count of them.
fn order(entity: &str, wanted: &[u64], found: &[Output<'_>], verdict: &mut Verdict) {
    let place = (0..wanted.len().max(found.len())).find(|&at| wanted.get(at).copied() != found.get(at).map(|output| output.sequence));
    if let Some(at) = place {
        let problem = match (wanted.get(at), found.get(at)) {
            (Some(wanted), None) => format!("ends before {wanted}"),
            (None, Some(output)) => format!("{} follows after the last one expected", output.sequence),
            (Some(wanted), Some(output)) if found[..at].iter().any(|earlier| earlier.sequence == output.sequence) => {
                format!("{} comes a second time, where {wanted} belongs", output.sequence)
            }
            (Some(wanted), Some(output)) if found[at..].iter().any(|later| later.sequence == *wanted) => {
                format!("{} comes before {wanted}", output.sequence)
            }
            (Some(wanted), Some(output)) => format!("{wanted} is missing before {}", output.sequence),
            (None, None) => return,
        };
        let (have, want) = (found.len(), wanted.len());
        verdict.broken(format!("entity {entity}: {problem} ({have} outputs, {want} expected)\n{}", shown(found, at)));
    }
    for (at, output) in found.iter().enumerate() {
        if output.count != at as u64 + 1 {
            let (sequence, count) = (output.sequence, output.count);
            verdict.broken(format!(
                "entity {entity}: state doubled or lost: Echo-Count {count} at {sequence}, output number {}\n{}",
                at + 1,
                shown(found, at)
            ));
            return;
        }
    }
}

/// Subject, id, headers and payload of one output.
fn form(output: &Output<'_>, expected: &Expected, first: &HashMap<(&str, u64), &Sent>, verdict: &mut Verdict) {
    let Output { kept, entity, sequence, .. } = *output;
    let mut wrong = |problem: String| verdict.broken(format!("output {} of {entity} {sequence}: {problem}", kept.stream_sequence));
    let subject = format!("echo.{}", token(entity));
    if kept.subject != subject {
        wrong(format!("on {}, not on {subject}", kept.subject));
    }
    for (name, value) in [
        ("Seriatim-Cause-Sequence", sequence.to_string().as_str()),
        ("Seriatim-Pipeline", expected.pipeline),
        ("Seriatim-Handler", expected.handler),
    ] {
        if kept.header(name) != Some(value) {
            wrong(format!("{name} is {:?}, not {value:?}", kept.header(name)));
        }
    }
    let component = kept.header("Seriatim-Component").unwrap_or_default();
    if component.len() != 64 || !component.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        wrong(format!("Seriatim-Component is {component:?}, not a SHA-256"));
    }
    if let Some(id) = kept.header("Nats-Msg-Id")
        && let Err(problem) = id_names(id, expected, entity, sequence)
    {
        wrong(format!("Nats-Msg-Id {id:?}: {problem}"));
    }
    let Some(cause) = first.get(&(entity, sequence)) else {
        wrong("caused by an event that nobody published".to_owned());
        return;
    };
    if cause.payload != kept.payload {
        wrong(format!("payload {:?}, published was {:?}", text(&kept.payload), text(&cause.payload)));
    }
    let id = find(&cause.headers, "Seriatim-Id").or_else(|| find(&cause.headers, "Nats-Msg-Id"));
    if id.is_some() && kept.header("Seriatim-Causation-Id") != id {
        wrong(format!("Seriatim-Causation-Id is {:?}, not {id:?}", kept.header("Seriatim-Causation-Id")));
    }
}

/// `<pipeline>:<generation>:<epoch>:<entity, percent-encoded>:<sequence>:<handler>:<index>`
fn id_names(id: &str, expected: &Expected, entity: &str, sequence: u64) -> Result<(), String> {
    let parts: Vec<_> = id.split(':').collect();
    let &[pipeline, generation, epoch, who, number, handler, index] = parts.as_slice() else {
        return Err(format!("{} parts, not 7", parts.len()));
    };
    let numbers = [generation, epoch, index].iter().all(|part| part.parse::<u64>().is_ok());
    if pipeline != expected.pipeline || handler != expected.handler || !numbers || number != sequence.to_string() {
        return Err("does not name pipeline, generation, epoch, sequence, handler and index".to_owned());
    }
    match decoded(who) {
        Some(who) if who == entity => Ok(()),
        _ => Err("does not name the entity".to_owned()),
    }
}

/// For each entity and sequence the message that stands first in the stream: the later ones are duplicates or conflicts.
fn first_sent(sent: &[Sent]) -> HashMap<(&str, u64), &Sent> {
    let mut first: HashMap<(&str, u64), &Sent> = HashMap::new();
    for sent in sent {
        let known = first.entry((sent.entity.as_str(), sent.sequence)).or_insert(sent);
        if sent.stream_sequence < known.stream_sequence {
            *known = sent;
        }
    }
    first
}

/// The outputs around the offending one.
fn shown(outputs: &[Output<'_>], at: usize) -> String {
    let from = at.saturating_sub(4);
    let mut text = String::new();
    for (place, output) in outputs.iter().enumerate().skip(from).take(9) {
        let mark = if place == at { "→" } else { " " };
        let id = output.kept.header("Nats-Msg-Id").unwrap_or("no id");
        text.push_str(&format!(
            "    {mark} {}: sequence {} count {} id {id}\n",
            output.kept.stream_sequence, output.sequence, output.count
        ));
    }
    text
}

fn text(bytes: &[u8]) -> String {
    const SHOWN: usize = 80;
    String::from_utf8_lossy(&bytes[..bytes.len().min(SHOWN)]).into_owned()
}
