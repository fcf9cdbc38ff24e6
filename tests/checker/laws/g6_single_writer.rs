//! G6: nobody else wrote: ids name generations that were accepted, and an id stands for one output.

use super::Report;
use super::facts::Facts;
use super::report::Guarantee::G6;
use std::collections::HashMap;

pub(super) fn check(facts: &Facts<'_>, report: &mut Report) {
    let max = facts.run.rules.generations;
    let outputs = facts.outputs.iter().map(|output| (output.generation, output.piece.id));
    let letters = facts.letters.iter().map(|letter| (letter.generation, letter.piece.id));
    for (generation, id) in outputs.chain(letters) {
        if generation > max {
            report.broken(G6, "generation", format!("{id} names generation {generation}, but {max} is the highest that was accepted"));
        }
    }
    if let Some(store) = facts.store.filter(|store| store.generation > max) {
        report.broken(
            G6,
            "generation",
            format!("the store is of generation {}, but {max} is the highest that was accepted", store.generation),
        );
    }
    let mut payloads: HashMap<&str, (&[u8], String)> = HashMap::new();
    let entries = facts.store.into_iter().flat_map(|store| store.entities.values()).flat_map(|view| &view.outbox);
    let kept = facts.run.outputs.iter().chain(&facts.run.dead).map(|kept| {
        (kept.header("Nats-Msg-Id").unwrap_or_default(), kept.payload.as_slice(), format!("{} of {}", kept.stream_sequence, kept.subject))
    });
    let entries = entries.map(|entry| (entry.message_id.as_str(), entry.payload.as_slice(), format!("{} of an outbox", entry.number)));
    for (id, payload, at) in kept.chain(entries).filter(|(id, ..)| !id.is_empty()) {
        let (known, first) = payloads.entry(id).or_insert_with(|| (payload, at.clone()));
        if *known != payload {
            report.broken(G6, "one-payload-per-id", format!("{id} stands for two payloads: at {first} and at {at}"));
        }
    }
}
