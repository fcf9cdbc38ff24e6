//! Publishes lifecycle events. One task on a connection of its own: whatever becomes of it, data does not notice.
//!
//! A stream that takes them is the operator's. Where there is one, an event counts as sent when that stream has confirmed it; where there is none,
//! when the broker has it. Anything else is tried again with back-off, for ever, while the queue takes what it has room for. After an overflow
//! the state of all that wait is sent from the directory, which may be a moment ahead of its commit.

use super::ack::{self, Verdict};
use super::lookup;
use crate::directory::Directory;
use crate::event::EntityKey;
use crate::nats::connect::Connection;
use crate::telemetry::events;
use crate::telemetry::lifecycle::{Alarm, Event, Kind, Place, Received};
use async_nats::header::{HeaderMap, NATS_MESSAGE_ID};
use async_nats::{Request, RequestErrorKind};
use backon::{BackoffBuilder, ExponentialBuilder};
use futures_util::StreamExt;
use futures_util::stream;
use seriatim_sequencer::Waiting;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Events sent at once, and entities looked at in one page of the directory.
const BATCH: usize = 64;
const PAGE: usize = 4096;
/// A confirmation or an answer takes no longer, or it is asked again.
const TIMEOUT: Duration = Duration::from_secs(5);
/// For so long it is remembered whether a stream takes a subject.
const KNOWN_FOR: Duration = Duration::from_secs(15);
const DELAY_MIN: Duration = Duration::from_millis(100);
const DELAY_MAX: Duration = Duration::from_secs(10);

/// The publisher of lifecycle events.
pub struct Publisher {
    connection: Connection,
    received: Received,
    directory: Arc<Directory>,
    /// Name and generation of each pipeline.
    pipelines: Vec<(Arc<str>, u64)>,
    /// By subject: whether a stream takes it, and when that was asked.
    kept: HashMap<String, (bool, Instant)>,
}

/// An event is not with the broker.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct NotSent(String);

impl Publisher {
    /// Nothing leaves before [`Publisher::run`].
    #[must_use]
    pub fn new(connection: Connection, received: Received, directory: Arc<Directory>, pipelines: Vec<(Arc<str>, u64)>) -> Self {
        Self { connection, received, directory, pipelines, kept: HashMap::new() }
    }

    /// Publishes until it is dropped.
    pub async fn run(mut self) {
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            self.received.take(&mut batch, BATCH).await;
            self.publish(&mut batch).await;
            // Again when something found no room meanwhile: its place in the queue may have been emptied between two pages, so nothing else would wake this.
            while self.received.overflowed() {
                tracing::warn!("lifecycle events found no room (run.lifecycle-queue); the state of all entities that wait is sent again");
                self.tell_again().await;
                // Where nobody waits any more, nothing else has made room.
                self.received.take_now(&mut batch, PAGE);
                self.publish(&mut batch).await;
            }
        }
    }

    /// Sends everything in `batch` that was taken from the queue, however long it takes.
    async fn publish(&mut self, batch: &mut Vec<Event>) {
        let count = batch.len();
        self.send_all(batch).await;
        self.received.dealt_with(count);
    }

    /// The state of all that wait, page by page; what comes meanwhile goes between the pages.
    async fn tell_again(&mut self) {
        let mut after: Option<EntityKey> = None;
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            let page = self.directory.waiting_after(after.as_ref(), PAGE);
            let Some((last, _)) = page.last_key_value() else { return };
            after = Some(last.clone());
            for (key, waiting) in page {
                let Some((pipeline, generation)) = self.pipelines.iter().find(|(name, _)| *name == key.pipeline).cloned() else { continue };
                batch.push(Event::now(pipeline, generation, Some(key.entity), state(&waiting, None, None)));
                if batch.len() == BATCH {
                    self.send_all(&mut batch).await;
                }
            }
            self.send_all(&mut batch).await;
            self.received.take_now(&mut batch, PAGE);
            self.publish(&mut batch).await;
        }
    }

    async fn send_all(&mut self, batch: &mut Vec<Event>) {
        let delays =
            || ExponentialBuilder::new().with_min_delay(DELAY_MIN).with_max_delay(DELAY_MAX).without_max_times().with_jitter().build();
        let (mut pause, mut said) = (delays(), false);
        while !batch.is_empty() {
            let before = batch.len();
            let Err(error) = self.try_send(batch).await else { continue };
            if batch.len() < before {
                (pause, said) = (delays(), false);
            }
            if !std::mem::replace(&mut said, true) {
                tracing::warn!(reason = %error, waiting = batch.len(), "lifecycle events cannot be sent; trying on. Data is not held up by this");
            }
            tokio::time::sleep(pause.next().unwrap_or(DELAY_MAX)).await;
        }
    }

    /// Sends what it can; the rest stays, in order.
    async fn try_send(&mut self, batch: &mut Vec<Event>) -> Result<(), NotSent> {
        if !self.connection.is_connected() {
            return Err(NotSent("not connected to the broker".to_owned()));
        }
        for event in &*batch {
            self.look_up(event.subject()).await?;
        }
        let (connection, kept) = (&self.connection, &self.kept);
        // Started in their order.
        let sent = stream::iter(std::mem::take(batch)).map(|event| async move {
            let is_kept = kept.get(&event.subject()).is_some_and(|(kept, _)| *kept);
            let result = send(connection, &event, is_kept).await;
            (event, result)
        });
        let mut failed = None;
        let mut sent = sent.buffered(BATCH);
        while let Some((event, result)) = sent.next().await {
            match result {
                Ok(()) => events::lifecycle(&event.pipeline, events::Lifecycle::Sent),
                Err(error) => {
                    failed = Some(error);
                    batch.push(event);
                }
            }
        }
        drop(sent);
        if !batch.is_empty() {
            self.kept.clear();
        }
        failed.map_or(Ok(()), Err)
    }

    /// Makes sure that it is known whether a stream takes this subject.
    async fn look_up(&mut self, subject: String) -> Result<(), NotSent> {
        if self.kept.get(&subject).is_some_and(|(_, asked)| asked.elapsed() < KNOWN_FOR) {
            return Ok(());
        }
        let stream = lookup::stream_name(&self.connection, &subject).await.map_err(|error| NotSent(error.to_string()))?;
        self.kept.insert(subject, (stream.is_some(), Instant::now()));
        Ok(())
    }
}

/// Sends one. A stream that keeps it must confirm it; otherwise it is enough that the broker has it.
async fn send(connection: &Connection, event: &Event, kept: bool) -> Result<(), NotSent> {
    let not_sent = |error: &dyn std::fmt::Display| NotSent(error.to_string());
    let client = connection.client();
    let payload = event.json().map_err(|error| not_sent(&error))?.into();
    let mut headers = HeaderMap::new();
    headers.insert(NATS_MESSAGE_ID, event.id());
    if !kept {
        let sent = async {
            client.publish_with_headers(event.subject(), headers, payload).await.map_err(|error| not_sent(&error))?;
            client.flush().await.map_err(|error| not_sent(&error))
        };
        return tokio::time::timeout(TIMEOUT, sent)
            .await
            .unwrap_or_else(|_| Err(NotSent("the broker takes no messages at the moment".to_owned())));
    }
    let request = Request::new().headers(headers).payload(payload).timeout(Some(TIMEOUT));
    match client.send_request(event.subject(), request).await {
        Ok(answer) => match ack::judge(answer.status, &answer.payload) {
            Verdict::Confirmed { .. } => Ok(()),
            Verdict::Unavailable { reason } => Err(NotSent(reason)),
            Verdict::Refused { reason, code } => {
                // However often it is sent: there is nothing to wait for.
                tracing::warn!(subject = event.subject(), code, reason, "a lifecycle event was refused for good");
                Ok(())
            }
        },
        // The stream went since it was asked for: with nobody else there, it has no receiver.
        Err(error) if error.kind() == RequestErrorKind::NoResponders => Err(NotSent("no stream takes it any more".to_owned())),
        Err(error) => Err(NotSent(connection.trouble().unwrap_or_else(|| error.to_string()))),
    }
}

/// What there is to tell of an entity that waits. `head`: what it is at, unless it is told again; `error`: the handler's last words.
#[must_use]
pub fn state(waiting: &Waiting, head: Option<Place>, error: Option<String>) -> Kind {
    let Waiting { from, reason, alarm, since, .. } = *waiting;
    let reason = reason.name();
    let alarm = alarm.map(|alarm| match alarm {
        seriatim_sequencer::Alarm::Host(at) => Alarm::Host(at),
        seriatim_sequencer::Alarm::Stream(at) => Alarm::Stream(at),
    });
    match alarm {
        None => Kind::Parked { reason, from, since, head, error },
        alarm => Kind::Waiting { reason, from, since, head, alarm },
    }
}
