//! Tests of the config file as a whole: the example, ten faults in one run, every value that is refused.

use super::document::Document;
use super::*;
use crate::breaker::decide::Settings;
use crate::source::sources::Source;
use seriatim_sequencer::{FailureThen, First, GapThen, Late, Policy};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

/// The least that a file must say: what is required, and nothing else.
const LEAST: &str = r#"
[pipelines.flights]
stream = "FLIGHTS"
subjects = ["flights.>"]
event.entity = "subject:2"

[[pipelines.flights.handlers]]
name = "rotation"
component = "plugins/rotation.wasm"
"#;

fn parse(text: &str) -> Result<Config, Problems> {
    Config::parse(text, "seriatim.toml", Path::new("/etc/seriatim"))
}

/// The problems, one string each, without the file's name.
fn problems(text: &str) -> Vec<String> {
    let problems = parse(text).expect_err("it should be refused");
    let lines = problems.to_string();
    lines.lines().map(|line| line.strip_prefix("seriatim.toml").expect("the file's name").to_owned()).collect()
}

/// `LEAST` with lines in its pipeline, in its handler and in other tables.
fn with(pipeline: &str, handler: &str, others: &str) -> String {
    let text = LEAST.replace("event.entity", &format!("{pipeline}\nevent.entity"));
    format!("{text}\n{handler}\n{others}")
}

fn paths(table: &toml::Table, generic: &str, found: &mut BTreeSet<&'static str>) {
    for (key, value) in table {
        let name = if generic == "pipelines" { "*" } else { key };
        let path = if generic.is_empty() { name.to_owned() } else { format!("{generic}.{name}") };
        if let Some(doc) = keys::find(&path) {
            found.insert(doc.path);
            continue;
        }
        match value {
            toml::Value::Table(inner) => paths(inner, &path, found),
            toml::Value::Array(list) => {
                for element in list {
                    paths(element.as_table().expect("a table"), &format!("{path}[]"), found);
                }
            }
            _ => panic!("{path} is not in KEYS"),
        }
    }
}

#[test]
fn the_example_is_the_defaults() {
    let example = parse(EXAMPLE).expect("the example is right");
    assert_eq!(example, parse(LEAST).expect("the least is right"));
}

#[test]
fn the_example_shows_every_key() {
    let mut text = String::new();
    for line in EXAMPLE.lines() {
        let bare = line.strip_prefix("# ").unwrap_or(line);
        let is_key = bare.split_once(" = ").is_some_and(|(key, _)| key.chars().all(|c| c.is_ascii_lowercase() || c == '-'));
        writeln!(text, "{}", if is_key || bare.starts_with('[') { bare } else { line }).expect("text");
    }
    let mut found = BTreeSet::new();
    paths(&text.parse().expect("TOML"), "", &mut found);
    assert_eq!(found, KEYS.iter().map(|key| key.path).collect());
}

#[test]
fn the_example_names_every_default() {
    let example: toml::Table = EXAMPLE.parse().expect("TOML");
    for (path, default) in KEYS.iter().filter_map(|key| Some((key.path, key.default?))) {
        if path == "nats.tls.required" {
            continue; // its table is commented out
        }
        let mut value = &toml::Value::Table(example.clone());
        for step in path.replace("[]", ".0").replace('*', "flights").split('.') {
            value = step.parse::<usize>().map_or_else(|_| &value[step], |index| &value[index]);
        }
        let default: toml::Table = format!("x = {default}").parse().expect("TOML");
        assert_eq!(*value, default["x"], "{path}");
    }
}

#[test]
fn the_reader_reads_exactly_the_table_of_keys() {
    let (document, root) = Document::parse(LEAST);
    read::config(&document.root(&root), "x", Path::new("")).expect("right");
    assert_eq!(document.asked(), KEYS.iter().map(|key| key.path).collect());
}

#[test]
fn every_word_that_the_table_allows_is_understood_and_no_later_one() {
    for key in KEYS {
        let Kind::Word { now, later } = key.kind else { continue };
        let value_of = |word: &str| {
            let (table, name) = key.path.rsplit_once('.').expect("a table");
            let line = format!("{name} = \"{word}\"");
            match table.strip_prefix("pipelines.*") {
                Some("") => with(&line, "", ""),
                Some(".handlers[]") => with("", &line, ""),
                Some(inner) => with(&format!("{}.{line}", &inner[1..]), "", ""),
                None => with("", "", &format!("[{table}]\n{line}")),
            }
        };
        for word in now {
            assert_eq!(parse(&value_of(word)).map(|_| ()), Ok(()), "{} = {word}", key.path);
        }
        for word in later {
            let problems = problems(&value_of(word));
            assert_eq!(problems.len(), 1, "{problems:?}");
            assert!(problems[0].contains(": not in this release; allowed: "), "{problems:?}");
        }
        assert!(problems(&value_of("sometimes"))[0].contains(": unknown value; allowed: "));
    }
}

#[test]
fn ten_faults_are_ten_lines_in_one_run() {
    let text = r#"[nats]
servers = ["nats://admin:secret@10.0.0.1:4222"]
[run]
drain = 20
queue-maximum = 5
[telemetry]
listen = "localhost"
[pipelines.flights]
stream = "FLIGHTS"
subjects = ["flights.>", "flights.a.*"]
read = "durable"
[pipelines.flights.event]
entity = "subject:0"
[pipelines.flights.order]
late = "sometimes"
gap = { wait = "30s", than = "park" }
[[pipelines.flights.handlers]]
name = "rotation"
component = "a.wasm"
memory-max = "16 elephants"
[[pipelines.flights.handlers]]
name = "rotation"
component = "b.wasm"
"#;
    let expected = [
        r#":2: nats.servers = "nats://…@10.0.0.1:4222": user and password do not belong here; use user and password-file, or another way to log in"#,
        r#":4: run.drain = 20: a duration needs its unit, such as "30s""#,
        r#":5: run.queue-maximum = 5: unknown key; did you mean queue-max?"#,
        r#":7: telemetry.listen = "localhost": not an IP address and a port, such as "127.0.0.1:9464""#,
        r#":10: pipelines.flights.subjects = "flights.a.*": overlaps "flights.>"; subjects of a pipeline may not"#,
        r#":11: pipelines.flights.read = "durable": not in this release; allowed: "ordered""#,
        r#":13: pipelines.flights.event.entity = "subject:0": subject:N needs the number of a token, 1 to 128"#,
        r#":15: pipelines.flights.order.late = "sometimes": unknown value; allowed: "dead-letter", "drop", "deliver""#,
        r#":16: pipelines.flights.order.gap.than = "park": unknown key; did you mean then?"#,
        r#":20: pipelines.flights.handlers[0].memory-max = "16 elephants": not a size, such as "16MiB" or "10GB""#,
        r#":22: pipelines.flights.handlers[1].name = "rotation": the handler in line 18 has this name"#,
    ];
    assert_eq!(problems(text), expected);
}

#[test]
fn columns_count_characters() {
    let problems = parse("[run]\nqueue-max = 0 # ü\n[pipelines.p.order]\ngap = { wait = \"1s\", jump-max = -1 }").expect_err("refused");
    let places: Vec<_> = problems.iter().map(|p| (p.line, p.column, p.key.as_str())).collect();
    assert!(places.contains(&(2, 13, "run.queue-max")), "{places:?}");
    assert!(places.contains(&(4, 33, "pipelines.p.order.gap.jump-max")), "{places:?}");
}

#[test]
fn what_is_missing_is_named_at_its_table() {
    assert_eq!(problems(""), [": pipelines: missing; at least one [pipelines.NAME] is needed"]);
    assert_eq!(
        problems("\n[pipelines.p.order]\nlate = \"drop\"\n[[pipelines.q.handlers]]\n[admin.tls]\n"),
        [
            ":2: pipelines.p.stream: missing; it must be the name of a stream",
            ":2: pipelines.p.subjects: missing; it must be a list of at least one subject pattern",
            r#":2: pipelines.p.event.entity: missing; it must be "subject:N", "header:NAME", "json:/pointer", "msgpack:/pointer""#,
            ":2: pipelines.p.handlers: missing; at least one [[pipelines.NAME.handlers]] is needed",
            ":4: pipelines.q.handlers[0].name: missing; it must be a name: a to z, 0 to 9 and -, a letter first, at most 32 characters",
            ":4: pipelines.q.handlers[0].component: missing; it must be a path, or \"object:BUCKET/NAME\"",
            ":4: pipelines.q.stream: missing; it must be the name of a stream",
            ":4: pipelines.q.subjects: missing; it must be a list of at least one subject pattern",
            r#":4: pipelines.q.event.entity: missing; it must be "subject:N", "header:NAME", "json:/pointer", "msgpack:/pointer""#,
            ":5: admin.tls.cert-file: missing; it must be a path",
            ":5: admin.tls.key-file: missing; it must be a path",
        ]
    );
}

#[test]
fn syntax_errors_are_told_with_their_lines_beside_the_other_faults() {
    let text = with("read = ordered", "time-max = \"2x\"", "[run]\ndrain = \"20s\nqueue-max = 0\n= 3");
    assert_eq!(problems(&text), [
        ":5: read = ordered: not TOML: string values must be quoted, expected literal string",
        r#":12: pipelines.flights.handlers[0].time-max = "2x": not a duration in whole milliseconds, such as "30s", "100ms" or "1m 30s""#,
        r#":14: drain = "20s: not TOML: invalid basic string, expected `"`"#,
        ":15: run.queue-max = 0: out of bounds; allowed: a whole number, 1 to 1000000",
        ":16: = 3: not TOML: unquoted keys cannot be empty, expected letters, numbers, `-`, `_`",
    ]
    .map(str::to_owned)
    .to_vec());
}

#[test]
fn an_unclosed_list_is_one_problem() {
    let problems = problems("[nats]\nservers = [\"nats://a\"\n[run]\ndrain = \"1s\"\n[pipelines.p]\nstream = \"S\"\n");
    assert_eq!(problems, [r#":2: servers = ["nats://a": this list is not closed"#]);
}

#[test]
fn duplicate_keys_and_tables_are_told() {
    let problems = problems(&with("stream = \"B\"", "", "[pipelines.flights]\nread = \"ordered\""));
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert!(problems.iter().all(|p| p.contains("duplicate key")), "{problems:?}");
}

/// Each of these is exactly one problem which says this.
#[test]
fn values_that_are_refused() {
    let cases = [
        // the pipeline
        (with("start = { sequence = 0 }", "", ""), "not a stream sequence: a whole number from 1"),
        (with("start = { time = \"2013-01-01\" }", "", ""), "not a time with its offset"),
        (with("start = { time = 2013-01-01 }", "", ""), "not a time with its offset"),
        (with("start = \"last\"", "", ""), "unknown value; allowed: \"first\", \"new\", { sequence = N }"),
        (with("start = { sequence = 1, time = 2 }", "", ""), "unknown value"),
        (with("event.sequence = \"stream\"", "", ""), "not in this release"),
        (with("event.sequence = \"content\"", "", ""), "unknown value; allowed: \"subject:N\""),
        (with("event.epoch = 3", "", ""), "expected \"subject:N\", \"header:NAME\""),
        (with("event.id = \"header:A B\"", "", ""), "header:NAME needs the name of a header"),
        (with("event.kind = \"json:a\"", "", ""), "the pointer must start with /"),
        (with("order.first-sequence = 0", "", ""), "out of bounds; allowed: a whole number, 1 or more, or \"any\""),
        (with("order.first-sequence = \"all\"", "", ""), "unknown value; allowed: a whole number, 1 or more, or \"any\""),
        (with("order.accept-missing-history = \"yes\"", "", ""), "expected true, false, not a text"),
        (with("order.gap.wait = \"99ms\"", "", ""), "out of bounds; allowed: \"100ms\" to \"365d\""),
        (with("order.gap.held-max = 0", "", ""), "out of bounds"),
        (with("order.gap.held-max = 1.5", "", ""), "expected a whole number, 1 to 1000000, not a number with a point"),
        (with("order.dedup = 64", "", ""), "expected a table, not a whole number"),
        (with("order.wait = \"1s\"", "", ""), "unknown key here; wait belongs to [pipelines.NAME.order.gap]"),
        (with("failure.retry = [\"1s\", 2]", "", ""), "a duration needs its unit"),
        (with("failure.retry = \"1s\"", "", ""), "expected at most 100 durations"),
        (with("failure.breaker = { percent = 101 }", "", ""), "out of bounds; allowed: a whole number, 0 to 100"),
        (with("failure.breaker = { events = 2 }", "", ""), "more than events, which is 2: it could never open"),
        (with("failure.breaker = { delay = \"10m\" }", "", ""), "less than delay, which is 10m"),
        (with("failure.breaker = false", "", ""), "expected a table"),
        (with("failure.retry = [\"0s\"]", "", ""), "out of bounds; allowed: \"1ms\" to \"7d\""),
        (LEAST.replace("flights.>", "flights..a"), "not a subject: a token between dots is empty"),
        (LEAST.replace("[\"flights.>\"]", "[]"), "is empty; at least one is needed"),
        (LEAST.replace("[\"flights.>\"]", "\"flights.>\""), "expected a list of at least one subject pattern, not a text"),
        (LEAST.replace("\"FLIGHTS\"", "\"FLIGHTS.X\""), "not a stream name"),
        (LEAST.replace("flights.>", "flights"), "subjects like \"flights\" have no token 2"),
        (LEAST.replace("pipelines.flights", "pipelines.Flights"), "not a name"),
        (LEAST.replace("[[pipelines.flights.handlers]]", "[pipelines.flights.handlers]"), "expected a list of tables"),
        // the handler
        (LEAST.replace("plugins/rotation.wasm", ""), "component = \"\": is empty"),
        (
            with(
                "",
                "",
                "[[pipelines.p.handlers]]\nname = \"a\"\ncomponent = \"b\"\n[pipelines.p]\nstream = \"S\"\nsubjects = [\"a\"]\nevent.entity = \"header:E\"\nread = 1",
            ),
            "expected \"ordered\", not a whole number",
        ),
        (LEAST.replace("plugins/rotation.wasm", "object:bucket"), "an object is named object:BUCKET/NAME"),
        (LEAST.replace("\"rotation\"", "\"rota_tion\""), "not a name"),
        (with("", "outputs = [\"$JS.API.>\"]", ""), "which is not for handlers"),
        (with("", "outputs = [\"a.>.b\"]", ""), "> may only be the last token"),
        (with("", "config = { n = 15 }", ""), "n is not a text; write it in quotes"),
        (with("", "state-max = \"128KiB\"\nstate-value-max = \"256KiB\"", ""), "more than state-max, which is 128KiB"),
        (with("", "time-max = \"1ms\"", ""), "out of bounds; allowed: \"10ms\" to \"1h\""),
        (with("", "memory-max = 16", ""), "a size needs its unit"),
        (with("", "memory-max = \"8TiB\"", ""), "out of bounds; allowed: \"64KiB\" to \"4GiB\""),
        (with("", "memory = \"8MiB\"", ""), "did you mean memory-max?"),
        // the host
        (with("", "", "[nats]\nservers = []"), "at least one server is needed"),
        (with("", "", "[nats]\nservers = [\"http://a\"]"), "unknown scheme"),
        (with("", "", "[nats]\ncredentials-file = \"a\"\ntoken-file = \"b\""), "a second way to log in, beside the one in line 14"),
        (with("", "", "[nats]\nuser = \"a\""), "password-file is missing beside it"),
        (with("", "", "[nats]\npassword-file = \"a\""), "user is missing beside it"),
        (with("", "", "[nats]\ntls = { cert-file = \"a\" }"), "key-file is missing beside it"),
        (with("", "", "[nats]\ntls = true"), "expected a table, not true or false"),
        (with("", "", "[store]\npath = \"\""), "is empty"),
        (with("", "", "[admin]\nlisten = \"0.0.0.0:1\""), "not a loopback address: needs admin.tls and admin.token-file"),
        (with("", "", "[admin]\nlisten = \"0.0.0.0:1\"\ntoken-file = \"t\""), "not a loopback address"),
        (with("", "", "[admin]\nlisten = \"127.0.0.1:9464\""), "telemetry.listen is the same address"),
        (with("", "", "[run]\nshards = 0"), "out of bounds"),
        (with("", "", "[run]\nshards = \"many\""), "unknown value; allowed: a whole number, 1 to 1024, or \"cores\""),
        (with("", "", "[run]\nqueue-max = 99999999999999999999999"), "out of bounds"),
        (with("", "", "[run]\noutputs-max = 3"), "did you mean outbox-max?"),
        (with("", "", "[dead-letters]\nmax-age = \"never\""), "not a duration"),
        (with("", "", "[dead-letters]\nmax-bytes = \"0\""), "out of bounds"),
        (with("", "", "[deadletters]\nmax-bytes = \"1GiB\""), "did you mean dead-letters?"),
        (with("", "", "[metrics]\nx = 1"), "unknown key; allowed: admin, dead-letters, nats, pipelines, run, store, telemetry"),
    ];
    for (text, expected) in cases {
        let problems = problems(&text);
        assert!(problems.len() == 1 && problems[0].contains(expected), "{expected}\n{problems:#?}\n{text}");
    }
}

#[test]
fn what_is_written_is_what_is_taken() {
    let text = with(
        "start = { time = \"2013-01-01T00:00:00+01:00\" }\norder.first-sequence = \"any\"\nfailure.retry = []\nevent.id = \"content\"\nevent.epoch = \"msgpack:/e\"",
        "outputs = [\"rotation.>\"]\nconfig = { threshold-minutes = \"15\" }\ntime-max = \"1m 30s\"\nisolation = \"event\"",
        "[nats]\nuser = \"me\"\npassword-file = \"/run/p\"\n[dead-letters]\nmax-age = \"30d\"\n[run]\nshards = 3\n[store]\npath = \"/var/s\"\ncache = \"8MiB\"\n[admin]\nlisten = \"[::1]:0\"",
    );
    let config = parse(&text).expect("right");
    let pipeline = &config.pipelines[0];
    assert_eq!(pipeline.name.place.line, 2);
    assert_eq!((&*pipeline.stream.value, pipeline.stream.place.line), ("FLIGHTS", 3));
    let Start::Time(time) = pipeline.start.value else { panic!("{:?}", pipeline.start) };
    assert_eq!(time.unix_timestamp(), 1_356_994_800);
    assert_eq!(pipeline.order.first_sequence.value, First::Any);
    assert_eq!(pipeline.first_sequence_text(), "any");
    assert_eq!(pipeline.event.id.value, Source::Content);
    assert_eq!(pipeline.event.epoch.as_ref().map(|at| at.to_string()), Some("msgpack:/e".to_owned()));
    assert!(pipeline.failure.retry.is_empty());
    let handler = &pipeline.handlers[0];
    assert_eq!(handler.component.value, Component::File("/etc/seriatim/plugins/rotation.wasm".into()));
    assert_eq!(handler.outputs[0].value, "rotation.>");
    assert_eq!(handler.config["threshold-minutes"], "15");
    assert_eq!(handler.time_max, Duration::from_secs(90));
    assert_eq!(handler.isolation, Isolation::Event);
    assert!(matches!(&config.nats.auth, NatsAuth::Password { user, file } if user == "me" && file.value == Path::new("/run/p")));
    assert_eq!(config.dead_letters.max_age, Some(Duration::from_secs(30 * 24 * 3600)));
    assert_eq!(config.run.shards, 3);
    assert_eq!((config.store.path.value.as_path(), config.store.cache), (Path::new("/var/s"), 8 << 20));
}

#[test]
fn a_breaker_is_on_unless_it_is_turned_off() {
    let settings = |text: &str| parse(text).expect("right").pipelines[0].failure.breaker.settings();
    let on = Settings { percent: 50, events: 100, entities: 3, delay: 10_000, delay_max: 300_000 };
    assert_eq!(settings(LEAST), on);
    assert_eq!(settings(&with("failure.breaker = { percent = 0 }", "", "")), Settings { percent: 0, ..on });
    let text = with("failure.breaker = { percent = 1, events = 7, entities = 7, delay = \"1s\", delay-max = \"1s\" }", "", "");
    assert_eq!(settings(&text), Settings { percent: 1, events: 7, entities: 7, delay: 1_000, delay_max: 1_000 });
}

#[test]
fn the_defaults_are_the_sequencers_policy() {
    let config = parse(LEAST).expect("right");
    let policy = config.pipelines[0].policy(&config.run);
    assert_eq!(policy, Policy { commits_max: 256, ..Policy::default() });
    let text = with(
        "order = { late = \"drop\", gap = { then = \"skip\", wait = \"5s\", held-max = 7, jump-max = 8 }, dedup = { ids = 9 } }\nfailure = { then = \"stop\", retry = [\"2s\"] }",
        "",
        "[run]\nqueue-max = 10\ncommits-max = 11\ngiven-up-ranges-max = 12",
    );
    let config = parse(&text).expect("right");
    let expected = Policy {
        first: First::At(1),
        gap_wait: 5_000,
        gap_then: GapThen::Skip,
        held_max: 7,
        queue_max: 10,
        jump_max: 8,
        late: Late::Drop,
        ids: 9,
        retry: vec![2_000],
        failure_then: FailureThen::Stop,
        commits_max: 11,
        ranges_max: 12,
        settle: 1_000,
        retain: None,
    };
    assert_eq!(config.pipelines[0].policy(&config.run), expected);
}

#[test]
fn files_are_looked_for_with_their_lines() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("seriatim.toml");
    std::fs::create_dir(folder.path().join("plugins")).expect("a folder");
    std::fs::write(&path, with("", "", "[nats]\ntoken-file = \"plugins\"\n[store]\npath = \"seriatim.toml/x\"")).expect("written");
    let config = Config::load(&path).expect("right");
    let problems = config.check_files();
    let lines: Vec<_> = problems.iter().map(|p| (p.line, p.key.as_str())).collect();
    assert_eq!(lines, [(10, "pipelines.flights.handlers[0].component"), (14, "nats.token-file"), (16, "store.path")]);
    assert!(problems.to_string().contains("rotation.wasm cannot be opened: No such file"), "{problems}");
    std::fs::write(folder.path().join("plugins/rotation.wasm"), b"").expect("written");
    assert_eq!(config.check_files().len(), 2);
}

#[test]
fn a_file_that_cannot_be_read_is_one_problem() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("none.toml");
    let problems = Config::load(&path).expect_err("there is none");
    assert!(problems.to_string().contains("none.toml: cannot be read: No such file"), "{problems}");
    std::fs::write(&path, b"[nats]\n\xff").expect("written");
    let problems = Config::load(&path).expect_err("not UTF-8");
    assert!(problems.to_string().ends_with("none.toml:2: not UTF-8; the file must be saved as UTF-8"), "{problems}");
    std::fs::write(&path, vec![b'#'; 2 << 20]).expect("written");
    assert!(Config::load(&path).expect_err("too large").to_string().ends_with("larger than 1 MiB"));
}

#[test]
fn what_should_be_a_table_and_is_not_is_told_once() {
    assert_eq!(problems("pipelines = 3"), [":1: pipelines = 3: expected a table, not a whole number"]);
    assert_eq!(problems("[pipelines]\np = 3"), [":2: pipelines.p = 3: expected a table, not a whole number"]);
    let problems = problems(&with("order = { gap = { wait = \"1s\" ", "", ""));
    assert!(problems.len() == 1 && problems[0].contains("this table is not closed"), "{problems:?}");
}

proptest::proptest! {
    /// Whatever is in the file, it is judged: no panic, and a refusal says why.
    #[test]
    fn any_damage_is_judged(at in 0..EXAMPLE.len(), remove in 0..200_usize, insert in "[\\[\\]{}=\"'.,# a-z0-9\\n]{0,12}") {
        let mut text = EXAMPLE.as_bytes().to_vec();
        let end = (at + remove).min(text.len());
        text.splice(at..end, insert.bytes());
        let text = String::from_utf8_lossy(&text).into_owned();
        if let Err(problems) = parse(&text) {
            proptest::prop_assert!(!problems.is_empty());
            let lines = text.lines().count() + 1;
            proptest::prop_assert!(problems.iter().all(|p| p.line <= lines && !p.message.is_empty()));
            proptest::prop_assert_eq!(problems.to_string().lines().count(), problems.len());
        }
    }
}
