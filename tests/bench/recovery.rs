//! How long a host takes from its start to the first event it handles, after SIGKILL under load and after a stop, with many entities in its store.

use crate::ground::{Ground, now};
use crate::hosted::{Hosted, Setup};
use crate::load::Load;
use crate::report::{Isolation, Loop, Recovery};
use anyhow::{Context as _, Result, ensure};
use seriatim_tests::harness::until;
use std::time::Duration;

/// Between two looks for the first event.
const LOOK: Duration = Duration::from_millis(5);
/// A host that has handled nothing by then is broken.
const START_MAX_NANOSECONDS: i64 = 300_000_000_000;

/// Measures with a tenth of so many entities, and with all of them.
pub(crate) async fn measure(ground: &Ground, entities: u64, kills: u32, payload_bytes: usize) -> Result<Vec<Recovery>> {
    Ok(vec![with(ground, (entities / 10).max(1), kills, payload_bytes).await?, with(ground, entities, kills, payload_bytes).await?])
}

/// Each entity has an event in the store. Behind these there are more in the stream, so that the host is killed at work; and more come while it is dead.
async fn with(ground: &Ground, entities: u64, kills: u32, payload_bytes: usize) -> Result<Recovery> {
    let more = (entities / 10).max(1);
    let load = Load::in_turn(entities + more * (2 + u64::from(kills)), entities, payload_bytes);
    let events = |from: u64| (from..from + more).map(move |number| load.event(number));
    ground.fill_with((0..entities).map(|number| load.event(number)).chain(events(entities))).await?;
    let mut hosted = Hosted::new(ground, Setup::new(Loop::HostState, Isolation::Shared)).await?;
    let empty_seconds = first_event(&mut hosted).await.context("an empty store")?;
    hosted.until_handled(ground, entities).await?;
    let mut first_event_seconds = Vec::new();
    for kill in 1..=kills {
        hosted.kill()?;
        ground.publish(events(entities + more * u64::from(kill))).await?;
        let seconds = first_event(&mut hosted).await.with_context(|| format!("after SIGKILL number {kill}"))?;
        eprintln!("recovery of {entities} entities, kill {kill} of {kills}: first event after {seconds:.2} s");
        first_event_seconds.push(seconds);
    }
    hosted.stop().await?;
    ground.publish(events(entities + more * (1 + u64::from(kills)))).await?;
    let stopped_seconds = first_event(&mut hosted).await.context("after a stop")?;
    eprintln!("start with {entities} entities after a stop: first event after {stopped_seconds:.2} s");
    until("every entity to stand at its last event", async || hosted.ask_for_a_sample(&load).await.map_err(|error| format!("{error:#}")))
        .await;
    hosted.stop().await?;
    hosted.clear(ground).await?;
    Ok(Recovery { entities, first_event_seconds, stopped_seconds, empty_seconds })
}

/// Starts it; seconds until it has handled an event.
async fn first_event(hosted: &mut Hosted) -> Result<f64> {
    let started = hosted.start()?;
    while hosted.metric("seriatim_events_total", &[("outcome", "applied")]).await == 0 {
        hosted.alive()?;
        ensure!(now()? - started < START_MAX_NANOSECONDS, "no event handled in {} s", START_MAX_NANOSECONDS / 1_000_000_000);
        tokio::time::sleep(LOOK).await;
    }
    Ok((now()? - started) as f64 / 1e9)
}
