//! Asks the broker for what [`Streams`] remembers: which stream takes a subject, and what its leader says of it.

use super::streams::Streams;
use crate::nats::api::{self, ApiError};
use crate::nats::connect::Connection;
use crate::nats::identity::{self, StreamFacts};
use serde::Deserialize;
use std::time::Duration;

const REFRESH: Duration = Duration::from_secs(15);
const RETRY: Duration = Duration::from_secs(1);

/// See the module. Clones fill the same memory.
#[derive(Clone)]
pub struct Lookup {
    connection: Connection,
    streams: Streams,
}

impl Lookup {
    /// Nothing is known yet.
    pub fn new(connection: Connection) -> Self {
        Self { connection, streams: Streams::default() }
    }

    /// What is known.
    pub fn streams(&self) -> &Streams {
        &self.streams
    }

    /// The facts of the stream that takes `subject` (no pattern): remembered ones, else asked for. `None` = no stream takes it.
    pub async fn resolve(&self, subject: &str) -> Result<Option<StreamFacts>, ApiError> {
        if let Some(known) = self.streams.known(subject) {
            return Ok(Some(known));
        }
        match stream_name(&self.connection, subject).await? {
            Some(name) => self.ask(&name).await.map(Some),
            None => Ok(None),
        }
    }

    /// The facts of a stream as its leader tells them now.
    pub async fn ask(&self, name: &str) -> Result<StreamFacts, ApiError> {
        match identity::facts(&self.connection.client(), name).await {
            Ok(facts) => {
                self.streams.learn(facts.clone());
                Ok(facts)
            }
            Err(error) => {
                if error.is_stream_not_found() {
                    self.streams.forget(name);
                }
                Err(error)
            }
        }
    }

    /// Asks again for everything that is known, and for what is wanted. Returns whether all of it was answered.
    pub async fn refresh(&self) -> bool {
        let (names, wanted) = self.streams.take_wanted();
        let mut answered = true;
        for name in names {
            answered &= self.ask(&name).await.is_ok_and(|_| true);
        }
        for subject in wanted {
            answered &= self.resolve(&subject).await.is_ok_and(|_| true);
        }
        answered
    }

    /// Keeps the knowledge fresh: at intervals, after a reconnect, and when a subject is unknown. Runs until dropped.
    pub async fn run(self) {
        let mut connected = self.connection.watch();
        loop {
            let pause = if self.refresh().await { REFRESH } else { RETRY };
            let woken = async {
                tokio::select! {
                    () = self.streams.wanted() => {}
                    _ = connected.changed() => {}
                }
            };
            if tokio::time::timeout(pause, woken).await.is_ok() {
                // Many unknown subjects come at once: one look-up for all of them.
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }
}

/// The stream that takes `subject`, if any; of a pattern, the first of those that take subjects of it.
pub async fn stream_name(connection: &Connection, subject: &str) -> Result<Option<String>, ApiError> {
    Ok(stream_names(connection, subject).await?.into_iter().next())
}

/// The streams that take subjects of this pattern. A subject without wildcards has one at most.
pub async fn stream_names(connection: &Connection, pattern: &str) -> Result<Vec<String>, ApiError> {
    #[derive(Deserialize)]
    struct Names {
        #[serde(default)]
        streams: Option<Vec<String>>,
    }
    let names: Names = api::call(&connection.client(), "STREAM.NAMES", &serde_json::json!({ "subject": pattern })).await?;
    Ok(names.streams.unwrap_or_default())
}
