//! The KV bucket `SERIATIM`: one entry per pipeline that says which store runs it. It is the fence between hosts that do
//! not share a disk: a second, an empty or a copied store for a known pipeline refuses to start, and a running host that
//! finds itself superseded stops. Every write is a compare-and-set on the revision that was read from the leader.

use crate::nats::api::{self, ApiError};
use crate::nats::connect::Connection;
use crate::nats::raw;
use async_nats::HeaderMap;
use serde::{Deserialize, Serialize};
use seriatim_sequencer::mutant;

/// Name of the bucket.
pub const BUCKET: &str = "SERIATIM";

const STREAM: &str = "KV_SERIATIM";

/// What the bucket says of one pipeline. Fields of later versions are kept out of the way, not lost sight of: whoever
/// writes owns the entry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The store that runs the pipeline.
    pub store_id: String,
    /// The run of that store.
    pub run: u64,
    /// Random, of the process: two copies of a store that start at the same moment have all else in common.
    #[serde(default)]
    pub nonce: String,
    /// The pipeline's generation.
    #[serde(default)]
    pub generation: u64,
    /// The source stream.
    #[serde(default)]
    pub stream: String,
    /// When it was created, nanoseconds since the Unix epoch.
    #[serde(default)]
    pub stream_created: i64,
    /// How far the pipeline is.
    #[serde(default)]
    pub watermark: u64,
    /// The host's clock at the last write, ms (for people; nothing decides by it).
    #[serde(default)]
    pub heartbeat_ms: u64,
}

impl Entry {
    fn same_claim(&self, other: &Self) -> bool {
        self.store_id == other.store_id && self.run == other.run && self.nonce == other.nonce
    }
}

/// Who asks.
#[derive(Clone, Debug)]
pub struct Claimant {
    /// The store's id.
    pub store_id: String,
    /// The store's run before this start.
    pub previous_run: u64,
    /// The store's run now (raised, durable).
    pub run: u64,
    /// `--take-over` was given.
    pub take_over: bool,
}

/// What to write beside the claim.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The pipeline's generation.
    pub generation: u64,
    /// The source stream.
    pub stream: String,
    /// When it was created.
    pub stream_created: i64,
    /// How far the pipeline is.
    pub watermark: u64,
}

/// Why this host may not run the pipeline.
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    /// Another store runs, or ran, it.
    #[error(
        "pipeline {pipeline} belongs to another store: bucket {BUCKET} names store {found} (run {run}, watermark {watermark}), this one is {own}. Started here it would \
         begin again and send its outputs a second time. If that store is gone for good, or this folder is meant to replace it, start once with --take-over"
    )]
    OtherStore {
        /// Pipeline.
        pipeline: String,
        /// The store in the bucket.
        found: String,
        /// Its run.
        run: u64,
        /// How far it was.
        watermark: u64,
        /// This store.
        own: String,
    },
    /// A later run of this store exists: this folder is a copy or a backup.
    #[error(
        "pipeline {pipeline} has been run by a later state of this store: bucket {BUCKET} names run {found}, this folder knows only {own}. It is a copy or an old backup; \
         started here it would repeat what was done since. If the later state is lost for good, start once with --take-over"
    )]
    LaterRun {
        /// Pipeline.
        pipeline: String,
        /// Run in the bucket.
        found: u64,
        /// Run of this store before the start.
        own: u64,
    },
    /// Somebody claimed it between our read and our write.
    #[error("pipeline {pipeline} was started by somebody else at the same moment (store {found}, run {run}); only one host may run it")]
    Raced {
        /// Pipeline.
        pipeline: String,
        /// Who won.
        found: String,
        /// Its run.
        run: u64,
    },
    /// The entry cannot be read.
    #[error("bucket {BUCKET}, key pipeline.{pipeline}: {detail}; it was written by a newer version, or is damaged")]
    Entry {
        /// Pipeline.
        pipeline: String,
        /// What is wrong.
        detail: String,
    },
    /// The bucket exists with settings that do not fence.
    #[error("bucket {BUCKET} (stream {STREAM}) cannot be used: {problem}")]
    Bucket {
        /// What is wrong.
        problem: String,
    },
    /// The broker does not answer, or refuses.
    #[error("bucket {BUCKET}: {0}")]
    Api(#[from] ApiError),
}

/// Why a heartbeat was not written.
#[derive(Debug, thiserror::Error)]
pub enum HeartbeatError {
    /// Another host runs the pipeline now: this one must stop at once.
    #[error("pipeline {pipeline} is run by another host now (store {store_id}, run {run}); this host stops so that nothing is done twice")]
    Superseded {
        /// Pipeline.
        pipeline: String,
        /// Its store.
        store_id: String,
        /// Its run.
        run: u64,
    },
    /// The broker does not answer; the next heartbeat tries again.
    #[error("heartbeat of pipeline {pipeline}: {source}")]
    Unavailable {
        /// Pipeline.
        pipeline: String,
        /// Why.
        source: ApiError,
    },
}

/// The right to run one pipeline.
#[derive(Debug)]
pub struct Claim {
    connection: Connection,
    pipeline: String,
    entry: Entry,
    revision: u64,
}

#[derive(Deserialize)]
struct BucketInfo {
    config: BucketConfig,
}

#[derive(Deserialize)]
struct BucketConfig {
    #[serde(default)]
    subjects: Vec<String>,
    #[serde(default)]
    max_msgs_per_subject: i64,
    #[serde(default)]
    storage: String,
    #[serde(default)]
    max_age: u64,
}

#[derive(Deserialize)]
struct PubAck {
    seq: u64,
}

/// Makes the bucket when it is missing (with `replicas`) and checks that it can fence.
pub async fn ensure_bucket(connection: &Connection, replicas: u64) -> Result<(), ClaimError> {
    let client = connection.client();
    let info = format!("STREAM.INFO.{STREAM}");
    let nothing = serde_json::json!({});
    let found = match api::call::<_, BucketInfo>(&client, &info, &nothing).await {
        Err(error) if error.is_stream_not_found() => {
            let config = serde_json::json!({
                "name": STREAM, "subjects": [format!("$KV.{BUCKET}.>")], "storage": "file", "retention": "limits", "discard": "new",
                "max_msgs_per_subject": 1, "max_msgs": -1, "max_bytes": -1, "max_age": 0, "max_msg_size": -1,
                "allow_rollup_hdrs": true, "deny_delete": true, "deny_purge": false, "allow_direct": true, "num_replicas": replicas.max(1),
            });
            let created: Result<BucketInfo, ApiError> = api::call(&client, &format!("STREAM.CREATE.{STREAM}"), &config).await;
            match created {
                Ok(created) => created,
                // Another host may have made it meanwhile.
                Err(error) => api::call(&client, &info, &nothing).await.map_err(|_| error)?,
            }
        }
        other => other?,
    };
    match found.config.problem() {
        Some(problem) => Err(ClaimError::Bucket { problem: problem.to_owned() }),
        None => Ok(()),
    }
}

impl BucketConfig {
    fn problem(&self) -> Option<&'static str> {
        if !self.subjects.iter().any(|subject| subject == &format!("$KV.{BUCKET}.>")) {
            Some("its subjects are not those of the bucket")
        } else if self.storage == "memory" {
            Some("it is kept in memory and would forget who runs what")
        } else if self.max_msgs_per_subject < 1 {
            Some("it keeps no bounded history (max_msgs_per_subject)")
        } else if self.max_age != 0 {
            Some("its entries expire (max_age)")
        } else {
            None
        }
    }
}

/// What the bucket says of `pipeline` now, with its revision.
pub async fn read(connection: &Connection, pipeline: &str) -> Result<Option<(Entry, u64)>, ClaimError> {
    let Some(stored) = raw::last_of_subject(&connection.client(), STREAM, &subject(pipeline)).await? else { return Ok(None) };
    let message = stored.message;
    // A deletion leaves a marker without value; whoever claims next does so against its revision.
    if message.headers.iter().any(|header| header.name == "KV-Operation" || header.name == "Nats-Marker-Reason") {
        return Ok(Some((Entry::default(), message.stream_sequence)));
    }
    serde_json::from_slice(&message.payload)
        .map(|entry| Some((entry, message.stream_sequence)))
        .map_err(|error| ClaimError::Entry { pipeline: pipeline.to_owned(), detail: error.to_string() })
}

/// Claims `pipeline` for this store and run. Call after the run was raised in the store; the bucket must exist.
pub async fn claim(connection: &Connection, pipeline: &str, claimant: &Claimant, facts: &Facts) -> Result<Claim, ClaimError> {
    let found = read(connection, pipeline).await?;
    let (found, revision) = found.unwrap_or_default();
    judge(pipeline, claimant, &found)?;
    let entry = Entry {
        store_id: claimant.store_id.clone(),
        run: claimant.run,
        nonce: nuid::next().to_string(),
        generation: facts.generation,
        stream: facts.stream.clone(),
        stream_created: facts.stream_created,
        watermark: facts.watermark,
        heartbeat_ms: now_ms(),
    };
    let revision = match write(connection, pipeline, &entry, revision).await {
        Ok(revision) => revision,
        // Not confirmed is not the same as not written.
        Err(error) if error.is_wrong_last_sequence() || error.is_transient() => match read(connection, pipeline).await? {
            Some((now, revision)) if now.same_claim(&entry) => revision,
            Some((now, _)) if error.is_wrong_last_sequence() => {
                return Err(ClaimError::Raced { pipeline: pipeline.to_owned(), found: now.store_id, run: now.run });
            }
            _ => return Err(error.into()),
        },
        Err(error) => return Err(error.into()),
    };
    Ok(Claim { connection: connection.clone(), pipeline: pipeline.to_owned(), entry, revision })
}

/// Pure: may this store go on from what the bucket says?
fn judge(pipeline: &str, claimant: &Claimant, found: &Entry) -> Result<(), ClaimError> {
    let nobody = found.store_id.is_empty() || mutant!(ClaimNotChecked);
    if nobody || claimant.take_over {
        return Ok(());
    }
    if found.store_id != claimant.store_id {
        return Err(ClaimError::OtherStore {
            pipeline: pipeline.to_owned(),
            found: found.store_id.clone(),
            run: found.run,
            watermark: found.watermark,
            own: claimant.store_id.clone(),
        });
    }
    if found.run > claimant.previous_run {
        return Err(ClaimError::LaterRun { pipeline: pipeline.to_owned(), found: found.run, own: claimant.previous_run });
    }
    Ok(())
}

impl Claim {
    /// What was last written.
    pub fn entry(&self) -> &Entry {
        &self.entry
    }

    /// Says that this host still runs the pipeline, and how far it is. A write whose confirmation got lost is recognised.
    pub async fn heartbeat(&mut self, facts: &Facts) -> Result<(), HeartbeatError> {
        self.entry = Entry {
            generation: facts.generation,
            stream: facts.stream.clone(),
            stream_created: facts.stream_created,
            watermark: facts.watermark,
            heartbeat_ms: now_ms(),
            ..std::mem::take(&mut self.entry)
        };
        match write(&self.connection, &self.pipeline, &self.entry, self.revision).await {
            Ok(revision) => self.revision = revision,
            Err(error) if error.is_wrong_last_sequence() => self.settle().await?,
            Err(source) => return Err(self.unavailable(source)),
        }
        Ok(())
    }

    /// Another revision than ours: whose?
    async fn settle(&mut self) -> Result<(), HeartbeatError> {
        let found = match read(&self.connection, &self.pipeline).await {
            Ok(found) => found,
            Err(ClaimError::Api(source)) => return Err(self.unavailable(source)),
            // Only a newer version writes what we cannot read.
            Err(_) => return Err(self.superseded(&Entry { store_id: "unreadable".to_owned(), ..Entry::default() })),
        };
        let (now, revision) = found.unwrap_or_default();
        let ours = now.same_claim(&self.entry);
        // A bucket that was emptied names nobody: the next heartbeat writes the entry again.
        if ours || now.store_id.is_empty() {
            self.revision = revision;
            return Ok(());
        }
        Err(self.superseded(&now))
    }

    fn superseded(&self, by: &Entry) -> HeartbeatError {
        HeartbeatError::Superseded { pipeline: self.pipeline.clone(), store_id: by.store_id.clone(), run: by.run }
    }

    fn unavailable(&self, source: ApiError) -> HeartbeatError {
        HeartbeatError::Unavailable { pipeline: self.pipeline.clone(), source }
    }
}

async fn write(connection: &Connection, pipeline: &str, entry: &Entry, revision: u64) -> Result<u64, ApiError> {
    let mut headers = HeaderMap::new();
    headers.insert(async_nats::header::NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, revision.to_string());
    let subject = subject(pipeline);
    let payload = serde_json::to_vec(entry).map_err(|error| ApiError::Answer { request: subject.clone(), detail: error.to_string() })?;
    let answer = api::request_bytes(&connection.client(), &subject, Some(headers), payload.into()).await?;
    api::read::<PubAck>(&subject, &answer).map(|ack| ack.seq)
}

fn subject(pipeline: &str) -> String {
    format!("$KV.{BUCKET}.pipeline.{pipeline}")
}

fn now_ms() -> u64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests;
