//! Good histories: each exercises what the rules allow.

use super::scene::Scene;
use crate::checker::laws::{Answer, Failing, Handled, Head, Hole, LateRule, MeantAs, Run, Word};
use crate::checker::store::{Alarm, Attempts, Reason};

pub(super) fn all() -> Vec<(&'static str, Run)> {
    vec![
        ("of everything", of_everything()),
        ("late delivered", late_delivered()),
        ("late dropped", late_dropped()),
        ("early dead", early_dead()),
        ("parked", parked()),
        ("lost", lost()),
        ("in time", in_time()),
        ("unsettled", unsettled()),
        ("restored", restored()),
        ("any first", any_first()),
        ("below the floor", below_the_floor()),
        ("forgotten by the ring", forgotten_by_the_ring()),
        ("operators", operators()),
    ]
}

/// Copies, a gap given up, late, conflict, malformed, too far, rejected, retried, exhausted, a known id, two epochs.
pub(super) fn of_everything() -> Run {
    let mut scene = Scene::new();
    scene.run.rules.hole = Hole::Skip;
    // An undisturbed entity with a copy.
    for sequence in 1..=3 {
        let number = scene.sent("a", (0, sequence));
        scene.applied(number);
        if sequence == 2 {
            scene.sent("a", (0, 2));
        }
    }
    // 2 is given up, comes late; a copy of 1 with another payload is a conflict.
    let early = [scene.sent("b c", (0, 1)), scene.sent("b c", (0, 3)), scene.sent("b c", (0, 4))];
    scene.applied(early[0]);
    scene.given_up("b c", 0, 2, 2);
    scene.applied(early[1]);
    scene.applied(early[2]);
    let late = scene.sent("b c", (0, 2));
    scene.dead(late, "late");
    let conflict = scene.sent("b c", (0, 3));
    scene.last().payload = b"b c, but other".to_vec();
    scene.dead(conflict, "conflict");
    // What is no event, and what lies too far ahead.
    let broken = scene.sent("", (0, 0));
    scene.last().kind = MeantAs::Malformed;
    scene.dead(broken, "malformed");
    let far = scene.sent("r", (0, 5_000_000));
    scene.dead(far, "malformed");
    // Rejected, retried, exhausted; then it goes on.
    for (sequence, handled) in [
        (1, Handled::Rejects),
        (2, Handled::FailsThenAccepts(2)),
        (3, Handled::AlwaysFails("trap")),
        (4, Handled::FailsThenAccepts(9)),
        (5, Handled::Accepts),
    ] {
        let number = scene.sent("r", (0, sequence));
        scene.last().handled = handled;
        match handled {
            Handled::Rejects => scene.dead(number, "rejected"),
            Handled::AlwaysFails(reason) => scene.dead(number, reason),
            Handled::FailsThenAccepts(9) => scene.dead(number, "retries-exhausted"),
            _ => scene.applied(number),
        }
    }
    // A known id under a new sequence, and an event without an id with its copy.
    for sequence in 1..=3 {
        let number = scene.sent("d", (0, sequence));
        match sequence {
            2 => {
                scene.last().id = "d-0-1".to_owned();
                scene.finished(number);
            }
            _ => scene.applied(number),
        }
    }
    let bare = scene.sent("d", (0, 4));
    scene.last().id.clear();
    scene.applied(bare);
    scene.sent("d", (0, 4));
    scene.last().id.clear();
    // A producer that starts over.
    for place in [(0, 1), (0, 2), (1, 1), (1, 2)] {
        let number = scene.sent("e", place);
        scene.applied(number);
    }
    scene.run
}

pub(super) fn late_delivered() -> Run {
    let mut scene = Scene::new();
    (scene.run.rules.hole, scene.run.rules.late) = (Hole::Skip, LateRule::Deliver);
    let numbers = [1, 3, 2, 4].map(|sequence| scene.sent("a", (0, sequence)));
    for number in numbers {
        scene.applied(number);
    }
    scene.run
}

pub(super) fn late_dropped() -> Run {
    let mut scene = Scene::new();
    (scene.run.rules.hole, scene.run.rules.late) = (Hole::Skip, LateRule::Drop);
    let numbers = [1, 3, 2].map(|sequence| scene.sent("a", (0, sequence)));
    scene.applied(numbers[0]);
    scene.given_up("a", 0, 2, 2);
    scene.applied(numbers[1]);
    scene.run
}

/// 2 never comes: what came early is dead-lettered and stands above the position. Of `b` it comes after all.
pub(super) fn early_dead() -> Run {
    let mut scene = Scene::new();
    scene.run.rules.hole = Hole::DeadLetter;
    for entity in ["a", "b"] {
        let numbers = [1, 3, 4].map(|sequence| scene.sent(entity, (0, sequence)));
        scene.applied(numbers[0]);
        let position = scene.view(entity).position;
        scene.dead(numbers[1], "gap");
        scene.dead(numbers[2], "gap");
        scene.given_up(entity, 0, 3, 4);
        scene.view(entity).position = position;
        for slot in &mut scene.view(entity).slots {
            slot.position = (0, 1);
        }
    }
    let missing = scene.sent("b", (0, 2));
    scene.applied(missing);
    scene.view("b").given_up.clear();
    scene.view("b").position = Some((0, 4));
    scene.run
}

/// One waits for an event that never comes, one for its operator.
pub(super) fn parked() -> Run {
    let mut scene = Scene::new();
    (scene.run.rules.hole, scene.run.rules.failing) = (Hole::Park, Failing::Park);
    let numbers = [1, 3, 4].map(|sequence| scene.sent("a", (0, sequence)));
    scene.applied(numbers[0]);
    scene.waits("a", numbers[1], Reason::Gap, Attempts::default());
    let first = scene.sent("b", (0, 1));
    scene.applied(first);
    let failing = scene.sent("b", (0, 2));
    scene.last().handled = Handled::AlwaysFails("timeout");
    scene.sent("b", (0, 3));
    scene.waits("b", failing, Reason::Failed("timeout".to_owned()), Attempts { stream_sequence: failing, count: 4 });
    let other = scene.sent("c", (0, 1));
    scene.applied(other);
    scene.run
}

/// Retention took messages that were not read, and messages that one entity waited for.
pub(super) fn lost() -> Run {
    let mut scene = Scene::new();
    (scene.run.rules.hole, scene.run.rules.lost) = (Hole::Skip, true);
    let numbers = [1, 2, 3, 4, 5].map(|sequence| scene.sent("a", (0, sequence)));
    scene.applied(numbers[0]);
    scene.lost(2, 3, None);
    scene.given_up("a", 0, 2, 3);
    scene.lost(4, 4, Some("a"));
    scene.view("a").given_up[0].last = 4;
    scene.applied(numbers[4]);
    scene.run.source.first_sequence = 5;
    scene.run
}

/// Disorder, but everything came before its gap could give up; one sequence never came.
pub(super) fn in_time() -> Run {
    let mut scene = Scene::new();
    (scene.run.rules.hole, scene.run.rules.in_time) = (Hole::Skip, true);
    let numbers = [2, 1, 5, 3, 7].map(|sequence| scene.sent("a", (0, sequence)));
    scene.applied(numbers[1]);
    scene.applied(numbers[0]);
    scene.applied(numbers[3]);
    scene.given_up("a", 0, 4, 4);
    scene.applied(numbers[2]);
    scene.given_up("a", 0, 6, 6);
    scene.applied(numbers[4]);
    let rejected = scene.sent("b", (0, 1));
    scene.last().handled = Handled::Rejects;
    scene.dead(rejected, "rejected");
    let next = scene.sent("b", (0, 2));
    scene.applied(next);
    scene.run
}

/// Stopped at once: outputs that have not left, one of which has; an entity that waits for a retry; a message that was not read.
pub(super) fn unsettled() -> Run {
    let mut scene = Scene::new();
    scene.run.settled = false;
    let numbers = [1, 2, 3].map(|sequence| scene.sent("a", (0, sequence)));
    scene.applied(numbers[0]);
    scene.applied(numbers[1]);
    let sent = scene.run.outputs[1].clone();
    scene.wait_to_leave("a", sent, false);
    let third = scene.output(numbers[2]);
    scene.wait_to_leave("a", third, false);
    let retried = scene.sent("b", (0, 1));
    scene.last().handled = Handled::FailsThenAccepts(3);
    scene.waits("b", retried, Reason::Retry, Attempts { stream_sequence: retried, count: 1 }).alarm = Some(Alarm::Host(1));
    scene.sent("b", (0, 2));
    scene.sent("a", (0, 4));
    scene.store().watermark -= 1;
    scene.run
}

/// The stream was restored to its second message and went on from there.
pub(super) fn restored() -> Run {
    let mut scene = Scene::new();
    (scene.run.rules.lost, scene.run.rules.generations) = (true, 1);
    let numbers = [1, 2, 3].map(|sequence| scene.sent("a", (0, sequence)));
    for number in numbers {
        scene.applied(number);
    }
    scene.run.source.last_sequence = 2;
    let again = scene.sent("b", (0, 1));
    scene.last().headers[1].1 = "b-again".to_owned();
    scene.applied(again);
    let store = scene.store();
    (store.generation, store.generations) = (1, vec![(0, 1), (1, 3)]);
    scene.run
}

/// It begins with the lowest that was seen in time.
pub(super) fn any_first() -> Run {
    let mut scene = Scene::new();
    scene.run.rules.first = None;
    let numbers = [8, 7, 9, 5].map(|sequence| scene.sent("a", (0, sequence)));
    scene.given_up("a", 0, 1, 6);
    for at in [1, 0, 2] {
        scene.applied(numbers[at]);
    }
    scene.dead(numbers[3], "late");
    scene.run
}

/// A range folded into the floor: what was decided below it may be read again and called late.
pub(super) fn below_the_floor() -> Run {
    let mut scene = Scene::new();
    scene.run.rules.hole = Hole::Skip;
    let numbers = [1, 3].map(|sequence| scene.sent("a", (0, sequence)));
    for number in numbers {
        scene.applied(number);
    }
    scene.view("a").floor = (0, 2);
    let again = scene.letter(numbers[0], "late");
    scene.run.dead.push(again);
    scene.run
}

/// Only the last two events are remembered: another payload for an older one looks like a copy.
pub(super) fn forgotten_by_the_ring() -> Run {
    let mut scene = Scene::new();
    scene.run.rules.ids = 2;
    for sequence in 1..=3 {
        let number = scene.sent("a", (0, sequence));
        scene.applied(number);
    }
    scene.sent("a", (0, 1));
    scene.last().payload = b"a, but other".to_vec();
    scene.run
}

/// One is parked and stays so, one is skipped over and redriven behind others, one is redriven before anything else is applied.
pub(super) fn operators() -> Run {
    let mut scene = Scene::new();
    let first = scene.sent("p", (0, 1));
    // It was with the handlers when the word came.
    scene.said("p", Word::Park { counted: 0 }, Answer::Done);
    scene.applied(first);
    let second = scene.sent("p", (0, 2));
    scene.sent("p", (0, 3));
    scene.waits("p", second, Reason::Operator, Attempts::default());
    scene.said("p", Word::Resume(Head::Wrong((0, 1))), Answer::Refused);
    scene.said("p", Word::Park { counted: 1 }, Answer::AlreadySo);
    let numbers = [1, 2, 3].map(|sequence| scene.sent("s", (0, sequence)));
    scene.applied(numbers[0]);
    scene.dead(numbers[1], "skipped");
    scene.said("s", Word::Skip(Head::Seen((0, 2))), Answer::Done);
    scene.applied(numbers[2]);
    scene.said("s", Word::Redrive { letter: 1, out_of_order: false, payload: None }, Answer::Refused);
    scene.said("s", Word::Redrive { letter: 1, out_of_order: true, payload: None }, Answer::Done);
    scene.redriven(numbers[1], 1, None);
    let rejected = scene.sent("t", (0, 1));
    scene.last().handled = Handled::Rejects;
    scene.dead(rejected, "rejected");
    let mended = b"t, mended".to_vec();
    scene.said("t", Word::Redrive { letter: 2, out_of_order: false, payload: Some(mended.clone()) }, Answer::Open);
    scene.redriven(rejected, 2, Some(mended));
    scene.said("t", Word::Redrive { letter: 2, out_of_order: true, payload: None }, Answer::AlreadySo);
    let next = scene.sent("t", (0, 2));
    scene.applied(next);
    scene.run
}

/// Entities' histories in a mixture: each choice gives one entity its next message.
pub(super) fn mixture(choices: &[usize]) -> Run {
    let mut scene = Scene::new();
    scene.run.rules.hole = Hole::Skip;
    let mut steps = [0; 5];
    for choice in choices {
        let (entity, step) = (["a", "b", "c", "d", "e"][*choice], steps[*choice]);
        steps[*choice] += 1;
        let round = 4 * (step / 4);
        match (entity, step % 4) {
            // A copy after each third event.
            ("a", 3) => drop(scene.sent(entity, (0, 1 + 3 * (step / 4) + 2))),
            ("a", part) => {
                let number = scene.sent(entity, (0, 1 + 3 * (step / 4) + part));
                scene.applied(number);
            }
            // The second of each four never comes in time.
            ("b", 0) => {
                let number = scene.sent(entity, (0, round + 1));
                scene.applied(number);
            }
            ("b", 1) => {
                let number = scene.sent(entity, (0, round + 3));
                scene.given_up(entity, 0, round + 2, round + 2);
                scene.applied(number);
            }
            ("b", 2) => {
                let number = scene.sent(entity, (0, round + 2));
                scene.dead(number, "late");
            }
            // Every second event is refused.
            ("c", part) => {
                let number = scene.sent(entity, (0, step + 1));
                if part % 2 == 1 {
                    scene.last().handled = Handled::Rejects;
                    scene.dead(number, "rejected");
                } else {
                    scene.applied(number);
                }
            }
            // Each event twice, the second time with another payload.
            ("d", part) => {
                let number = scene.sent(entity, (0, step / 2 + 1));
                if part % 2 == 1 {
                    scene.last().payload.push(b'!');
                    scene.dead(number, "conflict");
                } else {
                    scene.applied(number);
                }
            }
            // A new epoch every four events.
            ("e", part) => {
                let number = scene.sent(entity, (step / 4, part + 1));
                scene.applied(number);
            }
            (_, _) => {
                let number = scene.sent(entity, (0, round + 4));
                scene.applied(number);
            }
        }
    }
    scene.run
}

/// One entity, very long, with as many copies of one event behind it.
pub(super) fn long(events: u64) -> Run {
    let mut scene = Scene::new();
    for sequence in 1..=events {
        let number = scene.sent("a", (0, sequence));
        scene.applied(number);
    }
    for _ in 0..events {
        scene.sent("a", (0, events));
    }
    scene.run
}
