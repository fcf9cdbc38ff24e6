//! From a world to what the checker judges: the generator's log, what the streams hold, the store's raw bytes. And when a world is at rest.

use crate::broker::{DEAD, OUTPUTS, SOURCE};
use crate::disk::ModelDisk;
use crate::handler;
use crate::plan::{Does, FAR, Item, Kind};
use crate::settings::{Late, Settings, Then};
use crate::start::PIPELINE;
use crate::stream::{Stored, Stream};
use crate::world::World;
use seriatim_tests::checker::Kept;
use seriatim_tests::checker::laws::{self, Failing, Handled, Hole, LateRule, Meant, MeantAs, Report, Rules, Run, SourceView};
use seriatim_tests::checker::store::{PipelineView, StoreView};
use std::collections::BTreeMap;

/// What a message is meant as, now that it is stored.
pub(crate) fn meant(item: &Item, stream_sequence: u64, time: u64) -> Meant {
    Meant {
        stream_sequence,
        time,
        entity: item.entity.clone(),
        epoch: item.epoch,
        sequence: item.sequence,
        id: item.id.clone(),
        subject: item.subject.clone(),
        headers: item.headers.clone(),
        payload: item.payload.clone(),
        kind: if item.kind == Kind::Malformed { MeantAs::Malformed } else { MeantAs::Event },
        handled: match item.does {
            Does::Accept => Handled::Accepts,
            Does::Reject => Handled::Rejects,
            Does::FailThenAccept(times) => Handled::FailsThenAccepts(times),
            Does::AlwaysFail(fails) => Handled::AlwaysFails(fails.reason()),
        },
    }
}

/// Whether each event that came at all came within the wait of every gap it left: then no gap may have given up for it, however long the host was
/// down, stood still or was cut off, and whatever its clock said. Gaps are judged by the broker's timestamps.
fn in_time(sent: &[Meant], settings: &Settings) -> bool {
    let mut earliest: BTreeMap<&str, BTreeMap<(u64, u64), u64>> = BTreeMap::new();
    let events = sent.iter().filter(|meant| meant.kind == MeantAs::Event && meant.sequence < FAR);
    for meant in events {
        let (place, seen) = ((meant.epoch, meant.sequence), earliest.entry(&meant.entity).or_default());
        if !seen.contains_key(&place) {
            let mut above = seen.range(place..);
            // A higher epoch does not wait for what its producer's last life still has to say.
            if above.any(|(other, time)| other.0 > place.0 || meant.time - time >= settings.gap_wait) {
                return false;
            }
            seen.insert(place, meant.time);
        }
    }
    true
}

fn rules(sent: &[Meant], settings: &Settings, lost: bool, generations: u64) -> Rules {
    Rules {
        pipeline: PIPELINE.to_owned(),
        handler: handler::NAME.to_owned(),
        output_prefix: "echo".to_owned(),
        first: settings.first,
        hole: match settings.gap_then {
            Then::Skip => Hole::Skip,
            Then::DeadLetter => Hole::DeadLetter,
            Then::Park => Hole::Park,
        },
        late: match settings.late {
            Late::DeadLetter => LateRule::DeadLetter,
            Late::Drop => LateRule::Drop,
            Late::Deliver => LateRule::Deliver,
        },
        failing: if settings.failed_parks { Failing::Park } else { Failing::DeadLetter },
        attempts: u32::try_from(settings.retry.len()).unwrap() + 1,
        ids: settings.ids,
        held_max: settings.held_max,
        jump_max: settings.jump_max,
        // An output that is refused parks its entity: nothing exact can be said of that.
        in_time: !lost && settings.output_max == 0 && in_time(sent, settings),
        lost,
        generations,
    }
}

fn kept(stream: &Stream) -> Vec<Kept> {
    let kept = |stored: &Stored| Kept {
        stream_sequence: stored.sequence,
        subject: stored.subject.clone(),
        headers: stored.headers.clone(),
        payload: stored.payload.clone(),
    };
    stream.messages().map(|stored| kept(stored)).collect()
}

/// The checker's word on a world as it is now.
pub(crate) fn judge(world: &mut World, settled: bool) -> Report {
    let store = match StoreView::read(world.disk.everything()) {
        Ok(store) => store,
        Err(error) => {
            world.wrong.push(format!("the store cannot be read from outside: {error:#}"));
            return Report::default();
        }
    };
    // Put back below: it is long.
    let mut sent = std::mem::take(&mut world.sent);
    let order: Vec<_> = sent.iter().map(|meant| meant.stream_sequence).collect();
    sent.sort_by_key(|meant| meant.stream_sequence);
    let source = world.broker.stream(SOURCE);
    let rules = rules(&sent, &world.settings, world.lost, world.accepted);
    if rules.in_time && settled {
        world.stats.add(if world.settings.in_time { "exact: no gap could give up" } else { "exact: every event came within its wait" });
    }
    let run = Run {
        rules,
        sent,
        source: SourceView { created: source.created(), first_sequence: source.first(), last_sequence: source.last() },
        outputs: kept(world.broker.stream(OUTPUTS)),
        dead: kept(world.broker.stream(DEAD)),
        store: Some(store),
        said: world.operators.said.clone(),
        settled,
    };
    let Settings { ranges_max, outbox_max, commits_max, .. } = world.settings;
    let report = laws::check_with(&run, &laws::Bounds { ranges_max, outbox_max, commits_max: commits_max as usize });
    world.sent = run.sent;
    // Without restored streams the log was in order already.
    if !order.is_sorted() {
        world.sent.sort_by_key(|meant| meant.time);
    }
    report
}

/// What can be asked the moment a host is killed.
pub(crate) fn at_a_kill(world: &mut World) {
    let outputs = world.broker.stream(OUTPUTS).messages().chain(world.broker.stream(DEAD).messages());
    if outputs.rev().take(8).filter_map(|stored| stored.id()).any(|id| world.disk.owes(id)) {
        world.stats.add("kills between publish and prune");
    }
    // The store may still speak of the stream as it was.
    if world.dice.once_in(3) && !world.renumbered {
        let report = judge(world, false);
        world.stats.add("judged at a kill");
        let broken = report.broken.iter().map(|broken| format!("at a kill: {broken}"));
        world.wrong.extend(broken);
    }
}

/// What is on the disk of the pipeline, if anything.
pub(crate) fn pipeline(disk: &ModelDisk) -> Option<PipelineView> {
    StoreView::read(disk.everything()).ok()?.pipelines.remove(PIPELINE)
}

/// The lowest stream sequence that the host may still read; nothing below it is needed by anybody.
pub(crate) fn needed_from(disk: &ModelDisk) -> Option<u64> {
    let pipeline = pipeline(disk)?;
    let waiting = pipeline.entities.values().filter_map(|entity| entity.waiting.as_ref().map(|waiting| waiting.from));
    Some(waiting.min().unwrap_or(u64::MAX).min(pipeline.watermark + 1))
}

impl World {
    /// Everything was published and worked off, and nothing goes on by itself any more.
    pub(crate) fn rests(&mut self) -> bool {
        if !self.items.is_empty() || !self.strays.is_empty() || !self.broker.up || !self.broker.leader {
            return false;
        }
        let Some(host) = &mut self.host else { return false };
        if host.stops() || host.parts.pipeline.control.stopped().is_some() || !host.idle(&self.broker) {
            return false;
        }
        let Some(pipeline) = pipeline(&self.disk) else { return false };
        let last = self.sent.iter().filter(|meant| self.broker.stream(SOURCE).get(meant.stream_sequence).is_some());
        let read = last.map(|meant| meant.stream_sequence).max().unwrap_or(0) <= pipeline.watermark;
        let alarms = pipeline.entities.values().any(|entity| entity.waiting.as_ref().is_some_and(|waiting| waiting.alarm.is_some()));
        read && !alarms && self.operators_rest()
    }

    /// Why a world that should be at rest is not.
    pub(crate) fn unrest(&mut self) -> String {
        let mut text = format!("not at rest {} ms and {} steps after its begin", self.time, self.steps);
        if let Some(host) = &mut self.host {
            let busy = host.busy(&self.broker).unwrap_or("nothing");
            let (full, rooms) = (host.parts.pipeline.control.own_full(), host.parts.shards.iter().map(|shard| shard.has_room()));
            text.push_str(&format!(
                "; busy: {busy}; stops: {}, own outbox full: {full}, shards have room: {:?}",
                host.stops(),
                rooms.collect::<Vec<_>>()
            ));
        } else {
            text.push_str("; there is no host");
        }
        if let Some(pipeline) = pipeline(&self.disk) {
            text.push_str(&format!("; watermark {} of {}", pipeline.watermark, self.broker.stream(SOURCE).last()));
            for (name, entity) in &pipeline.entities {
                if entity.waiting.is_some() || !entity.outbox.is_empty() {
                    text.push_str(&format!("\n    {name:?}: outbox {} waiting {:?}", entity.outbox.len(), entity.waiting));
                }
            }
        }
        text
    }
}
