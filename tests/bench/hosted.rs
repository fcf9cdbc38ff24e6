//! The host as the other loop: the real program with the handler `echo`, from an empty store to one output for each event.

use crate::ground::{Ground, Measured, Used};
use crate::load::Order;
use crate::report::{PREFETCH_MESSAGES, PUBLISH_WINDOW};
use anyhow::{Context as _, Result, anyhow, ensure};
use seriatim_tests::harness::{Config, DEAD_LETTERS, Host, OUTPUTS, ports, until};
use std::fs;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use time::OffsetDateTime;
use tokio::time::MissedTickBehavior;

/// The host's own bucket. It knows the store of the run before, and a host with an empty store would refuse to start.
const BUCKET: &str = "SERIATIM";

/// Between two looks at the outputs: often enough to see the end, seldom enough not to be work for the broker.
const LOOK_EVERY: Duration = Duration::from_millis(25);
/// A host that brings no output for so long brings none any more.
const STALLED_AFTER: Duration = Duration::from_secs(60);

/// Runs a fresh host over the whole source.
pub(crate) async fn run(ground: &Ground) -> Result<Measured> {
    ground.clear_consumers().await?;
    ground.create(OUTPUTS, "echo.>").await?;
    let folder = TempDir::with_prefix_in("host-", ground.folder()).context("cannot make a folder for the host")?;
    let port = ports::free();
    let file = folder.path().join("seriatim.toml");
    let mut config = Config::new(folder.path());
    // The host's defaults; named so that they stay those of the raw loops.
    config.run = vec![("prefetch-messages", PREFETCH_MESSAGES.to_string()), ("publish-window", PUBLISH_WINDOW.to_string())];
    fs::write(&file, config.toml(&ground.broker.url(), port)).with_context(|| format!("cannot write {}", file.display()))?;

    let started = OffsetDateTime::now_utc();
    let mut host = Host::spawn(&file, port, &[], "", &folder.path().join("host.log"));
    let (reading, before) = reading(ground, &mut host).await?;
    let after = finished(ground, &mut host).await?;
    host.stop().await;
    let finished = ground.last_stored(OUTPUTS).await?;

    no_dead_letters(ground, &host).await?;
    ground.check(OUTPUTS, "Echo-Sequence", Order::PerEntity).await?;
    for stream in [OUTPUTS, DEAD_LETTERS] {
        ground.delete(stream).await?;
    }
    ground.js.delete_key_value(BUCKET).await.context("cannot delete the host's bucket")?;
    ground.clear_consumers().await?;
    Ok(Measured { started, reading, finished, used: (before, after) })
}

/// Waits until the host reads; gives since when, and the processor time used until then.
async fn reading(ground: &Ground, host: &mut Host) -> Result<(OffsetDateTime, Used)> {
    until("the host to read the source", async || {
        let used = Used::now(host.id(), &ground.broker);
        match ground.reading_since().await {
            _ if host.is_over() => Ok(Err(ended(host))),
            Ok(Some(since)) => Ok(used.map(|used| (since, used))),
            Ok(None) => Err("it does not yet".to_owned()),
            Err(error) => Err(format!("{error:#}")),
        }
    })
    .await
}

/// Waits until every event has its output; gives the processor time used until then.
async fn finished(ground: &Ground, host: &mut Host) -> Result<Used> {
    let mut looks = tokio::time::interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut stored, mut progress) = (0, Instant::now());
    while stored < ground.messages {
        looks.tick().await;
        if host.is_over() {
            return Err(ended(host));
        }
        let found = ground.count(OUTPUTS).await?;
        if found > stored {
            (stored, progress) = (found, Instant::now());
            continue;
        }
        no_dead_letters(ground, host).await?;
        let wanted = ground.messages;
        ensure!(progress.elapsed() < STALLED_AFTER, "{stored} outputs of {wanted}, and no more for {STALLED_AFTER:?}\n{}", log_end(host));
    }
    Used::now(host.id(), &ground.broker)
}

/// What the host gives up will have no output.
async fn no_dead_letters(ground: &Ground, host: &Host) -> Result<()> {
    let dead = ground.count(DEAD_LETTERS).await?;
    ensure!(dead == 0, "the host gave {dead} events up\n{}", log_end(host));
    Ok(())
}

fn ended(host: &Host) -> anyhow::Error {
    anyhow!("the host ended by itself\n{}", log_end(host))
}

/// The last lines of its log: the folder they are in goes away.
fn log_end(host: &Host) -> String {
    const LINES: usize = 20;
    let log = host.log();
    let mut lines: Vec<_> = log.lines().rev().take(LINES).collect();
    lines.reverse();
    lines.join("\n")
}
