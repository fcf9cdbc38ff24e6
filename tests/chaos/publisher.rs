//! Publishes the load directly to the broker (not through the proxy), confirmed, through every outage; and remembers what it was told.

use crate::load::{Maker, Message, Planned};
use async_nats::HeaderMap;
use async_nats::jetstream::Context;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Between two looks at what is due.
const TICK: Duration = Duration::from_millis(10);
/// Messages that may be unconfirmed at once.
const IN_FLIGHT: usize = 400;
/// A broker that takes nothing for so long will not come back.
const PATIENCE: Duration = Duration::from_secs(180);
/// Between two tries.
const AGAIN: Duration = Duration::from_millis(50);

/// What was published.
pub(crate) struct Log {
    /// By number.
    pub(crate) messages: BTreeMap<u64, Message>,
    /// Number, stream sequence, and whether the broker took it for a duplicate.
    pub(crate) confirmed: Vec<Confirmed>,
    /// By kind.
    pub(crate) planned: Planned,
}

/// What the broker said of one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Confirmed {
    pub(crate) number: u64,
    pub(crate) stream_sequence: u64,
    pub(crate) duplicate: bool,
}

/// The running task.
pub(crate) struct Publisher {
    finish: watch::Sender<bool>,
    task: JoinHandle<Result<Log, String>>,
}

impl Publisher {
    /// Begins to publish.
    pub(crate) fn start(js: Context, maker: Maker) -> Self {
        let (finish, asked) = watch::channel(false);
        Self { finish, task: tokio::spawn(publish(js, maker, asked)) }
    }

    /// Publishes what was still to come, the sentinel last, and ends.
    ///
    /// # Errors
    /// The broker did not take a message for minutes.
    pub(crate) async fn finish(self) -> Result<Log, String> {
        self.finish.send_replace(true);
        self.task.await.map_err(|error| format!("the publisher ended: {error}"))?
    }
}

async fn publish(js: Context, mut maker: Maker, mut finish: watch::Receiver<bool>) -> Result<Log, String> {
    let begun = Instant::now();
    let mut log = Log { messages: BTreeMap::new(), confirmed: Vec::new(), planned: Planned::default() };
    let mut in_flight = FuturesUnordered::new();
    let mut tick = tokio::time::interval(TICK);
    loop {
        let last = *finish.borrow_and_update();
        let mut due = if last { maker.rest() } else { maker.due(u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX)) };
        // The sentinel leaves when everything else is confirmed, so that it is the last one in the stream.
        let sentinel = if last { due.pop() } else { None };
        for message in due {
            if in_flight.len() >= IN_FLIGHT {
                log.confirmed.extend(in_flight.next().await.transpose()?);
            }
            in_flight.push(insist(js.clone(), message.clone()));
            log.messages.insert(message.number, message);
        }
        if let Some(sentinel) = sentinel {
            while let Some(confirmed) = in_flight.next().await {
                log.confirmed.push(confirmed?);
            }
            log.messages.insert(sentinel.number, sentinel.clone());
            log.confirmed.push(insist(js.clone(), sentinel).await?);
            log.planned = maker.planned;
            return Ok(log);
        }
        tokio::select! {
            _ = tick.tick() => {}
            Some(confirmed) = in_flight.next() => log.confirmed.push(confirmed?),
            _ = finish.changed() => {}
        }
    }
}

/// Publishes until the broker confirms.
async fn insist(js: Context, message: Message) -> Result<Confirmed, String> {
    let deadline = Instant::now() + PATIENCE;
    let mut headers = HeaderMap::new();
    for (name, value) in &message.headers {
        headers.append(name.as_str(), value.as_str());
    }
    loop {
        let problem = match js.publish_with_headers(message.subject.clone(), headers.clone(), message.payload.clone().into()).await {
            Ok(answer) => match answer.await {
                Ok(ack) => {
                    return Ok(Confirmed { number: message.number, stream_sequence: ack.sequence, duplicate: ack.duplicate });
                }
                Err(error) => error.to_string(),
            },
            Err(error) => error.to_string(),
        };
        if Instant::now() >= deadline {
            return Err(format!("message {} cannot be published: {problem}", message.number));
        }
        tokio::time::sleep(AGAIN).await;
    }
}
