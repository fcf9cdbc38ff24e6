//! `dead-letters redrive` and `purge`.

use super::look::{PAGE, rows};
use super::{PurgeArgs, RedriveArgs};
use crate::cli::door::{Failure, Said};
use crate::cli::output::{json, now};
use crate::control::{Control, DeadLetterQuery, DeadLetterRow, PurgeDone, Redrive};
use crate::progress::View;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

/// What became of one dead letter, as `--json` prints it.
#[derive(Serialize)]
struct Redriven {
    stream_sequence: u64,
    changed: bool,
    late: bool,
    error: Option<String>,
}

pub(super) async fn redrive(control: &dyn Control, args: &RedriveArgs) -> Result<Said, Failure> {
    if args.numbers.is_empty() && args.all != args.choice.is_empty() {
        let text = if args.all { "--all goes with no other choice" } else { "say which" };
        return Err(Failure::Usage(format!(
            "dead-letters redrive: {text}: numbers, --pipeline, --reason, --entity, --handler, --older-than, --newer-than, or --all"
        )));
    }
    if args.edit.is_some() && args.numbers.len() != 1 {
        return Err(Failure::Usage("--edit: a payload belongs to one dead letter: give one number".to_owned()));
    }
    let payload = match &args.edit {
        Some(path) => {
            let bytes =
                std::fs::read(path).map_err(|error| Failure::Failed(format!("--edit {}: cannot be read: {error}", path.display())))?;
            Some(STANDARD.encode(bytes))
        }
        None => None,
    };
    let redrive = Redrive { out_of_order: args.out_of_order, payload };
    if args.dry_run {
        return would(control, args).await;
    }
    let mut done = Vec::new();
    let mut view = View::new();
    view.begin((!args.numbers.is_empty()).then_some(args.numbers.len() as u64));
    if args.numbers.is_empty() {
        let query = args.choice.query(now());
        // What is written while this goes on, such as an event that fails once more, is not for this run.
        let until = Some(query.until.unwrap_or_else(now));
        let mut next = Some(0);
        while let Some(from) = next {
            let page = control.dead_letters(DeadLetterQuery { from, limit: PAGE, until, ..query.clone() }).await?;
            for row in &page.dead_letters {
                done.push(one(control, row.stream_sequence, &redrive).await);
                view.show(done.len() as u64, &format!("{} dead letters", done.len()));
            }
            next = page.next;
        }
    } else {
        for number in &args.numbers {
            done.push(one(control, *number, &redrive).await);
            view.show(done.len() as u64, &format!("{} dead letters", done.len()));
        }
    }
    view.end();
    let failed = done.iter().any(|one| one.error.is_some());
    let text = if args.host.json { json(&done)? } else { told(&done) };
    Ok(Said { text, note: String::new(), failed })
}

async fn one(control: &dyn Control, number: u64, redrive: &Redrive) -> Redriven {
    match control.redrive(number, redrive.clone()).await {
        Ok(done) => Redriven { stream_sequence: number, changed: done.changed, late: done.late, error: None },
        Err(fault) => Redriven { stream_sequence: number, changed: false, late: false, error: Some(fault.to_string()) },
    }
}

fn told(done: &[Redriven]) -> String {
    let mut text = String::new();
    for one in done {
        let outcome = match (&one.error, one.changed, one.late) {
            (Some(error), ..) => format!("refused: {error}"),
            (None, true, false) => "redriven".to_owned(),
            (None, true, true) => "redriven, out of order".to_owned(),
            (None, false, _) => "had been redriven before".to_owned(),
        };
        text.push_str(&format!("{}: {}\n", one.stream_sequence, crate::cli::output::line(&outcome, 2_000)));
    }
    let redriven = done.iter().filter(|one| one.changed).count();
    text + &format!("{redriven} of {} redriven", done.len())
}

async fn would(control: &dyn Control, args: &RedriveArgs) -> Result<Said, Failure> {
    let mut found: Vec<DeadLetterRow> = Vec::new();
    let mut note = String::new();
    if args.numbers.is_empty() {
        let page = control.dead_letters(DeadLetterQuery { limit: PAGE, ..args.choice.query(now()) }).await?;
        found.extend(page.dead_letters);
        if page.next.is_some() {
            note = format!("and more: these are the first {PAGE}");
        }
    } else {
        for number in &args.numbers {
            found.push(control.dead_letter(*number).await?.row);
        }
    }
    let text = if args.host.json { json(&found)? } else { rows(&found) };
    Ok(Said { text, note, failed: false })
}

pub(super) async fn purge(control: &dyn Control, args: &PurgeArgs) -> Result<Said, Failure> {
    if args.all != args.choice.is_empty() {
        return Err(Failure::Usage(
            "dead-letters purge: say which: --pipeline, --reason, --entity, --handler, --older-than, --newer-than, or --all".to_owned(),
        ));
    }
    let mut done = PurgeDone { matched: 0, deleted: 0, next: Some(0) };
    let mut view = View::new();
    view.begin(None);
    // The host deletes a bounded number at a time.
    while let Some(from) = done.next {
        let part = control.purge(DeadLetterQuery { from, ..args.choice.query(now()) }, args.dry_run).await?;
        done = PurgeDone { matched: done.matched + part.matched, deleted: done.deleted + part.deleted, next: part.next };
        view.show(done.matched, &format!("{} matched, {} deleted", done.matched, done.deleted));
    }
    view.end();
    if args.host.json {
        return Ok(Said::of(json(&done)?));
    }
    let end = if args.dry_run { "nothing was deleted".to_owned() } else { format!("{} deleted", done.deleted) };
    Ok(Said::of(format!("{} matched, {end}", done.matched)))
}
