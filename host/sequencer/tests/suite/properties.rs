//! Properties over seeds: order, nothing lost, nothing twice, bounds and progress, under every policy and every fault the world knows.

use crate::judge::{self, Fate};
use crate::plan::{Mode, Plan};
use crate::world::World;
use seriatim_sequencer::{FailureThen, Operator, WaitReason};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Seeds that once failed. Each stays for ever.
const REGRESSIONS: &[(Mode, u64)] = &[];

/// Runs one seed to its end and judges it. Returns the steps it took.
fn run(plan: Plan, rounds: u64, log: bool, crash_at: Option<u64>) -> (u64, u64) {
    let mut world = World::new(plan);
    world.crash_at = crash_at;
    if log {
        world.log = Some(Vec::new());
    }
    let result = catch_unwind(AssertUnwindSafe(|| {
        for _ in 0..rounds {
            world.round();
        }
        finish(&mut world);
    }));
    if let Err(cause) = result {
        if let Some(log) = &world.log {
            for line in log {
                println!("{line}");
            }
            println!("{:?}", world.plan.policy);
            println!("{:?}", world.ledger);
            if let Some(sequencer) = &world.sequencer {
                println!("{:?}", sequencer.status(world.now()));
            }
        }
        std::panic::resume_unwind(cause);
    }
    (world.steps, world.boundaries)
}

/// Faults stop. An operator resumes what is parked for a reason that time does not heal; then everything must be decided or wait with a reason.
fn finish(world: &mut World) {
    let mut restarts = 0;
    for _ in 0..12 {
        assert!(world.settle(), "it does not come to rest");
        if world.stopped.is_some() {
            restarts += 1;
            if restarts == 4 {
                break;
            }
            world.crash();
            continue;
        }
        match world.ledger.waiting {
            None => break,
            Some(waiting) => {
                assert!(waiting.parked(), "at rest but not parked: {waiting:?}");
                if matches!(waiting.reason, WaitReason::Gap | WaitReason::Failed(_) | WaitReason::RangesFull) {
                    break;
                }
                let place = world.head();
                world.say(Operator::Resume { place });
            }
        }
    }
    world.ledger.check(&world.plan);
    if world.stopped.is_none() {
        assert!(!world.unread(), "messages are left unread");
        assert_eq!(world.ledger.watermark, world.plan.messages.len() as u64, "the watermark stands still");
    }
    let policy = &world.plan.policy;
    let mut fates = judge::Fates::default();
    for (ticket, late) in &world.ledger.applied {
        fates.applied.push((*ticket, *late));
    }
    for (ticket, reason) in &world.ledger.dead {
        fates.of.insert(*ticket, Fate::Dead(reason.name()));
    }
    for ticket in &world.ledger.dropped_late {
        fates.of.entry(*ticket).or_insert(Fate::DroppedLate);
    }
    for (first, last) in &world.ledger.lost {
        for ticket in *first..=*last {
            assert!(ticket < world.first, "named lost but still there: {ticket}");
            fates.lost.insert(ticket);
        }
    }
    fates.waits_from = world.ledger.waiting.map(|waiting| waiting.from);
    fates.watermark = world.ledger.watermark;
    let input = world.plan.messages.iter().filter_map(|message| {
        let place = message.place?;
        Some(judge::Seen {
            ticket: message.stream_sequence,
            place: (place.epoch, place.sequence),
            id: message.id,
            payload: message.payload,
            poison: message.reject || message.fails as usize > policy.retry.len(),
            rejected: message.reject && message.fails as usize <= policy.retry.len(),
        })
    });
    let rules = judge::Rules {
        exact: world.plan.mode == Mode::Exact,
        ids: policy.ids,
        jump_max: policy.jump_max,
        dead_letters_failures: policy.failure_then == FailureThen::DeadLetter,
        operator: world.plan.faults.skip != 0,
    };
    if let Err(complaint) = judge::judge(&rules, input.collect(), &fates) {
        panic!("the judge: {complaint}");
    }
}

fn sweep(mode: Mode, seeds: std::ops::Range<u64>, rounds: u64) -> u64 {
    let mut steps = 0;
    for seed in seeds {
        let plan = Plan::draw(seed, mode);
        let one = catch_unwind(AssertUnwindSafe(|| run(plan.clone(), rounds, false, None)));
        match one {
            Ok((taken, _)) => steps += taken,
            Err(cause) => {
                println!("seed {seed} of {mode:?} failed; again, with its log:");
                let _ = catch_unwind(AssertUnwindSafe(|| run(plan, rounds, true, None)));
                println!("FAILED: ({mode:?}, {seed})");
                std::panic::resume_unwind(cause);
            }
        }
    }
    steps
}

fn seeds(default: u64) -> std::ops::Range<u64> {
    let from = option_env!("SEEDS_FROM").and_then(|text| text.parse().ok()).unwrap_or(0);
    from..from + default
}

#[test]
fn exact() {
    let steps = sweep(Mode::Exact, seeds(4_000), 250);
    println!("{steps} steps");
}

#[test]
fn chaos() {
    let steps = sweep(Mode::Chaos, seeds(4_000), 250);
    println!("{steps} steps");
}

#[test]
fn regressions() {
    for (mode, seed) in REGRESSIONS {
        sweep(*mode, *seed..*seed + 1, 250);
    }
}

/// Cuts the power at every boundary of the store's queue, one run per boundary.
#[test]
fn crash_at_every_boundary() {
    for seed in seeds(60) {
        for mode in [Mode::Exact, Mode::Chaos] {
            let mut plan = Plan::draw(seed, mode);
            plan.faults.crash = 0;
            let (_, boundaries) = run(plan.clone(), 120, false, None);
            for at in 1..=boundaries {
                let one = catch_unwind(AssertUnwindSafe(|| run(plan.clone(), 120, false, Some(at))));
                if let Err(cause) = one {
                    let _ = catch_unwind(AssertUnwindSafe(|| run(plan, 120, true, Some(at))));
                    println!("FAILED: ({mode:?}, {seed}) with a crash at boundary {at}");
                    std::panic::resume_unwind(cause);
                }
            }
        }
    }
}

/// For people at work on the core: every failure of many seeds, grouped, the shortest run of each group printed.
#[test]
#[ignore = "a survey, not a check"]
fn survey() {
    let mut groups: std::collections::BTreeMap<String, (u64, Mode, u64, Vec<String>)> = std::collections::BTreeMap::new();
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let many = std::env::args().find_map(|arg| arg.strip_prefix("n=").and_then(|n| n.parse().ok())).unwrap_or(3_000);
    let mut steps = 0;
    for seed in seeds(many) {
        for mode in [Mode::Exact, Mode::Chaos] {
            let mut world = World::new(Plan::draw(seed, mode));
            world.log = Some(Vec::new());
            let result = catch_unwind(AssertUnwindSafe(|| {
                for _ in 0..250 {
                    world.round();
                }
                finish(&mut world);
            }));
            steps += world.steps;
            if let Err(cause) = result {
                let text = cause.downcast_ref::<String>().cloned().or_else(|| cause.downcast_ref::<&str>().map(ToString::to_string)).unwrap_or_default();
                let key: String = format!("{mode:?} {}", text.chars().filter(|c| !c.is_ascii_digit()).take(60).collect::<String>());
                let mut log = world.log.take().unwrap_or_default();
                log.push(format!("{:?}", world.plan.policy));
                log.push(format!("{:?}", world.ledger));
                log.push(text);
                let entry = groups.entry(key).or_insert((0, mode, seed, log.clone()));
                entry.0 += 1;
                if log.len() < entry.3.len() {
                    (entry.1, entry.2, entry.3) = (mode, seed, log);
                }
            }
        }
    }
    std::panic::set_hook(hook);
    for (key, (count, mode, seed, log)) in &groups {
        println!("=== {count} x {key} ({mode:?}, {seed})");
        for line in log.iter() {
            println!("    {}", line.replace("Place { epoch: ", "P{").replace(", sequence: ", ","));
        }
    }
    println!("{} groups, {steps} steps", groups.len());
    for (key, (count, mode, seed, _)) in &groups {
        println!("{count} x {key} ({mode:?}, {seed})");
    }
}
