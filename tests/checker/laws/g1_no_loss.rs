//! G1: every message ends exactly once, in a way that its neighbours justify.

use super::ends::End;
use super::facts::{Entity, Facts};
use super::piece::{Letter, Piece};
use super::report::Guarantee::G1;
use super::show::text;
use super::{Failing, Handled, Hole, MeantAs, Report};
use crate::checker::store::Spot;
use std::collections::{BTreeMap, HashMap};

pub(super) fn check(facts: &Facts<'_>, ends: &[End], report: &mut Report) {
    for problem in &facts.strange_letters {
        report.broken(G1, "dead-letter-form", problem.clone());
    }
    once(facts, report);
    one_end(facts, ends, report);
    let early: BTreeMap<&str, HashMap<usize, bool>> =
        facts.entities.values().map(|entity| (entity.name, behind_a_gap(facts, entity))).collect();
    for letter in &facts.letters {
        form(facts, letter, report);
        if letter.reason == "lost" {
            lost(facts, letter, report);
            continue;
        }
        let Some(about) = letter.about else {
            let (number, reason) = (letter.number, letter.reason);
            report.broken(
                G1,
                "dead-letter-names-a-message",
                format!("dead letter {} ({reason}): nobody published message {number}", letter.piece.at),
            );
            continue;
        };
        as_it_came(facts, letter, about, report);
        let entity = facts.entities.get(facts.messages[about].meant.entity.as_str());
        let behind = || entity.and_then(|entity| early.get(entity.name)?.get(&about)).copied().unwrap_or(false);
        if let Err(problem) = justified(facts, entity, letter, about, behind) {
            let message = &facts.messages[about];
            let history = entity.map(|entity| facts.history(entity, message.place())).unwrap_or_default();
            report.broken(
                G1,
                "reason-justified",
                format!("{}: dead-lettered as {:?}, but {problem}{history}", facts.name(message), letter.reason),
            );
        }
    }
}

/// No message has two dead letters.
fn once(facts: &Facts<'_>, report: &mut Report) {
    let mut seen = HashMap::new();
    for letter in &facts.letters {
        if let Some(earlier) = seen.insert(letter.piece.id, letter)
            && !(letter.reason == "late" && letter.about.is_some_and(|about| below_the_floor(facts, about)))
        {
            let (id, first, second) = (letter.piece.id, earlier.piece.at, letter.piece.at);
            report.broken(
                G1,
                "dead-letter-once",
                format!("dead letter {id} is there twice: {first} ({}) and {second} ({})", earlier.reason, letter.reason),
            );
        }
    }
}

/// No message ended in two ways, and none at or below the watermark in no way.
fn one_end(facts: &Facts<'_>, ends: &[End], report: &mut Report) {
    for (message, end) in facts.messages.iter().zip(ends) {
        let entity = facts.entities.get(message.meant.entity.as_str());
        let story = || {
            let history = entity.map(|entity| facts.history(entity, message.place())).unwrap_or_default();
            format!("{}: {}{history}", facts.name(message), facts.end(message))
        };
        // What the floor no longer tells may be called late after it was decided, and only that.
        let below = entity.is_some_and(|entity| below_floor(entity, message.place()));
        let floor = |letter: &usize| facts.letters[*letter].reason == "late" && below;
        // What the position does not tell is decided anew when an accepted stream is read again from its beginning.
        let again = |letter: &usize| {
            let dead = &facts.letters[*letter];
            let later = |other: &&usize| facts.letters[**other].beside_the_place() && facts.letters[**other].generation > dead.generation;
            let applied = message.applied.is_some_and(|at| facts.outputs[at].generation > dead.generation);
            dead.beside_the_place() && (applied || message.letters.iter().any(|other| later(&other)))
        };
        let ways =
            usize::from(message.applied.is_some()) + message.letters.iter().filter(|letter| !floor(letter) && !again(letter)).count();
        if ways > 1 {
            report.broken(G1, "one-end", format!("ended {ways} times: {}", story()));
        }
        if *end == End::Forgotten {
            report.broken(G1, "nothing-forgotten", format!("has no end: {}", story()));
        }
    }
}

fn below_floor(entity: &Entity<'_>, place: Spot) -> bool {
    entity.view.is_none_or(|view| place <= view.floor)
}

/// What the floor no longer tells may be called late after it was decided: its dead letter has the id of the one before it.
fn below_the_floor(facts: &Facts<'_>, about: usize) -> bool {
    let message = &facts.messages[about];
    facts.entities.get(message.meant.entity.as_str()).is_some_and(|entity| below_floor(entity, message.place()))
}

/// Subject and headers that name the message.
fn form(facts: &Facts<'_>, letter: &Letter<'_>, report: &mut Report) {
    let Letter { piece, reason, .. } = letter;
    let mut wrong = |problem: String| report.broken(G1, "dead-letter-form", format!("dead letter {} ({reason}): {problem}", piece.at));
    let subject = format!("seriatim.dead.{}.{reason}", facts.run.rules.pipeline);
    if piece.subject != subject {
        wrong(format!("on {}, not on {subject}", piece.subject));
    }
    if piece.header("Seriatim-Dead-Pipeline") != Some(&facts.run.rules.pipeline) {
        wrong(format!("Seriatim-Dead-Pipeline is {:?}", piece.header("Seriatim-Dead-Pipeline")));
    }
    if piece.header("Seriatim-Dead-Stream").is_none_or(str::is_empty) {
        wrong("no Seriatim-Dead-Stream".to_owned());
    }
    let Some(meant) = letter.about.map(|about| facts.messages[about].meant).filter(|meant| meant.kind == MeantAs::Event) else {
        return;
    };
    let (epoch, sequence) = (meant.epoch.to_string(), meant.sequence.to_string());
    for (name, value) in [("Entity", &meant.entity), ("Epoch", &epoch), ("Sequence", &sequence), ("Subject", &meant.subject)] {
        let header = format!("Seriatim-Dead-{name}");
        let found = piece.header(&header);
        if found != Some(value) {
            wrong(format!("{header} is {found:?}, not {value:?}"));
        }
    }
}

/// Payload and headers of the message, `Nats-*` renamed.
fn as_it_came(facts: &Facts<'_>, letter: &Letter<'_>, about: usize, report: &mut Report) {
    let (piece, meant) = (&letter.piece, facts.messages[about].meant);
    let mut wrong = |problem: String| {
        let number = letter.number;
        report.broken(G1, "dead-letter-as-it-came", format!("dead letter {} of message {number}: {problem}", piece.at));
    };
    if let Some((name, _)) = piece.headers.iter().find(|(name, _)| name.starts_with("Nats-") && name != "Nats-Msg-Id") {
        wrong(format!("carries {name}, which the broker would act upon"));
    }
    if piece.header("Seriatim-Dead-Truncated") == Some("true") {
        return;
    }
    if piece.payload != meant.payload {
        wrong(format!("payload {:?}, published was {:?}", text(piece.payload), text(&meant.payload)));
    }
    for (name, value) in &meant.headers {
        if !piece.carries(name, value) {
            let now = Piece::renamed(name);
            wrong(format!("header {now} is {:?}, published was {value:?}", piece.header(&now)));
        }
    }
}

/// What is named as lost is gone from the stream, and only where something took messages.
fn lost(facts: &Facts<'_>, letter: &Letter<'_>, report: &mut Report) {
    let (rules, source) = (&facts.run.rules, &facts.run.source);
    let named = format!("dead letter {}: {} to {} are named as lost", letter.piece.at, letter.number, letter.last);
    if !rules.lost {
        report.broken(G1, "lost-is-gone", format!("{named}, but nothing took unread messages"));
    } else if rules.generations == 0 && letter.last >= source.first_sequence {
        report.broken(G1, "lost-is-gone", format!("{named}, but the stream holds {} to {}", source.first_sequence, source.last_sequence));
    }
}

/// Whether what else was published explains the reason.
fn justified(
    facts: &Facts<'_>,
    entity: Option<&Entity<'_>>,
    letter: &Letter<'_>,
    about: usize,
    behind: impl FnOnce() -> bool,
) -> Result<(), String> {
    let message = &facts.messages[about];
    let (meant, place, rules) = (message.meant, message.place(), &facts.run.rules);
    if meant.kind == MeantAs::Malformed {
        return if letter.reason == "malformed" { Ok(()) } else { Err("it cannot be decoded".to_owned()) };
    }
    let Some(entity) = entity else { return Ok(()) };
    let group = facts.at_place(entity, place);
    let refuse = |fits: bool, problem: &str| if fits { Ok(()) } else { Err(problem.to_owned()) };
    let dies = |reason: &str| match meant.handled {
        Handled::AlwaysFails(always) => always == reason,
        Handled::FailsThenAccepts(fails) => fails >= rules.attempts && reason == "retries-exhausted",
        Handled::Accepts | Handled::Rejects => false,
    };
    match letter.reason {
        "malformed" => refuse(facts.is_far(place), "it can be decoded and lies within jump-max"),
        "conflict" => {
            let other = group.iter().any(|other| facts.messages[*other].meant.payload != meant.payload);
            refuse(other, "no other payload was published for its place")
        }
        // It ended, and then the floor no longer told so.
        "late" if below_floor(entity, place) && (message.applied.is_some() || message.letters.len() > 1) => Ok(()),
        // A redrive took its place out of what was given up.
        "late" if group.iter().any(|other| !facts.messages[*other].redriven.is_empty()) => Ok(()),
        "late" => {
            refuse(facts.may_be_late(entity, place), "its place had not been given up")?;
            let others = group.iter().any(|other| *other != about && facts.took_its_place(entity, *other));
            // At or below the floor what was decided and is read again is late, by design.
            let outside = below_floor(entity, place)
                || place.1 < rules.first.unwrap_or(1)
                || entity.view.and_then(|view| view.position).is_some_and(|at| place.0 < at.0);
            refuse(!rules.in_time || others || outside || entity.skipped(None), "everything came in time")
        }
        "gap" => {
            refuse(rules.hole == Hole::DeadLetter, "no gap may end like that")?;
            // Numbers that were given again say nothing of who came first.
            refuse(behind() || rules.generations > 0, "everything below it had come before it")
        }
        "skipped" => refuse(entity.skipped(Some(place)), "no operator skipped it"),
        "rejected" => refuse(meant.handled == Handled::Rejects, "the handler does not reject it"),
        reason @ ("retries-exhausted" | "trap" | "timeout" | "memory" | "output-refused" | "too-large") => {
            refuse(rules.failing == Failing::DeadLetter, "what fails parks")?;
            refuse(dies(reason), "the handler does not fail like that")?;
            let (found, wanted) = (letter.attempts, rules.attempts);
            refuse(found == u64::from(wanted), &format!("after {found} attempts, not {wanted}"))
        }
        _ => Err("there is no such reason here".to_owned()),
    }
}

/// For each event whether one below it was missing when it came: it never came, came later, or ended beside its place.
fn behind_a_gap(facts: &Facts<'_>, entity: &Entity<'_>) -> HashMap<usize, bool> {
    let mut behind = HashMap::new();
    // The highest stream sequence among the first messages of all places so far.
    let (mut latest, mut last) = (0, None::<(u64, u64)>);
    for (place, group) in facts.places(entity) {
        let begins = facts.run.rules.first.unwrap_or(place.1);
        let follows = match last.filter(|last| last.0 == place.0) {
            Some(last) => place.1 <= last.1 + 1,
            None => place.1 <= begins,
        };
        if !follows {
            latest = u64::MAX;
        }
        behind.extend(group.iter().map(|at| (*at, latest > facts.messages[*at].number())));
        let brought = group.iter().filter(|at| {
            let letters = &facts.messages[**at].letters;
            let there = !facts.is_lost(Some(entity), **at) && !facts.messages[**at].gone;
            there && letters.iter().all(|letter| !facts.letters[*letter].beside_the_place())
        });
        latest = latest.max(brought.map(|at| facts.messages[*at].number()).min().unwrap_or(u64::MAX));
        last = Some(place);
    }
    behind
}
