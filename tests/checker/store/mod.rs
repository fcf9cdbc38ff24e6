//! The store, read from outside: its documented bytes (host/src/store: `keys.rs`, `record.rs`, `layout.rs`), decoded by code of its own.

mod bytes;
mod folder;
#[cfg(test)]
mod tests;
mod view;

pub use bytes::{Alarm, Attempts, GivenUp, Mark, OutboxEntry, Reason, Slot, Spot, Waiting};
pub use view::{EntityView, Keyspace, PipelineView, StoreView};
