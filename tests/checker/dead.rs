//! Dead letters: exactly those expected, once each, on the subject of their reason, with the message as it came and every `Seriatim-Dead-…`
//! header that names it.

use super::{Expected, History, Kept, Sent, Verdict, find, outputs};
use std::collections::{BTreeMap, HashMap};

pub(super) fn check(history: &History, expected: &Expected, verdict: &mut Verdict) {
    outputs::once(&history.dead, "dead letter", verdict);
    let sent: HashMap<u64, &Sent> = history.sent.iter().map(|sent| (sent.stream_sequence, sent)).collect();
    let mut found: BTreeMap<u64, Vec<&str>> = BTreeMap::new();
    let mut lost = 0;
    for kept in &history.dead {
        let Some(reason) = kept.header("Seriatim-Dead-Reason") else {
            verdict.broken(format!("dead letter {} on {} has no Seriatim-Dead-Reason", kept.stream_sequence, kept.subject));
            continue;
        };
        subject(kept, reason, expected, verdict);
        if reason == "lost" {
            lost += 1;
            continue;
        }
        let Some(number) = kept.header("Seriatim-Dead-Stream-Sequence").and_then(|value| value.parse().ok()) else {
            verdict.broken(format!("dead letter {} ({reason}) does not name its message", kept.stream_sequence));
            continue;
        };
        found.entry(number).or_default().push(reason);
        id(kept, number, expected, verdict);
        if let Some(sent) = sent.get(&number) {
            as_it_came(kept, sent, verdict);
        }
    }
    for (number, reason) in &expected.dead {
        match found.get(number).map_or(&[][..], Vec::as_slice) {
            [only] if only == reason => {}
            other => verdict.broken(format!("{}: {other:?} in the dead letters, expected once {reason:?}", named(*number, &sent))),
        }
    }
    for (number, reasons) in &found {
        if !expected.dead.contains_key(number) {
            verdict.broken(format!("{}: dead-lettered as {reasons:?}, expected was none", named(*number, &sent)));
        }
    }
    match (expected.lost, lost) {
        (true, 0) => verdict.broken("what retention took is not named: no dead letter \"lost\"".to_owned()),
        (false, 1..) => verdict.broken(format!("{lost} dead letters \"lost\", expected was none")),
        _ => {}
    }
}

fn subject(kept: &Kept, reason: &str, expected: &Expected, verdict: &mut Verdict) {
    let wanted = format!("seriatim.dead.{}.{reason}", expected.pipeline);
    if kept.subject != wanted {
        verdict.broken(format!("dead letter {} ({reason}) is on {}, not on {wanted}", kept.stream_sequence, kept.subject));
    }
    for name in ["Seriatim-Dead-Pipeline", "Seriatim-Dead-Stream"] {
        if kept.header(name).is_none_or(str::is_empty) {
            verdict.broken(format!("dead letter {} ({reason}) has no {name}", kept.stream_sequence));
        }
    }
}

/// `<pipeline>:<generation>:dead:<stream sequence>`
fn id(kept: &Kept, number: u64, expected: &Expected, verdict: &mut Verdict) {
    let id = kept.header("Nats-Msg-Id").unwrap_or_default();
    let parts: Vec<_> = id.split(':').collect();
    let right = matches!(parts.as_slice(), [pipeline, generation, "dead", last]
        if *pipeline == expected.pipeline && generation.parse::<u64>().is_ok() && *last == number.to_string());
    if !right {
        verdict.broken(format!("dead letter {} of message {number}: Nats-Msg-Id is {id:?}", kept.stream_sequence));
    }
}

/// Payload and headers of the message, `Nats-*` renamed.
fn as_it_came(kept: &Kept, sent: &Sent, verdict: &mut Verdict) {
    let number = sent.stream_sequence;
    let truncated = kept.header("Seriatim-Dead-Truncated") == Some("true");
    if kept.payload != sent.payload && !truncated {
        verdict.broken(format!("dead letter of message {number}: its payload is not what was published"));
    }
    for (name, value) in &sent.headers {
        let now = if name.starts_with("Nats-") { format!("Seriatim-Dead-{name}") } else { name.clone() };
        let values: Vec<_> = kept.headers.iter().filter(|(known, _)| *known == now).map(|(_, value)| value).collect();
        if !values.contains(&value) {
            verdict.broken(format!("dead letter of message {number}: header {now} is {values:?}, published was {value:?}"));
        }
    }
    let foreign = kept.headers.iter().find(|(name, _)| name.starts_with("Nats-") && name != "Nats-Msg-Id");
    if let Some((name, _)) = foreign {
        verdict.broken(format!("dead letter of message {number}: carries {name}, which the broker would act upon"));
    }
}

fn named(number: u64, sent: &HashMap<u64, &Sent>) -> String {
    match sent.get(&number) {
        Some(sent) => {
            let id = find(&sent.headers, "Seriatim-Id").unwrap_or("none");
            format!("message {number} (entity {}, sequence {}, id {id})", sent.entity, sent.sequence)
        }
        None => format!("message {number}"),
    }
}
