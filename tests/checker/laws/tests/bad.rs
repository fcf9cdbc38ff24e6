//! Bad histories: a good one, spoiled in one place, and the check that must find it.

use super::good;
use super::scene::{PIPELINE, Scene};
use crate::checker::Kept;
use crate::checker::laws::{Answer, Bounds, Failing, Handled, Hole, LateRule, Meant, Run, Word};
use crate::checker::store::{Alarm, Attempts, EntityView, GivenUp, PipelineView, Reason};

type Bad = (&'static str, Run);

fn spoiled(check: &'static str, mut run: Run, spoil: impl FnOnce(&mut Run)) -> Bad {
    spoil(&mut run);
    (check, run)
}

fn everything(check: &'static str, spoil: impl FnOnce(&mut Run)) -> Bad {
    spoiled(check, good::of_everything(), spoil)
}

fn store(run: &mut Run) -> &mut PipelineView {
    run.store.as_mut().unwrap().pipelines.get_mut(PIPELINE).unwrap()
}

fn view<'r>(run: &'r mut Run, entity: &str) -> &'r mut EntityView {
    store(run).entities.get_mut(entity).unwrap()
}

fn output<'r>(run: &'r mut Run, id: &str) -> &'r mut Kept {
    run.outputs.iter_mut().find(|kept| kept.header("Nats-Msg-Id") == Some(id)).unwrap()
}

fn without(run: &mut Run, id: &str) {
    run.outputs.retain(|kept| kept.header("Nats-Msg-Id") != Some(id));
    run.dead.retain(|kept| kept.header("Nats-Msg-Id") != Some(id));
}

fn letter<'r>(run: &'r mut Run, reason: &str) -> &'r mut Kept {
    run.dead.iter_mut().find(|kept| kept.header("Seriatim-Dead-Reason") == Some(reason)).unwrap()
}

fn set(kept: &mut Kept, name: &str, value: &str) {
    value.clone_into(&mut kept.headers.iter_mut().find(|(known, _)| known == name).unwrap().1);
}

/// The reason of a dead letter, wherever it stands.
fn relabel(run: &mut Run, from: &str, to: &str) {
    let kept = letter(run, from);
    set(kept, "Seriatim-Dead-Reason", to);
    kept.subject = format!("seriatim.dead.{PIPELINE}.{to}");
}

fn meant<'r>(run: &'r mut Run, entity: &str, sequence: u64) -> &'r mut Meant {
    run.sent.iter_mut().find(|meant| meant.entity == entity && meant.sequence == sequence).unwrap()
}

pub(super) fn all() -> Vec<Bad> {
    let mut all = no_loss();
    all.extend(reasons());
    all.extend(order());
    all.extend(once());
    all.extend(atomic());
    all.extend(isolation_and_writer());
    all.extend(bounds());
    all.extend(progress());
    all.extend(replay());
    all.extend(operators());
    all
}

fn no_loss() -> Vec<Bad> {
    vec![
        // An applied event is dead-lettered too.
        everything("one-end", |run| {
            let number = meant(run, "a", 3).stream_sequence;
            let mut scene = Scene { run: run.clone() };
            scene.dead(number, "trap");
            *run = scene.run;
        }),
        // An output, and a dead letter, that never came: forgotten below the watermark.
        everything("nothing-forgotten", |run| without(run, "flights:0:0:a:3:echo:0")),
        everything("nothing-forgotten", |run| run.dead.retain(|kept| kept.header("Seriatim-Dead-Reason") != Some("rejected"))),
        everything("nothing-forgotten", |run| run.dead.retain(|kept| kept.payload != b" 0:0")),
        // A conflict that was taken for a copy, and a late event.
        everything("nothing-forgotten", |run| run.dead.retain(|kept| kept.header("Seriatim-Dead-Reason") != Some("conflict"))),
        everything("nothing-forgotten", |run| run.dead.retain(|kept| kept.header("Seriatim-Dead-Reason") != Some("late"))),
        // `late = "drop"` drops late events and nothing else.
        spoiled("nothing-forgotten", good::late_dropped(), |run| view(run, "a").given_up.clear()),
        // S above what still has to be done.
        spoiled("nothing-forgotten", good::parked(), |run| view(run, "a").waiting.as_mut().unwrap().from += 1),
        // A loss that nobody named.
        spoiled("nothing-forgotten", good::lost(), |run| run.dead.retain(|kept| kept.header("Seriatim-Dead-Entity").is_some())),
        spoiled("nothing-forgotten", good::lost(), |run| run.dead.retain(|kept| kept.header("Seriatim-Dead-Entity").is_none())),
        // The watermark passed what was never read.
        spoiled("nothing-forgotten", good::unsettled(), |run| store(run).watermark += 1),
        everything("dead-letter-once", |run| {
            let kept = letter(run, "conflict").clone();
            run.dead.push(kept);
        }),
        everything("dead-letter-names-a-message", |run| {
            let kept = letter(run, "trap");
            set(kept, "Seriatim-Dead-Stream-Sequence", "700");
            set(kept, "Nats-Msg-Id", "flights:0:dead:700");
        }),
        everything("dead-letter-form", |run| "seriatim.dead.flights.late".clone_into(&mut letter(run, "conflict").subject)),
        everything("dead-letter-form", |run| set(letter(run, "late"), "Nats-Msg-Id", "flights:0:dead:1")),
        everything("dead-letter-form", |run| set(letter(run, "late"), "Seriatim-Dead-Sequence", "3")),
        everything("dead-letter-as-it-came", |run| letter(run, "trap").payload.clear()),
        everything("dead-letter-as-it-came", |run| set(letter(run, "trap"), "Seriatim-Sequence", "1")),
        everything("dead-letter-as-it-came", |run| letter(run, "trap").headers.push(("Nats-Rollup".to_owned(), "all".to_owned()))),
        spoiled("lost-is-gone", good::lost(), |run| run.rules.lost = false),
        spoiled("lost-is-gone", good::lost(), |run| run.source.first_sequence = 4),
    ]
}

fn reasons() -> Vec<Bad> {
    let mut all: Vec<Bad> = [("rejected", "trap"), ("trap", "timeout"), ("late", "conflict"), ("conflict", "late"), ("conflict", "gap")]
        .map(|(from, to)| everything("reason-justified", |run| relabel(run, from, to)))
        .into();
    all.extend([
        everything("reason-justified", |run| relabel(run, "late", "malformed")),
        everything("reason-justified", |run| relabel(run, "trap", "skipped")),
        everything("reason-justified", |run| relabel(run, "malformed", "late")),
        // Given up before the last attempt; although it would have been accepted; although what fails parks.
        everything("reason-justified", |run| set(letter(run, "trap"), "Seriatim-Dead-Attempts", "2")),
        everything("reason-justified", |run| meant(run, "r", 4).handled = Handled::FailsThenAccepts(3)),
        everything("reason-justified", |run| run.rules.failing = Failing::Park),
        // Not late: nobody gave it up.
        everything("reason-justified", |run| view(run, "b c").given_up.clear()),
        spoiled("reason-justified", good::any_first(), |run| run.rules.in_time = true),
        // Not early: everything below it had come.
        spoiled("reason-justified", good::early_dead(), |run| {
            let moved = meant(run, "b", 2).stream_sequence;
            let missing = run.sent.iter().position(|meant| meant.stream_sequence == moved).unwrap();
            run.sent[missing].stream_sequence = 0;
            run.sent.rotate_right(1);
        }),
        spoiled("reason-justified", good::early_dead(), |run| run.rules.hole = Hole::Skip),
    ]);
    all
}

fn order() -> Vec<Bad> {
    vec![
        everything("order", |run| run.outputs.swap(0, 1)),
        spoiled("order", good::late_delivered(), |run| run.rules.late = LateRule::DeadLetter),
        spoiled("order", good::late_delivered(), |run| run.rules.hole = Hole::Park),
        // Delivered after what it came before.
        spoiled("order", good::late_delivered(), |run| {
            (run.sent[1].stream_sequence, run.sent[2].stream_sequence) = (3, 2);
            run.sent.swap(1, 2);
        }),
        everything("missing-is-named", |run| view(run, "b c").given_up.clear()),
        spoiled("missing-is-named", good::any_first(), |run| view(run, "a").given_up[0].last = 5),
        spoiled("missing-is-named", good::any_first(), |run| view(run, "a").given_up[0].first = 2),
        everything("given-up-not-applied", |run| view(run, "a").given_up.push(GivenUp { epoch: 0, first: 2, last: 2 })),
    ]
}

fn once() -> Vec<Bad> {
    vec![
        everything("output-once", |run| run.outputs.push(run.outputs[0].clone())),
        everything("place-once", |run| {
            let mut again = output(run, "flights:0:0:a:2:echo:0").clone();
            set(&mut again, "Nats-Msg-Id", "flights:1:0:a:2:echo:0");
            run.outputs.push(again);
        }),
        everything("count", |run| set(output(run, "flights:0:0:a:3:echo:0"), "Echo-Count", "4")),
        everything("state", |run| drop(view(run, "a").state.get_mut("echo").unwrap().insert("count".to_owned(), b"4".to_vec()))),
        everything("state", |run| view(run, "a").state.clear()),
        // An output that was pruned and never left.
        spoiled("state", good::unsettled(), |run| drop(view(run, "a").outbox.pop())),
        // Not applied although nothing stands before it; applied although something does.
        spoiled("exact", good::in_time(), |run| without(run, "flights:0:0:a:3:echo:0")),
        spoiled("exact", good::in_time(), |run| run.rules.hole = Hole::Park),
        spoiled("exact", good::in_time(), |run| run.rules.hole = Hole::DeadLetter),
        spoiled("exact", good::in_time(), |run| {
            meant(run, "a", 1).handled = Handled::AlwaysFails("trap");
            run.rules.failing = Failing::Park;
        }),
        spoiled("exact", good::in_time(), |run| meant(run, "b", 2).handled = Handled::Rejects),
    ]
}

fn atomic() -> Vec<Bad> {
    vec![
        everything("output-of-accepted", |run| meant(run, "a", 1).handled = Handled::FailsThenAccepts(4)),
        everything("output-after-commit", |run| view(run, "a").position = Some((0, 2))),
        everything("output-after-commit", |run| drop(store(run).entities.remove("a"))),
        everything("slot-has-its-end", |run| without(run, "flights:0:0:a:2:echo:0")),
        everything("dead-letter-after-commit", |run| {
            // The dead letter of the conflict left, and what it was decided on did not become durable.
            let number = run.sent.iter().find(|meant| meant.payload == b"b c, but other").unwrap().stream_sequence;
            run.settled = false;
            store(run).watermark = number - 1;
        }),
        everything("dead-letter-after-commit", |run| {
            let number = meant(run, "r", 3).stream_sequence;
            run.settled = false;
            store(run).watermark = number - 1;
            view(run, "r").position = Some((0, 2));
        }),
        everything("dead-letter-after-commit", |run| {
            let number = run.sent.iter().find(|meant| meant.entity.is_empty()).unwrap().stream_sequence;
            run.settled = false;
            store(run).watermark = number - 1;
        }),
        // The second of the outbox left before the first.
        spoiled("outbox-in-line", good::unsettled(), |run| view(run, "a").outbox.swap(0, 1)),
        spoiled("outbox-in-line", good::unsettled(), |run| {
            let again = view(run, "a").outbox[1].clone();
            view(run, "a").outbox.push(again);
        }),
        everything("component-of-the-record", |run| {
            view(run, "a").components.insert("echo".to_owned(), "fedcba9876543210".repeat(4));
        }),
    ]
}

fn isolation_and_writer() -> Vec<Bad> {
    vec![
        everything("undisturbed-goes-on", |run| {
            let number = meant(run, "a", 3).stream_sequence;
            without(run, "flights:0:0:a:3:echo:0");
            let mut scene = Scene { run: run.clone() };
            scene.dead(number, "timeout");
            *run = scene.run;
        }),
        everything("undisturbed-goes-on", |run| {
            let mut scene = Scene { run: run.clone() };
            scene.waits("a", 2, Reason::OutputUnavailable, Attempts::default());
            *run = scene.run;
        }),
        everything("undisturbed-is-done", |run| without(run, "flights:0:0:e:2:echo:0")),
        spoiled("undisturbed-is-done", good::parked(), |run| run.outputs.retain(|kept| kept.subject != "echo.c")),
        everything("no-foreign-bytes", |run| {
            let foreign = meant(run, "b c", 1).payload.clone();
            output(run, "flights:0:0:a:1:echo:0").payload = foreign;
        }),
        everything("generation", |run| set(output(run, "flights:0:0:a:1:echo:0"), "Nats-Msg-Id", "flights:1:0:a:1:echo:0")),
        everything("generation", |run| store(run).generation = 1),
        everything("one-payload-per-id", |run| {
            let mut other = output(run, "flights:0:0:a:1:echo:0").clone();
            other.payload.push(b'!');
            run.outputs.push(other);
        }),
        spoiled("one-payload-per-id", good::unsettled(), |run| view(run, "a").outbox[0].payload.push(b'!')),
    ]
}

fn bounds() -> Vec<Bad> {
    vec![
        everything("ranges", |run| {
            let ranges = (0..65).map(|at| GivenUp { epoch: 0, first: 10 + 2 * at, last: 10 + 2 * at });
            view(run, "b c").given_up.extend(ranges);
        }),
        everything("fates", |run| view(run, "a").fates = (0..1001).collect()),
        everything("ids", |run| run.rules.ids = 2),
        everything("past", |run| view(run, "e").past = (0..17).map(|epoch| (epoch, 0)).collect()),
        spoiled("outbox", good::unsettled(), |run| {
            let Bounds { outbox_max, commits_max, .. } = Bounds::default();
            let entry = view(run, "a").outbox[1].clone();
            view(run, "a").outbox.extend(vec![entry; outbox_max + commits_max + 1]);
        }),
    ]
}

fn progress() -> Vec<Bad> {
    vec![
        everything("watermark", |run| store(run).watermark -= 1),
        spoiled("outbox-empty", good::unsettled(), |run| run.settled = true),
        spoiled("nobody-waits", good::parked(), |run| view(run, "a").waiting.as_mut().unwrap().alarm = Some(Alarm::Stream(5))),
        // Parked for an event that came; for a reason that the rules do not know; for an event that does not fail, or not so often.
        spoiled("parked-justified", good::parked(), |run| meant(run, "a", 3).sequence = 2),
        spoiled("parked-justified", good::parked(), |run| run.rules.hole = Hole::Skip),
        spoiled("parked-justified", good::parked(), |run| run.rules.failing = Failing::DeadLetter),
        spoiled("parked-justified", good::parked(), |run| meant(run, "b", 2).handled = Handled::Accepts),
        spoiled("parked-justified", good::parked(), |run| view(run, "b").waiting.as_mut().unwrap().attempts.count = 3),
        spoiled("parked-justified", good::parked(), |run| view(run, "a").waiting.as_mut().unwrap().reason = Reason::Record),
        spoiled("parked-justified", good::parked(), |run| view(run, "a").waiting.as_mut().unwrap().reason = Reason::Operator),
        spoiled("owing-lists-all", good::parked(), |run| view(run, "a").owing = false),
        spoiled("owing-lists-all", good::unsettled(), |run| view(run, "b").owing = false),
        everything("owing-lists-only", |run| view(run, "a").owing = true),
    ]
}

fn replay() -> Vec<Bad> {
    vec![
        everything("output-form", |run| "echo.A".clone_into(&mut output(run, "flights:0:0:a:1:echo:0").subject)),
        everything("output-form", |run| set(output(run, "flights:0:0:b%20c:1:echo:0"), "Nats-Msg-Id", "flights:0:0:b:c:1:echo:0")),
        everything("output-form", |run| set(output(run, "flights:0:0:a:1:echo:0"), "Seriatim-Component", "short")),
        everything("output-form", |run| set(output(run, "flights:0:0:a:1:echo:0"), "Echo-Sequence", "2")),
        everything("output-form", |run| set(output(run, "flights:0:0:a:1:echo:0"), "Seriatim-Causation-Id", "a-0-2")),
        everything("output-form", |run| set(output(run, "flights:0:0:d:4:echo:0"), "Seriatim-Causation-Id", "FLIGHTS:1")),
        everything("output-form", |run| output(run, "flights:0:0:a:1:echo:0").headers.retain(|(name, _)| name != "Echo-Count")),
        everything("output-of-an-event", |run| run.sent.retain(|meant| meant.entity != "a" || meant.sequence != 3)),
        everything("output-payload", |run| output(run, "flights:0:0:a:1:echo:0").payload.push(b'!')),
    ]
}

fn operators() -> Vec<Bad> {
    let ops = |check, spoil: fn(&mut Run)| spoiled(check, good::operators(), spoil);
    vec![
        ops("word-names-the-head", |run| run.said[1].answer = Answer::Done),
        ops("word-names-the-head", |run| run.said[1].answer = Answer::AlreadySo),
        // Nobody parked it, or the word was refused; it was parked and does not stand still, or goes on.
        ops("parked-justified", |run| run.said.retain(|said| said.entity != "p")),
        ops("parked-justified", |run| run.said.iter_mut().filter(|said| said.entity == "p").for_each(|said| said.answer = Answer::Refused)),
        ops("parked-justified", |run| {
            let resumed = Word::Resume(crate::checker::laws::Head::Any);
            let mut scene = Scene { run: run.clone() };
            scene.said("p", resumed, Answer::Done);
            *run = scene.run;
        }),
        ops("parked-stands-still", |run| view(run, "p").waiting = None),
        ops("parked-stands-still", |run| view(run, "p").waiting.as_mut().unwrap().alarm = Some(Alarm::Host(1))),
        ops("parked-stands-still", |run| {
            let (second, third) = (meant(run, "p", 2).stream_sequence, meant(run, "p", 3).stream_sequence);
            let mut scene = Scene { run: run.clone() };
            scene.applied(second);
            scene.applied(third);
            *run = scene.run;
        }),
        ops("skipped-goes-on", |run| view(run, "s").position = Some((0, 1))),
        ops("reason-justified", |run| run.said.retain(|said| !matches!(said.word, Word::Skip(_)))),
        ops("reason-justified", |run| run.said[3].answer = Answer::Refused),
        // In the wrong order; twice; although nobody asked, or it was refused; not at all; with a payload that nobody gave.
        ops("order", |run| run.said[5].word = run.said[4].word.clone()),
        ops("redriven-once", |run| {
            let mut again = output(run, "flights:0:0:s:2:echo:0:r1").clone();
            set(&mut again, "Nats-Msg-Id", "flights:1:0:s:2:echo:0:r1");
            run.outputs.push(again);
        }),
        ops("redriven-as-said", |run| run.said.retain(|said| !matches!(said.word, Word::Redrive { letter: 1, .. }))),
        ops("redriven-as-said", |run| run.said[5].answer = Answer::Refused),
        ops("redriven-as-said", |run| without(run, "flights:0:0:s:2:echo:0:r1")),
        ops("redriven-as-said", |run| without(run, "flights:0:0:t:1:echo:0:r2")),
        ops("output-form", |run| set(output(run, "flights:0:0:s:2:echo:0:r1"), "Seriatim-Redriven", "2")),
        ops("output-payload", |run| output(run, "flights:0:0:t:1:echo:0:r2").payload.push(b'!')),
        ops("state", |run| drop(view(run, "s").state.get_mut("echo").unwrap().insert("count".to_owned(), b"4".to_vec()))),
    ]
}
