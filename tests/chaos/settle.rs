//! The end of a phase: no more faults, a host that may finish, everything read from outside, and the judge's word.

use crate::ground::Ground;
use crate::life::end_of;
use crate::load::{Message, NUMBER, SENTINEL};
use crate::profile::Profile;
use crate::publisher::Log;
use crate::tally::Tally;
use anyhow::{Context as _, Result, bail, ensure};
use seriatim_tests::checker::laws::{self, Failing, Hole, Meant, Report, Run, SourceView};
use seriatim_tests::checker::store::StoreView;
use seriatim_tests::checker::{Kept, token};
use seriatim_tests::harness::{DEAD_LETTERS, Host, OUTPUTS, SOURCE, copy_folder, streams, telemetry, until};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

/// A host that is left alone for so long and is still at work breaks G8.
const SETTLE_MAX: Duration = Duration::from_secs(900);
/// So does one that has work left and gets nothing done for so long: longer than every wait and back-off that it has.
const STUCK: Duration = Duration::from_secs(120);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(250);
/// For so long nothing may change, beside the gap's own wait, before it counts as over.
const CALM: Duration = Duration::from_secs(2);
/// Reasons for which an entity stays parked under `failure.then = "park"`.
const FAILED: [&str; 6] = ["trap", "timeout", "memory", "output-refused", "too-large", "retries-exhausted"];

/// Lets a host finish, and stops it gracefully; whether it came to rest in time, and else what it was still at.
///
/// # Errors
/// The host ended by itself.
pub(crate) async fn settle(ground: &mut Ground, profile: &Profile, tally: &mut Tally) -> Result<Result<(), String>> {
    let mut host = ground.host("");
    let end = Instant::now() + SETTLE_MAX;
    let mut seen = Seen::default();
    let mut since = Instant::now();
    let calm = CALM + if profile.parks_gaps() { profile.wait.unwrap_or_default() } else { Duration::ZERO };
    let rest = loop {
        tokio::time::sleep(LOOK).await;
        if let Some(status) = host.status() {
            bail!("the host that was left alone ended by itself ({status}):\n{}", end_of(&host.log()));
        }
        let now = look(ground, profile).await;
        if seen != now {
            (seen, since) = (now, Instant::now());
        }
        let stands = since.elapsed();
        match &seen.left {
            None if stands >= calm => break Ok(()),
            Some(left) if stands >= STUCK => break Err(format!("nothing has moved for {STUCK:?}: {left}")),
            left if Instant::now() >= end => {
                break Err(format!(
                    "still at work {SETTLE_MAX:?} after the last fault: {}",
                    left.as_deref().unwrap_or("something changes")
                ));
            }
            _ => {}
        }
    };
    stop(&mut host).await?;
    tally.read_log(&host.log());
    Ok(rest)
}

/// What can be seen of the work from outside.
#[derive(Clone, Debug, Default, PartialEq)]
struct Seen {
    /// What is still to do, in words.
    left: Option<String>,
    /// How far it is: what stands still when nothing is done.
    figures: Vec<f64>,
}

async fn look(ground: &Ground, profile: &Profile) -> Seen {
    let mut seen = Seen::default();
    seen.left = work(ground, profile, &mut seen.figures).await.err();
    seen
}

/// Whether all work is done; says what is not.
async fn work(ground: &Ground, profile: &Profile, figures: &mut Vec<f64>) -> Result<(), String> {
    let (outputs, dead) = (streams::count(&ground.js, OUTPUTS).await?, streams::count(&ground.js, DEAD_LETTERS).await?);
    figures.extend([outputs as f64, dead as f64]);
    if !ground.is_ready().await {
        return Err("it is not ready".to_owned());
    }
    let metrics = ground.metrics().await?;
    let sum = |name: &str, labels: &[(&str, &str)]| telemetry::sum(&metrics, name, labels);
    let (lag, outbox, held) =
        (sum("seriatim_stream_lag_messages", &[]), sum("seriatim_outbox_entries", &[]), sum("seriatim_held_events", &[]));
    let mut waiting = sum("seriatim_waiting_entities", &[]);
    figures.extend([lag, outbox, held, waiting, sum("seriatim_events_total", &[])]);
    let mut may_stay = vec!["ranges-full"];
    if profile.parks_gaps() {
        may_stay.push("gap");
    }
    if profile.rules.failing == Failing::Park {
        may_stay.extend(FAILED);
    }
    for reason in may_stay {
        waiting -= sum("seriatim_waiting_entities", &[("reason", reason)]);
    }
    let held = if profile.rules.hole == Hole::Park { 0.0 } else { held };
    if lag + outbox + waiting + held > 0.0 {
        return Err(format!("{lag} messages are not read, {outbox} not sent, {waiting} entities wait, {held} events are held"));
    }
    let stream = ground.js.get_stream_no_info(OUTPUTS).await.map_err(|error| error.to_string())?;
    let sentinel = stream.get_last_raw_message_by_subject(&format!("echo.{}", token(SENTINEL))).await;
    sentinel.map(|_| ()).map_err(|error| format!("the last event's output is not there ({error})"))
}

async fn stop(host: &mut Host) -> Result<()> {
    host.terminate();
    let status = host.ended().await;
    ensure!(status.success(), "the last graceful stop ended with {status}:\n{}", end_of(&host.log()));
    Ok(())
}

/// Reads everything from outside and judges it.
///
/// # Errors
/// What was left cannot be read, or the broker does not hold what it confirmed: then nothing can be judged.
pub(crate) async fn judge(ground: &Ground, profile: &Profile, log: &Log, folder: &Path, tally: &mut Tally) -> Result<Report> {
    let copy = folder.join("store-at-the-end");
    copy_folder(ground.store(), &copy);
    let store = StoreView::from_folder(&copy).context("cannot read the store")?;
    let source = until("the source stream", async || streams::read_timed(&ground.js, SOURCE).await).await;
    let sent = source.iter().map(|(time, kept)| meant(*time, kept, log)).collect::<Result<Vec<_>>>()?;
    kept_what_it_confirmed(&source, log)?;
    let mut stream = ground.js.get_stream(SOURCE).await.context("cannot ask for the source stream")?;
    let info = stream.info().await.context("cannot ask for the source stream")?;
    let source = SourceView {
        created: i64::try_from(info.created.unix_timestamp_nanos()).context("the source was created in a far future")?,
        first_sequence: info.state.first_sequence,
        last_sequence: info.state.last_sequence,
    };
    let outputs = until("the outputs", async || streams::read(&ground.js, OUTPUTS).await).await;
    let dead = until("the dead letters", async || streams::read(&ground.js, DEAD_LETTERS).await).await;
    tally.dropped_by_broker += log.confirmed.iter().filter(|confirmed| confirmed.duplicate).count() as u64;
    let run = Run { rules: profile.rules.clone(), sent, source, outputs, dead, store: Some(store), said: Vec::new(), settled: true };
    let report = laws::check(&run);
    tally.counts.add(&report.counts);
    tally.violations += report.broken.len() as u64;
    Ok(report)
}

/// What was meant by a message that the source holds.
fn meant(time: u64, kept: &Kept, log: &Log) -> Result<Meant> {
    let number = kept
        .header(NUMBER)
        .and_then(|number| number.parse().ok())
        .with_context(|| format!("message {} of the source is not one of ours: {:?}", kept.stream_sequence, kept.headers))?;
    let message: &Message = log.messages.get(&number).with_context(|| format!("nobody published number {number}"))?;
    Ok(Meant {
        stream_sequence: kept.stream_sequence,
        time,
        entity: message.entity.clone(),
        epoch: message.epoch,
        sequence: message.sequence,
        id: message.id.clone(),
        subject: message.subject.clone(),
        headers: message.headers.clone(),
        payload: message.payload.clone(),
        kind: message.kind,
        handled: message.handled,
    })
}

/// The condition of all promises: the broker still has what it confirmed.
fn kept_what_it_confirmed(source: &[(u64, Kept)], log: &Log) -> Result<()> {
    let numbers: BTreeMap<u64, u64> =
        source.iter().filter_map(|(_, kept)| Some((kept.stream_sequence, kept.header(NUMBER)?.parse().ok()?))).collect();
    for confirmed in &log.confirmed {
        let held = numbers.get(&confirmed.stream_sequence).copied();
        let right = if confirmed.duplicate { held.is_some() } else { held == Some(confirmed.number) };
        ensure!(
            right,
            "the broker confirmed message number {} as stream sequence {}, and holds number {held:?} there: it lost what it acknowledged, so \
             nothing can be judged (a fault of nats-server or of this tool, not of the host)",
            confirmed.number,
            confirmed.stream_sequence,
        );
    }
    Ok(())
}
