//! Publishing with confirmation, and reading back what the broker holds.

use super::input::Input;
use super::wait::PATIENCE;
use crate::checker::{Kept, Sent};
use async_nats::jetstream::{Context, consumer, context::PublishAckFuture};
use futures_util::StreamExt as _;
use futures_util::future::join_all;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Publications that may be unconfirmed at once.
const IN_FLIGHT: usize = 200;

/// Publishes in order and waits for every confirmation; through an outage it tries again. A message that the broker took for a duplicate
/// of an earlier one is not reported twice.
pub async fn publish(js: &Context, inputs: &[Input]) -> Vec<Sent> {
    let mut sent = BTreeMap::new();
    for chunk in inputs.chunks(IN_FLIGHT) {
        let mut waiting = Vec::with_capacity(chunk.len());
        for input in chunk {
            let confirmation = send(js, input).await;
            waiting.push(async move {
                // All at once: in an outage each of them runs into its own time-out.
                let stream_sequence = match confirmation {
                    Ok(confirmation) => confirmation.await.ok().map(|ack| ack.sequence),
                    Err(_) => None,
                };
                match stream_sequence {
                    Some(stream_sequence) => (stream_sequence, input),
                    None => (insist(js, input).await, input),
                }
            });
        }
        for (stream_sequence, input) in join_all(waiting).await {
            sent.entry(stream_sequence).or_insert_with(|| input.sent(stream_sequence));
        }
    }
    sent.into_values().collect()
}

/// Everything the stream holds, oldest first; nothing if there is no such stream.
pub async fn read(js: &Context, stream: &str) -> Result<Vec<Kept>, String> {
    Ok(read_timed(js, stream).await?.into_iter().map(|(_, kept)| kept).collect())
}

/// The same with the broker's timestamp of each, in milliseconds since the Unix epoch.
pub async fn read_timed(js: &Context, stream: &str) -> Result<Vec<(u64, Kept)>, String> {
    let mut found = Vec::new();
    let stream = match js.get_stream(stream).await {
        Ok(stream) => stream,
        Err(error) if is_missing(&error) => return Ok(found),
        Err(error) => return Err(error.to_string()),
    };
    if stream.cached_info().state.messages == 0 {
        return Ok(found);
    }
    let config = consumer::pull::Config { ack_policy: consumer::AckPolicy::None, memory_storage: true, ..Default::default() };
    let consumer = stream.create_consumer(config).await.map_err(|error| error.to_string())?;
    let mut messages = consumer.messages().await.map_err(|error| error.to_string())?;
    loop {
        let next = tokio::time::timeout(Duration::from_secs(10), messages.next()).await;
        let message = match next {
            Ok(Some(Ok(message))) => message,
            Ok(Some(Err(error))) => return Err(error.to_string()),
            Ok(None) | Err(_) => return Err(format!("no message after {} of them", found.len())),
        };
        let info = message.info().map_err(|error| error.to_string())?;
        let (stream_sequence, pending) = (info.stream_sequence, info.pending);
        let time = u64::try_from(info.published.unix_timestamp_nanos() / 1_000_000).map_err(|error| error.to_string())?;
        let mut headers = Vec::new();
        for (name, values) in message.headers.iter().flat_map(async_nats::HeaderMap::iter) {
            headers.extend(values.iter().map(|value| (name.to_string(), value.to_string())));
        }
        found.push((time, Kept { stream_sequence, subject: message.subject.to_string(), headers, payload: message.payload.to_vec() }));
        if pending == 0 {
            return Ok(found);
        }
    }
}

/// How many messages the stream holds; 0 if there is no such stream.
pub async fn count(js: &Context, stream: &str) -> Result<u64, String> {
    match js.get_stream(stream).await {
        Ok(stream) => Ok(stream.cached_info().state.messages),
        Err(error) if is_missing(&error) => Ok(0),
        Err(error) => Err(error.to_string()),
    }
}

/// The stream sequence of the last message that the stream has got.
pub async fn last_sequence(js: &Context, stream: &str) -> Result<u64, String> {
    let stream = js.get_stream(stream).await.map_err(|error| error.to_string())?;
    Ok(stream.cached_info().state.last_sequence)
}

fn is_missing(error: &async_nats::jetstream::context::GetStreamError) -> bool {
    use async_nats::jetstream::{ErrorCode, context::GetStreamErrorKind};
    matches!(error.kind(), GetStreamErrorKind::JetStream(inner) if inner.error_code() == ErrorCode::STREAM_NOT_FOUND)
}

async fn send(js: &Context, input: &Input) -> Result<PublishAckFuture, String> {
    js.publish_with_headers(input.subject.clone(), input.header_map(), input.payload.clone().into())
        .await
        .map_err(|error| error.to_string())
}

async fn insist(js: &Context, input: &Input) -> u64 {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let error = match send(js, input).await {
            Ok(confirmation) => match confirmation.await {
                Ok(ack) => return ack.sequence,
                Err(error) => error.to_string(),
            },
            Err(error) => error,
        };
        assert!(Instant::now() < deadline, "{} {} cannot be published: {error}", input.subject, input.sequence);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
