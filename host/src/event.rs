//! The event as every part of the host passes it on, and the names of entities. Plain data.

pub use seriatim_contract::Header;

use bytes::Bytes;
use std::sync::Arc;
use xxhash_rust::xxh3::xxh3_64;

/// Which entity: pipeline and name. An empty entity name is the pipeline's own record (dead letters of messages without an entity).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EntityKey {
    /// The pipeline's name.
    pub pipeline: Arc<str>,
    /// The entity as it stands in the message (1–256 bytes, no control characters).
    pub entity: Arc<str>,
}

/// One decoded message of the source stream.
#[derive(Clone, Debug)]
pub struct Event {
    /// Which entity.
    pub key: EntityKey,
    /// The producer's epoch; 0 without one.
    pub epoch: u64,
    /// The producer's number within the entity.
    pub sequence: u64,
    /// The producer's id, or `<stream>:<stream sequence>`; never empty.
    pub id: String,
    /// Whether `id` is the producer's.
    pub has_id: bool,
    /// Kind of event; may be empty.
    pub kind: String,
    /// Milliseconds since the Unix epoch: the producer's time, else the broker's.
    pub time: i64,
    /// The message it came in.
    pub message: Arc<Message>,
}

impl Event {
    /// The hash that records keep of the producer's id; 0 = it gave none.
    #[must_use]
    pub fn id_hash(&self) -> u64 {
        if self.has_id { xxh3_64(self.id.as_bytes()).max(1) } else { 0 }
    }

    /// The hash that records keep of the payload.
    #[must_use]
    pub fn payload_hash(&self) -> u64 {
        xxh3_64(&self.message.payload)
    }
}

/// One message of the source stream as it was read.
#[derive(Clone, Debug)]
pub struct Message {
    /// Subject it was published to.
    pub subject: String,
    /// Headers in order (all of them, `Nats-*` too).
    pub headers: Vec<Header>,
    /// Payload.
    pub payload: Bytes,
    /// The broker's number.
    pub stream_sequence: u64,
    /// The broker's timestamp, milliseconds since the Unix epoch.
    pub time: u64,
}

impl Message {
    /// The first header of this name (in any case).
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name)).map(|header| header.value.as_str())
    }
}
