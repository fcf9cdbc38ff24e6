//! Latency at half load: events at a steady rate, half of what the slowest host can do with its publisher on the same machine, and half of what the raw
//! loop can do; how long each takes from the moment at which it was due until its output is stored, by one clock, for the broker and the publisher share
//! it. (From the moment at which it was really sent, a loop that keeps the publisher from its work would be the faster for it: coordinated omission.)

use crate::child;
use crate::ground::{Ground, now};
use crate::hosted::{Hosted, Setup};
use crate::load::{Load, Order};
use crate::raw;
use crate::report::{Delays, Isolation, Latency, Loop, Whose};
use crate::spread::{Spread, permille};
use crate::wire::{self, Publisher};
use anyhow::{Context as _, Result};
use seriatim_tests::harness::{OUTPUTS, until};
use std::time::{Duration, Instant};
use tokio::time::MissedTickBehavior;

/// The publisher looks this often what is due.
const TICK: Duration = Duration::from_millis(1);
/// Part of the events at the beginning that is left out: what everything does only once.
const WARM_UP: f64 = 0.1;

/// How much is measured.
pub(crate) struct Pace {
    pub(crate) rounds: u32,
    pub(crate) seconds: f64,
    /// Events from which a loop's live rate is taken.
    pub(crate) live_events: u64,
}

/// Measures the raw loop and the host, in turns, under both loads.
pub(crate) async fn measure(
    ground: &Ground,
    isolations: &[Isolation],
    entities: u64,
    payload_bytes: usize,
    pace: &Pace,
) -> Result<Vec<Latency>> {
    let load = Load::in_turn(pace.live_events, entities, payload_bytes);
    let isolations: Vec<_> = isolations.iter().copied().filter(|isolation| *isolation != Isolation::Event).collect();
    let (mut raw, mut hosts) = (Vec::new(), vec![Vec::new(); isolations.len()]);
    for _ in 0..pace.rounds.min(3) {
        raw.push(raw_live(ground, load).await.context("the raw loop, live")?);
        for (isolation, live) in isolations.iter().zip(&mut hosts) {
            live.push(host_live(ground, load, *isolation).await.with_context(|| format!("the host, {isolation}, live"))?);
        }
    }
    let slowest = hosts.iter().filter_map(|live| Spread::of(live)).map(|live| live.median).reduce(f64::min);
    let raw = Spread::of(&raw).map(|live| live.median);
    let mut measured = Vec::new();
    for (whose, live) in [(Whose::Host, slowest), (Whose::Raw, raw)] {
        if let Some(live) = live {
            measured.push(at_half_of(ground, whose, live, &isolations, load, pace).await?);
        }
    }
    Ok(measured)
}

async fn at_half_of(
    ground: &Ground,
    whose: Whose,
    live_per_second: f64,
    isolations: &[Isolation],
    load: Load,
    pace: &Pace,
) -> Result<Latency> {
    let rate_per_second = live_per_second / 2.0;
    let load = load.with_events((rate_per_second * pace.seconds) as u64);
    let mut runs = Vec::new();
    for round in 1..=pace.rounds {
        let mut who = vec![None];
        who.extend(isolations.iter().copied().map(Some));
        if round % 2 == 0 {
            who.reverse();
        }
        for isolation in who {
            let delays = match isolation {
                None => raw(ground, load, rate_per_second, round).await,
                Some(isolation) => host(ground, load, rate_per_second, round, isolation).await,
            };
            let name = isolation.map_or_else(|| "raw".to_owned(), |isolation| format!("host, {isolation}"));
            let delays = delays.with_context(|| format!("latency, round {round}, {name}"))?;
            let Delays { p50_ms, p99_ms, .. } = delays;
            eprintln!(
                "latency at {rate_per_second:.0}/s, round {round} of {}: {name:<13} p50 {p50_ms:.2} ms, p99 {p99_ms:.2} ms",
                pace.rounds
            );
            runs.push(delays);
        }
    }
    Ok(Latency { whose, live_per_second, rate_per_second, events: load.events, runs })
}

/// Messages a second, with a publisher as fast as it gets.
async fn raw_live(ground: &Ground, load: Load) -> Result<f64> {
    let child = begin_raw(ground, load).await?;
    let began = now()?;
    ground.publish((0..load.events).map(|number| load.event(number))).await?;
    let ended = child::ended(child).await?.finished;
    ground.delete(raw::STREAM).await?;
    Ok(load.events as f64 * 1e9 / (ended - began) as f64)
}

/// The same of the host.
async fn host_live(ground: &Ground, load: Load, isolation: Isolation) -> Result<f64> {
    ground.empty_source().await?;
    let mut hosted = begin_host(ground, isolation).await?;
    let began = now()?;
    ground.publish((0..load.events).map(|number| load.event(number))).await?;
    hosted.until_stored(ground, load.events).await?;
    let ended = now()?;
    hosted.stop().await?;
    hosted.clear(ground).await?;
    Ok(load.events as f64 * 1e9 / (ended - began) as f64)
}

async fn begin_host(ground: &Ground, isolation: Isolation) -> Result<Hosted> {
    let mut hosted = Hosted::new(ground, Setup::new(Loop::HostOutput, isolation)).await?;
    hosted.start()?;
    hosted.ready().await?;
    Ok(hosted)
}

async fn begin_raw(ground: &Ground, load: Load) -> Result<tokio::process::Child> {
    ground.empty_source().await?;
    ground.create(raw::STREAM, &format!("{}.>", raw::TO)).await?;
    let child = child::start(ground, Loop::Raw, load.events)?;
    until("the raw loop to read the source", async || match ground.reading_since().await {
        Ok(Some(_)) => Ok(()),
        Ok(None) => Err("it does not yet".to_owned()),
        Err(error) => Err(format!("{error:#}")),
    })
    .await;
    Ok(child)
}

async fn raw(ground: &Ground, load: Load, rate: f64, round: u32) -> Result<Delays> {
    let child = begin_raw(ground, load).await?;
    let published = publish(ground, load, rate).await?;
    child::ended(child).await?;
    let delays = collect(ground, raw::STREAM, "Seriatim-Sequence", Order::Any, load, published).await?;
    ground.delete(raw::STREAM).await?;
    Ok(delays.of(round, Loop::Raw, None))
}

async fn host(ground: &Ground, load: Load, rate: f64, round: u32, isolation: Isolation) -> Result<Delays> {
    ground.empty_source().await?;
    let mut hosted = begin_host(ground, isolation).await?;
    let published = publish(ground, load, rate).await?;
    hosted.until_stored(ground, load.events).await?;
    hosted.stop().await?;
    let delays = collect(ground, OUTPUTS, "Seriatim-Cause-Sequence", Order::PerEntity, load, published).await?;
    hosted.clear(ground).await?;
    Ok(delays.of(round, Loop::HostOutput, Some(isolation)))
}

/// When the first event was due, how long behind it each next one is, nanoseconds, and how late one was sent at most.
struct Published {
    began: i64,
    apart: f64,
    late: Duration,
}

/// Publishes at a steady rate. Who is late sends at once.
async fn publish(ground: &Ground, load: Load, rate: f64) -> Result<Published> {
    let client = wire::connect(&ground.broker.url()).await?;
    let mut publisher = Publisher::new(&client).await?;
    let mut late = Duration::ZERO;
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let (began, began_at) = (Instant::now(), now()?);
    while publisher.confirmed() < load.events {
        let due = ((began.elapsed().as_secs_f64() * rate) as u64).min(load.events);
        while publisher.sent() < due && publisher.has_room() {
            let number = publisher.sent();
            let event = load.event(number);
            let headers = event.header_map();
            late = late.max(began.elapsed().saturating_sub(Duration::from_secs_f64(number as f64 / rate)));
            publisher.send(event.subject, headers, event.payload.into()).await?;
        }
        tokio::select! {
            confirmed = publisher.confirmation(), if publisher.confirmed() < publisher.sent() => confirmed?,
            _ = ticks.tick() => {}
        }
    }
    Ok(Published { began: began_at, apart: 1e9 / rate, late })
}

struct Collected {
    /// Milliseconds, ascending.
    delays: Vec<f64>,
    late: Duration,
}

async fn collect(ground: &Ground, stream: &str, sequence: &str, order: Order, load: Load, published: Published) -> Result<Collected> {
    let first = (load.events as f64 * WARM_UP) as u64;
    let mut delays = Vec::with_capacity(usize::try_from(load.events)?);
    let told = |number: u64, stored: i64| {
        if number >= first {
            delays.push(((stored - published.began) as f64 - number as f64 * published.apart) / 1e6);
        }
    };
    ground.outputs(stream, sequence, load, order, told).await?;
    delays.sort_by(f64::total_cmp);
    Ok(Collected { delays, late: published.late })
}

impl Collected {
    fn of(&self, round: u32, kind: Loop, isolation: Option<Isolation>) -> Delays {
        let at = |rank| permille(&self.delays, rank).unwrap_or_default();
        Delays {
            round,
            kind,
            isolation,
            p50_ms: at(500),
            p99_ms: at(990),
            p999_ms: at(999),
            max_ms: at(1000),
            publisher_late_ms: self.late.as_secs_f64() * 1e3,
        }
    }
}
