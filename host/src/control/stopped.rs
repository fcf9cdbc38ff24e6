//! Answers operators from a stopped host's store folder: read-only, from a copy, so that nothing of the folder changes. What would change something is
//! refused and says who can do it; a history needs the streams, too.

use super::fate;
use super::live::{checked, host_millis, list, of, record_view, unknown, unreadable, values};
use super::report::{self, Around};
use super::{
    Answer, BulkDone, BulkFilter, Control, DeadLetterPage, DeadLetterQuery, DeadLetterReport, Done, EntityName, EntityPage, EntityQuery,
    EntityReport, EntityState, Fault, HistoryPage, HistoryQuery, Letters, PipelineRow, PluginDone, PluginRow, PurgeDone, Redrive,
    RedriveDone, StateReport, Word,
};
use crate::directory::{Directory, View};
use crate::event::EntityKey;
use crate::store::{Embedded, Error, Loaded, PipelineRecord, Store, renumbered};
use seriatim_sequencer::{Now, Policy, Sequencer};
use std::path::Path;
use std::sync::Arc;

/// Entities of the index that are read at once.
const PAGE: usize = 512;

/// See the module.
pub struct Stopped {
    store: Embedded,
    pipelines: Vec<(String, PipelineRecord)>,
    /// Those that wait or are parked; nobody is in memory.
    directory: Directory,
    policies: Vec<(String, Arc<Policy>)>,
    /// The streams, where they can be read.
    streams: Option<Arc<dyn Letters>>,
    /// Where the copy is; gone with this.
    _scratch: tempfile::TempDir,
}

impl Stopped {
    /// Reads the folder of a host that does not run. `policies`: those of the config, where there is one, for what a sentence says of the future. Needs as
    /// much room in the system's folder for temporary files as the store has. Blocks.
    ///
    /// # Errors
    /// The folder is in use, holds no store, or cannot be read.
    pub fn open(path: &Path, policies: Vec<(String, Arc<Policy>)>) -> Result<Self, Error> {
        let folder = |source| Error::Folder { path: std::env::temp_dir(), doing: "make a folder for a copy of the store", source };
        let scratch = tempfile::tempdir().map_err(folder)?;
        let store = Embedded::open_copy(path, scratch.path())?;
        let pipelines = store.pipelines()?;
        let directory = Directory::default();
        for (name, _) in &pipelines {
            show(&store, &directory, name)?;
        }
        Ok(Self { store, pipelines, directory, policies, streams: None, _scratch: scratch })
    }

    /// What the store knows of its pipelines.
    #[must_use]
    pub fn records(&self) -> &[(String, PipelineRecord)] {
        &self.pipelines
    }

    /// The same with the streams, for histories.
    #[must_use]
    pub fn with_streams(self, streams: Arc<dyn Letters>) -> Self {
        Self { streams: Some(streams), ..self }
    }

    fn record(&self, pipeline: &str) -> Result<&PipelineRecord, Fault> {
        let found = self.pipelines.iter().find(|(name, _)| name == pipeline).map(|(_, record)| record);
        found.ok_or_else(|| Fault::Unknown(format!("this store has no pipeline {pipeline:?}")))
    }

    fn load(&self, name: &EntityName) -> Result<(EntityKey, Result<Loaded, Error>), Fault> {
        let record = self.record(&name.pipeline)?;
        checked(&name.entity)?;
        let key = EntityKey { pipeline: name.pipeline.as_str().into(), entity: name.entity.as_str().into() };
        let mut loaded = self.store.load(&key);
        match &mut loaded {
            Ok(loaded) if *loaded == Loaded::default() => return Err(unknown(&key)),
            Ok(loaded) => {
                if let Some(from) = renumbered(&record.generations, loaded.generation, record.generation) {
                    loaded.snapshot.rebase(from);
                }
            }
            Err(_) => {}
        }
        Ok((key, loaded))
    }

    fn report(&self, name: EntityName) -> Result<EntityReport, Fault> {
        let progress = self.record(&name.pipeline)?.progress;
        let (key, mut loaded) = self.load(&name)?;
        let stamps = loaded.as_mut().map(|loaded| std::mem::take(&mut loaded.stamps)).unwrap_or_default();
        let policy = self.policies.iter().find(|(known, _)| *known == name.pipeline).map(|(_, policy)| policy.clone()).unwrap_or_default();
        let now = Now { host: host_millis(), stream: progress.stream_time };
        let shown = match loaded {
            Ok(loaded) => {
                let outbox = loaded.outbox.len();
                of(&Sequencer::restore(policy.clone(), loaded.snapshot, progress.watermark), outbox, now)
            }
            Err(Error::Record { .. }) => {
                let waiting = self.store.load_waiting(&key).unwrap_or_default();
                of(&Sequencer::unreadable(policy.clone(), waiting, progress.watermark), 0, now)
            }
            Err(error) => return Err(unreadable(error)),
        };
        let around = Around { policy: &policy, handlers: &[], stamps: &stamps, highest: progress.highest, live: false };
        Ok(report::report(name, &shown, around))
    }

    fn rows(&self) -> Vec<PipelineRow> {
        let row = |(name, record): &(String, PipelineRecord)| {
            let (mut waiting, mut parked) = (0, 0);
            self.directory.each(name, |_, view| match report::state(view.waiting.as_ref()) {
                EntityState::Parked => parked += 1,
                EntityState::Waiting | EntityState::Live => waiting += 1,
            });
            PipelineRow {
                name: name.clone(),
                stream: record.stream.name.clone(),
                generation: record.generation,
                watermark: record.progress.watermark,
                highest: record.progress.highest,
                lag: None,
                live: 0,
                waiting,
                parked,
                stopped: Some("the host does not run".to_owned()),
                breaker: None,
                handlers: Vec::new(),
            }
        };
        self.pipelines.iter().map(row).collect()
    }
}

/// Lists a pipeline's waiting and parked entities.
fn show(store: &Embedded, directory: &Directory, pipeline: &str) -> Result<(), Error> {
    let mut after: Option<String> = None;
    loop {
        let page = store.owing(pipeline, after.as_deref(), PAGE)?;
        let Some(last) = page.last() else { return Ok(()) };
        after = Some(last.entity.clone());
        for owed in page {
            let key = EntityKey { pipeline: pipeline.into(), entity: owed.entity.into() };
            if let Some(waiting) = store.load_waiting(&key)? {
                directory.show(&key, View { live: false, waiting: Some(waiting), failed: None });
            }
        }
    }
}

fn refused<T>(what: &str) -> Answer<'static, T> {
    let fault = Fault::Unavailable(format!("{what}: the store of a stopped host is only read; start the host and ask it"));
    Box::pin(async move { Err(fault) })
}

fn now<T: Send + 'static>(answer: Result<T, Fault>) -> Answer<'static, T> {
    Box::pin(std::future::ready(answer))
}

impl Control for Stopped {
    fn pipelines(&self) -> Answer<'_, Vec<PipelineRow>> {
        now(Ok(self.rows()))
    }

    /// Those that wait or are parked: a stopped host has nobody in memory.
    fn entities(&self, query: EntityQuery) -> Answer<'_, EntityPage> {
        now(self.record(&query.pipeline).and_then(|record| match query.handler {
            Some(_) => Err(Fault::Unavailable(
                "whose failure was the last one is not in the store: leave --handler out, or ask a running host".to_owned(),
            )),
            None => list::page(&self.directory, &query, None, record.progress.highest, host_millis()),
        }))
    }

    fn entity(&self, name: EntityName) -> Answer<'_, EntityReport> {
        now(self.report(name))
    }

    fn state(&self, name: EntityName, handler: Option<String>) -> Answer<'_, StateReport> {
        let loaded = self.load(&name).and_then(|(_, loaded)| loaded.map_err(unreadable));
        now(loaded.map(|loaded| values::report(&loaded.state, handler.as_deref())))
    }

    fn history(&self, query: HistoryQuery) -> Answer<'_, HistoryPage> {
        let Some(streams) = &self.streams else { return refused("an entity's history is in its stream") };
        Box::pin(async move {
            let progress = self.record(&query.name.pipeline)?.progress;
            checked(&query.name.entity)?;
            let name = query.name.clone();
            let part = streams.history(query).await?;
            // Of whom the store knows nothing the stream may still have something that was not read.
            let loaded = match self.load(&name) {
                Ok((_, loaded)) => loaded.map_err(unreadable)?,
                Err(Fault::Unknown(_)) => Loaded::default(),
                Err(fault) => return Err(fault),
            };
            Ok(fate::page(part, &record_view(&loaded, progress.watermark, progress.highest)))
        })
    }

    fn operate(&self, _: EntityName, _: Word) -> Answer<'_, Done> {
        refused("nothing can be parked, resumed or skipped")
    }

    fn operate_many(&self, _: String, _: Word, _: BulkFilter, _: bool) -> Answer<'_, BulkDone> {
        refused("nothing can be parked, resumed or skipped")
    }

    fn close_breaker(&self, _: String, _: String) -> Answer<'_, Done> {
        refused("a host that does not run has no circuit breaker: it starts with all of them closed")
    }

    fn plugins(&self) -> Answer<'_, Vec<PluginRow>> {
        refused("which components it runs is decided when it starts")
    }

    fn load_plugin(&self, _: String, _: String, _: Vec<u8>, _: String) -> Answer<'_, PluginDone> {
        refused("no component can be loaded: change what the config names")
    }

    fn rollback_plugin(&self, _: String, _: String, _: Option<String>) -> Answer<'_, PluginDone> {
        refused("no component can be rolled back")
    }

    fn confirm_plugin(&self, _: String, _: String) -> Answer<'_, Done> {
        refused("no migration can be confirmed")
    }

    fn forget(&self, _: EntityName) -> Answer<'_, Done> {
        refused("nothing can be forgotten")
    }

    fn dead_letters(&self, _: DeadLetterQuery) -> Answer<'_, DeadLetterPage> {
        refused("dead letters are in their stream")
    }

    fn dead_letter(&self, _: u64) -> Answer<'_, DeadLetterReport> {
        refused("dead letters are in their stream")
    }

    fn redrive(&self, _: u64, _: Redrive) -> Answer<'_, RedriveDone> {
        refused("nothing can be redriven")
    }

    fn purge(&self, _: DeadLetterQuery, _: bool) -> Answer<'_, PurgeDone> {
        refused("dead letters are in their stream")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Batch, Change, Options, StateWrite};
    use seriatim_sequencer::{Attempts, Extras, Place, WaitReason, Waiting};
    use std::collections::BTreeMap;
    use std::fs;

    fn key(entity: &str) -> EntityKey {
        EntityKey { pipeline: "flights".into(), entity: entity.into() }
    }

    fn fill(path: &Path) {
        let store = Embedded::open(&Options::new(path)).unwrap();
        let mut parked = Change::new(key("N1"), 8, 0);
        let attempts = Attempts::default();
        let waiting = Waiting { from: 5, reason: WaitReason::Operator, attempts, alarm: None, since: 1_000 };
        parked.patch.waiting = Some(Some(waiting));
        parked.patch.extras = Some(Box::new(Extras { position: Some(Place { epoch: 0, sequence: 7 }), ..Extras::default() }));
        parked.state = vec![StateWrite { handler: "h".into(), key: "k".to_owned(), value: Some(bytes::Bytes::from_static(b"{\"a\":1}")) }];
        parked.waits = Some(true);
        let records = vec![("flights".into(), PipelineRecord::default())];
        store.commit(&Batch { changes: vec![parked], records, ..Batch::default() }).unwrap();
    }

    /// Every file with what is in it and when it was written.
    fn files(path: &Path) -> BTreeMap<std::path::PathBuf, (Vec<u8>, std::time::SystemTime)> {
        let entries = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
        let mut all = BTreeMap::new();
        for path in entries {
            if path.is_dir() {
                all.extend(files(&path));
            } else {
                let (bytes, written) = (fs::read(&path).unwrap(), fs::metadata(&path).unwrap().modified().unwrap());
                all.insert(path, (bytes, written));
            }
        }
        all
    }

    #[tokio::test]
    async fn it_tells_what_the_store_knows_and_writes_nothing() {
        let place = tempfile::tempdir().unwrap();
        fill(place.path());
        let before = files(place.path());
        let stopped = Stopped::open(place.path(), Vec::new()).unwrap();
        let name = EntityName { pipeline: "flights".to_owned(), entity: "N1".to_owned() };
        let report = stopped.entity(name.clone()).await.unwrap();
        assert!(report.sentence.contains("N1 was parked by an operator since 1970-01-01T00:00:01Z"), "{}", report.sentence);
        assert_eq!((report.state, report.live, report.head.map(|head| head.sequence)), (EntityState::Parked, false, Some(8)));
        let query = EntityQuery { pipeline: "flights".to_owned(), ..EntityQuery::default() };
        assert_eq!(stopped.entities(query).await.unwrap().entities.len(), 1);
        assert_eq!(stopped.state(name.clone(), None).await.unwrap().entries[0].value, serde_json::json!({"a": 1}));
        assert_eq!(stopped.pipelines().await.unwrap()[0].parked, 1);
        assert!(matches!(stopped.operate(name.clone(), Word::Park).await, Err(Fault::Unavailable(_))));
        let nobody = EntityName { entity: "N2".to_owned(), ..name };
        assert!(matches!(stopped.entity(nobody).await, Err(Fault::Unknown(_))));
        assert!(files(place.path()) == before, "the folder was written to");
    }

    #[test]
    fn a_folder_in_use_or_without_a_store_is_refused_by_name() {
        let place = tempfile::tempdir().unwrap();
        assert!(matches!(Stopped::open(place.path(), Vec::new()), Err(Error::NoStore { .. })));
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0, "nothing was made");
        fill(place.path());
        let running = Embedded::open(&Options::new(place.path())).unwrap();
        let error = Stopped::open(place.path(), Vec::new()).err().unwrap().to_string();
        assert!(error.contains("is in use (process ") && error.contains("ask the running host"), "{error}");
        drop(running);
        assert!(Stopped::open(place.path(), Vec::new()).is_ok());
    }
}
