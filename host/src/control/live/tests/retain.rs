//! The sweep for `retain` over a real store and a real shard; times are values.

use super::*;
use crate::sweep::Sweep;
use seriatim_sequencer::Retain;

const AFTER: u64 = 100_000;

fn retains(since: u64) -> Policy {
    Policy { retain: Some(Retain { after: AFTER, since }), ..parks() }
}

impl Stage {
    /// Nothing comes, and the broker's clock goes on.
    async fn quiet_until(&self, stream_time: u64) {
        self.shard.send(Mail::Batch(Batch { stream_time, ..Batch::default() })).await.unwrap();
        self.live.parts.pipelines[0].control.set_stream_time(stream_time);
    }

    async fn sweep(&self) -> u64 {
        let pipeline = self.live.parts.pipelines[0].clone();
        let retain = pipeline.policy.retain.unwrap();
        Sweep { pipeline, retain, store: self.store.clone(), shards: vec![self.shard.clone()] }.once().await.unwrap()
    }

    /// Sweeps until so many went: one that is asked while its commit is on its way is left to the next sweep.
    async fn sweeps(&self, wanted: u64) {
        let wait = async {
            let mut gone = 0;
            while gone < wanted {
                gone += self.sweep().await;
            }
            assert_eq!(gone, wanted);
        };
        tokio::time::timeout(Duration::from_secs(60), wait).await.expect("not so many went");
    }

    /// Waits until so many of an entity's slots are durable: what a report shows may still be on its way there.
    async fn until_slots(&self, entity: &str, wanted: usize) {
        let wait = async {
            while self.slots(entity) != wanted {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), wait).await.expect("not so many became durable");
    }

    fn slots(&self, entity: &str) -> usize {
        self.store.load(&EntityKey { pipeline: "flights".into(), entity: entity.into() }).unwrap().snapshot.slots.len()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_what_was_not_seen_and_has_nothing_to_do_goes() {
    let mut stage = Stage::new(retains(0)).await;
    for (entity, sequence, payload) in [("old", 1, "ok"), ("parked", 1, "trap"), ("gap", 1, "ok"), ("gap", 3, "ok"), ("busy", 1, "ok")] {
        stage.comes(entity, sequence, payload).await;
    }
    for entity in 0..20 {
        stage.comes(&format!("E{entity:02}"), 1, "ok").await;
    }
    stage.until_slots("E19", 1).await;
    stage.quiet_until(AFTER).await;
    assert_eq!(stage.sweep().await, 0, "not yet");
    stage.quiet_until(2 * AFTER).await;
    // Seen again, as late as it goes.
    stage.comes("busy", 2, "ok").await;
    stage.until("busy", |report| report.position == at(2)).await;
    // All but the one that waits, the one that is parked and the one that is busy.
    stage.sweeps(21).await;
    assert_eq!((stage.slots("old"), stage.slots("E07"), stage.slots("busy"), stage.slots("gap"), stage.slots("parked")), (0, 0, 2, 1, 0));
    assert_eq!(stage.report("parked").await.state, EntityState::Parked);
    assert_eq!(stage.sweep().await, 0, "nothing is left to go");
    assert!(!stage.report("E07").await.live, "whoever was only asked has left memory");
    stage.comes("old", 1, "ok").await;
    stage.comes("old", 2, "ok").await;
    stage.until("old", |report| report.position == at(2)).await;
    let again = stage.handled().iter().filter(|(sequence, _)| *sequence == 2).count();
    assert_eq!(again, 2, "busy 2 and old 2; old 1 was known");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_never_noted_counts_from_when_noting_began() {
    let mut stage = Stage::new(retains(5 * AFTER)).await;
    stage.comes("old", 1, "ok").await;
    stage.until_slots("old", 1).await;
    stage.quiet_until(6 * AFTER - 1).await;
    assert_eq!((stage.sweep().await, stage.slots("old")), (0, 1));
    stage.quiet_until(6 * AFTER).await;
    stage.sweeps(1).await;
    assert_eq!(stage.slots("old"), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_shard_has_the_word_not_the_sweep() {
    let mut stage = Stage::new(retains(0)).await;
    stage.comes("old", 1, "ok").await;
    stage.until_slots("old", 1).await;
    // The reader is far ahead of the shard, which may have events of the entity in its mail.
    stage.live.parts.pipelines[0].control.set_stream_time(10 * AFTER);
    assert_eq!((stage.sweep().await, stage.slots("old")), (0, 1));
}
