//! Runs a group: its source filled once, its loops in turns, every second round in reverse order.

use crate::ground::{Ground, Measured, Source};
use crate::hosted::{self, Setup};
use crate::plans::{Plan, Sweeping};
use crate::report::{Group, Loop, Sweep};
use crate::{child, spread};
use anyhow::{Context as _, Result};
use std::time::Duration;

/// A run that takes longer is broken, whatever it waits for.
const RUN_MAX: Duration = Duration::from_secs(900);
/// Events of the first try.
const FIRST_TRY: u64 = 2_000;
/// Tries grow by this while they are too short to tell a rate.
const GROWTH: u64 = 5;
/// A try this long tells a rate, seconds.
const LONG_ENOUGH: f64 = 1.0;

/// How much is measured.
#[derive(Clone, Copy)]
pub(crate) struct Pace {
    pub(crate) rounds: u32,
    /// How long the slowest host of a group should run, seconds: it says how many events all of its loops get.
    pub(crate) seconds: f64,
}

/// Measures a group.
pub(crate) async fn measure(ground: &Ground, plan: &Plan, pace: Pace) -> Result<Group> {
    let events = match plan.events {
        Some(events) => events,
        None => calibrate(ground, plan, pace.seconds).await.with_context(|| format!("{}, trying how fast it is", plan.name))?,
    };
    let source = ground.fill(plan.load.with_events(events)).await?;
    let mut runs = Vec::new();
    for round in 1..=pace.rounds {
        let mut loops = plan.loops.clone();
        if round % 2 == 0 {
            loops.reverse();
        }
        for kind in loops {
            let measured = one(ground, &source, plan, kind).await.with_context(|| format!("{}, round {round}, {kind}", plan.name))?;
            let run = measured.run(round, kind, source.messages);
            eprintln!("{}, round {round} of {}: {kind:<17} {:>8.0} msg/s", plan.name, pace.rounds, run.messages_per_second);
            runs.push(run);
        }
    }
    let Plan { name, x, isolation, handler, .. } = plan.clone();
    let group =
        Group { name, x, load: source.load, messages: source.messages, isolation, handler, runs, summary: Vec::new(), ratios: Vec::new() };
    Ok(group.sum_up())
}

/// Measures the groups of a sweep, and how the host's time grows over it.
pub(crate) async fn sweep(ground: &Ground, sweeping: &Sweeping, pace: Pace) -> Result<Sweep> {
    let mut groups = Vec::new();
    for plan in &sweeping.plans {
        groups.push(measure(ground, plan, pace).await?);
    }
    let point = |group: &Group| {
        let seconds = group.summary(Loop::HostOutput)?.seconds.median;
        Some((group.x?, if sweeping.whole { seconds } else { seconds / group.messages as f64 }))
    };
    let points: Vec<(f64, f64)> = groups.iter().filter_map(point).collect();
    Ok(Sweep { name: sweeping.name.clone(), groups, exponent: spread::exponent(&points), steepest: spread::steepest(&points) })
}

async fn one(ground: &Ground, source: &Source, plan: &Plan, kind: Loop) -> Result<Measured> {
    let run = async {
        if kind.is_host() {
            let setup = Setup { handler: plan.handler.clone(), ..Setup::new(kind, plan.isolation) };
            hosted::measure(ground, source, setup).await
        } else {
            child::measure(ground, source, kind).await
        }
    };
    tokio::time::timeout(RUN_MAX, run).await.with_context(|| format!("not done after {RUN_MAX:?}"))?
}

/// How many events the last host of the plan, which does the most, gets through in this time.
async fn calibrate(ground: &Ground, plan: &Plan, seconds: f64) -> Result<u64> {
    let most = plan.events_max();
    let slowest = plan.loops.iter().rev().copied().find(|kind| kind.is_host()).context("a plan without a host")?;
    let mut events = FIRST_TRY.min(most);
    loop {
        let source = ground.fill(plan.load.with_events(events)).await?;
        let run = one(ground, &source, plan, slowest).await?.run(0, slowest, source.messages);
        if run.seconds >= LONG_ENOUGH || events == most {
            return Ok(enough(run.messages_per_second, seconds, plan.events_min, most));
        }
        events = (events * GROWTH).min(most);
    }
}

/// A round number of events for this time.
fn enough(per_second: f64, seconds: f64, least: u64, most: u64) -> u64 {
    let events = (per_second * seconds) as u64;
    (events / FIRST_TRY * FIRST_TRY).clamp(FIRST_TRY.max(least).min(most), most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_lasts_about_as_long_as_it_should_within_its_bounds() {
        assert_eq!(enough(100_000.0, 4.0, 1, 500_000), 400_000);
        assert_eq!(enough(200_000.0, 4.0, 1, 500_000), 500_000);
        assert_eq!(enough(12_345.0, 2.0, 1, 500_000), 24_000);
        assert_eq!(enough(10.0, 4.0, 1, 500_000), FIRST_TRY);
        assert_eq!(enough(10.0, 4.0, 1, 500), 500);
        assert_eq!(enough(10.0, 4.0, 100_000, 500_000), 100_000);
    }
}
