//! `seriatim plugin inspect`.

use super::settings::HandlerArgs;
use crate::cli::door::{Failure, Said};
use crate::cli::output::{json, line, table};
use crate::event::Event;
use crate::handler_test::events::{self, EventsError};
use crate::handler_test::inspect::{Inspection, Measured, inspect, limits};
use crate::runtime::{Isolation, Limits};
use bytesize::ByteSize;
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

/// The event that is made up where none is given.
const MADE_UP: &str = r#"{"entity":"entity-1","sequence":1,"id":"inspect-1","kind":"inspected","subject":"events.entity-1","payload":{}}"#;

/// Longest text of a line, characters.
const LINE_MAX: usize = 2_000;

/// Arguments of `plugin inspect`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The handler: a component, or a core module made for our world.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Measure calls with the first event of this file (as of `plugin test`), instead of a made-up one with the payload {}.
    #[arg(long, value_name = "FILE")]
    events: Option<PathBuf>,
    #[command(flatten)]
    handler: HandlerArgs,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: &Args) -> Result<Said, Failure> {
    let event = event(args)?;
    let bytes = super::component(&args.file)?;
    let config = args.handler.config(&args.file, Isolation::Shared, limits());
    match inspect(&bytes, config, event).await {
        Ok(found) => Ok(Said::of(if args.json { json(&found)? } else { described(&found, args.events.is_some()) })),
        Err(error) => match error.step().filter(|_| args.json) {
            Some(step) => {
                let text = json(&serde_json::json!({ "refused": { "step": step, "reason": error.reason() } }))?;
                Ok(Said { text, failed: true, ..Said::default() })
            }
            None => Err(Failure::Failed(format!("{}: {error}", args.file.display()))),
        },
    }
}

fn event(args: &Args) -> Result<Arc<Event>, Failure> {
    let failed = |error: EventsError| Failure::Failed(error.to_string());
    let events = match &args.events {
        None => events::read(MADE_UP.as_bytes(), "the made-up event", super::test::PIPELINE),
        Some(path) => {
            let file = path.display().to_string();
            match File::open(path) {
                Ok(input) => events::read(input, &file, super::test::PIPELINE),
                Err(error) => Err(EventsError::Read { file, error }),
            }
        }
    };
    let first = events.map_err(failed)?.into_iter().next();
    first.ok_or_else(|| Failure::Failed("there is no event".to_owned()))
}

fn described(found: &Inspection, given: bool) -> String {
    let took = |it: &Measured| format!("{:.1} µs (median of {})", it.median_us, it.runs);
    let size = |bytes: usize| format!("{} ({bytes} bytes)", ByteSize(bytes as u64).display().iec());
    let default = Limits::default().memory_max;
    let memory = found.memory_bytes.max(found.memory_after_call_bytes);
    let enough = if memory > default { "more than the default of memory-max, so set it" } else { "within the default of memory-max" };
    let version = match found.state_version {
        0 => "0: it exports no `lifecycle`".to_owned(),
        version => version.to_string(),
    };
    let facts = [
        ("form", found.form.to_owned()),
        ("world", found.world.to_owned()),
        ("state version", version),
        ("size", size(found.bytes)),
        ("sha256", found.sha256.clone()),
        ("compiles in", format!("{:.1} ms", found.compile_ms)),
        ("compiled", found.compiled_bytes.map_or("unknown".to_owned(), size)),
        ("memory", format!("{} at its start, {} after a call: {enough}", size(found.memory_bytes), size(found.memory_after_call_bytes))),
        ("instance", took(&found.instantiate)),
        ("instance and call", took(&found.fresh_call)),
        ("warm call", found.warm_call.as_ref().map_or("not measured: calls fail".to_owned(), took)),
        ("isolation", format!("\"{}\" is what its costs suggest", found.isolation)),
    ];
    let mut parts = vec![table(&[], facts.into_iter().map(|(name, value)| vec![name.to_owned(), value])), format!("  {}", found.why)];
    if let Some(failed) = &found.failed {
        let hint = if given { "" } else { ": measure with one of its own events (--events FILE), and its config (--set KEY=VALUE)" };
        parts.push(format!("the event with which calls were measured failed{hint}\n  {}", line(failed, LINE_MAX)));
    }
    for (title, names) in [("imports", &found.imports), ("exports", &found.exports)] {
        parts.push(format!("{title}:"));
        parts.extend(names.iter().map(|name| format!("  {}", line(name, LINE_MAX))));
        if names.is_empty() {
            parts.push("  nothing".to_owned());
        }
    }
    parts.join("\n")
}
