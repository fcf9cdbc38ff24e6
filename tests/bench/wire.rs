//! The broker spoken to in the fastest way we know, for all that is measured against the host and for everything around it: pull requests into an
//! inbox of one's own, and publishing with all confirmations on one inbox, at most a window of them open.

use crate::report::{PREFETCH_MESSAGES, PUBLISH_WINDOW};
use anyhow::{Context as _, Result, bail, ensure};
use async_nats::jetstream::consumer::{AckPolicy, PullConsumer, pull};
use async_nats::jetstream::stream;
use async_nats::{Client, ConnectOptions, HeaderMap, Message, StatusCode, Subject, Subscriber};
use bytes::Bytes;
use futures_util::StreamExt as _;

/// Messages of one pull request at most: two are open at any time.
const BATCH_MAX: u32 = PREFETCH_MESSAGES / 2;
/// Bytes of one pull request, about. A broker ends a connection for which more than 64 MiB pile up (`max_pending`).
const BATCH_BYTES: u64 = 16 << 20;
/// Messages taken and not yet acknowledged: more than are on their way and in the window.
const ACK_PENDING: i64 = 2 * (PREFETCH_MESSAGES as i64 + PUBLISH_WINDOW as i64);
/// A pull request that brings nothing ends after so many nanoseconds.
const EXPIRES: u64 = 30_000_000_000;
/// Header of the answer to a pull request that ended: what it still had to bring.
const PENDING: &str = "Nats-Pending-Messages";
/// An ack, as every client sends it.
const ACK: Bytes = Bytes::from_static(b"+ACK");

/// A connection without the checks of subjects that we make ourselves.
pub(crate) async fn connect(url: &str) -> Result<Client> {
    ConnectOptions::new().skip_subject_validation(true).connect(url).await.context("cannot connect to the broker")
}

/// Acknowledges a message by its reply subject.
pub(crate) async fn acknowledge(client: &Client, reply: Subject) -> Result<()> {
    client.publish(reply, ACK).await.context("cannot acknowledge")
}

/// A reading consumer.
pub(crate) struct Pull {
    pub(crate) consumer: PullConsumer,
    client: Client,
    messages: Subscriber,
    inbox: Subject,
    request: Subject,
    body: Bytes,
    /// Messages of one pull request.
    batch: u32,
    /// Asked for and not yet taken.
    outstanding: u32,
}

impl Pull {
    /// Makes a consumer that reads a stream from its first message.
    pub(crate) async fn open(client: &Client, stream: &stream::Stream, ack_policy: AckPolicy) -> Result<Self> {
        let max_ack_pending = if ack_policy == AckPolicy::None { 0 } else { ACK_PENDING };
        let config = pull::Config { ack_policy, max_ack_pending, memory_storage: true, ..Default::default() };
        let consumer = stream.create_consumer(config).await.context("cannot make a consumer")?;
        let info = consumer.cached_info();
        let request = format!("$JS.API.CONSUMER.MSG.NEXT.{}.{}", info.stream_name, info.name).into();
        let state = stream.get_info().await.context("cannot look at the stream")?.state;
        let message_bytes = (state.bytes / state.messages.max(1)).max(1);
        let batch = u32::try_from(BATCH_BYTES / message_bytes).unwrap_or(u32::MAX).clamp(1, BATCH_MAX);
        let body = Bytes::from(serde_json::json!({ "batch": batch, "expires": EXPIRES }).to_string());
        let inbox = Subject::from(client.new_inbox());
        let messages = client.subscribe(inbox.clone()).await.context("cannot listen for messages")?;
        Ok(Self { consumer, client: client.clone(), messages, inbox, request, body, batch, outstanding: 0 })
    }

    /// The next message, whenever it comes. May be dropped while it waits.
    pub(crate) async fn next(&mut self) -> Result<Message> {
        loop {
            while self.outstanding <= self.batch {
                self.client
                    .publish_with_reply(self.request.clone(), self.inbox.clone(), self.body.clone())
                    .await
                    .context("cannot ask for messages")?;
                self.outstanding += self.batch;
            }
            let message = self.messages.next().await.context("the connection ended")?;
            match message.status {
                None => {
                    self.outstanding = self.outstanding.saturating_sub(1);
                    return Ok(message);
                }
                Some(StatusCode::IDLE_HEARTBEAT) => {}
                Some(StatusCode::TIMEOUT | StatusCode::NOT_FOUND) => {
                    let pending = message.headers.as_ref().and_then(|headers| headers.get(PENDING)?.as_str().parse().ok());
                    self.outstanding = self.outstanding.saturating_sub(pending.unwrap_or(self.batch));
                }
                Some(other) => bail!("the broker says {other} {}", message.description.unwrap_or_default()),
            }
        }
    }

    /// Waits until the broker has taken every ack.
    pub(crate) async fn acknowledged(&self) -> Result<()> {
        all_acknowledged(&self.client, &self.consumer).await
    }
}

/// Waits until the broker has taken every ack that was sent on this connection.
pub(crate) async fn all_acknowledged(client: &Client, consumer: &PullConsumer) -> Result<()> {
    client.flush().await.context("cannot flush the acks")?;
    while consumer.get_info().await.context("cannot look at the consumer")?.num_ack_pending > 0 {
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    Ok(())
}

/// Publishes, and counts the confirmations.
pub(crate) struct Publisher {
    client: Client,
    inbox: Subject,
    answers: Subscriber,
    sent: u64,
    confirmed: u64,
}

impl Publisher {
    pub(crate) async fn new(client: &Client) -> Result<Self> {
        let inbox = Subject::from(client.new_inbox());
        let answers = client.subscribe(inbox.clone()).await.context("cannot listen for confirmations")?;
        Ok(Self { client: client.clone(), inbox, answers, sent: 0, confirmed: 0 })
    }

    /// Whether another message may be sent now.
    pub(crate) fn has_room(&self) -> bool {
        self.sent - self.confirmed < u64::from(PUBLISH_WINDOW)
    }

    /// Confirmations so far.
    pub(crate) fn confirmed(&self) -> u64 {
        self.confirmed
    }

    /// Messages sent so far.
    pub(crate) fn sent(&self) -> u64 {
        self.sent
    }

    pub(crate) async fn send(&mut self, subject: String, headers: HeaderMap, payload: Bytes) -> Result<()> {
        self.client.publish_with_reply_and_headers(subject, self.inbox.clone(), headers, payload).await.context("cannot publish")?;
        self.sent += 1;
        Ok(())
    }

    /// The next confirmation, in the order of sending. May be dropped while it waits.
    pub(crate) async fn confirmation(&mut self) -> Result<()> {
        let answer = self.answers.next().await.context("the connection ended before all was confirmed")?;
        ensure!(answer.status.is_none(), "nobody stores what is published");
        if answer.payload.starts_with(b"{\"error\"") {
            bail!("the broker refused a message: {}", String::from_utf8_lossy(&answer.payload));
        }
        self.confirmed += 1;
        Ok(())
    }

    /// Waits until everything sent is confirmed.
    pub(crate) async fn all_confirmed(&mut self) -> Result<()> {
        while self.confirmed < self.sent {
            self.confirmation().await?;
        }
        Ok(())
    }
}
