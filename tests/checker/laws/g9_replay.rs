//! G9: outputs are a function of the events, byte for byte.

use super::Report;
use super::facts::Facts;
use super::piece::Output;
use super::report::Guarantee::G9;
use super::show::text;
use crate::checker::token;

pub(super) fn check(facts: &Facts<'_>, report: &mut Report) {
    for problem in &facts.strange_outputs {
        report.broken(G9, "output-form", problem.clone());
    }
    for output in &facts.outputs {
        form(facts, output, report);
        let Some(entity) = facts.entities.get(output.entity) else { continue };
        if output.cause.is_some() {
            continue;
        }
        let named = format!("output {} of {:?} {:?}", output.piece.at, output.entity, output.place);
        let history = facts.history(entity, output.place);
        match facts.at_place(entity, output.place) {
            [] => report.broken(G9, "output-of-an-event", format!("{named}: nobody published that event{history}")),
            [first, ..] => {
                let (found, meant) = (text(output.piece.payload), text(&facts.messages[*first].meant.payload));
                report.broken(G9, "output-payload", format!("{named}: payload {found:?}, published was {meant:?}{history}"));
            }
        }
    }
}

/// Subject and headers (design §5.3); the id was read before.
fn form(facts: &Facts<'_>, output: &Output<'_>, report: &mut Report) {
    let (piece, entity, rules) = (&output.piece, output.entity, &facts.run.rules);
    let mut wrong = |problem: String| {
        let ((epoch, sequence), at) = (output.place, piece.at);
        report.broken(G9, "output-form", format!("output {at} of {entity:?} {epoch}:{sequence}: {problem}"));
    };
    let subject = format!("{}.{}", rules.output_prefix, token(entity));
    if piece.subject != subject {
        wrong(format!("on {}, not on {subject}", piece.subject));
    }
    let sequence = output.place.1.to_string();
    for (name, value) in
        [("Echo-Sequence", sequence.as_str()), ("Seriatim-Pipeline", &rules.pipeline), ("Seriatim-Handler", &rules.handler)]
    {
        if piece.header(name) != Some(value) {
            wrong(format!("{name} is {:?}, not {value:?}", piece.header(name)));
        }
    }
    let component = piece.header("Seriatim-Component").unwrap_or_default();
    if component.len() != 64 || !component.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        wrong(format!("Seriatim-Component is {component:?}, not a SHA-256"));
    }
    let edited = piece.header("Seriatim-Redriven-Edited");
    if edited.is_some_and(|edited| edited != "true" || output.redriven.is_none()) {
        wrong(format!("Seriatim-Redriven-Edited is {edited:?}"));
    }
    let Some(meant) = output.cause.map(|cause| facts.messages[cause].meant) else { return };
    let id = piece.header("Seriatim-Causation-Id");
    let right = match meant.id.as_str() {
        // Without an id the message is named by its stream and its number there; of copies any may be the one.
        "" => id.and_then(|id| id.rsplit_once(':')?.1.parse().ok()).is_some_and(|number: u64| {
            let copies = facts.entities.get(entity).map_or(&[][..], |entity| facts.at_place(entity, output.place));
            copies.iter().any(|copy| facts.messages[*copy].number() == number)
        }),
        meant => id == Some(meant),
    };
    if !right {
        wrong(format!("Seriatim-Causation-Id is {id:?}, the event's id {:?}", meant.id));
    }
}
