//! Publishing numbered events: the producer that owns the numbers of entities, retries safely, and lets one flow feed an entity.
//!
//! Public interface (client.rs, being written):
//! ```text
//! pub struct Options { pub stream: Option<String>, pub window: usize, pub patience: Duration }       // Default: None, 1000, 2 min
//! pub enum Start { First, After(u64), Stream { subject: String } }                                   // subject: filter, wildcards allowed
//! pub struct Producer;                                                                               // Clone
//! impl Producer {
//!     pub async fn start(connection: Connection, options: Options) -> Result<Producer, Error>;
//!     pub async fn flow(&self, entity: &str, start: Start) -> Result<Flow, Error>;
//!     pub async fn send(&self, event: Numbered) -> Result<Pending, Error>;   // Err = not accepted, nothing blocked (Error::Blocked: was blocked before)
//!     pub fn unblock(&self, entity: &str) -> bool;                           // after Error::Refused: the caller sends another event under that number
//!     pub fn progress(&self) -> Progress;                                    // { confirmed, duplicates, failed, owed } for a progress bar
//!     pub async fn finish(self) -> Result<Progress, Error>;                  // Err = Error::GaveUp or Error::Failed { failed, first }
//! }
//! impl Flow { pub async fn publish(&mut self, event: NewEvent) -> Result<Pending, Error>; pub fn entity(&self) -> &str; pub fn last(&self) -> u64;
//!             pub fn epoch(&self) -> Option<u64>; pub fn start_over(&mut self, epoch: u64) -> Result<(), Error>; }
//! pub struct Pending;                                                        // Future<Output = Result<Receipt, Error>> + Unpin + Send
//! pub struct Receipt { pub stream: Arc<str>, pub stream_sequence: u64, pub duplicate: bool }
//! pub fn message_id(event: &Numbered) -> String;                             // <entity %>:<epoch>:<sequence>:<digest>:<copy>
//! pub async fn stream_facts(connection: &Connection, stream: &str, patience: Duration) -> Result<StreamFacts, Error>;  // nats::identity::StreamFacts
//! pub struct Tail { pub stream: StreamFacts, pub absence_proves: bool }      // the stream as it was when the reading began
//! pub async fn tail(connection: &Connection, stream: &str, above: u64, patience: Duration, found: impl FnMut(&str, u64) + Send) -> Result<Tail, Error>;
//! ```

mod error;
mod event;

pub use error::Error;
pub use event::{NewEvent, Numbered, message_id};
