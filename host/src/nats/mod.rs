//! Everything about the broker that is not one pipeline's business: connections, the JetStream API, who a stream is, and the
//! `SERIATIM` bucket. [`gapless`] is the one way in which this host reads a stream; the live reader, catch-ups and scans
//! all stand on it. async-nats is used here, in `source/` and in `sink/`, and nowhere else.

pub mod api;
pub mod auth;
pub mod bucket;
pub mod connect;
pub mod consumer;
pub mod course;
pub mod gapless;
pub mod identity;
pub mod limits;
pub mod object;
pub mod range;
pub mod raw;

#[cfg(test)]
pub(crate) mod testing;
