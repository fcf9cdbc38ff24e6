//! The catch-up service of one pipeline: starts what `catchup.rs` says, reads the stream again through `catchup_reader.rs`, and hands each entity its
//! messages. Decides nothing about them. What does not decode is skipped: it was closed when it was first read.

use super::catchup::{CatchUps, Start};
use super::catchup_reader::{self, CatchupConfig, CatchupItem, entity_filters};
use super::decode::Decoder;
use crate::event::EntityKey;
use crate::inbox::Inbox;
use crate::nats::connect::Connection;
use crate::nats::identity::{self, KnownStream};
use crate::passes::{Ask, PassPort, PassStep, Request};
use crate::store::{DurableProgress, Poison};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::MissedTickBehavior;

/// Batches that wait between the reader of a pass and the shards.
const BATCHES_MAX: usize = 4;

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

/// A pass that runs. All its entities get everything up to its end, which is the highest that any of them asked for: it may be ahead of the live
/// reader for some of them, and an arrival that a pass brought before is known to the sequencer.
#[derive(Debug)]
struct Running {
    wants: Mutex<HashMap<EntityKey, Want>>,
    to: watch::Sender<u64>,
    /// Somebody left it.
    left: Notify,
}

#[derive(Clone, Copy, Debug)]
struct Want {
    shard: usize,
    number: u64,
}

impl Running {
    fn wants(&self) -> MutexGuard<'_, HashMap<EntityKey, Want>> {
        self.wants.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everyone in it.
    fn all(&self) -> Vec<(EntityKey, Want)> {
        self.wants().iter().map(|(key, want)| (key.clone(), *want)).collect()
    }
}

/// Serves until it is dropped.
pub async fn run(service: Service, asks: Arc<Inbox<Ask>>, poison: Poison) {
    let service = Arc::new(service);
    let mut catch_ups = CatchUps::new(service.max, service.token.is_some());
    let mut running: HashMap<EntityKey, Arc<Running>> = HashMap::new();
    let mut taken = Vec::new();
    loop {
        asks.take(&mut taken);
        for ask in taken.drain(..) {
            match ask {
                Ask::Start(request) => {
                    // A pass that leads to the next one in the step that ended it has no other end.
                    leave(&mut running, &request.key);
                    catch_ups.ended(&request.key);
                    catch_ups.request(request);
                }
                Ask::Extend(key, to) => {
                    if let Some(pass) = running.get(&key) {
                        pass.to.send_if_modified(|end| {
                            let raised = to > *end;
                            *end = to.max(*end);
                            raised
                        });
                    }
                }
                Ask::Done(key, number) => {
                    let current = running.get(&key).and_then(|pass| pass.wants().get(&key).copied());
                    if current.is_some_and(|want| want.number == number) {
                        leave(&mut running, &key);
                        catch_ups.ended(&key);
                    }
                }
            }
        }
        while let Some(start) = catch_ups.start() {
            let (filters, requests) = match start {
                Start::Own(request) => (service.filters_of(&request.key), vec![request]),
                Start::Shared(requests) => (service.subjects.clone(), requests),
            };
            let pass = begin(&service, filters, &requests, &poison);
            running.extend(requests.into_iter().map(|request| (request.key, pass.clone())));
        }
        asks.notified().await;
    }
}

fn leave(running: &mut HashMap<EntityKey, Arc<Running>>, key: &EntityKey) {
    if let Some(pass) = running.remove(key) {
        pass.wants().remove(key);
        pass.left.notify_one();
    }
}

impl Service {
    /// With the highest message that is on the disk: a stream that was restored below it is not read from.
    fn known_now(&self) -> KnownStream {
        let progress = self.progress.get();
        KnownStream { highest: progress.highest, highest_time: progress.highest_time, ..self.known.clone() }
    }

    fn filters_of(&self, key: &EntityKey) -> Vec<String> {
        match self.token {
            Some(token) => entity_filters(&self.subjects, token, &key.entity),
            None => self.subjects.clone(),
        }
    }
}

fn begin(service: &Arc<Service>, subjects: Vec<String>, requests: &[Request], poison: &Poison) -> Arc<Running> {
    let from = requests.iter().map(|request| request.from).min().unwrap_or(1);
    let end = requests.iter().map(|request| request.to).max().unwrap_or(0);
    let (to, ends) = watch::channel(end);
    let want = |request: &Request| Want { shard: request.shard, number: request.number };
    let wants = requests.iter().map(|request| (request.key.clone(), want(request))).collect();
    let pass = Arc::new(Running { wants: Mutex::new(wants), to, left: Notify::new() });
    let config = CatchupConfig { pipeline: service.pipeline.clone(), subjects, known: service.known_now(), from };
    tracing::debug!(pipeline = %service.pipeline, entities = requests.len(), from, to = end, "catching up");
    let (items, received) = mpsc::channel(BATCHES_MAX);
    let reader = tokio::spawn(catchup_reader::run(service.connection.clone(), config, ends, items));
    tokio::spawn(poison.clone().guards("catch-up", serve(service.clone(), pass.clone(), received, reader)));
    pass
}

/// Hands on what one pass reads, until nobody is left in it.
async fn serve(
    service: Arc<Service>,
    pass: Arc<Running>,
    mut items: mpsc::Receiver<CatchupItem>,
    reader: tokio::task::JoinHandle<Result<(), crate::nats::gapless::ReadError>>,
) {
    let mut opened_at = 0;
    let mut pace = tokio::time::interval(SCAN_PACE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let item = tokio::select! {
            item = items.recv() => item,
            () = pass.left.notified() => {
                if pass.wants().is_empty() {
                    return;
                }
                continue;
            }
        };
        let Some(item) = item else { break };
        match item {
            CatchupItem::Opened { first_sequence } => {
                opened_at = first_sequence;
                for (key, want) in pass.all() {
                    service.port.step(want.shard, key, want.number, PassStep::Started(first_sequence)).await;
                }
            }
            CatchupItem::Messages(messages) => {
                if service.token.is_none() {
                    pace.tick().await;
                }
                for message in messages {
                    let Ok(event) = service.decoder.decode(message) else { continue };
                    let want = pass.wants().get(&event.key).copied();
                    let Some(want) = want else { continue };
                    let key = event.key.clone();
                    if !service.port.step(want.shard, key, want.number, PassStep::Event(Arc::new(event))).await {
                        return;
                    }
                }
            }
            CatchupItem::Reached { to } => {
                // What retention took while the pass read was not brought, and must not count as absent.
                let first = identity::facts(&service.connection.client(), &service.known.name).await.map(|facts| facts.first_sequence);
                for (key, want) in pass.all() {
                    let steps = match first {
                        Ok(first) if first > opened_at => vec![PassStep::Started(first), PassStep::Ended(to)],
                        Ok(_) => vec![PassStep::Ended(to)],
                        Err(_) => vec![PassStep::Failed],
                    };
                    for step in steps {
                        service.port.step(want.shard, key.clone(), want.number, step).await;
                    }
                }
            }
        }
    }
    let error = match reader.await {
        Ok(Ok(())) => return,
        Ok(Err(error)) => error.to_string(),
        Err(error) => error.to_string(),
    };
    tracing::warn!(pipeline = %service.pipeline, "a catch-up broke off and is tried again: {error}");
    for (key, want) in pass.all() {
        service.port.step(want.shard, key, want.number, PassStep::Failed).await;
    }
}
