//! A host in memory, for tests of the API and of the commands that ask it: it keeps the port's rules (places, repeats, what is owed), and writes down
//! what it was asked.

use crate::control::{
    Answer, Behind, BreakerRow, BulkDone, BulkEntry, BulkFilter, Control, DeadLetterPage, DeadLetterQuery, DeadLetterReport, DeadLetterRow,
    Done, EntityName, EntityPage, EntityQuery, EntityReport, EntityRow, EntityState, Fault, HandledBy, HandlerRow, HistoryPage,
    HistoryQuery, HistoryRow, OutboxReport, PipelineRow, Place, PluginDone, PluginRow, PluginVersion, PurgeDone, Redrive, RedriveDone,
    Sort, StateEntry, StateReport, WaitReport, Word,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::sync::Semaphore;

/// How an entity stands.
#[derive(Clone, Debug)]
pub(crate) struct Standing {
    pub(crate) state: EntityState,
    pub(crate) head: Place,
    pub(crate) reason: Option<String>,
    pub(crate) since: u64,
}

#[derive(Default)]
struct Inner {
    entities: BTreeMap<String, Standing>,
    letters: BTreeMap<u64, DeadLetterRow>,
    redriven: BTreeSet<u64>,
    /// The circuit breaker is open, because of the handler `rotation`.
    open: bool,
    asked: Vec<String>,
}

/// See the module. One pipeline: `flights`.
pub(crate) struct Memory {
    inner: Mutex<Inner>,
    /// Changes wait for a permit of this.
    pub(crate) gate: Arc<Semaphore>,
    pipelines: Vec<&'static str>,
}

impl Memory {
    /// With these entities, all parked at sequence 41.
    pub(crate) fn with(entities: &[&str]) -> Arc<Self> {
        let standing = Standing {
            state: EntityState::Parked,
            head: Place { epoch: 0, sequence: 41 },
            reason: Some("gap".to_owned()),
            since: 1_357_000_000_000,
        };
        let entities = entities.iter().map(|name| ((*name).to_owned(), standing.clone())).collect();
        let inner = Mutex::new(Inner { entities, ..Inner::default() });
        Arc::new(Self { inner, gate: Arc::new(Semaphore::new(Semaphore::MAX_PERMITS)), pipelines: vec!["flights"] })
    }

    /// With two pipelines.
    pub(crate) fn of_two() -> Self {
        Self { inner: Mutex::default(), gate: Arc::new(Semaphore::new(1)), pipelines: vec!["flights", "orders"] }
    }

    /// The same with this many dead letters, from 1; event N of entity `E<N>`; even ones have the reason `trap`, others `gap`.
    pub(crate) fn letters(self: Arc<Self>, count: u64) -> Arc<Self> {
        let row = |number: u64| DeadLetterRow {
            stream_sequence: number,
            time: number * 1_000,
            pipeline: "flights".to_owned(),
            reason: if number.is_multiple_of(2) { "trap" } else { "gap" }.to_owned(),
            error: "it\u{1b}[31m fell".to_owned(),
            entity: Some(format!("E{number}")),
            place: Some(Place { epoch: 0, sequence: number }),
            handler: Some("rotation".to_owned()),
            attempts: 3,
            source: "FLIGHTS".to_owned(),
            source_sequence: 100 + number,
            source_last: None,
            subject: Some(format!("flights.E{number}")),
        };
        self.lock().letters = (1..=count).map(|number| (number, row(number))).collect();
        self
    }

    /// The same with an open circuit breaker.
    pub(crate) fn breaker_open(self: Arc<Self>) -> Arc<Self> {
        self.lock().open = true;
        self
    }

    /// What was asked so far, changes only.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.lock().asked.clone()
    }

    pub(crate) fn standing(&self, entity: &str) -> Option<Standing> {
        self.lock().entities.get(entity).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }

    fn known(&self, pipeline: &str) -> Result<(), Fault> {
        if self.pipelines.contains(&pipeline) { Ok(()) } else { Err(Fault::Unknown(format!("no pipeline {pipeline:?}"))) }
    }

    fn found(&self, name: &EntityName) -> Result<Standing, Fault> {
        self.known(&name.pipeline)?;
        let standing = self.standing(&name.entity);
        standing.ok_or_else(|| Fault::Unknown(format!("pipeline {} has no entity {:?}", name.pipeline, name.entity)))
    }

    fn change(&self, name: &EntityName, word: Word) -> Result<Done, Fault> {
        let standing = self.found(name)?;
        assert_ne!(name.entity, "panic", "as a test asked for");
        let mut inner = self.lock();
        inner.asked.push(format!("{} {word:?}", name.entity));
        let entry = inner.entities.get_mut(&name.entity).unwrap();
        let place = match word {
            Word::Park => {
                let changed = entry.state != EntityState::Parked;
                entry.state = EntityState::Parked;
                return Ok(Done { changed });
            }
            Word::Resume { place } | Word::Skip { place } => place.unwrap_or(standing.head),
        };
        if place < standing.head {
            return Ok(Done { changed: false });
        }
        if place > standing.head {
            let detail = format!("{:?} is at {}, not at {}", name.entity, standing.head.sequence, place.sequence);
            return Err(Fault::Conflict { detail, head: Some(standing.head) });
        }
        *entry = Standing { state: EntityState::Live, head: Place { sequence: place.sequence + 1, ..place }, reason: None, since: 0 };
        Ok(Done { changed: true })
    }

    fn letter(&self, number: u64) -> Result<DeadLetterRow, Fault> {
        self.lock().letters.get(&number).cloned().ok_or_else(|| Fault::Unknown(format!("no dead letter {number}")))
    }

    fn chosen(&self, query: &DeadLetterQuery) -> Vec<DeadLetterRow> {
        let same = |wanted: &Option<String>, is: Option<&str>| wanted.as_deref().is_none_or(|wanted| is == Some(wanted));
        let fits = |row: &&DeadLetterRow| {
            row.stream_sequence >= query.from
                && same(&query.pipeline, Some(&row.pipeline))
                && same(&query.reason, Some(&row.reason))
                && same(&query.entity, row.entity.as_deref())
                && same(&query.handler, row.handler.as_deref())
                && query.since.is_none_or(|since| row.time >= since)
                && query.until.is_none_or(|until| row.time < until)
        };
        self.lock().letters.values().filter(fits).cloned().collect()
    }
}

fn answer<'a, T: Send + 'a>(result: Result<T, Fault>) -> Answer<'a, T> {
    Box::pin(std::future::ready(result))
}

fn host_millis() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as u64
}

impl Control for Memory {
    fn pipelines(&self) -> Answer<'_, Vec<PipelineRow>> {
        let (parked, open) = {
            let inner = self.lock();
            (inner.entities.len() as u64, inner.open)
        };
        let row = |name: &&'static str| PipelineRow {
            name: (*name).to_owned(),
            stream: "FLIGHTS".to_owned(),
            generation: 1,
            watermark: 7,
            highest: 9,
            lag: None,
            live: 0,
            waiting: 0,
            parked,
            stopped: None,
            breaker: open.then(|| BreakerRow {
                handler: "rotation".to_owned(),
                since: 1_357_000_000_000,
                next_probe: 1_357_000_010_000,
                error: "it\u{1b}[31m fell".to_owned(),
            }),
            handlers: vec![HandlerRow { name: "rotation".to_owned(), digest: "ab".to_owned() }],
        };
        answer(Ok(self.pipelines.iter().map(row).collect()))
    }

    fn entities(&self, query: EntityQuery) -> Answer<'_, EntityPage> {
        if let Err(fault) = self.known(&query.pipeline) {
            return answer(Err(fault));
        }
        let inner = self.lock();
        let fits = |(name, standing): &(&String, &Standing)| {
            (query.states.is_empty() || query.states.contains(&standing.state))
                && query.reason.is_none_or_same(standing.reason.as_ref())
                && query.older_than_seconds.is_none_or(|age| host_millis().saturating_sub(standing.since) >= age.saturating_mul(1_000))
                && query.after.as_ref().is_none_or(|after| *name > after)
        };
        let mut rows: Vec<_> = inner
            .entities
            .iter()
            .filter(fits)
            .map(|(name, standing)| EntityRow {
                entity: name.clone(),
                state: standing.state,
                live: true,
                reason: standing.reason.clone(),
                since: Some(standing.since),
                backlog: 3,
                alarm: None,
            })
            .collect();
        if query.sort == Sort::Age {
            rows.sort_by_key(|row| row.since);
        }
        let more = rows.len() > query.limit;
        rows.truncate(query.limit);
        let next = rows.last().filter(|_| more).map(|row| row.entity.clone());
        answer(Ok(EntityPage { entities: rows, next }))
    }

    fn entity(&self, name: EntityName) -> Answer<'_, EntityReport> {
        answer(self.found(&name).map(|standing| EntityReport {
            sentence: format!("{} is parked at event {}.", name.entity, standing.head.sequence),
            pipeline: name.pipeline,
            entity: name.entity,
            state: standing.state,
            live: true,
            position: Some(Place { sequence: standing.head.sequence - 1, ..standing.head }),
            head: (standing.state != EntityState::Live).then_some(standing.head),
            floor: None,
            given_up: Vec::new(),
            held: None,
            queued: 0,
            dropped: Some((5, 9)),
            catching_up: false,
            waiting: standing.reason.map(|reason| WaitReport { reason, from: 5, since: standing.since, alarm: None, attempts: 2 }),
            last_error: None,
            handlers: vec![HandlerRow { name: "rotation".to_owned(), digest: "ab".to_owned() }],
            handled_by: vec![HandledBy { name: "rotation".to_owned(), digest: "cd".to_owned(), state_version: 2, current: Some(false) }],
            outbox: OutboxReport::default(),
            decisions: Vec::new(),
            behind: Behind { highest: 9, backlog: 3 },
        }))
    }

    fn history(&self, query: HistoryQuery) -> Answer<'_, HistoryPage> {
        let row = |number: u64| HistoryRow {
            stream_sequence: number,
            place: Some(Place { epoch: 0, sequence: number }),
            id: format!("id-{number}"),
            subject: "flights.x".to_owned(),
            time: 0,
            fate: "finished".to_owned(),
            detail: String::new(),
            dead_letters: Vec::new(),
        };
        let last = 250;
        let from = query.from.max(1);
        let to = last.min(from.saturating_add(query.limit as u64).saturating_sub(1));
        answer(self.found(&query.name).map(|_| HistoryPage { events: (from..=to).map(row).collect(), next: (to < last).then_some(to + 1) }))
    }

    fn state(&self, name: EntityName, handler: Option<String>) -> Answer<'_, StateReport> {
        answer(self.found(&name).and_then(|_| match handler {
            Some(other) if other != "rotation" => Err(Fault::Unknown(format!("no handler {other:?}"))),
            _ => Ok(StateReport {
                entries: vec![StateEntry {
                    handler: "rotation".to_owned(),
                    key: "last".to_owned(),
                    bytes: 9,
                    format: "json".to_owned(),
                    value: serde_json::json!({ "at": 1 }),
                }],
            }),
        }))
    }

    fn operate(&self, name: EntityName, word: Word) -> Answer<'_, Done> {
        Box::pin(async move {
            let _permit = self.gate.acquire().await.unwrap();
            self.change(&name, word)
        })
    }

    fn operate_many(&self, pipeline: String, word: Word, filter: BulkFilter, dry_run: bool) -> Answer<'_, BulkDone> {
        let chosen: Vec<String> = if filter.entities.is_empty() {
            let inner = self.lock();
            let fits = |standing: &Standing| {
                (filter.states.is_empty() || filter.states.contains(&standing.state))
                    && filter.reason.is_none_or_same(standing.reason.as_ref())
            };
            inner.entities.iter().filter(|(_, standing)| fits(standing)).map(|(name, _)| name.clone()).collect()
        } else {
            filter.entities
        };
        let mut done = BulkDone { matched: chosen.len() as u64, changed: 0, entities: Vec::new() };
        for entity in chosen {
            let name = EntityName { pipeline: pipeline.clone(), entity: entity.clone() };
            let met = if dry_run { self.found(&name).map(|_| Done { changed: false }) } else { self.change(&name, word) };
            done.changed += u64::from(met.as_ref().is_ok_and(|done| done.changed));
            done.entities.push(BulkEntry { entity, error: met.err().map(|fault| fault.to_string()) });
        }
        answer(Ok(done))
    }

    fn close_breaker(&self, pipeline: String, handler: String) -> Answer<'_, Done> {
        answer(self.known(&pipeline).and_then(|()| {
            if handler != "rotation" {
                return Err(match handler.as_str() {
                    "other" => Fault::Conflict { detail: "it is open because of rotation".to_owned(), head: None },
                    _ => Fault::Unknown(format!("no handler {handler:?}")),
                });
            }
            self.lock().asked.push(format!("close breaker of {handler}"));
            Ok(Done { changed: std::mem::take(&mut self.lock().open) })
        }))
    }

    fn plugins(&self) -> Answer<'_, Vec<PluginRow>> {
        let version = |load: u64| PluginVersion {
            load,
            component: format!("{load:064x}"),
            bytes: 42_000,
            state_version: 1,
            at: 1_356_998_400_000,
            from: "rotation\u{1b}[31m.wasm".to_owned(),
        };
        answer(Ok(vec![PluginRow {
            pipeline: "flights".to_owned(),
            handler: "rotation".to_owned(),
            component: format!("{:064x}", 2),
            load: 2,
            state_version: 1,
            isolation: "run".to_owned(),
            overridden: true,
            refused: None,
            confirmed: 0,
            versions: vec![version(1), version(2)],
        }]))
    }

    fn load_plugin(&self, pipeline: String, handler: String, component: Vec<u8>, from: String) -> Answer<'_, PluginDone> {
        answer(self.known(&pipeline).and_then(|()| {
            if component.is_empty() {
                return Err(Fault::Bad("the component was refused at the step `structure`: it is empty".to_owned()));
            }
            self.lock().asked.push(format!("load {} bytes from {from} into {handler}", component.len()));
            Ok(PluginDone { changed: true, component: format!("{:064x}", 3), load: 3, state_version: 1 })
        }))
    }

    fn rollback_plugin(&self, pipeline: String, handler: String, to: Option<String>) -> Answer<'_, PluginDone> {
        answer(self.known(&pipeline).and_then(|()| {
            if to.as_deref() == Some("ff") {
                return Err(Fault::Conflict { detail: "no kept version begins with ff".to_owned(), head: None });
            }
            self.lock().asked.push(format!("roll back {handler} to {to:?}"));
            Ok(PluginDone { changed: true, component: format!("{:064x}", 1), load: 1, state_version: 1 })
        }))
    }

    fn confirm_plugin(&self, pipeline: String, handler: String) -> Answer<'_, Done> {
        answer(self.known(&pipeline).map(|()| {
            self.lock().asked.push(format!("confirm {handler}"));
            Done { changed: true }
        }))
    }

    fn forget(&self, name: EntityName) -> Answer<'_, Done> {
        answer(self.found(&name).and_then(|standing| {
            if standing.state != EntityState::Live {
                return Err(Fault::Conflict { detail: "it is parked: something is owed".to_owned(), head: Some(standing.head) });
            }
            self.lock().asked.push(format!("forget {}", name.entity));
            Ok(Done { changed: true })
        }))
    }

    fn dead_letters(&self, query: DeadLetterQuery) -> Answer<'_, DeadLetterPage> {
        let mut rows = self.chosen(&query);
        let next = rows.get(query.limit).map(|row| row.stream_sequence);
        rows.truncate(query.limit);
        answer(Ok(DeadLetterPage { dead_letters: rows, next, note: None }))
    }

    fn dead_letter(&self, stream_sequence: u64) -> Answer<'_, DeadLetterReport> {
        answer(self.letter(stream_sequence).map(|row| DeadLetterReport {
            row,
            headers: vec![("Seriatim-Dead-Reason".to_owned(), "trap".to_owned())],
            payload: Some("eyJhIjoxfQ==".to_owned()),
            payload_missing: None,
        }))
    }

    fn redrive(&self, stream_sequence: u64, redrive: Redrive) -> Answer<'_, RedriveDone> {
        answer(self.letter(stream_sequence).and_then(|row| {
            // Of every third, events were applied since.
            if row.stream_sequence.is_multiple_of(3) && !redrive.out_of_order {
                return Err(Fault::Conflict {
                    detail: "7 events of E3 were applied since; redrive it out of order".to_owned(),
                    head: None,
                });
            }
            let mut inner = self.lock();
            inner.asked.push(format!("redrive {stream_sequence} {redrive:?}"));
            Ok(RedriveDone { changed: inner.redriven.insert(stream_sequence), late: redrive.out_of_order })
        }))
    }

    fn purge(&self, query: DeadLetterQuery, dry_run: bool) -> Answer<'_, PurgeDone> {
        let chosen = self.chosen(&query);
        let matched = chosen.len() as u64;
        if !dry_run {
            let mut inner = self.lock();
            chosen.iter().for_each(|row| drop(inner.letters.remove(&row.stream_sequence)));
        }
        answer(Ok(PurgeDone { matched, deleted: if dry_run { 0 } else { matched }, next: None }))
    }
}

/// Whether a filter lets something through.
trait Lets {
    fn is_none_or_same(&self, is: Option<&String>) -> bool;
}

impl Lets for Option<String> {
    fn is_none_or_same(&self, is: Option<&String>) -> bool {
        self.is_none() || self.as_ref() == is
    }
}
