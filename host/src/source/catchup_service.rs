//! The catch-up service of one pipeline: starts what `desk.rs` says, reads the stream again through `catchup_reader.rs`, and hands each entity its
//! messages. Decides nothing about them. What does not decode is skipped: it was closed when it was first read.

use super::catchup_reader::{self, CatchupConfig, CatchupItem, entity_filters};
use super::decode::Decoder;
use super::desk::{Begin, Desk, Step, Told};
use crate::event::EntityKey;
use crate::inbox::Inbox;
use crate::nats::connect::Connection;
use crate::nats::identity::{self, KnownStream};
use crate::passes::{Ask, PassPort};
use crate::store::{DurableProgress, Poison};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::AbortHandle;
use tokio::time::MissedTickBehavior;

/// Batches that wait between the reader of a pass and the shards.
const BATCHES_MAX: usize = 4;

/// Questions to the leader at once, for entities that had enough of a pass.
const QUESTIONS_MAX: usize = 4;

/// The shared scan hands on a batch at most this often (up to 256,000 messages a second): fast enough to overtake any live reader, and never all there
/// is to do for broker and shards.
const SCAN_PACE: Duration = Duration::from_millis(1);

/// What the service works with.
pub struct Service {
    /// The pipeline's name.
    pub pipeline: Arc<str>,
    /// Its subjects.
    pub subjects: Vec<String>,
    /// The token that holds the entity, when it stands in the subject.
    pub token: Option<usize>,
    /// The connection to read through.
    pub connection: Connection,
    /// The stream as known at the start.
    pub known: KnownStream,
    /// How far it has been read since.
    pub progress: Arc<DurableProgress>,
    /// Decodes messages.
    pub decoder: Arc<Decoder>,
    /// The way back into the shards.
    pub port: Arc<dyn PassPort>,
    /// `catch-ups-max`.
    pub max: usize,
}

/// The way to the task of a pass that runs.
struct Running {
    to: watch::Sender<u64>,
    task: AbortHandle,
}

/// Serves until it is dropped.
pub async fn run(service: Service, asks: Arc<Inbox<Ask>>, poison: Poison) {
    let desk = Arc::new(Mutex::new(Desk::new(service.max, service.token.is_some())));
    let service = Arc::new(service);
    let mut running: HashMap<u64, Running> = HashMap::new();
    let questions = Arc::new(Semaphore::new(QUESTIONS_MAX));
    let mut taken = Vec::new();
    loop {
        asks.take(&mut taken);
        for ask in taken.drain(..) {
            match lock(&desk).ask(ask) {
                Some(Told::Extended { pass, to }) => {
                    if let Some(pass) = running.get(&pass) {
                        pass.to.send_replace(to);
                    }
                }
                Some(Told::Left { pass }) => {
                    if let Some(pass) = running.remove(&pass) {
                        pass.task.abort();
                    }
                }
                Some(Told::Enough { key, number, .. }) => {
                    tokio::spawn(poison.clone().guards("catch-up", enough(service.clone(), desk.clone(), questions.clone(), key, number)));
                }
                None => {}
            }
        }
        loop {
            let begun = lock(&desk).begin();
            let Some(begun) = begun else { break };
            running.insert(begun.pass, begin(&service, &desk, &begun, &poison));
        }
        asks.notified().await;
    }
}

fn lock(desk: &Mutex<Desk>) -> MutexGuard<'_, Desk> {
    desk.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Service {
    /// With the highest message that is on the disk: a stream that was restored below it is not read from.
    fn known_now(&self) -> KnownStream {
        let progress = self.progress.get();
        self.known.as_of(progress.highest, progress.highest_time)
    }

    fn filters_of(&self, entity: Option<&EntityKey>) -> Vec<String> {
        match self.token.zip(entity) {
            Some((token, key)) => entity_filters(&self.subjects, token, &key.entity),
            None => self.subjects.clone(),
        }
    }

    /// Hands the steps on, in order; false when a shard has ended.
    async fn hand_on(&self, steps: impl IntoIterator<Item = Step>) -> bool {
        for Step { shard, key, number, step } in steps {
            if !self.port.step(shard, key, number, step).await {
                return false;
            }
        }
        true
    }
}

fn begin(service: &Arc<Service>, desk: &Arc<Mutex<Desk>>, begun: &Begin, poison: &Poison) -> Running {
    let (to, ends) = watch::channel(begun.to);
    let subjects = service.filters_of(begun.entity.as_ref());
    let config = CatchupConfig { pipeline: service.pipeline.clone(), subjects, known: service.known_now(), from: begun.from };
    tracing::debug!(pipeline = %service.pipeline, entities = begun.entities, from = begun.from, to = begun.to, "catching up");
    let (items, received) = mpsc::channel(BATCHES_MAX);
    let reader = tokio::spawn(catchup_reader::run(service.connection.clone(), config, ends, items));
    let task = tokio::spawn(poison.clone().guards("catch-up", serve(service.clone(), desk.clone(), begun.pass, received, reader)));
    Running { to, task: task.abort_handle() }
}

/// Ends a pass for one entity, which had enough.
async fn enough(service: Arc<Service>, desk: Arc<Mutex<Desk>>, questions: Arc<Semaphore>, key: EntityKey, number: u64) {
    let facts = {
        let Ok(_one) = questions.acquire().await else { return };
        identity::facts(&service.connection.client(), &service.known.name).await
    };
    let steps = lock(&desk).enough(&key, number, facts.ok().map(|facts| facts.first_sequence));
    service.hand_on(steps).await;
}

/// Hands on what one pass reads, until it is aborted because nobody is left in it. The reader ends with the receiver.
async fn serve(
    service: Arc<Service>,
    desk: Arc<Mutex<Desk>>,
    pass: u64,
    mut items: mpsc::Receiver<CatchupItem>,
    reader: tokio::task::JoinHandle<Result<(), crate::nats::gapless::ReadError>>,
) {
    let mut pace = tokio::time::interval(SCAN_PACE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while let Some(item) = items.recv().await {
        match item {
            CatchupItem::Opened { first_sequence } => {
                let steps = lock(&desk).opened(pass, first_sequence);
                service.hand_on(steps).await;
            }
            CatchupItem::Messages(messages) => {
                if service.token.is_none() {
                    pace.tick().await;
                }
                for message in messages {
                    let Ok(event) = service.decoder.decode(message) else { continue };
                    let step = lock(&desk).event(pass, Arc::new(event));
                    if !service.hand_on(step).await {
                        return;
                    }
                }
            }
            CatchupItem::Reached { to } => {
                let facts = identity::facts(&service.connection.client(), &service.known.name).await;
                let steps = lock(&desk).reached(pass, to, facts.ok().map(|facts| facts.first_sequence));
                service.hand_on(steps).await;
            }
        }
    }
    let error = match reader.await {
        Ok(Ok(())) => return,
        Ok(Err(error)) => error.to_string(),
        Err(error) => error.to_string(),
    };
    tracing::warn!(pipeline = %service.pipeline, "a catch-up broke off and is tried again: {error}");
    let steps = lock(&desk).failed(pass);
    service.hand_on(steps).await;
}
