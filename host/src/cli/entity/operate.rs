//! `entity park`, `resume`, `skip` and `forget`: for one entity, for those of a file, for all that match.

use super::{ForgetArgs, GoArgs, ParkArgs, TargetArgs, entity, name};
use crate::cli::door::{Failure, HostArgs, PipelineArg, Said};
use crate::cli::output::{json, line, place, table};
use crate::control::{BulkDone, BulkEntry, BulkFilter, Control, Done, EntityName, EntityReport, EntityState, Place, Word};
use crate::progress::View;
use std::io::{BufRead, BufReader, Read as _};
use std::path::Path;

/// Entities named in one request: an answer names as many.
const NAMED: usize = 1_000;
/// Longest list of a file, entities.
const LIST_MAX: usize = 1_000_000;
/// Longest list of a file, bytes.
const LIST_BYTES_MAX: u64 = 256 << 20;
/// Longest text that is printed of an answer, characters.
const LINE_MAX: usize = 2_000;

/// Ways to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// Try again.
    Resume,
    /// Give up.
    Skip,
}

impl Way {
    const fn verb(self) -> &'static str {
        match self {
            Self::Resume => "resume",
            Self::Skip => "skip",
        }
    }

    const fn word(self, place: Option<Place>) -> Word {
        match self {
            Self::Resume => Word::Resume { place },
            Self::Skip => Word::Skip { place },
        }
    }
}

pub(super) async fn park(control: &dyn Control, args: &ParkArgs) -> Result<Said, Failure> {
    let Some(entity) = &args.target.entity else {
        return many(control, "park", Word::Park, &args.target, &args.pipeline, &args.host).await;
    };
    let name = name(control, &args.pipeline, entity).await?;
    if args.target.dry_run {
        let report = control.entity(name).await?;
        return would(&report, "park it", &args.host);
    }
    let done = control.operate(name.clone(), Word::Park).await?;
    one(&name, done, "parked", "was parked already", &args.host)
}

pub(super) async fn go(control: &dyn Control, way: Way, args: &GoArgs) -> Result<Said, Failure> {
    let Some(entity) = &args.target.entity else {
        return many(control, way.verb(), way.word(None), &args.target, &args.pipeline, &args.host).await;
    };
    let name = name(control, &args.pipeline, entity).await?;
    let named = args.sequence.map(|sequence| Place { epoch: args.epoch, sequence });
    if args.target.dry_run {
        let report = control.entity(name).await?;
        if let (Some(named), Some(head)) = (named, report.head)
            && named != head
        {
            return Err(Failure::Failed(format!("{entity} is at {}, not at {}: it would be refused", place(&head), place(&named))));
        }
        let what = report.head.map_or("do nothing: it is at nothing".to_owned(), |head| format!("{} it at {}", way.verb(), place(&head)));
        return would(&report, &what, &args.host);
    }
    let head = match named {
        Some(place) => place,
        None => {
            let report = control.entity(name.clone()).await?;
            match (report.head, report.state) {
                (Some(head), _) => head,
                (None, EntityState::Live) => {
                    return one(&name, Done { changed: false }, "", "waits for nothing", &args.host);
                }
                (None, _) => {
                    return Err(Failure::Failed(format!(
                        "{}: {}; the host does not know which event it is at: name it with --sequence N (entity history shows its events)",
                        line(entity, LINE_MAX),
                        line(&report.sentence, LINE_MAX)
                    )));
                }
            }
        }
    };
    let done = control.operate(name.clone(), way.word(Some(head))).await?;
    let (did, was) = match way {
        Way::Resume => ("resumed at", "had gone on already past"),
        Way::Skip => ("skipped", "had gone on already past"),
    };
    one(&name, done, &format!("{did} {}", place(&head)), &format!("{was} {}", place(&head)), &args.host)
}

pub(super) async fn forget(control: &dyn Control, args: &ForgetArgs) -> Result<Said, Failure> {
    let name = name(control, &args.pipeline, &args.entity).await?;
    if args.dry_run {
        let report = control.entity(name).await?;
        return would(&report, "erase its state and ids", &args.host);
    }
    let done = control.forget(name.clone()).await?;
    one(&name, done, "forgotten", "was forgotten already", &args.host)
}

fn one(name: &EntityName, done: Done, changed: &str, unchanged: &str, host: &HostArgs) -> Result<Said, Failure> {
    if host.json {
        return Ok(Said::of(json(&done)?));
    }
    Ok(Said::of(format!("{}: {}", line(&name.entity, LINE_MAX), if done.changed { changed } else { unchanged })))
}

fn would(report: &EntityReport, what: &str, host: &HostArgs) -> Result<Said, Failure> {
    if host.json {
        return Ok(Said::of(json(report)?));
    }
    Ok(Said::of(format!("{}\nwould {what}", line(&report.sentence, LINE_MAX))))
}

async fn many(
    control: &dyn Control,
    verb: &str,
    word: Word,
    target: &TargetArgs,
    pipeline: &PipelineArg,
    host: &HostArgs,
) -> Result<Said, Failure> {
    let common = !target.state.is_empty() || target.reason.is_some() || target.handler.is_some() || target.older_than.is_some();
    let said = target.from.is_some() || common;
    if said == target.all {
        let text = if said { "--all goes with no other choice" } else { "say which" };
        return Err(Failure::Usage(format!(
            "entity {verb}: {text}: an ENTITY, --from FILE, --state, --reason, --handler, --older-than, or --all"
        )));
    }
    let names = target.from.as_deref().map(listed).transpose()?;
    let pipeline = pipeline.name(control).await?;
    let filter = |entities: &[String]| BulkFilter {
        entities: entities.to_vec(),
        states: target.state.iter().map(|word| (*word).into()).collect(),
        reason: target.reason.clone(),
        handler: target.handler.clone(),
        older_than_seconds: target.older_than.map(|age| age.as_secs()),
    };
    let mut done = BulkDone { matched: 0, changed: 0, entities: Vec::new() };
    match names {
        None => done = control.operate_many(pipeline, word, filter(&[]), target.dry_run).await?,
        Some(names) => {
            let mut view = View::new();
            view.begin(Some(names.len() as u64));
            for (number, part) in names.chunks(NAMED).enumerate() {
                view.show((number * NAMED) as u64, &format!("{} of {} entities", number * NAMED, names.len()));
                let met = control.operate_many(pipeline.clone(), word, filter(part), target.dry_run).await;
                let met = met.map_err(|fault| {
                    Failure::Failed(format!(
                        "{fault}\n{} matched and {} were changed before; repeating is harmless",
                        done.matched, done.changed
                    ))
                })?;
                done.matched += met.matched;
                done.changed += met.changed;
                done.entities.extend(met.entities);
            }
            view.end();
        }
    }
    let refused = done.entities.iter().any(|entry| entry.error.is_some());
    let text = if host.json { json(&done)? } else { told(verb, &done, target.dry_run) };
    Ok(Said { text, note: String::new(), failed: refused && !target.dry_run })
}

fn told(verb: &str, done: &BulkDone, dry_run: bool) -> String {
    let row = |entry: &BulkEntry| vec![entry.entity.clone(), entry.error.clone().unwrap_or_else(|| "-".to_owned())];
    let mut text =
        if done.entities.is_empty() { String::new() } else { table(&["ENTITY", "IN THE WAY"], done.entities.iter().map(row)) + "\n" };
    let shown = done.entities.len() as u64;
    if shown < done.matched {
        text.push_str(&format!("… and {} more\n", done.matched - shown));
    }
    let end = if dry_run { "nothing was done".to_owned() } else { format!("{} changed", done.changed) };
    text.push_str(&format!("{verb}: {} matched, {end}", done.matched));
    text
}

/// The entities of a file, one a line.
fn listed(path: &Path) -> Result<Vec<String>, Failure> {
    let shown = path.display();
    let fault = |reason: String| Failure::Failed(format!("--from {shown}: {reason}"));
    let reader: Box<dyn BufRead> = if path == Path::new("-") {
        Box::new(std::io::stdin().lock())
    } else {
        Box::new(BufReader::new(std::fs::File::open(path).map_err(|error| fault(format!("cannot be opened: {error}")))?))
    };
    let mut names = Vec::new();
    let mut bytes = 0;
    for (index, text) in reader.take(LIST_BYTES_MAX).lines().enumerate() {
        let text = text.map_err(|error| fault(format!("line {}: cannot be read: {error}", index + 1)))?;
        bytes += text.len() as u64 + 1;
        // An entity may end with a blank, but a line's end is not part of it.
        let text = text.strip_suffix('\r').unwrap_or(&text);
        if text.is_empty() {
            continue;
        }
        names.push(entity(text).map_err(|reason| fault(format!("line {}: {reason}", index + 1)))?);
        if names.len() > LIST_MAX || bytes >= LIST_BYTES_MAX {
            return Err(fault(format!("more than {LIST_MAX} entities or {LIST_BYTES_MAX} bytes; split it")));
        }
    }
    // An empty list must never come to mean everybody.
    if names.is_empty() {
        return Err(fault("names no entity".to_owned()));
    }
    Ok(names)
}
