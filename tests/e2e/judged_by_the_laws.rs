//! Promise (all): runs with everything in them keep the laws, by what the broker holds and by what the store says, whenever the host ends.
//! It also shows that the laws read what a real host and a real broker leave behind.

use crate::harness::{DEAD_LETTERS, Input, OUTPUTS, Random, SOURCE, World, command, misbehave, time_passes, until};
use serde_json::json;
use seriatim_tests::checker::laws::{Counts, Failing, Handled, Hole, LateRule, Meant, MeantAs, Rules, Run, SourceView, check};
use seriatim_tests::checker::store::StoreView;
use std::collections::HashMap;
use std::time::Duration;

/// What the handler is meant to do, by payload.
pub(super) type Plan = HashMap<Vec<u8>, Handled>;

/// Everything that can happen to an entity, for each of some entities, in a stream that mixes them; and what comes when it was given up.
pub(super) fn mess(random: &mut Random, entities: usize) -> (Vec<Input>, Vec<Input>, Plan) {
    let (mut keyed, mut late, mut plan) = (Vec::new(), Vec::new(), Plan::new());
    for entity in 0..entities {
        let name = format!("m{entity}");
        let mut at = 0;
        for sequence in 1..=20 {
            let input = match (entity % 4, sequence) {
                (1, 7) => {
                    late.extend([Input::event(&name, 7), Input::event(&name, 7).again()]);
                    continue;
                }
                (2, 4) => command(&name, 4, &json!({ "do": "reject", "reason": "not wanted" })),
                (2, 5) => command(&name, 5, &json!({ "do": "trap", "message": name })),
                (2, 6) => command(&name, 6, &json!({ "do": "retry", "until": 2 })),
                (_, _) => Input::event(&name, sequence),
            };
            let handled = match (entity % 4, sequence) {
                (2, 4) => Handled::Rejects,
                (2, 5) => Handled::AlwaysFails("trap"),
                (2, 6) => Handled::FailsThenAccepts(1),
                _ => Handled::Accepts,
            };
            plan.insert(input.payload.clone(), handled);
            at += 10;
            keyed.push((at + random.below(40), input.clone()));
            if sequence % 5 == 0 {
                keyed.push((at + random.below(400), input.clone().again()));
            }
            if entity % 4 == 3 && sequence % 7 == 0 {
                keyed.push((at + 200 + random.below(400), input.clone().again().payload(format!("{name} {sequence}, but other"))));
            }
            if entity % 4 == 3 && sequence == 9 {
                keyed.push((at + random.below(400), input.again().header("Seriatim-Sequence", "nine").payload(format!("{name} broken"))));
            }
        }
    }
    keyed.sort_by_key(|(at, _)| *at);
    (keyed.into_iter().map(|(_, input)| input).collect(), late, plan)
}

/// What is to be judged, as it is now.
pub(super) async fn run(world: &mut World, plan: &Plan, rules: &Rules, settled: bool) -> Run {
    let meant = world.sent.iter().map(|sent| Meant {
        stream_sequence: sent.stream_sequence,
        time: 0,
        entity: sent.entity.clone(),
        epoch: 0,
        sequence: sent.sequence,
        id: sent.headers.iter().find(|(name, _)| name == "Seriatim-Id").map(|(_, id)| id.clone()).unwrap_or_default(),
        subject: format!("flights.{}", sent.entity),
        headers: sent.headers.clone(),
        payload: sent.payload.clone(),
        kind: if sent.payload.ends_with(b"broken") { MeantAs::Malformed } else { MeantAs::Event },
        handled: plan.get(&sent.payload).copied().unwrap_or(Handled::Accepts),
    });
    let mut meant: Vec<_> = meant.collect();
    meant.sort_by_key(|meant| meant.stream_sequence);
    let state = until("the state of the source", async || {
        let stream = world.js.get_stream(SOURCE).await.map_err(|error| error.to_string())?;
        Ok::<_, String>(stream.cached_info().state.clone())
    });
    let state = state.await;
    let source = SourceView { created: 0, first_sequence: state.first_sequence, last_sequence: state.last_sequence };
    let store = StoreView::from_folder(&world.config.store).expect("the store of a host that has ended");
    let (outputs, dead) = (world.read(OUTPUTS).await, world.read(DEAD_LETTERS).await);
    Run { rules: rules.clone(), sent: meant, source, outputs, dead, store: Some(store), said: Vec::new(), settled }
}

pub(super) fn judge(run: &Run) -> Counts {
    let report = check(run);
    assert!(report.good(), "{report}");
    report.counts
}

#[tokio::test]
async fn skipped_and_dead_lettered_when_late() {
    let counts = whenever_the_host_ends(Hole::Skip, LateRule::DeadLetter, 64).await;
    assert!(counts.late > 0 && counts.given_up > 0 && counts.dead["late"] > 0, "{counts:?}");
}

#[tokio::test]
async fn skipped_and_dropped_when_late() {
    let counts = whenever_the_host_ends(Hole::Skip, LateRule::Drop, 64).await;
    assert!(counts.dropped_late > 0 && counts.given_up > 0, "{counts:?}");
}

#[tokio::test]
async fn skipped_and_delivered_when_late() {
    let counts = whenever_the_host_ends(Hole::Skip, LateRule::Deliver, 64).await;
    assert!(counts.delivered_late > 0, "{counts:?}");
}

#[tokio::test]
async fn early_ones_dead_lettered_with_little_memory_of_ids() {
    let counts = whenever_the_host_ends(Hole::DeadLetter, LateRule::DeadLetter, 3).await;
    assert!(counts.dead["gap"] > 0 && counts.late == 0, "{counts:?}");
}

#[tokio::test]
async fn parked_until_it_comes() {
    let counts = whenever_the_host_ends(Hole::Park, LateRule::DeadLetter, 64).await;
    assert!(counts.late == 0 && counts.given_up == 0, "{counts:?}");
}

/// Killed in the middle of everything again and again, and judged each time; at last everything is let come to its end.
async fn whenever_the_host_ends(hole: Hole, late_rule: LateRule, ids: u32) -> Counts {
    const ENTITIES: usize = 24;
    const KILLS: usize = 5;
    let mut world = World::new().await;
    let flights = world.config.flights();
    flights.handlers = vec![misbehave("1s")];
    (flights.gap_wait, flights.held_max, flights.ids) = ("2s", 8, ids);
    flights.gap_then = match hole {
        Hole::Skip => "skip",
        Hole::DeadLetter => "dead-letter",
        Hole::Park => "park",
    };
    flights.late = match late_rule {
        LateRule::DeadLetter => "dead-letter",
        LateRule::Drop => "drop",
        LateRule::Deliver => "deliver",
    };
    let rules = Rules {
        handler: flights.handlers[0].name.to_owned(),
        hole,
        late: late_rule,
        failing: Failing::DeadLetter,
        attempts: 3,
        held_max: 8,
        ids: usize::try_from(ids).expect("a small number"),
        ..Rules::default()
    };
    let (early, late, plan) = mess(&mut Random::new(4), ENTITIES);
    let mut seen = Counts::default();
    for chunk in early.chunks(early.len() / KILLS + 1) {
        let mut host = world.host().await;
        let publishing = world.publish_meanwhile(chunk.to_vec());
        world.until_count(OUTPUTS, world.sent.len() / 2).await;
        host.kill();
        host.ended().await;
        let sent = publishing.await.expect("a publisher that ends");
        world.note(sent);
        let unsettled = run(&mut world, &plan, &rules, false).await;
        seen.add(&judge(&unsettled));
    }
    let host = world.host().await;
    for entity in (0..ENTITIES).filter(|entity| entity % 4 != 1 && hole != Hole::DeadLetter) {
        world.until_applied(&format!("m{entity}"), 20).await;
    }
    // Gaps may give up meanwhile.
    time_passes(Duration::from_secs(4)).await;
    world.sentinel().await;
    world.publish(&late).await;
    world.sentinel().await;
    for entity in (0..ENTITIES).filter(|entity| entity % 4 == 1 && hole == Hole::Park) {
        world.until_applied(&format!("m{entity}"), 20).await;
    }
    host.metric("seriatim_waiting_entities", &[("pipeline", "flights")], 0.0).await;
    world.settle(host).await;
    let settled = run(&mut world, &plan, &rules, true).await;
    let counts = judge(&settled);
    println!("{seen:?}\n{counts:?}");
    assert!(seen.unread > 0, "no kill left anything to read");
    // A gap that a kill keeps open may give up, and the events behind it are dead-lettered before their turn.
    let named = ["conflict", "malformed", "rejected", "trap"].map(|reason| counts.dead.get(reason).copied().unwrap_or(0));
    assert!(hole == Hole::DeadLetter || (named.iter().all(|dead| *dead > 0) && counts.retried > 0), "{counts:?}");
    assert!(counts.duplicates > 50 && counts.out_of_order > 50, "{counts:?}");
    counts
}
