//! Deletes dead letters, one by one by their numbers: a purge by subject would take those with it that came after somebody looked.

use super::walk::{Part, Walked, walk};
use super::{DeadLetters, Error, Filter, Letter, PREFETCH};
use crate::control::{DeadLetterQuery, Fault, PurgeDone};
use crate::nats::api::{self, ApiError};
use crate::nats::{identity, raw};
use crate::sink::dead_letter_stream::STREAM;
use futures_util::{StreamExt, TryStreamExt};
use std::ops::ControlFlow;

/// Dead letters that one call deletes when the query does not say.
const DELETES: usize = 1_000;
/// Dead letters that one call deletes at most.
const DELETES_MAX: usize = 10_000;
/// Deletions on their way at once.
const DELETES_IN_FLIGHT: usize = 16;

impl DeadLetters {
    /// Deletes what matches (`dry_run`: only counts it), at most `limit` (0 = 1,000; at most 10,000) in one call. What was already gone is not counted as
    /// deleted. An error in the middle leaves what was deleted deleted: asking again goes on.
    pub async fn purge(&self, query: &DeadLetterQuery, dry_run: bool) -> Result<PurgeDone, Fault> {
        let limit = if query.limit == 0 { DELETES } else { query.limit.min(DELETES_MAX) };
        let filter = Filter::new(query)?;
        let part = Part { subject: &filter.subject, from: filter.from, since: filter.since, headers_only: true, prefetch: PREFETCH };
        let (mut found, mut over) = (Vec::new(), false);
        let walked = walk(&self.connection, part, |message| {
            over = filter.over(message.time);
            if let Some(letter) = Letter::read(message).filter(|letter| filter.matches(&letter.row)) {
                found.push(letter.row.stream_sequence);
            }
            if over || found.len() >= limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        let Some(Walked { created_nanos, rest, .. }) = walked.await? else { return Ok(PurgeDone { matched: 0, deleted: 0, next: None }) };
        let matched = u64::try_from(found.len()).unwrap_or(u64::MAX);
        let deleted = if dry_run { 0 } else { self.delete(created_nanos, found).await? };
        Ok(PurgeDone { matched, deleted, next: rest.filter(|_| !over) })
    }

    pub(super) async fn delete(&self, created_nanos: i64, numbers: Vec<u64>) -> Result<u64, Fault> {
        // Numbers mean something only in the stream they were read from.
        let facts = identity::facts(&self.connection.client(), STREAM).await.map_err(Error::Api)?;
        if facts.created_nanos != created_nanos {
            return Err(Error::Changed.into());
        }
        let deletions = futures_util::stream::iter(numbers).map(|number| self.delete_one(number)).buffer_unordered(DELETES_IN_FLIGHT);
        let deleted = deletions.try_fold(0, |count, deleted| async move { Ok(count + u64::from(deleted)) }).await;
        deleted.map_err(|error| Error::Api(error).into())
    }

    /// False: it was gone already, on the leader's word.
    async fn delete_one(&self, number: u64) -> Result<bool, ApiError> {
        let client = self.connection.client();
        let deleted: Result<serde_json::Value, ApiError> =
            api::call(&client, &format!("STREAM.MSG.DELETE.{STREAM}"), &serde_json::json!({ "seq": number })).await;
        match deleted {
            Ok(_) => Ok(true),
            Err(refused @ ApiError::Refused { .. }) => match raw::message_at(&client, STREAM, number).await? {
                Some(_) => Err(refused),
                None => Ok(false),
            },
            Err(error) => Err(error),
        }
    }
}
