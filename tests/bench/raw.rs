//! The raw loops: async-nats and nothing else. No state, no order that survives a retry, no memory of what was done. Each runs in a process of its own
//! (`child.rs`).

use crate::report::{Loop, PUBLISH_WINDOW};
use crate::wire::{self, Publisher, Pull};
use anyhow::{Context as _, Result};
use async_nats::jetstream::consumer::{AckPolicy, PullConsumer, pull};
use async_nats::jetstream::context::PublishAckFuture;
use async_nats::jetstream::{self, stream};
use async_nats::{Client, HeaderMap, Message};
use bytes::Bytes;
use futures_util::StreamExt as _;
use std::collections::VecDeque;

/// The subject in front of an output's entity.
pub(crate) const TO: &str = "raw";
/// Where the outputs go.
pub(crate) const STREAM: &str = "RAW";
const WINDOW: usize = PUBLISH_WINDOW as usize;
/// More than are in the window: async-nats' default of 1,000 would make the loop slower than it has to be.
const ACK_PENDING: i64 = 10_000;

/// A loop with its consumer made: from here on it is timed.
pub(crate) enum Raw {
    /// The fastest loops.
    Own { kind: Loop, client: Client, pull: Box<Pull> },
    /// What one writes by hand.
    Idiomatic { kind: Loop, client: Client, consumer: Box<PullConsumer> },
}

impl Raw {
    /// Makes the consumer; gives also when it was made.
    pub(crate) async fn open(url: &str, kind: Loop, source: &str) -> Result<(i64, Self)> {
        let idiomatic = matches!(kind, Loop::Idiomatic | Loop::IdiomaticReceive);
        let client =
            if idiomatic { async_nats::connect(url).await.context("cannot connect to the broker")? } else { wire::connect(url).await? };
        let source = jetstream::new(client.clone()).get_stream(source).await.context("cannot look at the source")?;
        let raw = if idiomatic {
            let consumer = Box::new(by_hand(&source).await?);
            Self::Idiomatic { kind, client, consumer }
        } else {
            let policy = if kind.acknowledges() { AckPolicy::Explicit } else { AckPolicy::None };
            let pull = Box::new(Pull::open(&client, &source, policy).await?);
            Self::Own { kind, client, pull }
        };
        let consumer = match &raw {
            Self::Own { pull, .. } => &pull.consumer,
            Self::Idiomatic { consumer, .. } => consumer,
        };
        let made = i64::try_from(consumer.cached_info().created.unix_timestamp_nanos())?;
        Ok((made, raw))
    }

    /// Processes so many messages to the end: outputs stored, acks taken.
    pub(crate) async fn process(self, messages: u64) -> Result<()> {
        match self {
            Self::Own { kind, client, pull } if kind.has_output() => republish(client, *pull, kind.acknowledges(), messages).await,
            Self::Own { kind, client, pull } => receive(client, *pull, kind.acknowledges(), messages).await,
            Self::Idiomatic { kind, client, consumer } => idiomatic(client, *consumer, kind.has_output(), messages).await,
        }
    }
}

async fn by_hand(source: &stream::Stream) -> Result<PullConsumer> {
    let config = pull::Config { durable_name: Some("by-hand".to_owned()), max_ack_pending: ACK_PENDING, ..Default::default() };
    source.create_consumer(config).await.context("cannot make a consumer")
}

async fn receive(client: Client, mut pull: Pull, acknowledge: bool, wanted: u64) -> Result<()> {
    for _ in 0..wanted {
        let message = pull.next().await?;
        if acknowledge {
            wire::acknowledge(&client, message.reply.context("a message without a reply subject")?).await?;
        }
    }
    if acknowledge { pull.acknowledged().await } else { Ok(()) }
}

/// Publishes a copy of every message, and acknowledges it when the copy is stored. Confirmations come in the order of publishing.
async fn republish(client: Client, mut pull: Pull, acknowledge: bool, wanted: u64) -> Result<()> {
    let mut publisher = Publisher::new(&client).await?;
    let mut replies = VecDeque::with_capacity(WINDOW);
    while publisher.confirmed() < wanted {
        tokio::select! {
            biased;
            confirmed = publisher.confirmation() => {
                confirmed?;
                if let Some(reply) = replies.pop_front() {
                    wire::acknowledge(&client, reply).await?;
                }
            }
            message = pull.next(), if publisher.sent() < wanted && publisher.has_room() => {
                let mut message = message?;
                if acknowledge {
                    replies.push_back(message.reply.take().context("a message without a reply subject")?);
                }
                let (subject, headers, payload) = copy(message)?;
                publisher.send(subject, headers, payload).await?;
            }
        }
    }
    if acknowledge { pull.acknowledged().await } else { Ok(()) }
}

async fn idiomatic(client: Client, consumer: PullConsumer, output: bool, wanted: u64) -> Result<()> {
    let js = jetstream::new(client.clone());
    let mut messages = consumer.messages().await.context("cannot read")?;
    let mut unconfirmed = VecDeque::with_capacity(WINDOW);
    for _ in 0..wanted {
        let message = messages.next().await.context("the source ends early")?.context("reading the source failed")?;
        if !output {
            message.ack().await.map_err(anyhow::Error::from_boxed).context("cannot acknowledge")?;
            continue;
        }
        if unconfirmed.len() >= WINDOW
            && let Some((oldest, message)) = unconfirmed.pop_front()
        {
            stored(oldest, &message).await?;
        }
        let (subject, headers, payload) = copy(message.message.clone())?;
        let confirmation = js.publish_with_headers(subject, headers, payload).await.context("cannot publish")?;
        unconfirmed.push_back((confirmation, message));
    }
    for (rest, message) in unconfirmed {
        stored(rest, &message).await?;
    }
    wire::all_acknowledged(&client, &consumer).await
}

async fn stored(confirmation: PublishAckFuture, message: &jetstream::Message) -> Result<()> {
    confirmation.await.context("an output was not confirmed")?;
    message.ack().await.map_err(anyhow::Error::from_boxed).context("cannot acknowledge")
}

/// The output for a message: the same headers and payload, under an id by which the broker knows a second one.
fn copy(message: Message) -> Result<(String, HeaderMap, Bytes)> {
    let (_, entity) = message.subject.split_once('.').context("a subject without an entity")?;
    let subject = format!("{TO}.{entity}");
    let mut headers = message.headers.context("a message without headers")?;
    let id = format!("{TO}:{}", headers.get("Seriatim-Id").context("a message without an id")?.as_str());
    headers.insert("Nats-Msg-Id", id);
    Ok((subject, headers, message.payload))
}
