//! Looks for outputs that may have been sent too long ago for the broker to notice (design §3.6): what has queued up while the last scan ran is answered
//! by one scan per stream, from the lowest mark among them.

use super::lookup::Lookup;
use super::scan::{self, Scanned};
use crate::inbox::Inbox;
use crate::nats::connect::Connection;
use crate::store::{Mark, OutboxEntry};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

/// One output to look for.
#[derive(Clone, Debug)]
pub struct SearchRequest {
    /// Given back with the reply.
    pub token: u64,
    /// The shard that asks.
    pub shard: usize,
    /// What to look for.
    pub entry: Arc<OutboxEntry>,
    /// From where.
    pub mark: Mark,
}

/// What became of one.
#[derive(Clone, Debug)]
pub struct SearchReply {
    /// Of the request.
    pub token: u64,
    /// The answer.
    pub found: Found,
}

/// The answer.
#[derive(Clone, Debug)]
pub enum Found {
    /// The stream has it.
    There {
        /// Which stream.
        stream: Arc<str>,
        /// Its sequence there.
        sequence: u64,
    },
    /// It has not, up to this mark.
    Absent {
        /// Where the next search begins.
        end: Mark,
        /// It was never stored: the stream is the one that the request's mark is of, and nothing above the mark is gone.
        never: bool,
    },
    /// It could not be searched now.
    Unknown {
        /// Why, in one line.
        reason: String,
    },
}

/// Where a shard takes its answers. Must not block.
pub trait SearchSink: Send + Sync {
    /// Takes one.
    fn searched(&self, reply: SearchReply);
}

/// Hands requests to the searcher. An entity asks for one at a time, so there are never more than entities in memory.
#[derive(Clone, Debug, Default)]
pub struct Searcher {
    requests: Arc<Inbox<SearchRequest>>,
}

impl Searcher {
    /// Asks; the answer comes to the shard.
    pub fn search(&self, request: SearchRequest) {
        self.requests.push(request);
    }

    /// Takes what was asked; `into` is empty before. Whoever takes it answers each.
    #[cfg(feature = "simulation")]
    pub fn take(&self, into: &mut Vec<SearchRequest>) {
        self.requests.take(into);
    }

    /// Serves until it is dropped.
    pub async fn run(self, connection: Connection, lookup: Lookup, shards: Vec<Arc<dyn SearchSink>>) {
        let mut taken = Vec::new();
        loop {
            self.requests.take(&mut taken);
            let mut by_stream: BTreeMap<String, Vec<SearchRequest>> = BTreeMap::new();
            for request in taken.drain(..) {
                // The stream that takes the subject now: a search elsewhere would prove nothing about it.
                match lookup.resolve(&request.entry.subject).await {
                    Ok(Some(facts)) => by_stream.entry(facts.name).or_default().push(request),
                    Ok(None) => {
                        answer(&shards, &request, Found::Unknown { reason: format!("no stream takes subject {}", request.entry.subject) })
                    }
                    Err(error) => answer(&shards, &request, Found::Unknown { reason: error.to_string() }),
                }
            }
            for (stream, requests) in by_stream {
                search(&connection, &lookup, &stream, &requests, &shards).await;
            }
            self.requests.notified().await;
        }
    }
}

async fn search(connection: &Connection, lookup: &Lookup, stream: &str, requests: &[SearchRequest], shards: &[Arc<dyn SearchSink>]) {
    let created = match lookup.ask(stream).await {
        Ok(facts) => facts.created_nanos,
        Err(error) => {
            for request in requests {
                answer(shards, request, Found::Unknown { reason: error.to_string() });
            }
            return;
        }
    };
    let from = |request: &SearchRequest| {
        if request.mark.stream == stream && request.mark.created == created { request.mark.last_sequence } else { 0 }
    };
    let mark = requests.iter().map(from).min().unwrap_or(0);
    let wanted: HashSet<&str> = requests.iter().map(|request| request.entry.message_id.as_str()).collect();
    let mut there = HashMap::new();
    let scanned = scan::scan(connection, stream, created, mark, |id, sequence| {
        if let Some(id) = wanted.get(id) {
            there.entry(*id).or_insert(sequence);
        }
    });
    match scanned.await {
        Ok(Scanned { end, created_nanos, absence_proves }) => {
            tracing::info!(
                stream,
                from = mark,
                to = end,
                searched = requests.len(),
                found = there.len(),
                "searched an output stream for what may have been sent before"
            );
            // Asked again so that the clock is as fresh as the end: it cannot have been sent before this search.
            let sent_after = lookup.streams().broker_now_ms().unwrap_or(0);
            let name: Arc<str> = stream.into();
            for request in requests {
                let found = if let Some(sequence) = there.get(request.entry.message_id.as_str()) {
                    Found::There { stream: Arc::clone(&name), sequence: *sequence }
                } else {
                    if !absence_proves {
                        tracing::warn!(
                            stream,
                            message_id = request.entry.message_id,
                            "an output may have been sent long ago and cannot be looked for, because messages of its stream may be gone; it is sent (again)"
                        );
                    }
                    let never = absence_proves && request.mark.created == created_nanos && request.mark.stream == stream;
                    Found::Absent { never, end: Mark { stream: stream.to_owned(), created: created_nanos, last_sequence: end, sent_after } }
                };
                answer(shards, request, found);
            }
        }
        Err(error) => {
            for request in requests {
                answer(shards, request, Found::Unknown { reason: error.to_string() });
            }
        }
    }
}

fn answer(shards: &[Arc<dyn SearchSink>], request: &SearchRequest, found: Found) {
    if let Some(shard) = shards.get(request.shard) {
        shard.searched(SearchReply { token: request.token, found });
    }
}
