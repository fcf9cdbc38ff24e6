//! `seriatim publish`: reads the command line into a run of [`crate::publish`], and says how it ended.

use crate::app;
use crate::config::Config;
use crate::nats::connect::{ConnectError, ConnectOptions, connect_once};
use crate::progress::View;
use crate::publish::field::Field;
use crate::publish::mapping::Mapping;
use crate::publish::plan::Shape;
use crate::publish::rows::{Format, Type};
use crate::publish::shuffle::Disorder;
use crate::publish::template::Template;
use crate::publish::track::WINDOW_MAX;
use crate::publish::{self, Ending, Options, Source};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tokio::sync::watch;

const SERVER: &str = "nats://127.0.0.1:4222";
/// Events that are mixed are kept in memory.
const SHUFFLE_MAX: u64 = 1_000_000;

/// Arguments of `publish`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = NOTES)]
pub(super) struct Args {
    /// The file to read; - is standard input.
    #[arg(value_name = "INPUT")]
    input: PathBuf,
    /// Subject of each event. {field} stands for the row's value, in which every byte outside A-Z, a-z, 0-9, _ and - is written =XX.
    #[arg(long, value_name = "TEMPLATE")]
    subject: String,
    /// Field that names the entity. In NDJSON a name that begins with / is a JSON pointer, here and below.
    #[arg(long, value_name = "FIELD")]
    entity: String,
    /// Field with the kind of event (Seriatim-Type); may be empty.
    #[arg(long, value_name = "FIELD")]
    kind: Option<String>,
    /// Field with the event's id, unique within its entity (Seriatim-Id); otherwise made of entity and number.
    #[arg(long, value_name = "FIELD")]
    id: Option<String>,
    /// Field with the event's time: RFC 3339, or milliseconds since 1970 (Seriatim-Time).
    #[arg(long, value_name = "FIELD")]
    time: Option<String>,
    /// Field with the event's number within its entity, from 1. Otherwise rows are counted, for each entity from 1.
    #[arg(long, value_name = "FIELD")]
    sequence: Option<String>,
    /// Epoch of all events (Seriatim-Epoch): raise it to number from 1 again.
    #[arg(long, value_name = "N")]
    epoch: Option<u64>,
    /// How the input is written; by default its name tells (.ndjson, .jsonl, .csv).
    #[arg(long, value_name = "FORMAT")]
    format: Option<Format>,
    /// Type of a CSV column in the payload: integer, number or boolean; others are text. Empty values of it become null. Several with commas, or repeated.
    #[arg(long = "type", value_name = "FIELD=TYPE", value_parser = typed, value_delimiter = ',')]
    types: Vec<(String, Type)>,
    /// Text in CSV that means no value, such as NA.
    #[arg(long, value_name = "TEXT")]
    null: Option<String>,
    /// Longest row, in bytes.
    #[arg(long, value_name = "BYTES", default_value_t = 1 << 20, value_parser = clap::value_parser!(u32).range(1..=64 << 20))]
    row_max: u32,
    /// The stream; needed only when several take the subjects.
    #[arg(long, value_name = "NAME")]
    stream: Option<String>,
    /// Broker to connect to, instead of those of the config. The config's login and TLS go with it only if the file is named with --config. Without a
    /// config file nats://127.0.0.1:4222.
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// Where to remember how far the run is; by default beside the input, under its name with .checkpoint.
    #[arg(long, value_name = "FILE", conflicts_with = "no_checkpoint")]
    checkpoint: Option<PathBuf>,
    /// Remember nothing: a run that is stopped cannot be gone on with.
    #[arg(long)]
    no_checkpoint: bool,
    /// Forget what the checkpoint says and publish the whole input.
    #[arg(long, conflicts_with = "no_checkpoint")]
    fresh: bool,
    /// The input's entities are new to the stream, although it has messages under these subjects: count from 1.
    #[arg(long)]
    append: bool,
    /// Events sent and not confirmed, at most.
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=WINDOW_MAX as i64))]
    window: u32,
    /// Publications a second, at most.
    #[arg(long, value_name = "N", value_parser = positive)]
    rate: Option<f64>,
    /// Mix the order: every event moves by less than N places. For trying out how disorder is put right.
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=SHUFFLE_MAX))]
    shuffle_window: u64,
    /// Share of events, 0 to 1, that are published twice: the same Seriatim-Id under another Nats-Msg-Id.
    #[arg(long, value_name = "P", default_value_t = 0.0, value_parser = share)]
    duplicate: f64,
    /// Which order and which duplicates: the same seed gives the same.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Pass over bad rows and list them in this file, one JSON object each; by default beside the input, under its name with .bad.ndjson.
    #[arg(long, value_name = "REPORT", num_args = 0..=1, require_equals = true)]
    skip_bad: Option<Option<PathBuf>>,
    /// Print the summary as JSON.
    #[arg(long)]
    json: bool,
}

const NOTES: &str = "\
NDJSON: one JSON object a line; the payload is the line as it stands. CSV: a header, then rows; the payload is a JSON object with the header's \
names in its order, each value a text (leading zeros and ids like 1E5 stay as they are) unless --type says otherwise.

A run that was stopped or killed is gone on with by the same command: it reads the input again, skips what the checkpoint says is confirmed, looks \
into the stream for what was sent after that, and publishes the rest. The stream then has each event once, however long the run was away. Only what \
is added to an input's end is published in a later run (not with --shuffle-window or --duplicate, which would mix it in). After SIGKILL the system may \
still deliver what the run had handed to it; if that comes only after the next run has looked, the stream knows it by its id for as long as its \
duplicate window: two minutes by default, and it must be longer than such a delay of seconds.

An input that has a checkpoint may still be growing, so a last row that may go on is not published yet: JSON that is not closed, or a CSV row \
without a line end. The run says so and exits with 1. Where nothing can be added later (standard input, --no-checkpoint, --shuffle-window, \
--duplicate) a last row needs no line end.

Memory: up to --window events and 256 MiB of rows are in flight, up to three times --shuffle-window events and 256 MiB wait for their turn (more ends \
the run), and up to 256 rows, or 256 MiB of the longest allowed, are read ahead. Each entity costs its name and some 60 bytes.

Exit codes: 0 everything is published, 1 failed, stopped, or the last line waits for its line end, 2 usage, 78 bad config.";

fn typed(text: &str) -> Result<(String, Type), String> {
    let (field, kind) = text.rsplit_once('=').ok_or("write FIELD=integer, FIELD=number or FIELD=boolean")?;
    let kind = match kind {
        "integer" => Type::Integer,
        "number" => Type::Number,
        "boolean" => Type::Boolean,
        other => return Err(format!("{other:?} is no type; there are integer, number and boolean")),
    };
    Ok((field.to_owned(), kind))
}

fn positive(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|rate: &f64| rate.is_finite() && *rate >= 0.001).ok_or_else(|| "write a number of at least 0.001".to_owned())
}

fn share(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|share| (0.0..=1.0).contains(share)).ok_or_else(|| "write a number from 0 to 1".to_owned())
}

/// `config_named`: whether `--config` was given.
pub(super) async fn main(config: &Path, config_named: bool, args: Args) -> ExitCode {
    let options = match args.options() {
        Ok(options) => options,
        Err(problem) => {
            eprintln!("{problem}");
            return ExitCode::from(2);
        }
    };
    if let Err(error) = publish::check(&options) {
        eprintln!("{error}");
        return ExitCode::from(error.exit_code());
    }
    let connect = match args.connect(config, config_named) {
        Ok(connect) => connect,
        Err(code) => return code,
    };
    let connection = match connect_once(connect).await {
        Ok(connection) => connection,
        Err(ConnectError::Address(address)) if args.server.is_some() => {
            eprintln!("--server: {address} is not a server address (like {SERVER})");
            return ExitCode::from(2);
        }
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    if options.source == Source::Stdin {
        eprintln!("standard input can be read once only: this run cannot be gone on with if it is stopped");
    }
    let mut view = View::new();
    let (summary, ended) = publish::run(&connection, &options, signals(), &mut view).await;
    if args.json {
        match serde_json::to_string(&summary) {
            Ok(text) => println!("{text}"),
            Err(error) => eprintln!("the summary cannot be written: {error}"),
        }
    } else if summary.ending == Ending::NothingToDo {
        println!("nothing to do: all of {} is published ({} publications)", options.file(), summary.already_there);
    } else if ended.is_ok() || summary.has_begun() {
        println!("{summary}");
    }
    if let (Some(report), true) = (&options.skip_bad, summary.bad_rows > 0) {
        eprintln!("{} bad rows were passed over: see {}", summary.bad_rows, report.display());
    }
    if let Some(line) = summary.unfinished_line {
        eprintln!(
            "{}:{line}: the last line has no line end, so it may be half written: it is not published yet. Add a line end and run the same command again, or \
             publish the input as it is with --no-checkpoint",
            options.file()
        );
    }
    match ended {
        Ok(()) if summary.ending == Ending::Unfinished => ExitCode::FAILURE,
        Ok(()) if summary.ending == Ending::Stopped => {
            match options.checkpoint {
                Some(_) => eprintln!("stopped: run the same command again to go on"),
                None => eprintln!("stopped: without a checkpoint it cannot be gone on with"),
            }
            ExitCode::FAILURE
        }
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(error.exit_code())
        }
    }
}

impl Args {
    /// The run that is meant, or what is wrong with the command line.
    fn options(&self) -> Result<Options, String> {
        let source = if self.input == Path::new("-") { Source::Stdin } else { Source::File(self.input.clone()) };
        let subject = Template::parse(&self.subject).map_err(|error| error.to_string())?;
        let format = self.format.map_or_else(|| by_name(&source), Ok)?;
        if format == Format::Ndjson && !(self.types.is_empty() && self.null.is_none()) {
            return Err("--type and --null are for CSV: values of NDJSON have types of their own".to_owned());
        }
        let checkpoint = match (&source, &self.checkpoint) {
            (Source::Stdin, Some(_)) => {
                return Err(
                    "--checkpoint: standard input can be read once only, so a run over it cannot be resumed; write it to a file first"
                        .to_owned(),
                );
            }
            (Source::Stdin, None) if self.fresh => return Err("--fresh: a run over standard input has no checkpoint".to_owned()),
            (Source::File(_), _) if self.no_checkpoint => None,
            (Source::Stdin, None) => None,
            (Source::File(_), Some(path)) => Some(path.clone()),
            (Source::File(path), None) => Some(path.with_added_extension("checkpoint")),
        };
        let skip_bad = match (&self.skip_bad, &source) {
            (None, _) => None,
            (Some(Some(report)), _) => Some(report.clone()),
            (Some(None), Source::File(path)) => Some(path.with_added_extension("bad.ndjson")),
            (Some(None), Source::Stdin) => return Err("--skip-bad: say where the report is to go, as --skip-bad=FILE".to_owned()),
        };
        let field = |name: &Option<String>| name.as_deref().map(Field::new);
        let mapping = Mapping {
            entity: Field::new(&self.entity),
            subject,
            kind: field(&self.kind),
            id: field(&self.id),
            time: field(&self.time),
            sequence: field(&self.sequence),
            epoch: self.epoch,
            payload: None,
        };
        let disorder = Disorder { window: self.shuffle_window, duplicate: self.duplicate, seed: self.seed };
        let shape = Shape {
            format,
            mapping,
            types: self.types.iter().map(|(name, kind)| (Field::new(name), *kind)).collect(),
            null: self.null.clone(),
            row_max: usize::try_from(self.row_max).unwrap_or(usize::MAX),
            disorder,
            grows: checkpoint.is_some() && disorder.is_none(),
        };
        Ok(Options {
            source,
            given: self.given(format),
            shape,
            stream: self.stream.clone(),
            checkpoint,
            fresh: self.fresh,
            append: self.append,
            window: usize::try_from(self.window).unwrap_or(WINDOW_MAX),
            rate: self.rate,
            skip_bad,
        })
    }

    /// The options that shape the plan. Which rows are bad is not among them: that is seen from the rows.
    fn given(&self, format: Format) -> BTreeMap<String, String> {
        let types: Vec<_> = self.types.iter().map(|(name, kind)| format!("{name}={}", format!("{kind:?}").to_lowercase())).collect();
        let disorder = self.shuffle_window > 1 || self.duplicate > 0.0;
        let all = [
            ("--subject", Some(self.subject.clone())),
            ("--entity", Some(self.entity.clone())),
            ("--kind", self.kind.clone()),
            ("--id", self.id.clone()),
            ("--time", self.time.clone()),
            ("--sequence", self.sequence.clone()),
            ("--epoch", self.epoch.map(|epoch| epoch.to_string())),
            ("--format", Some(format!("{format:?}").to_lowercase())),
            ("--type", Some(types.join(",")).filter(|types| !types.is_empty())),
            ("--null", self.null.clone()),
            ("--shuffle-window", Some(self.shuffle_window.to_string()).filter(|_| self.shuffle_window > 1)),
            ("--duplicate", Some(self.duplicate.to_string()).filter(|_| self.duplicate > 0.0)),
            ("--seed", Some(self.seed.to_string()).filter(|_| disorder)),
        ];
        all.into_iter().filter_map(|(name, value)| value.map(|value| (name.to_owned(), value))).collect()
    }

    fn connect(&self, config: &Path, config_named: bool) -> Result<ConnectOptions, ExitCode> {
        const NAME: &str = "seriatim publish";
        let alone_with = match &self.server {
            Some(server) if !config_named => Some(server.as_str()),
            None if !config_named && !config.exists() => Some(SERVER),
            _ => None,
        };
        if let Some(server) = alone_with {
            return Ok(ConnectOptions { servers: vec![server.to_owned()], name: NAME.to_owned(), ..ConnectOptions::default() });
        }
        match Config::load(config) {
            Ok(config) => {
                let configured = app::connect_options(&config.nats, NAME);
                Ok(match &self.server {
                    Some(server) => ConnectOptions { servers: vec![server.clone()], ..configured },
                    None => configured,
                })
            }
            Err(problems) => {
                eprintln!("{problems}");
                Err(ExitCode::from(78))
            }
        }
    }
}

fn by_name(source: &Source) -> Result<Format, String> {
    let ending = match source {
        Source::Stdin => return Err("--format: say how standard input is written, ndjson or csv".to_owned()),
        Source::File(path) => path.extension().and_then(OsStr::to_str).map(str::to_ascii_lowercase),
    };
    match ending.as_deref() {
        Some("ndjson" | "jsonl") => Ok(Format::Ndjson),
        Some("csv") => Ok(Format::Csv),
        _ => Err("--format: the input's name does not tell how it is written; say ndjson or csv".to_owned()),
    }
}

/// Counts SIGINT and SIGTERM.
fn signals() -> watch::Receiver<u32> {
    use tokio::signal::unix::{SignalKind, signal};
    let (count, counted) = watch::channel(0);
    let kinds = [SignalKind::interrupt(), SignalKind::terminate()].map(signal);
    let [Ok(mut interrupted), Ok(mut terminated)] = kinds else {
        tracing::warn!("signals are not heard: SIGINT and SIGTERM end the program at once; the checkpoint stands");
        return counted;
    };
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = interrupted.recv() => {}
                _ = terminated.recv() => {}
            }
            count.send_modify(|count| *count += 1);
        }
    });
    counted
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;

    #[derive(clap::Parser)]
    struct Command {
        #[command(flatten)]
        args: Args,
    }

    fn options(line: &str) -> Result<Options, String> {
        let words = format!("publish --subject f.{{e}} --entity e {line}");
        Command::try_parse_from(words.split(' ')).map_err(|error| error.to_string())?.args.options()
    }

    #[test]
    fn files_have_a_checkpoint_beside_them_and_standard_input_has_none() {
        let file = options("a.csv").unwrap();
        assert_eq!((file.checkpoint, file.skip_bad, file.shape.format), (Some("a.csv.checkpoint".into()), None, Format::Csv));
        assert_eq!(options("a.jsonl --no-checkpoint").unwrap().checkpoint, None);
        assert_eq!(options("a.jsonl --checkpoint x").unwrap().checkpoint, Some("x".into()));
        assert_eq!(options("d/a.csv --skip-bad").unwrap().skip_bad, Some("d/a.csv.bad.ndjson".into()));
        assert_eq!(options("- --format csv --skip-bad=r").unwrap().skip_bad, Some("r".into()));
        let stdin = options("- --format ndjson").unwrap();
        assert_eq!((stdin.checkpoint, stdin.source), (None, Source::Stdin));
        let grows = |line: &str| options(line).unwrap().shape.grows;
        assert!(grows("a.csv") && grows("a.csv --shuffle-window 1"));
        for line in ["a.csv --no-checkpoint", "a.csv --shuffle-window 2", "a.csv --duplicate 0.1", "- --format csv"] {
            assert!(!grows(line), "{line}");
        }
    }

    #[test]
    fn what_does_not_go_together_is_refused() {
        for (line, word) in [
            ("-", "--format"),
            ("a.txt", "--format"),
            ("- --format csv --checkpoint c", "read once only"),
            ("- --format csv --skip-bad", "--skip-bad=FILE"),
            ("- --format csv --fresh", "--fresh"),
            ("a.ndjson --null NA", "for CSV"),
            ("a.ndjson --type a=integer", "for CSV"),
            ("a.csv --type a", "FIELD=integer"),
            ("a.csv --type a=text", "is no type"),
            ("a.csv --duplicate 1.1", "from 0 to 1"),
            ("a.csv --duplicate NaN", "from 0 to 1"),
            ("a.csv --rate 0", "at least 0.001"),
            ("a.csv --window 0", "--window"),
            ("a.csv --window 10001", "--window"),
            ("a.csv --no-checkpoint --fresh", "cannot be used with"),
        ] {
            let problem = options(line).unwrap_err();
            assert!(problem.contains(word), "{line}: {problem}");
        }
    }

    #[test]
    fn a_checkpoint_keeps_what_shapes_the_plan() {
        let given = options("a.csv --type a=integer,b=boolean --rate 5 --window 9 --skip-bad --seed 7").unwrap().given;
        assert_eq!(
            given,
            [("--subject", "f.{e}"), ("--entity", "e"), ("--format", "csv"), ("--type", "a=integer,b=boolean")]
                .map(|(a, b)| (a.to_owned(), b.to_owned()))
                .into()
        );
        let given = options("a.csv --shuffle-window 5 --seed 7").unwrap().given;
        assert_eq!((given.get("--shuffle-window").unwrap().as_str(), given.get("--seed").unwrap().as_str()), ("5", "7"));
    }
}
