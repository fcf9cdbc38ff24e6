//! From config, store and broker to pipelines that may run: handlers loaded, claims made, identity and meaning checked, starts resolved.

use super::decide::{self, Accepts, Decision};
use super::{Error, Flags, Refused};
use crate::breaker::{About, Breaker};
use crate::config::{Config, PipelineConfig, RunConfig, Start, millis};
use crate::nats::api::ApiError;
use crate::nats::bucket::{self, Claim, Claimant, Facts};
use crate::nats::connect::Connection;
use crate::nats::identity::{self, KnownStream};
use crate::pipeline::{Control, Handlers, Pipeline};
use crate::runtime::Handler;
use crate::store::{Batch, Embedded, Meaning, PipelineRecord, Store};
use crate::telemetry::lifecycle::Queue;
use seriatim_sequencer::{First, Policy, Retain};
use std::sync::Arc;

/// A pipeline that may run.
pub(super) struct Ready {
    pub(super) pipeline: Arc<Pipeline>,
    pub(super) record: PipelineRecord,
    pub(super) claim: Claim,
}

fn meaning(pipeline: &PipelineConfig) -> Meaning {
    Meaning {
        subjects: pipeline.subjects.iter().map(|subject| subject.value.clone()).collect(),
        entity: pipeline.event.entity.value.to_string(),
        sequence: pipeline.event.sequence.value.to_string(),
        epoch: pipeline.event.epoch.as_ref().map(|epoch| epoch.value.to_string()),
        by: pipeline.order.by.to_string(),
        first_sequence: pipeline.first_sequence_text(),
        stream: pipeline.stream.value.clone(),
    }
}

fn policy(pipeline: &PipelineConfig, run: &RunConfig, record: &PipelineRecord) -> Policy {
    let retain = pipeline.retain.zip(record.noted_since).map(|(after, since)| Retain { after: millis(after), since });
    Policy { retain, ..pipeline.policy(run) }
}

/// Claims and checks every pipeline. New and changed records are durable when it returns, before the first pull.
pub(super) async fn pipelines(
    config: &Config,
    flags: &Flags,
    store: &Embedded,
    connection: &Connection,
    mut handlers: Vec<Vec<(Handler, u64)>>,
    lifecycle: &Queue,
) -> Result<Vec<Ready>, Error> {
    let known = store.pipelines()?;
    let configured = |name: &str| config.pipelines.iter().any(|pipeline| pipeline.name.value == name);
    let forgotten: Vec<_> = known.iter().filter(|(name, _)| !configured(name)).collect();
    if let Some((name, _)) = forgotten.iter().find(|(name, record)| !record.forgotten && !flags.forget_pipeline.contains(name)) {
        return Err(Error::Forgotten { pipeline: name.clone() });
    }
    bucket::ensure_bucket(connection, 1).await?;
    let identity = store.identity();
    // All are asked before any is claimed: a refusal leaves nothing behind.
    let mut decided = Vec::new();
    for pipeline in &config.pipelines {
        let stored = known.iter().find(|(name, _)| *name == pipeline.name.value).map(|(_, record)| record);
        decided.push(decide(pipeline, stored, flags, connection).await?);
    }
    let run = store.raise_run()?;
    let mut ready = Vec::new();
    let mut batch = Batch::default();
    for (index, (pipeline, decision)) in config.pipelines.iter().zip(decided).enumerate() {
        let Decision { record, changed, accepted } = decision.noting(pipeline.retain.is_some());
        let name: Arc<str> = pipeline.name.value.as_str().into();
        let told = bucket::read(connection, &name).await?.map(|(entry, _)| entry);
        decide::not_rolled_back(&name, &record, &identity.store_id, told.as_ref(), flags.take_over)?;
        let claimant = Claimant { store_id: identity.store_id.clone(), previous_run: identity.run, run, take_over: flags.take_over };
        let claim = bucket::claim(connection, &name, &claimant, &claim_facts(&record)).await?;
        if changed {
            batch.records.push((name.clone(), record.clone()));
        }
        let handlers = handlers.get_mut(index).map(std::mem::take).unwrap_or_default();
        let about = About {
            pipeline: name.clone(),
            generation: record.generation,
            handlers: handlers.iter().map(|(handler, _)| handler.name().clone()).collect(),
            lifecycle: lifecycle.clone(),
        };
        let shared = Pipeline {
            index,
            name,
            stream: pipeline.stream.value.clone(),
            policy: Arc::new(policy(pipeline, &config.run, &record)),
            handlers: Handlers::new(handlers),
            generation: record.generation,
            generations: record.generations.clone(),
            gone: record.gone.clone(),
            accepted,
            forgotten: false,
            ring: u32::try_from(pipeline.order.dedup_ids.max(1)).unwrap_or(u32::MAX),
            outbox_max: config.run.outbox_max,
            own_outbox_max: config.run.pipeline_outbox_max,
            control: Control::default(),
            breaker: Breaker::new(pipeline.failure.breaker.settings(), about),
            lifecycle: lifecycle.clone(),
        };
        ready.push(Ready { pipeline: Arc::new(shared), record, claim });
    }
    for (index, (name, record)) in (ready.len()..).zip(forgotten) {
        let claimant = Claimant { store_id: identity.store_id.clone(), previous_run: identity.run, run, take_over: flags.take_over };
        let claim = bucket::claim(connection, name, &claimant, &claim_facts(record)).await?;
        let record = PipelineRecord { forgotten: true, ..record.clone() };
        batch.records.push((name.as_str().into(), record.clone()));
        let shared = Pipeline {
            index,
            name: name.as_str().into(),
            stream: record.stream.name.clone(),
            policy: Arc::default(),
            handlers: Handlers::default(),
            generation: record.generation,
            generations: record.generations.clone(),
            gone: record.gone.clone(),
            accepted: false,
            forgotten: true,
            ring: 1,
            outbox_max: config.run.outbox_max,
            own_outbox_max: config.run.pipeline_outbox_max,
            control: Control::default(),
            breaker: Breaker::off(),
            lifecycle: lifecycle.clone(),
        };
        ready.push(Ready { pipeline: Arc::new(shared), record, claim });
    }
    if !batch.is_empty() {
        store.commit(&batch)?;
    }
    Ok(ready)
}

async fn decide(
    pipeline: &PipelineConfig,
    stored: Option<&PipelineRecord>,
    flags: &Flags,
    connection: &Connection,
) -> Result<Decision, Error> {
    let name = &pipeline.name.value;
    let client = connection.client();
    let stream = |error| Error::Stream { pipeline: name.clone(), error };
    let facts = identity::facts(&client, &pipeline.stream.value).await.map_err(stream)?;
    if facts.retention != identity::Retention::Limits {
        return Err(Refused::Retention { pipeline: name.clone(), stream: facts.name }.into());
    }
    let accepts = Accepts {
        stream: flags.accept_stream.contains(name),
        meaning: flags.accept_meaning.contains(name),
        missing_history: pipeline.order.accept_missing_history || pipeline.order.first_sequence.value == First::Any,
    };
    let Some(stored) = stored else {
        let start = match pipeline.start.value {
            Start::First => identity::Start::First,
            Start::New => identity::Start::New,
            Start::Sequence(sequence) => identity::Start::Sequence(sequence),
            Start::Time(time) => identity::Start::Time(i64::try_from(time.unix_timestamp_nanos() / 1_000_000).unwrap_or(i64::MAX)),
        };
        let start = identity::resolve_start(&client, &start, &facts).await.map_err(stream)?;
        let begun = decide::begin(name, meaning(pipeline), &facts, start, accepts)?;
        return anchored(connection, begun, &facts).await.map_err(stream);
    };
    let known = known_stream(stored);
    let time = match known.highest {
        0 => None,
        highest => identity::message_time(&client, &facts.name, highest).await.map_err(stream)?,
    };
    let checked = identity::check_identity(&known, &facts, time);
    let younger = match checked {
        Err(identity::IdentityError::WentBack { .. }) if accepts.stream => {
            let after = i64::try_from(known.highest_time.saturating_add(1)).unwrap_or(i64::MAX);
            identity::first_at_time(&client, &facts.name, after).await.map_err(stream)?
        }
        _ => None,
    };
    let decided = decide::go_on(name, stored, meaning(pipeline), &facts, checked, younger, accepts)?;
    anchored(connection, decided, &facts).await.map_err(stream)
}

/// With what is known of the message at the watermark.
async fn anchored(connection: &Connection, decided: Decision, facts: &identity::StreamFacts) -> Result<Decision, ApiError> {
    let progress = decided.record.progress;
    if progress.highest > 0 || progress.watermark == 0 {
        return Ok(decided);
    }
    Ok(decided.anchored(identity::message_time(&connection.client(), &facts.name, progress.watermark).await?))
}

/// What the store remembers of the stream.
pub(super) fn known_stream(record: &PipelineRecord) -> KnownStream {
    KnownStream {
        name: record.stream.name.clone(),
        created_nanos: record.stream.created,
        highest: record.progress.highest,
        highest_time: record.progress.highest_time,
    }
}

/// What the bucket is told of a pipeline.
pub(super) fn claim_facts(record: &PipelineRecord) -> Facts {
    Facts {
        generation: record.generation,
        stream: record.stream.name.clone(),
        stream_created: record.stream.created,
        watermark: record.progress.watermark,
    }
}
