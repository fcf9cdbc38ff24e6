//! Publishing numbered events: a producer that owns the numbers of entities, retries without sending anything twice, and lets one flow feed
//! an entity. What [`seriatim publish`](crate::cli) stands on, and the interface for programs in Rust.
//!
//! ```no_run
//! use seriatim::nats::connect::{ConnectOptions, connect};
//! use seriatim::producer::{NewEvent, Options, Producer, Start};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let servers = vec!["nats://127.0.0.1:4222".to_owned()];
//! let connection = connect(ConnectOptions { servers, name: "orders".to_owned(), ..Default::default() }).await?;
//! let producer = Producer::start(connection, Options { stream: Some("ORDERS".to_owned()), ..Options::default() }).await?;
//!
//! // The one flow of order 4711. It goes on with the numbers where the stream ends.
//! let mut flow = producer.flow("4711", Start::Stream { subjects: "orders.4711".to_owned() }).await?;
//! for kind in ["placed", "paid", "shipped"] {
//!     let event = NewEvent { subject: "orders.4711".to_owned(), kind: Some(kind.to_owned()), payload: "{}".into(), ..NewEvent::default() };
//!     // Waits for room in the window only; what it returns can be awaited for the confirmation.
//!     let _pending = flow.publish(event).await?;
//! }
//! drop(flow);
//!
//! // Nothing is published for certain before this says so.
//! let progress = producer.finish().await?;
//! assert_eq!(progress.confirmed, 3);
//! # Ok(())
//! # }
//! ```
//!
//! **What it does.** Events of one entity leave in the order of the calls, each when the one before is confirmed; entities do not wait for each
//! other. A time-out, a broker that is away, a stream without a leader or without room: it tries again, with back-off. A message that may have left
//! longer ago than half of its stream's duplicate window is not sent again blind: the stream is searched for its id, from where it ended when the
//! event was accepted. So each event is in the stream once, also when outages are longer than the window, as long as the stream keeps its
//! messages (where it does not, the message is sent again and the host recognises it by its number).
//!
//! **What it does not.** It remembers nothing on disk. A program that starts again begins its flows with [`Start::Stream`], or keeps its own account
//! and compares [`message_id`] with the [`tail`] of the stream. Two *processes* that number the same entity are not kept apart: the host names
//! their events as conflicts. Where that must not be, they publish [commands](#commands).
//!
//! # Commands
//!
//! A flow *tells* what has happened. A command *decides*: it takes up what has happened to an entity, and publishes what happens next only if
//! nothing else has happened meanwhile. [`Producer::entity`] is for that. The [`Version`] that a decision was made on goes with the event; the
//! broker stores it only behind exactly that event (`Nats-Expected-Last-Subject-Sequence`). Of all who decide on one version, in any
//! number of programs, one publishes, and each other one is told which event won.
//!
//! ```no_run
//! use seriatim::producer::{Error, NewEvent, Producer, Version};
//!
//! # async fn example(producer: Producer) -> Result<(), Box<dyn std::error::Error>> {
//! let account = producer.entity("DE-1", "accounts.DE-1").await?;
//! let (mut version, mut balance) = (Version::default(), 0);
//! let withdrawn = loop {
//!     // What has happened up to now; after a conflict, what is new.
//!     while let Some(event) = account.next(&version).await? {
//!         let amount: i64 = std::str::from_utf8(&event.payload)?.parse()?;
//!         balance += if event.kind.as_deref() == Some("withdrawn") { -amount } else { amount };
//!         version = event.version;
//!     }
//!     if balance < 50 {
//!         return Err("there is not enough on the account".into());
//!     }
//!     let event = NewEvent { kind: Some("withdrawn".to_owned()), payload: "50".into(), ..NewEvent::default() };
//!     match account.publish(&version, event).await {
//!         Ok(version) => break version,
//!         Err(Error::Conflict { winner, .. }) => println!("event {winner} was faster; deciding again"),
//!         Err(error) => return Err(error.into()),
//!     }
//! };
//! println!("the account is at version {}", withdrawn.sequence);
//! # Ok(())
//! # }
//! ```
//!
//! * A version is the number of the entity's last event, 1, 2, 3, …; the broker's own number of that message goes with it. Who needs no more of
//!   the past than where it ends asks [`Entity::latest`].
//! * All of an entity's events go to one subject, which holds nothing else; whatever else it holds is [`Error::NotItsOwn`]. Who publishes to
//!   it without a condition ([`Producer::send`], [`Flow`]) takes part in no decision: the host names two events under one number as a conflict.
//! * **A lost confirmation is no conflict.** The event is sent again under its condition, which can store it only once, however long the outage
//!   was; where the broker then says that the subject has moved on, the message behind the expected one is looked at: if it has this event's
//!   `Nats-Msg-Id`, it was stored. The id is made of an event id that nobody else has, so that two who decide the same are still told apart.
//! * Nothing is certain where messages are gone: an event whose fate can be told no more is [`Error::Undecided`], never a conflict. Give such
//!   streams no limits that take events of living entities.
//! * The handler's side of such entities is `Aggregate` of the SDK: its state and version after each event.
//!
//! A command waits for its answer, so commands are not part of [`Producer::progress`] and [`Producer::finish`].
//!
//! # Permissions
//!
//! The NATS user needs: publish to the subjects of the events, `$JS.API.STREAM.INFO.<stream>`, and, unless [`Options::stream`] is given
//! and takes every subject, `$JS.API.STREAM.NAMES`; for commands `$JS.API.STREAM.MSG.GET.<stream>`; for reading the stream
//! (a search, [`tail`], [`Start::Stream`]) that and `$JS.API.CONSUMER.CREATE.<stream>.>`, `$JS.API.CONSUMER.MSG.NEXT.<stream>.>`, `$JS.API.CONSUMER.INFO.<stream>.>` and `$JS.API.CONSUMER.DELETE.<stream>.>`; subscribe to `_INBOX.>`.

mod client;
mod entity;
mod error;
mod event;
mod flow;
mod history;
mod ledger;
mod version;

pub use crate::nats::identity::StreamFacts;
pub use client::{Options, Pending, Producer, Progress, Receipt};
pub use entity::Entity;
pub use error::Error;
pub(crate) use event::numbered_place;
pub use event::{NewEvent, Numbered, message_id};
pub use flow::{Flow, Start};
pub use history::{Tail, has_message, stream_facts, tail};
pub(crate) use history::{of_stream, only_stream};
pub use version::{Stored, Version};

#[cfg(test)]
mod tests;
