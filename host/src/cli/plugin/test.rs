//! `seriatim plugin test`.

use super::settings::{HandlerArgs, IsolationWord};
use crate::cli::door::{Failure, Said};
use crate::cli::output::line;
use crate::event::Event;
use crate::handler_test::attack::{Attacked, attack};
use crate::handler_test::events::{self, EventsError};
use crate::handler_test::report::{self, Difference, Done, EntityResult, Results, Texts, differences};
use crate::handler_test::trial::{Script, Settings, Tally, Trial, run as try_out};
use crate::handler_test::{Error, Loader};
use crate::progress::View;
use crate::runtime::Limits;
use clap::ValueEnum;
use seriatim_sequencer::GapThen;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The pipeline that events are said to come through.
pub(super) const PIPELINE: &str = "test";

/// Differences that are printed.
const DIFFERENCES_MAX: usize = 20;

/// Longest text of a line, characters.
const LINE_MAX: usize = 2_000;

/// Arguments of `plugin test`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = NOTES)]
pub(in crate::cli) struct Args {
    /// The handler: a component, or a core module made for our world.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The events, one JSON object a line; - is standard input.
    #[arg(value_name = "EVENTS")]
    events: PathBuf,
    /// Compare with what an earlier run wrote; a difference is exit code 1.
    #[arg(long, value_name = "FILE")]
    expect: Option<PathBuf>,
    /// Write what came of it to this file, for --expect.
    #[arg(long, value_name = "FILE", conflicts_with = "expect")]
    write_expect: Option<PathBuf>,
    /// The file that FILE takes the place of: it handles the first half of each entity's events, then FILE handles the others, with the state migrated as in a
    /// host. With --attack the place of the change moves, too.
    #[arg(long, value_name = "OLD")]
    upgrade_from: Option<PathBuf>,
    /// Run the events again in ways that must make no difference (other instances, other orders of entities, copies, repeated calls, restarts); a
    /// difference is exit code 1.
    #[arg(long)]
    attack: bool,
    /// Which of the many orders, copies and places --attack takes: the same seed takes the same.
    #[arg(long, value_name = "N", default_value_t = 1, requires = "attack")]
    seed: u64,
    #[command(flatten)]
    handler: HandlerArgs,
    /// Which events share an instance.
    #[arg(long, value_name = "WORD", default_value = "run")]
    isolation: IsolationWord,
    /// Attempts at an event that fails, after the first one.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(0..=100))]
    retry: u32,
    /// What happens at the end where a sequence has not come.
    #[arg(long, value_name = "WORD", default_value = "park")]
    gap: GapWord,
    /// Where each entity begins; without it, at its lowest sequence in the file.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    first_sequence: Option<u64>,
    /// Keep the compiled handler in this folder, which must be the user's own, for the next run: some languages' take seconds to compile.
    #[arg(long, value_name = "FOLDER")]
    cache: Option<PathBuf>,
    /// Print NDJSON: what --write-expect writes, a line with the counts, and one for each attack.
    #[arg(long)]
    json: bool,
}

const NOTES: &str = "\
Events: one JSON object a line. `entity` is needed. `sequence` (otherwise one more than the entity's line before), `epoch`, `id`, `kind`, `time` (RFC 3339, \
or milliseconds since 1970; otherwise 2000-01-01 and a second more for each line), `subject` (otherwise events.ENTITY), `stream_sequence`, `headers` (an \
object, or a list of [name, value]) and `payload` may be there. A payload that is a text is that text; any other JSON is the payload as it is written; \
`payload_base64` gives other bytes. What is not said is taken from the headers Seriatim-Id, Seriatim-Type and Seriatim-Time, as a host does by default. \
Lines of `seriatim dead-letters export` are events, too.

Upgrade: with --upgrade-from an entity's state is migrated with the first event that FILE handles, in the same commit. A migration that fails leaves the \
state as it was, and the entity waits (migration). Of an entity with one event FILE handles it.

Order: the host's own sequencer brings each entity's events into the order of their sequence, drops copies and holds early ones. A handler's failure is \
tried again, --retry times and without delay, then the event is a dead letter. A call that returned `reject` is not tried again. Nothing is published.

Results are sorted by entity, one JSON object a line: `applied` for an event with its outputs, `dead-letter` for one that was given up, and last of each \
entity `entity` with its state, where it stands and what it waits for.

Exit codes: 0 it ran, and nothing differs; 1 a difference, or it could not run; 2 usage. A dead letter is no error: --expect says what should come.";

/// `order.gap.then`, as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum GapWord {
    /// The entity waits, and its later events with it.
    Park,
    /// What is missing is given up.
    Skip,
    /// What came early is given up.
    DeadLetter,
}

impl From<GapWord> for GapThen {
    fn from(word: GapWord) -> Self {
        match word {
            GapWord::Park => Self::Park,
            GapWord::Skip => Self::Skip,
            GapWord::DeadLetter => Self::DeadLetter,
        }
    }
}

pub(super) async fn run(args: &Args) -> Result<Said, Failure> {
    let bytes = super::component(&args.file)?;
    let expected = args.expect.as_deref().map(|path| opened(path, report::read)).transpose()?;
    let events = events_of(args)?;
    let isolation = args.isolation.into();
    let cannot = |error: Error| Failure::Failed(format!("{}: {error}", args.file.display()));
    let of = |path: &Path, bytes| Loader::new(bytes, args.handler.config(path, isolation, Limits::default()), args.cache.clone());
    let loader = of(&args.file, bytes).map_err(cannot)?;
    let loader = match &args.upgrade_from {
        None => loader,
        Some(path) => {
            let refused = |error: Error| Failure::Failed(format!("{}: {error}", path.display()));
            let older = of(path, super::component(path)?).map_err(refused)?;
            // Here, so that what is wrong with it is told of its own file.
            older.load(isolation).await.map_err(refused)?;
            loader.upgrading(older)
        }
    };
    let retries = usize::try_from(args.retry).unwrap_or(usize::MAX);
    let settings = Settings { retries, gap_then: args.gap.into(), first: args.first_sequence };
    let trial = try_out(&loader, &settings, Script::plain(events.clone(), isolation)).await.map_err(cannot)?;
    if let Some(path) = &args.write_expect {
        keep(path, &trial.results)?;
    }
    let differ = expected.map(|expected| differences(&expected, &trial.results, Texts::Compared));
    let attacked = if args.attack { attacked(&loader, &settings, &events, &trial, args.seed).await.map_err(cannot)? } else { Vec::new() };
    let failed = differ.as_ref().is_some_and(|differ| !differ.is_empty()) || attacked.iter().any(|one| one.difference.is_some());
    let text = if args.json {
        in_json(&trial, differ.as_deref().unwrap_or_default(), &attacked)?
    } else {
        in_words(&trial, differ.as_deref(), &attacked)
    };
    Ok(Said { text, failed, ..Said::default() })
}

fn events_of(args: &Args) -> Result<Vec<Arc<Event>>, Failure> {
    if args.events.as_os_str() == "-" {
        return events::read(std::io::stdin().lock(), "standard input", PIPELINE).map_err(|error| Failure::Failed(error.to_string()));
    }
    opened(&args.events, |input, file| events::read(input, file, PIPELINE))
}

/// Reads a file that `read` understands.
fn opened<T>(path: &Path, read: impl FnOnce(File, &str) -> Result<T, EventsError>) -> Result<T, Failure> {
    let file = path.display().to_string();
    let input = File::open(path).map_err(|error| Failure::Failed(format!("{file}: cannot be opened: {error}")))?;
    read(input, &file).map_err(|error| Failure::Failed(error.to_string()))
}

fn keep(path: &Path, results: &Results) -> Result<(), Failure> {
    let mut text = Vec::new();
    let written = report::write(results, &mut text).and_then(|()| std::fs::write(path, text));
    written.map_err(|error| Failure::Failed(format!("{}: cannot be written: {error}", path.display())))
}

async fn attacked(loader: &Loader, settings: &Settings, events: &[Arc<Event>], plain: &Trial, seed: u64) -> Result<Vec<Attacked>, Error> {
    let mut view = View::new();
    let mut begun = false;
    let all = attack(loader, settings, events, plain, seed, |number, of, variation| {
        if !std::mem::replace(&mut begun, true) {
            view.begin(u64::try_from(of).ok());
        }
        view.show(u64::try_from(number).unwrap_or_default(), &format!("attack: {}", variation.name()));
    });
    all.await
}

fn in_json(trial: &Trial, differ: &[Difference], attacked: &[Attacked]) -> Result<String, Failure> {
    let unwritten = |error: std::io::Error| Failure::Failed(format!("the answer cannot be written as JSON: {error}"));
    let mut text = Vec::new();
    report::write(&trial.results, &mut text).map_err(unwritten)?;
    let mut more = vec![tagged("summary", &trial.tally)?];
    for difference in differ {
        more.push(tagged("difference", difference)?);
    }
    for one in attacked {
        more.push(tagged("attack", one)?);
    }
    Ok(String::from_utf8_lossy(&text).into_owned() + &more.join("\n"))
}

/// A value as a line with its type.
fn tagged<T: serde::Serialize>(kind: &str, value: &T) -> Result<String, Failure> {
    #[derive(serde::Serialize)]
    struct Line<'a, T> {
        r#type: &'a str,
        #[serde(flatten)]
        value: &'a T,
    }
    serde_json::to_string(&Line { r#type: kind, value })
        .map_err(|error| Failure::Failed(format!("the answer cannot be written as JSON: {error}")))
}

fn in_words(trial: &Trial, differ: Option<&[Difference]>, attacked: &[Attacked]) -> String {
    let mut lines: Vec<String> = Vec::new();
    match differ {
        None => trial.results.iter().for_each(|(name, result)| entity(&mut lines, name, result)),
        Some(differ) => {
            lines.extend(differ.iter().take(DIFFERENCES_MAX).flat_map(difference));
            if differ.len() > DIFFERENCES_MAX {
                lines.push(format!("… and {} entities more differ", differ.len() - DIFFERENCES_MAX));
            }
            lines.push(if differ.is_empty() { "as expected".to_owned() } else { differing(differ.len()) });
        }
    }
    for one in attacked {
        let seed = one.seed.map(|seed| format!(" (seed {seed})")).unwrap_or_default();
        match &one.difference {
            None => lines.push(format!("attack: {}{seed}: no difference", one.variation.name())),
            Some(found) => {
                lines.push(format!("attack: {}{seed}: {}, the first:", one.variation.name(), differing(one.entities)));
                lines.extend(difference(found).map(|line| format!("  {line}")));
                lines.push(format!("  this usually means: {}", one.variation.means()));
            }
        }
    }
    lines.push(counts(&trial.tally));
    lines.join("\n")
}

fn entity(lines: &mut Vec<String>, name: &str, result: &EntityResult) {
    lines.push(line(name, LINE_MAX));
    for done in &result.done {
        let place = done.place();
        let at =
            if place.epoch == 0 { format!("{:>6}", place.sequence) } else { format!("{:>6} of epoch {}", place.sequence, place.epoch) };
        match done {
            Done::Applied { outputs, .. } if outputs.is_empty() => lines.push(format!("{at}  no output")),
            Done::Applied { outputs, .. } => lines.extend(outputs.iter().map(|output| {
                let headers: String = output.headers.iter().map(|header| format!("  [{}: {}]", header.name, header.value)).collect();
                line(&format!("{at}  {}  {}{headers}", output.subject, report::shown(&output.payload)), LINE_MAX)
            })),
            Done::Dead { reason, error, attempts, .. } => {
                let tries = many(u64::from(*attempts), "attempt", "attempts");
                lines.push(line(&format!("{at}  dead letter: {reason} after {tries}: {error}"), LINE_MAX));
            }
        }
    }
    for (key, value) in &result.state {
        lines.push(line(&format!(" state  {key} = {}", report::shown(value)), LINE_MAX));
    }
    if let Some(waiting) = &result.waiting {
        lines.push(line(&format!("        {waiting}"), LINE_MAX));
    }
}

fn difference(found: &Difference) -> impl Iterator<Item = String> {
    let at = match (found.sequence, found.epoch) {
        (None, _) => String::new(),
        (Some(sequence), 0) => format!(", event {sequence}"),
        (Some(sequence), epoch) => format!(", event {sequence} of epoch {epoch}"),
    };
    let value = |text: &str| line(text, LINE_MAX);
    [
        format!("{}{at}: {} differs", value(&found.entity), value(&found.what)),
        format!("    expected: {}", value(&found.expected)),
        format!("    found:    {}", value(&found.found)),
    ]
    .into_iter()
}

fn counts(tally: &Tally) -> String {
    let Tally { events, applied, duplicates, dead_letters, entities, waiting, outputs, calls, migrated } = tally;
    let moved = match migrated {
        0 => String::new(),
        some => format!("; {} migrated", many(*some, "state", "states")),
    };
    let waits = match waiting {
        0 => String::new(),
        1 => "; 1 entity waits".to_owned(),
        many => format!("; {many} entities wait"),
    };
    format!(
        "{} of {}: {applied} applied, {}, {}; {}, {}{moved}{waits}",
        many(*events, "event", "events"),
        many(*entities, "entity", "entities"),
        many(*duplicates, "duplicate", "duplicates"),
        many(*dead_letters, "dead letter", "dead letters"),
        many(*outputs, "output", "outputs"),
        many(*calls, "call", "calls"),
    )
}

fn differing(entities: usize) -> String {
    if entities == 1 { "1 entity differs".to_owned() } else { format!("{entities} entities differ") }
}

fn many(count: u64, one: &str, several: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{count} {several}") }
}
