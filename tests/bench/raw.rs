//! The raw loops: async-nats and nothing else. No state, no order that survives a retry, no memory of what was done.

use crate::ground::{Ground, Measured, Used};
use crate::load::Order;
use crate::report::{PREFETCH_MESSAGES, PUBLISH_WINDOW};
use anyhow::{Context as _, Result, bail};
use async_nats::jetstream::consumer::{AckPolicy, pull};
use async_nats::jetstream::publish::PublishAck;
use async_nats::jetstream::response::Response;
use async_nats::jetstream::{self, Context, Message, stream};
use async_nats::{Client, HeaderMap};
use bytes::Bytes;
use futures_util::StreamExt as _;
use seriatim_tests::harness::SOURCE;
use std::collections::VecDeque;
use time::OffsetDateTime;

const OUTPUTS: &str = "RAW";
const WINDOW: usize = PUBLISH_WINDOW as usize;

/// How a loop learns that its outputs are stored.
#[derive(Clone, Copy)]
pub(crate) enum Confirm {
    /// By async-nats' publish futures, the oldest awaited when the window is full.
    Futures,
    /// By counting the answers on one inbox.
    OwnInbox,
}

/// Reads a stream from its first message, without acks; gives also when the consumer was made.
pub(crate) async fn open(stream: &stream::Stream) -> Result<(OffsetDateTime, pull::Stream)> {
    let config = pull::Config { ack_policy: AckPolicy::None, memory_storage: true, ..Default::default() };
    let consumer = stream.create_consumer(config).await.context("cannot make a consumer")?;
    let prefetch = usize::try_from(PREFETCH_MESSAGES)?;
    let messages = consumer.stream().max_messages_per_batch(prefetch).messages().await.context("cannot read")?;
    Ok((consumer.cached_info().created, messages))
}

/// Reads the source to its end.
pub(crate) async fn read(ground: &Ground) -> Result<Measured> {
    ground.clear_consumers().await?;
    let started = OffsetDateTime::now_utc();
    let (_, source) = connect(ground).await?;
    let before = Used::now(std::process::id(), &ground.broker)?;
    let (reading, mut messages) = open(&source).await?;
    for _ in 0..ground.messages {
        next(&mut messages).await?;
    }
    let finished = OffsetDateTime::now_utc();
    let used = (before, Used::now(std::process::id(), &ground.broker)?);
    ground.clear_consumers().await?;
    Ok(Measured { started, reading, finished, used })
}

/// Publishes a copy of every message of the source to a fresh stream, at most the window's number of them unconfirmed at any time.
pub(crate) async fn republish(ground: &Ground, confirm: Confirm) -> Result<Measured> {
    ground.clear_consumers().await?;
    ground.create(OUTPUTS, "raw.>").await?;
    let started = OffsetDateTime::now_utc();
    let (client, source) = connect(ground).await?;
    let before = Used::now(std::process::id(), &ground.broker)?;
    let (reading, messages) = open(&source).await?;
    match confirm {
        Confirm::Futures => with_futures(&jetstream::new(client), messages, ground.messages).await?,
        Confirm::OwnInbox => with_own_inbox(&client, messages, ground.messages).await?,
    }
    let used = (before, Used::now(std::process::id(), &ground.broker)?);
    let finished = ground.last_stored(OUTPUTS).await?;
    ground.check(OUTPUTS, "Seriatim-Sequence", Order::Any).await?;
    ground.delete(OUTPUTS).await?;
    ground.clear_consumers().await?;
    Ok(Measured { started, reading, finished, used })
}

/// A connection of the loop's own, as the host has its own, and the source.
async fn connect(ground: &Ground) -> Result<(Client, stream::Stream)> {
    let client = async_nats::connect(ground.broker.url()).await.context("cannot connect to the broker")?;
    let source = jetstream::new(client.clone()).get_stream(SOURCE).await.context("cannot look at the source")?;
    Ok((client, source))
}

async fn with_futures(js: &Context, mut messages: pull::Stream, wanted: u64) -> Result<()> {
    let mut unconfirmed = VecDeque::with_capacity(WINDOW);
    for _ in 0..wanted {
        let (subject, headers, payload) = copy(next(&mut messages).await?)?;
        if unconfirmed.len() >= WINDOW
            && let Some(oldest) = unconfirmed.pop_front()
        {
            confirmed(oldest).await?;
        }
        unconfirmed.push_back(js.publish_with_headers(subject, headers, payload).await.context("cannot publish")?);
    }
    for rest in unconfirmed {
        confirmed(rest).await?;
    }
    Ok(())
}

async fn confirmed(publication: jetstream::context::PublishAckFuture) -> Result<()> {
    publication.await.context("an output was not confirmed")?;
    Ok(())
}

async fn with_own_inbox(client: &Client, mut messages: pull::Stream, wanted: u64) -> Result<()> {
    let inbox = client.new_inbox();
    let mut answers = client.subscribe(inbox.clone()).await.context("cannot listen for confirmations")?;
    let (mut sent, mut confirmed) = (0, 0);
    while confirmed < wanted {
        tokio::select! {
            biased;
            answer = answers.next() => {
                let answer = answer.context("the connection ended before all outputs were confirmed")?;
                match serde_json::from_slice(&answer.payload).context("a confirmation that is none")? {
                    Response::Ok(PublishAck { duplicate: false, .. }) => confirmed += 1,
                    Response::Ok(_) => bail!("the broker took an output for a duplicate"),
                    Response::Err { error } => bail!("the broker refused an output: {error}"),
                }
            }
            message = next(&mut messages), if sent < wanted && sent - confirmed < u64::from(PUBLISH_WINDOW) => {
                let (subject, headers, payload) = copy(message?)?;
                client.publish_with_reply_and_headers(subject, inbox.clone(), headers, payload).await.context("cannot publish")?;
                sent += 1;
            }
        }
    }
    Ok(())
}

async fn next(messages: &mut pull::Stream) -> Result<Message> {
    messages.next().await.context("the source ends early")?.context("reading the source failed")
}

/// The output for a message: the same headers and payload, under an id that names the message.
fn copy(message: Message) -> Result<(String, HeaderMap, Bytes)> {
    let number = message.info().map_err(|error| anyhow::anyhow!("a message without its place in the stream: {error}"))?.stream_sequence;
    let Message { message, .. } = message;
    let (_, entity) = message.subject.split_once('.').context("a subject without an entity")?;
    let subject = format!("raw.{entity}");
    let mut headers = message.headers.unwrap_or_default();
    headers.insert("Nats-Msg-Id", format!("raw:{number}"));
    Ok((subject, headers, message.payload))
}
