//! The stream that keeps dead letters: made when it is missing, accepted when it exists and loses nothing.

use crate::nats::api::{self, ApiError};
use crate::nats::connect::Connection;
use crate::nats::identity::{self, Discard, Retention, StreamFacts};
use std::time::Duration;

/// Its name.
pub const STREAM: &str = "SERIATIM_DEAD_LETTERS";
/// Its subjects.
pub const SUBJECTS: &str = "seriatim.dead.>";

/// `[dead-letters]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetterOptions {
    /// Bound on its size, bytes; 0 = none.
    pub max_bytes: u64,
    /// How long a dead letter is kept; `None` = for ever.
    pub max_age: Option<Duration>,
    /// Replicas of a stream that is made.
    pub replicas: u64,
}

/// Why there is no place for dead letters.
#[derive(Debug, thiserror::Error)]
pub enum DeadLetterStreamError {
    /// The broker does not answer, or refuses.
    #[error("stream {STREAM} for dead letters: {0}")]
    Api(#[from] ApiError),
    /// It exists and would lose dead letters.
    #[error("stream {STREAM} exists but cannot keep dead letters: {problem}; correct it (nats stream edit {STREAM})")]
    Incompatible {
        /// What is wrong with it.
        problem: String,
    },
}

/// Makes sure that it exists and keeps what it gets.
pub async fn ensure_stream(connection: &Connection, options: &DeadLetterOptions) -> Result<StreamFacts, DeadLetterStreamError> {
    let client = connection.client();
    match identity::facts(&client, STREAM).await {
        Err(error) if error.is_stream_not_found() => {
            let bound = |value: u64| if value == 0 { serde_json::json!(-1) } else { serde_json::json!(value) };
            let config = serde_json::json!({
                "name": STREAM, "subjects": [SUBJECTS], "storage": "file", "retention": "limits", "discard": "new",
                "max_bytes": bound(options.max_bytes), "max_age": options.max_age.map_or(0, |age| u64::try_from(age.as_nanos()).unwrap_or(u64::MAX)),
                "max_msgs": -1, "max_msg_size": -1, "max_msgs_per_subject": -1, "num_replicas": options.replicas.max(1),
            });
            let _: serde_json::Value = api::call(&client, &format!("STREAM.CREATE.{STREAM}"), &config).await?;
            tracing::info!(stream = STREAM, "made the stream for dead letters");
        }
        Err(error) => return Err(error.into()),
        Ok(_) => {}
    }
    // What the server made of it counts, not what was asked for.
    let facts = identity::facts(&client, STREAM).await?;
    match problem(&facts) {
        Some(problem) => Err(DeadLetterStreamError::Incompatible { problem }),
        None => {
            if facts.max_bytes != options.max_bytes {
                tracing::warn!(
                    stream = STREAM,
                    found = facts.max_bytes,
                    configured = options.max_bytes,
                    "dead-letters.max-bytes differs from the existing stream, which is left as it is"
                );
            }
            Ok(facts)
        }
    }
}

fn problem(facts: &StreamFacts) -> Option<String> {
    let covers = facts.subjects.iter().any(|pattern| seriatim_contract::subject_matches(pattern, SUBJECTS));
    if !covers {
        Some(format!("its subjects do not cover {SUBJECTS}"))
    } else if facts.retention != Retention::Limits {
        Some("its retention is not \"limits\": consumers would remove dead letters".to_owned())
    } else if facts.discard != Discard::New {
        Some("its discard policy is not \"new\": when full it would drop the oldest dead letter".to_owned())
    } else if facts.max_msgs_per_subject != 0 {
        Some("it bounds the messages of one subject".to_owned())
    } else if facts.sealed {
        Some("it is sealed".to_owned())
    } else {
        None
    }
}
