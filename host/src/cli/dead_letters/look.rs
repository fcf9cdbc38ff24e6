//! `dead-letters list`, `show` and `export`. Changes nothing.

use super::{ExportArgs, ListArgs, ShowArgs};
use crate::cli::door::{Failure, Said};
use crate::cli::output::{at, json, line, lines, now, some_place, table};
use crate::control::{Control, DeadLetterPage, DeadLetterQuery, DeadLetterReport, DeadLetterRow, write_line};
use crate::progress::View;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::fs::OpenOptions;
use std::io::{BufWriter, Write};

/// Dead letters asked for at a time.
pub(super) const PAGE: usize = 1_000;
/// Longest line that is printed of a text from outside, characters.
const LINE_MAX: usize = 2_000;

pub(super) async fn list(control: &dyn Control, args: &ListArgs) -> Result<Said, Failure> {
    let limit = usize::try_from(args.limit).unwrap_or(usize::MAX);
    let query = args.choice.query(now());
    let (mut dead_letters, mut next, mut told) = (Vec::new(), Some(args.from), None);
    while let Some(from) = next.filter(|_| dead_letters.len() < limit) {
        let page = control.dead_letters(DeadLetterQuery { from, limit: PAGE.min(limit - dead_letters.len()), ..query.clone() }).await?;
        dead_letters.extend(page.dead_letters);
        next = page.next;
        told = told.or(page.note);
    }
    let more = next.map(|next| format!("there are more: --from {next}"));
    let note = more.or_else(|| told.clone()).unwrap_or_default();
    let page = DeadLetterPage { dead_letters, next, note: told };
    let text = if args.host.json { json(&page)? } else { rows(&page.dead_letters) };
    Ok(Said { text, note, failed: false })
}

/// A table of dead letters.
pub(super) fn rows(dead_letters: &[DeadLetterRow]) -> String {
    if dead_letters.is_empty() {
        return "no dead letters".to_owned();
    }
    let row = |row: &DeadLetterRow| {
        vec![
            row.stream_sequence.to_string(),
            at(row.time),
            row.pipeline.clone(),
            row.entity.clone().unwrap_or_else(|| "-".to_owned()),
            some_place(row.place.as_ref()),
            row.reason.clone(),
            row.handler.clone().unwrap_or_else(|| "-".to_owned()),
            row.attempts.to_string(),
            row.error.clone(),
        ]
    };
    table(&["N", "TIME", "PIPELINE", "ENTITY", "EVENT", "REASON", "HANDLER", "TRIES", "ERROR"], dead_letters.iter().map(row))
}

pub(super) async fn show(control: &dyn Control, args: &ShowArgs) -> Result<Said, Failure> {
    let report = control.dead_letter(args.number).await?;
    Ok(Said::of(if args.host.json { json(&report)? } else { described(&report) }))
}

fn described(report: &DeadLetterReport) -> String {
    let row = &report.row;
    let dash = || "-".to_owned();
    let source = match row.source_last {
        Some(last) => format!("{} {} to {last}", row.source, row.source_sequence),
        None => format!("{} {}", row.source, row.source_sequence),
    };
    let facts = [
        ("number", row.stream_sequence.to_string()),
        ("written", at(row.time)),
        ("pipeline", row.pipeline.clone()),
        ("entity", row.entity.clone().unwrap_or_else(dash)),
        ("event", some_place(row.place.as_ref())),
        ("reason", row.reason.clone()),
        ("handler", row.handler.clone().unwrap_or_else(dash)),
        ("attempts", row.attempts.to_string()),
        ("came from", source),
        ("subject", row.subject.clone().unwrap_or_else(dash)),
    ];
    let mut parts = vec![
        table(&[], facts.into_iter().map(|(name, value)| vec![name.to_owned(), value])),
        format!("error: {}", line(&row.error, LINE_MAX)),
        String::new(),
    ];
    parts.extend(report.headers.iter().map(|(name, value)| format!("{}: {}", line(name, LINE_MAX), line(value, LINE_MAX))));
    parts.push(String::new());
    parts.push(match (&report.payload, &report.payload_missing) {
        (Some(payload), _) => shown(payload),
        (None, Some(why)) => format!("(no payload: {})", line(why, LINE_MAX)),
        (None, None) => "(no payload)".to_owned(),
    });
    parts.join("\n")
}

/// Text as text, anything else as the base64 that it is.
fn shown(payload: &str) -> String {
    let text = STANDARD.decode(payload).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let readable = text.filter(|text| !text.contains(|c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t')));
    readable.map_or_else(|| format!("(base64) {}", lines(payload)), |text| lines(&text))
}

pub(super) async fn export(control: &dyn Control, args: &ExportArgs) -> Result<Said, Failure> {
    let fault = |error: std::io::Error| {
        Failure::Failed(match &args.output {
            Some(path) => format!("cannot write {}: {error}", path.display()),
            None => format!("cannot write to standard output: {error}"),
        })
    };
    let mut out: Box<dyn Write + Send> = match &args.output {
        Some(path) => Box::new(BufWriter::new(OpenOptions::new().write(true).create_new(true).open(path).map_err(fault)?)),
        None => Box::new(BufWriter::new(std::io::stdout())),
    };
    let query = args.choice.query(now());
    let (mut written, mut next) = (0_u64, Some(args.from));
    let mut view = View::new();
    view.begin(None);
    while let Some(from) = next {
        let page = control.dead_letters(DeadLetterQuery { from, limit: PAGE, ..query.clone() }).await?;
        for row in page.dead_letters {
            let number = row.stream_sequence;
            let report = control.dead_letter(number).await.map_err(|error| {
                Failure::Failed(format!("dead letter {number}: {error}\n{written} were written before; go on with --from {number}"))
            })?;
            write_line(&report, &mut *out).map_err(fault)?;
            written += 1;
            view.show(written, &format!("{written} dead letters"));
        }
        next = page.next;
    }
    out.flush().map_err(fault)?;
    view.end();
    Ok(Said { note: format!("{written} dead letters written"), ..Said::default() })
}
