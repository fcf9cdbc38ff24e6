//! Promise (design §5.4): `seriatim publish` makes each row of a file one numbered event, and each event reaches the stream once, in the plan's
//! order within its entity, however often the command is killed and however short the stream's duplicate window is.

use crate::harness::process::Process;
use crate::harness::{SOURCE, World, tools, until};
use rustix::process::Signal;
use seriatim_tests::checker::{Kept, Sent};
use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const BASIC: [&str; 4] = ["--subject", "flights.{tail}", "--entity", "tail"];

/// How a command ended: exit code, standard output, standard error.
type Ended = (Option<i32>, String, String);

fn command(world: &World, input: &str, args: &[&str]) -> Command {
    let mut command = Command::new(tools::seriatim());
    command.current_dir(world.path("")).args(["publish", input, "--server", &world.broker.url()]).args(args);
    command
}

fn publish(world: &World, input: &str, args: &[&str]) -> Ended {
    publish_with(world, input, args, "")
}

fn publish_with(world: &World, input: &str, args: &[&str], stdin: &str) -> Ended {
    let mut command = command(world, input, args);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("seriatim to start");
    child.stdin.take().expect("a pipe").write_all(stdin.as_bytes()).expect("a command that reads");
    let output = child.wait_with_output().expect("seriatim to end");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn write(world: &World, name: &str, text: &str) {
    fs::write(world.path(name), text).expect("an input in the test's folder");
}

/// Events that are added to an input behind what it has.
fn append(path: &Path, text: &str) {
    fs::OpenOptions::new().append(true).open(path).expect("an input").write_all(text.as_bytes()).expect("a longer input");
}

fn header<'a>(kept: &'a Kept, name: &str) -> &'a str {
    kept.header(name).unwrap_or_else(|| panic!("{name} is missing in {kept:?}"))
}

/// Each entity's messages in stream order: number, and whether it is a duplicate that the plan added.
fn by_entity(kept: &[Kept]) -> BTreeMap<String, Vec<(u64, bool)>> {
    let mut all: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for kept in kept {
        let number = header(kept, "Seriatim-Sequence").parse().expect("a number");
        let copy = header(kept, "Nats-Msg-Id").ends_with(":1");
        all.entry(header(kept, "Seriatim-Entity").to_owned()).or_default().push((number, copy));
    }
    all
}

fn ndjson(rows: usize, entities: usize) -> String {
    (0..rows).map(|row| format!("{{\"tail\":\"N{}\",\"row\":{row}}}\n", row * 7 % entities)).collect()
}

#[tokio::test]
async fn rows_of_csv_become_typed_events_with_all_their_headers() {
    let world = World::new().await;
    write(
        &world,
        "in.csv",
        "tail,n,what,when,delay,ok,ref\nN 1,3,left,2013-01-01T05:17:00Z,NA,TRUE,007\nN2,1,,1357000000000,-4,false,1E5\n",
    );
    let args = [
        "--subject",
        "flights.{tail}.{what}x",
        "--entity",
        "tail",
        "--kind",
        "what",
        "--id",
        "ref",
        "--time",
        "when",
        "--sequence",
        "n",
        "--epoch",
        "2",
        "--type",
        "delay=integer,ok=boolean",
        "--null",
        "NA",
        "--json",
    ];
    let (code, out, err) = publish(&world, "in.csv", &args);
    assert_eq!(code, Some(1), "{out}{err}");
    assert!(err.contains("in.csv:3:6: \"what\" is missing or empty, and the subject is made of it"), "{err}");
    let args: Vec<_> = args.iter().map(|arg| arg.replace(".{what}x", "")).collect();
    let args: Vec<_> = args.iter().map(String::as_str).collect();
    let (code, _, err) = publish(&world, "in.csv", &args);
    assert!(code == Some(1) && err.contains("--subject: \"flights.{tail}.{what}x\" then, \"flights.{tail}\" now"), "{err}");
    world.js.get_stream(SOURCE).await.unwrap().purge().await.unwrap();
    let (code, out, err) = publish(&world, "in.csv", &[args.as_slice(), &["--fresh"]].concat());
    assert_eq!(code, Some(0), "{out}{err}");
    let summary: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&summary["ending"], &summary["events"]), (&"done".into(), &2.into()));
    let kept = world.read(SOURCE).await;
    let seen: Vec<_> = kept.iter().map(|kept| (kept.subject.as_str(), std::str::from_utf8(&kept.payload).unwrap())).collect();
    let expected = [
        ("flights.N=201", r#"{"tail":"N 1","n":"3","what":"left","when":"2013-01-01T05:17:00Z","delay":null,"ok":true,"ref":"007"}"#),
        ("flights.N2", r#"{"tail":"N2","n":"1","what":"","when":"1357000000000","delay":-4,"ok":false,"ref":"1E5"}"#),
    ];
    assert_eq!(seen, expected);
    let names = ["Seriatim-Entity", "Seriatim-Sequence", "Seriatim-Epoch", "Seriatim-Id", "Seriatim-Time"];
    assert_eq!(names.map(|name| header(&kept[0], name)), ["N 1", "3", "2", "007", "2013-01-01T05:17:00Z"]);
    assert_eq!((kept[0].header("Seriatim-Type"), kept[1].header("Seriatim-Type")), (Some("left"), None));
    assert_eq!(header(&kept[1], "Seriatim-Time"), "2013-01-01T00:26:40Z");
}

#[tokio::test]
async fn a_run_publishes_what_the_one_before_has_not() {
    let world = World::new().await;
    write(&world, "in.ndjson", "{\"tail\":\"a\"}\n {\"tail\": \"b\"} \n\n{\"tail\":\"a\"}\n");
    let (code, out, err) = publish(&world, "in.ndjson", &BASIC);
    assert!(code == Some(0) && out.starts_with("3 events published, 0 duplicates added, 0 already there, 0 bad rows"), "{out}{err}");
    let (code, out, err) = publish(&world, "in.ndjson", &BASIC);
    assert!(code == Some(0) && out.starts_with("nothing to do"), "{out}{err}");
    // A line that is still being written is no row yet.
    append(&world.path("in.ndjson"), "{\"tail\":\"a\"");
    for _ in 0..2 {
        let (code, out, err) = publish(&world, "in.ndjson", &[&BASIC[..], &["--skip-bad", "--json"]].concat());
        let summary: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert_eq!((code, &summary["ending"], &summary["already_there"]), (Some(1), &"unfinished".into(), &3.into()), "{err}");
        assert!(err.contains("in.ndjson:5: the last line has no line end"), "{err}");
    }
    append(&world.path("in.ndjson"), "}\n");
    let (code, out, err) = publish(&world, "in.ndjson", &BASIC);
    assert!(code == Some(0) && out.starts_with("1 events published, 0 duplicates added, 3 already there"), "{out}{err}");
    let kept = world.read(SOURCE).await;
    assert_eq!(kept[1].payload, b" {\"tail\": \"b\"} ", "the payload is the line as it stands");
    assert_eq!(by_entity(&kept)["a"], [(1, false), (2, false), (3, false)]);

    // Counting from 1 again would make these events repetitions of others.
    write(&world, "new.ndjson", "{\"tail\":\"c\"}\n");
    let (code, _, err) = publish(&world, "new.ndjson", &BASIC);
    assert!(code == Some(1) && err.contains("already has messages under flights.*") && err.contains("--append"), "{err}");
    let (code, out, err) = publish(&world, "new.ndjson", &[&BASIC[..], &["--append"]].concat());
    assert!(code == Some(0) && out.starts_with("1 events"), "{out}{err}");

    // A higher epoch begins anew, once.
    write(&world, "epoch.ndjson", "{\"tail\":\"a\"}");
    let epoch = |epoch: &str| publish(&world, "epoch.ndjson", &[&BASIC[..], &["--epoch", epoch, "--no-checkpoint"]].concat());
    let (code, _, err) = epoch("0");
    assert!(code == Some(1) && err.contains("with --epoch 1"), "{err}");
    let (code, out, err) = epoch("3");
    assert!(code == Some(0) && out.starts_with("1 events"), "a last line without its end is a row where nothing is added: {out}{err}");
    let (code, _, err) = epoch("3");
    assert!(code == Some(1) && err.contains("with --epoch 4"), "{err}");

    write(&world, "in.ndjson", "{\"tail\":\"a\"}\n{\"tail\":\"x\"}\n{\"tail\":\"a\"}\n{\"tail\":\"a\"}\n");
    let (code, _, err) = publish(&world, "in.ndjson", &BASIC);
    assert!(code == Some(1) && err.contains("in.ndjson has changed since the last run: its first 4 rows"), "{err}");
    assert_eq!(world.read(SOURCE).await.len(), 6);
}

#[tokio::test]
async fn what_was_removed_is_not_taken_for_published() {
    let world = World::new().await;
    let purge = async || world.js.get_stream(SOURCE).await.unwrap().purge().await.unwrap();
    write(&world, "in.ndjson", &ndjson(20, 3));
    assert_eq!(publish(&world, "in.ndjson", &BASIC).0, Some(0));
    purge().await;
    let fresh = [&BASIC[..], &["--fresh", "--append"]].concat();
    let (code, out, err) = publish(&world, "in.ndjson", &fresh);
    assert!(code == Some(1) && err.contains("in.ndjson:1: ") && err.contains("remembers its id: it was message 1"), "{out}{err}");
    assert!(err.contains("when 2m have passed") && !out.contains("events published"), "{out}{err}");
    assert_eq!(world.read(SOURCE).await.len(), 0);

    // Single messages that are gone: the others are there, and count.
    write(&world, "other.ndjson", &ndjson(20, 3).replace('N', "M"));
    let again = [&BASIC[..], &["--no-checkpoint", "--append"]].concat();
    assert_eq!(publish(&world, "other.ndjson", &again).0, Some(0));
    let (code, out, err) = publish(&world, "other.ndjson", &again);
    assert!(code == Some(0) && out.starts_with("0 events published, 0 duplicates added, 20 already there"), "{out}{err}");
    assert!(world.js.get_stream(SOURCE).await.unwrap().delete_message(25).await.unwrap());
    let (code, out, err) = publish(&world, "other.ndjson", &again);
    assert!(code == Some(1) && err.contains("other.ndjson:5: ") && err.contains("it was message 25"), "{out}{err}");

    // A higher epoch makes other events of them, at once.
    purge().await;
    let (code, out, err) = publish(&world, "in.ndjson", &[&BASIC[..], &["--fresh", "--epoch", "1"]].concat());
    assert!(code == Some(0) && out.starts_with("20 events published"), "{out}{err}");
    assert_eq!(world.read(SOURCE).await.len(), 20);

    // Counting from 1 is wrong where events are gone that had these numbers.
    purge().await;
    let (code, _, err) = publish(&world, "other.ndjson", &[&BASIC[..], &["--no-checkpoint"]].concat());
    assert!(
        code == Some(1) && err.contains("has no messages under flights.*, but messages of it are gone") && err.contains("--epoch"),
        "{err}"
    );
    let (code, out, err) = publish(&world, "other.ndjson", &[&BASIC[..], &["--no-checkpoint", "--epoch", "1"]].concat());
    assert!(code == Some(0) && out.starts_with("20 events published"), "{out}{err}");
}

/// A run that is killed before it saved that anything was confirmed, over an input that is then edited.
#[tokio::test]
async fn an_input_edited_after_a_kill_is_noticed_by_what_was_sent() {
    let world = World::new().await;
    let rows = ndjson(200, 4);
    write(&world, "in.ndjson", &rows);
    let paced = [&BASIC[..], &["--rate", "20"]].concat();
    let mut process = Process::spawn("publish", command(&world, "in.ndjson", &paced), &world.path("publish.log"));
    world.until_count(SOURCE, 5).await;
    process.kill();
    let before = world.read(SOURCE).await.len();
    let checkpoint: serde_json::Value = serde_json::from_slice(&fs::read(world.path("in.ndjson.checkpoint")).unwrap()).unwrap();
    let read = checkpoint["input"]["rows"].as_u64().unwrap();
    let last = format!("\"row\":{}}}", before - 1);
    write(&world, "in.ndjson", &rows.replace(&last, &last.replace('}', ",\"x\":1}")));
    let (code, out, err) = publish(&world, "in.ndjson", &BASIC);
    // On a slow machine the checkpoint may have come as far.
    let told = if read < before as u64 { format!("line {before} is event") } else { "rows are not the ones".to_owned() };
    assert!(code == Some(1) && err.contains("in.ndjson has changed since the last run") && err.contains(&told), "{out}{err}");
    assert_eq!(world.read(SOURCE).await.len(), before);
    // What nobody has read may change.
    write(&world, "in.ndjson", &rows.replace("\"row\":199}", "\"row\":199,\"x\":1}"));
    let (code, out, err) = publish(&world, "in.ndjson", &BASIC);
    assert!(code == Some(0), "{out}{err}");
    assert_eq!(by_entity(&world.read(SOURCE).await).values().map(Vec::len).sum::<usize>(), 200);
}

#[tokio::test]
async fn a_mark_that_is_not_closed_and_files_that_are_one_stop_the_command() {
    let world = World::new().await;
    write(&world, "in.csv", "tail,n\na,1\nb,\"2\nc,3\nd,4\n");
    for more in [&[][..], &["--fresh", "--append", "--skip-bad"], &["--no-checkpoint", "--append"]] {
        let (code, out, err) = publish(&world, "in.csv", &[&BASIC[..], more].concat());
        assert!(code == Some(1) && err.contains("in.csv:3:3: a quotation mark is not closed"), "{out}{err}");
        assert_eq!(world.read(SOURCE).await.len(), 1);
    }
    let before = fs::read(world.path("in.csv")).unwrap();
    for more in [&["--skip-bad=./in.csv"][..], &["--checkpoint", "in.csv", "--fresh"]] {
        let (code, out, err) = publish(&world, "in.csv", &[&BASIC[..], more].concat());
        assert!(code == Some(2) && err.contains("are one file"), "{out}{err}");
        assert_eq!(fs::read(world.path("in.csv")).unwrap(), before);
    }
    let mut bad_server = Command::new(tools::seriatim());
    bad_server.current_dir(world.path("")).args(["publish", "in.csv", "--server", "no server"]).args(BASIC);
    let ended = bad_server.output().expect("seriatim to end");
    assert_eq!(ended.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&ended.stderr).contains("--server: no server is not a server address"), "{ended:?}");
}

/// A run that waits for its input: a pipe that nobody writes to.
#[tokio::test]
async fn a_signal_is_heard_before_the_first_event() {
    let world = World::new().await;
    assert!(Command::new("mkfifo").arg(world.path("pipe.csv")).status().expect("mkfifo").success());
    let waiting = command(&world, "pipe.csv", &[&BASIC[..], &["--no-checkpoint"]].concat());
    let mut process = Process::spawn("publish", waiting, &world.path("publish.log"));
    until("signals to be heard", async || {
        let status = fs::read_to_string(format!("/proc/{}/status", process.id())).map_err(|error| error.to_string())?;
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).map(|mask| u64::from_str_radix(mask.trim(), 16));
        match caught {
            Some(Ok(mask)) if mask & (1 << (Signal::TERM.as_raw() - 1)) != 0 => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    process.signal(Signal::TERM);
    assert_eq!(process.ended().await.code(), Some(1), "{}", process.log());
    assert!(process.log().contains("stopped: without a checkpoint it cannot be gone on with"), "{}", process.log());
}

#[tokio::test]
async fn killed_again_and_again_each_event_is_in_the_stream_once() {
    const ROWS: usize = 3000;
    let world = World::new().await;
    world.shorten_window(SOURCE, Duration::from_millis(100)).await;
    world.stream("REFERENCE", "reference.>", |_| ()).await;
    write(&world, "in.ndjson", &ndjson(ROWS, 40));
    let disorder = ["--shuffle-window", "60", "--duplicate", "0.2", "--seed", "5", "--window", "200"];
    let (code, out, err) =
        publish(&world, "in.ndjson", &[&["--subject", "reference.{tail}", "--entity", "tail", "--no-checkpoint"], &disorder[..]].concat());
    assert_eq!(code, Some(0), "{out}{err}");
    let wanted = world.read("REFERENCE").await;
    let added = wanted.len() - ROWS;
    assert!((ROWS / 6..ROWS / 4).contains(&added), "{added}");

    let args = [&BASIC[..], &disorder[..]].concat();
    for part in 1..=6 {
        let goal = wanted.len() * part / 7;
        let paced = [&args[..], &["--rate", "350"]].concat();
        let mut process = Process::spawn("publish", command(&world, "in.ndjson", &paced), &world.path(&format!("publish-{part}.log")));
        until("the run to come so far, or to end", async || {
            let found = world.js.get_stream(SOURCE).await.map_err(|error| error.to_string())?.cached_info().state.messages;
            if found >= goal as u64 || process.status().is_some() { Ok(()) } else { Err(format!("{found} of {goal}")) }
        })
        .await;
        assert_eq!(process.status(), None, "it was killed at work: {}", process.log());
        process.kill();
    }
    let checkpoint: serde_json::Value = serde_json::from_slice(&fs::read(world.path("in.ndjson.checkpoint")).unwrap()).unwrap();
    let confirmed = checkpoint["plan"]["confirmed"].as_u64().unwrap();
    assert!((1..wanted.len() as u64).contains(&confirmed), "runs long enough to save checkpoints on the way: {checkpoint}");
    let (code, out, err) = publish(&world, "in.ndjson", &args);
    assert_eq!(code, Some(0), "{out}{err}");
    let kept = world.read(SOURCE).await;
    assert_eq!(kept.len(), wanted.len(), "each publication of the plan once: {out}{err}");
    assert_eq!(by_entity(&kept), by_entity(&wanted));
    for numbers in by_entity(&kept).values() {
        let mut events: Vec<_> = numbers.iter().filter(|(_, copy)| !copy).map(|(number, _)| *number).collect();
        events.sort_unstable();
        assert_eq!(events, (1..=events.len() as u64).collect::<Vec<_>>());
    }
    append(&world.path("in.ndjson"), "{\"tail\":\"N1\"}\n");
    let (code, _, err) = publish(&world, "in.ndjson", &args);
    assert!(code == Some(1) && err.contains("with --shuffle-window or --duplicate another input is another plan"), "{err}");
}

#[tokio::test]
async fn a_stream_that_cannot_tell_what_it_got_stops_a_run_that_goes_on() {
    let world = World::new().await;
    write(&world, "in.ndjson", &ndjson(2000, 9));
    let args = [&BASIC[..], &["--rate", "500"]].concat();
    let mut process = Process::spawn("publish", command(&world, "in.ndjson", &args), &world.path("publish.log"));
    world.until_count(SOURCE, 200).await;
    process.kill();
    world.trim(SOURCE, 190).await;
    let (code, out, err) = publish(&world, "in.ndjson", &BASIC);
    assert!(code == Some(1) && err.contains("no longer holds everything above message") && err.contains("--fresh"), "{out}{err}");
    world.js.delete_stream(SOURCE).await.unwrap();
    world.stream(SOURCE, "flights.>", |_| ()).await;
    let (code, out, err) = publish(&world, "in.ndjson", &BASIC);
    assert!(code == Some(1) && err.contains("was deleted and created again"), "{out}{err}");
    let (code, out, err) = publish(&world, "in.ndjson", &[&BASIC[..], &["--fresh"]].concat());
    assert!(code == Some(0) && out.starts_with("2000 events"), "{out}{err}");
}

#[tokio::test]
async fn a_bad_row_stops_the_run_behind_the_good_ones_or_is_listed() {
    let world = World::new().await;
    let rows = "{\"tail\":\"a\"}\n{\"tail\":\"b\"}\n{\"n\":1, \"tail\":\"\"}\n{\"tail\":\"a\"}\n{\"tail\" \"b\"}\n";
    write(&world, "in.ndjson", rows);
    let (code, out, err) = publish(&world, "in.ndjson", &BASIC);
    assert!(code == Some(1) && out.starts_with("2 events"), "{out}{err}");
    assert!(err.contains("in.ndjson:3:9: \"tail\" is missing or empty; every row needs it"), "{err}");
    assert_eq!(world.read(SOURCE).await.len(), 2);
    let (code, out, err) = publish(&world, "in.ndjson", &[&BASIC[..], &["--skip-bad"]].concat());
    assert!(code == Some(0) && out.starts_with("1 events published, 0 duplicates added, 2 already there, 2 bad rows"), "{out}{err}");
    assert!(err.contains("2 bad rows were passed over: see in.ndjson.bad.ndjson"), "{err}");
    assert_eq!(by_entity(&world.read(SOURCE).await)["a"], [(1, false), (2, false)], "a bad row uses no number");
    let report = fs::read_to_string(world.path("in.ndjson.bad.ndjson")).unwrap();
    let report: Vec<serde_json::Value> = report.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let place = |at: usize| (report[at]["line"].as_u64(), report[at]["column"].as_u64(), report[at]["row"].as_str());
    assert_eq!(report.len(), 2);
    assert_eq!(place(0), (Some(3), Some(9), Some("{\"n\":1, \"tail\":\"\"}")));
    assert_eq!((place(1), report[1]["reason"].as_str()), ((Some(5), Some(9), Some("{\"tail\" \"b\"}")), Some("not JSON: expected `:`")));

    // A row that is put right: what came before is not published again.
    write(&world, "fix.csv", "tail\nx\n\n\" y\"\nx\n");
    let args = [&BASIC[..], &["--append"]].concat();
    let (code, _, err) = publish(&world, "fix.csv", &args);
    assert!(code == Some(1) && err.contains("fix.csv:4:1: \"tail\", which is the event's entity: there is white space around it"), "{err}");
    write(&world, "fix.csv", "tail\nx\n\n\"y\"\nx\n");
    let (code, out, err) = publish(&world, "fix.csv", &args);
    assert!(code == Some(0) && out.starts_with("2 events published, 0 duplicates added, 1 already there"), "{out}{err}");
}

#[tokio::test]
async fn standard_input_is_published_and_never_resumable() {
    let world = World::new().await;
    let args = [&BASIC[..], &["--format", "csv"]].concat();
    let (code, _, err) = publish(&world, "-", &[&args[..], &["--checkpoint", "c"]].concat());
    assert!(code == Some(2) && err.contains("cannot be resumed"), "{err}");
    let (code, out, err) = publish_with(&world, "-", &args, "tail\na\nb\na\n");
    assert!(code == Some(0) && out.starts_with("3 events"), "{out}{err}");
    assert!(err.contains("cannot be gone on with if it is stopped"), "{err}");
    let (code, _, err) = publish_with(&world, "-", &[&args[..], &["--append"]].concat(), "other\na\n");
    assert!(code == Some(2) && err.contains("--entity tail: standard input has no such column"), "{err}");
    write(&world, "in.csv", "other\na\n");
    let (code, _, err) = publish(&world, "in.csv", &BASIC);
    assert!(code == Some(2) && err.contains("--entity tail: in.csv has no such column; it has other"), "{err}");
    let (code, _, err) = publish(&world, "in.csv", &["--subject", "flights.{", "--entity", "other"]);
    assert!(code == Some(2) && err.contains("a brace is not closed"), "{err}");
    let (code, _, err) = publish(&world, "in.csv", &["--subject", "nowhere.{other}", "--entity", "other"]);
    assert!(code == Some(1) && err.contains("no stream takes subjects nowhere.*"), "{err}");
}

#[tokio::test]
async fn a_signal_ends_a_paced_run_which_then_goes_on() {
    let world = World::new().await;
    write(&world, "in.ndjson", &ndjson(400, 7));
    let args = [&BASIC[..], &["--rate", "200"]].concat();
    let began = Instant::now();
    let mut process = Process::spawn("publish", command(&world, "in.ndjson", &args), &world.path("publish.log"));
    world.until_count(SOURCE, 100).await;
    assert!(began.elapsed() >= Duration::from_millis(400), "100 events at 200 a second: {:?}", began.elapsed());
    let second = publish(&world, "in.ndjson", &args);
    assert!(second.0 == Some(1) && second.2.contains("another run is using the checkpoint"), "{second:?}");
    process.signal(Signal::TERM);
    assert_eq!(process.ended().await.code(), Some(1));
    assert!(process.log().contains("run the same command again to go on"), "{}", process.log());
    let before = world.read(SOURCE).await.len();
    assert!(before < 400, "{before}");
    let (code, out, err) = publish(&world, "in.ndjson", &BASIC);
    assert!(
        code == Some(0) && out.starts_with(&format!("{} events published, 0 duplicates added, {before} already", 400 - before)),
        "{out}{err}"
    );
    assert_eq!(world.read(SOURCE).await.len(), 400);
}

#[tokio::test]
async fn the_host_puts_the_disorder_right() {
    let mut world = World::new().await;
    write(&world, "in.ndjson", &ndjson(2000, 25));
    let host = world.host().await;
    let (code, out, err) = publish(&world, "in.ndjson", &[&BASIC[..], &["--shuffle-window", "300", "--duplicate", "0.1"]].concat());
    assert_eq!(code, Some(0), "{out}{err}");
    let kept = world.read(SOURCE).await;
    assert!(by_entity(&kept).values().any(|numbers| !numbers.is_sorted()), "it is disorder");
    let sent = kept.into_iter().map(|kept| Sent {
        stream_sequence: kept.stream_sequence,
        entity: header(&kept, "Seriatim-Entity").to_owned(),
        sequence: header(&kept, "Seriatim-Sequence").parse().unwrap(),
        headers: kept.headers.clone(),
        payload: kept.payload,
    });
    world.note(sent.collect());
    for entity in 0..25 {
        world.until_applied(&format!("N{entity}"), 80).await;
    }
    world.settle(host).await;
    world.judge(&world.everything()).await;
}
