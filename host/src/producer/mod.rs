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
//! their events as conflicts.
//!
//! **Permissions** that the NATS user needs: publish to the subjects of the events, `$JS.API.STREAM.INFO.<stream>`, and, unless [`Options::stream`] is given
//! and takes every subject, `$JS.API.STREAM.NAMES`; for reading the stream (a search, [`tail`], [`Start::Stream`]) `$JS.API.STREAM.MSG.GET.<stream>`,
//! `$JS.API.CONSUMER.CREATE.<stream>.>`, `$JS.API.CONSUMER.MSG.NEXT.<stream>.>`, `$JS.API.CONSUMER.INFO.<stream>.>` and `$JS.API.CONSUMER.DELETE.<stream>.>`; subscribe to `_INBOX.>`.

mod client;
mod error;
mod event;
mod flow;
mod history;
mod ledger;

pub use crate::nats::identity::StreamFacts;
pub use client::{Options, Pending, Producer, Progress, Receipt};
pub use error::Error;
pub(crate) use event::numbered_place;
pub use event::{NewEvent, Numbered, message_id};
pub use flow::{Flow, Start};
pub use history::{Tail, has_message, stream_facts, tail};
pub(crate) use history::{of_stream, only_stream};

#[cfg(test)]
mod tests;
