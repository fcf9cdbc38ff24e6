//! What an entity costs in memory: two hosts that differ in nothing but the number of entities, and the difference of what the system says they hold.
//! So what every host needs, and what is read ahead, is in neither.

use crate::ground::Ground;
use crate::hosted::{Hosted, Setup};
use crate::load::{Load, name};
use crate::report::{Isolation, Loop, Memory};
use anyhow::{Context as _, Result};
use seriatim_tests::harness::{DEAD_LETTERS, Input};
use std::time::Duration;

/// Between two looks at a host whose memory may still change.
const LOOK: Duration = Duration::from_millis(500);
/// So many looks in a row that differ by less than a hundredth are taken for rest.
const AT_REST: usize = 4;
/// Looks after which it is taken as it is.
const LOOKS_MAX: usize = 60;
/// What was read at a start is as much as there are entities until the cache is full, and is none of theirs: little of it is kept.
const STORE_CACHE: &str = "1MiB";
/// Bytes of the handler's value and its key.
const STATE_BYTES: f64 = 37.0;

/// Bytes resident of a host.
struct Resident {
    /// In the process that read the events.
    first: u64,
    /// In the process after it.
    after_restart: u64,
}

/// Measures hosts with so many entities and twice as many; those that wait or are parked are a fifth of that.
pub(crate) async fn measure(ground: &Ground, entities: u64, payload_bytes: usize) -> Result<Vec<Memory>> {
    let few = (entities / 5).max(1);
    let (live, live_more) = (handled(ground, entities, payload_bytes).await?, handled(ground, 2 * entities, payload_bytes).await?);
    let waiting =
        [early(ground, few, "10m", "seriatim_waiting_entities").await?, early(ground, 2 * few, "10m", "seriatim_waiting_entities").await?];
    let parked = [
        early(ground, few, "100ms", "seriatim_parked_entities").await?,
        early(ground, 2 * few, "100ms", "seriatim_parked_entities").await?,
    ];
    let of = |state: &str, entities: u64, one: u64, two: u64, own_bytes: f64| {
        let bytes_per_entity = (two as f64 - one as f64) / entities as f64;
        eprintln!("memory of a {state} entity: {bytes_per_entity:.0} bytes");
        Memory { state: state.to_owned(), entities: (entities, 2 * entities), resident: (one, two), bytes_per_entity, own_bytes }
    };
    let [waiting, waiting_more] = waiting;
    let [parked, parked_more] = parked;
    let event = held_bytes();
    Ok(vec![
        of("cold", entities, live.after_restart, live_more.after_restart, 0.0),
        of("live", entities, live.first, live_more.first, STATE_BYTES),
        of("waiting", few, waiting.after_restart, waiting_more.after_restart, 0.0),
        of("waiting-in-memory", few, waiting.first, waiting_more.first, event),
        of("parked", few, parked.after_restart, parked_more.after_restart, 0.0),
        of("parked-in-memory", few, parked.first, parked_more.first, event),
    ])
}

/// One event of each entity, handled; then the same host started anew, which has nobody in memory.
async fn handled(ground: &Ground, entities: u64, payload_bytes: usize) -> Result<Resident> {
    let source = ground.fill(Load::in_turn(entities, entities, payload_bytes)).await?;
    let mut hosted = Hosted::new(ground, setup("10m")).await?;
    hosted.start()?;
    hosted.until_durable(ground, source.messages).await.context("live entities")?;
    let first = at_rest(&mut hosted).await?;
    hosted.ask_for_a_sample(&source.load).await?;
    let after_restart = restarted(ground, &mut hosted, None).await?;
    hosted.clear(ground).await?;
    Ok(Resident { first, after_restart })
}

/// The second event of each entity, whose first never comes; counted by this metric.
async fn early(ground: &Ground, entities: u64, gap_wait: &'static str, metric: &'static str) -> Result<Resident> {
    ground.fill_with((0..entities).map(held)).await?;
    let mut hosted = Hosted::new(ground, setup(gap_wait)).await?;
    hosted.start()?;
    hosted.until_metric(ground, metric, entities).await.with_context(|| format!("{entities} entities with a gap"))?;
    let first = at_rest(&mut hosted).await?;
    let after_restart = restarted(ground, &mut hosted, Some((metric, entities))).await?;
    hosted.clear(ground).await?;
    Ok(Resident { first, after_restart })
}

fn setup(gap_wait: &'static str) -> Setup {
    Setup { gap_wait, store_cache: STORE_CACHE, ..Setup::new(Loop::HostState, Isolation::Shared) }
}

fn held(entity: u64) -> Input {
    Input::event(&name(entity), 2).again()
}

/// Of what is held of such an event: texts and payload.
fn held_bytes() -> f64 {
    let event = held(0);
    let headers: usize = event.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
    (event.subject.len() + headers + event.payload.len()) as f64
}

async fn restarted(ground: &Ground, hosted: &mut Hosted, until: Option<(&'static str, u64)>) -> Result<u64> {
    hosted.stop().await?;
    hosted.start()?;
    hosted.ready().await?;
    if let Some((metric, entities)) = until {
        hosted.until_metric(ground, metric, entities).await.with_context(|| format!("{entities} entities with a gap, after a restart"))?;
    }
    let bytes = at_rest(hosted).await?;
    hosted.stop().await?;
    anyhow::ensure!(ground.count(DEAD_LETTERS).await? == 0, "the host gave events up");
    Ok(bytes)
}

/// Its memory when it no longer changes: stores write in the background.
async fn at_rest(hosted: &mut Hosted) -> Result<u64> {
    let mut seen: Vec<u64> = Vec::new();
    loop {
        seen.push(hosted.resident()?);
        if let Some(bytes) = rest(&seen) {
            return Ok(bytes);
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// The last value, if the last ones hardly differ or there are enough of them.
fn rest(seen: &[u64]) -> Option<u64> {
    let last = *seen.last()?;
    let recent = seen.iter().rev().take(AT_REST);
    let still = seen.len() >= AT_REST && recent.clone().all(|bytes| bytes.abs_diff(last) * 100 <= last);
    (still || seen.len() >= LOOKS_MAX).then_some(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rest_is_when_nothing_changes() {
        assert_eq!(rest(&[1_000, 1_000, 1_000]), None);
        assert_eq!(rest(&[5_000, 1_001, 1_000, 1_000, 1_005]), Some(1_005));
        assert_eq!(rest(&[1_000, 1_000, 1_000, 2_000]), None);
        let restless: Vec<u64> = (0..60).map(|look| 1_000 * (look % 2 + 1)).collect();
        assert_eq!(rest(&restless), Some(2_000));
    }
}
