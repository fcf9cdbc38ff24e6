//! What an operator may ask of a host and have it do: one port for the admin API and the command line, and the values that go through it. How it is
//! answered: `live.rs` (a running host), `stopped.rs` (a stopped host's folder, read-only). What both ask of the broker is a port of its own (`letters.rs`).

mod broker;
pub mod fate;
mod letters;
mod live;
mod report;
mod stopped;
mod types;

pub use crate::runtime::FILE_BYTES_MAX as COMPONENT_BYTES_MAX;
pub use broker::{BrokerLetters, History};
pub use letters::{EXPORT_FORMAT, ExportError, ExportPage, HistoryPart, Letters, RedriveSource, Seen, export, write_line};
pub use live::{Live, LiveParts};
pub use stopped::Stopped;

pub use types::{
    Alarm, Behind, BreakerRow, BulkDone, BulkEntry, BulkFilter, DeadLetterPage, DeadLetterQuery, DeadLetterReport, DeadLetterRow, Decision,
    Done, EntityName, EntityPage, EntityQuery, EntityReport, EntityRow, EntityState, Fault, Given, HandledBy, HandlerRow, Held,
    HistoryPage, HistoryQuery, HistoryRow, LastError, OutboxReport, PipelineRow, Place, PluginDone, PluginRow, PluginVersion, PurgeDone,
    Redrive, RedriveDone, Sort, StateEntry, StateReport, WaitReport, Word,
};

use std::future::Future;
use std::pin::Pin;

/// What comes back, in its own time.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, Fault>> + Send + 'a>>;

/// The port. Mutations go through the entity's actor and are answered after the commit that makes them durable; repeating one is harmless.
pub trait Control: Send + Sync {
    /// All pipelines.
    fn pipelines(&self) -> Answer<'_, Vec<PipelineRow>>;
    /// Entities of a pipeline: in memory, waiting, parked.
    fn entities(&self, query: EntityQuery) -> Answer<'_, EntityPage>;
    /// Why an entity does not move, and everything about it.
    fn entity(&self, name: EntityName) -> Answer<'_, EntityReport>;
    /// An entity's events in the stream, each with its fate.
    fn history(&self, query: HistoryQuery) -> Answer<'_, HistoryPage>;
    /// What a handler keeps for an entity.
    fn state(&self, name: EntityName, handler: Option<String>) -> Answer<'_, StateReport>;
    /// Parks, resumes or skips one entity.
    fn operate(&self, name: EntityName, word: Word) -> Answer<'_, Done>;
    /// The same for many. With `dry_run` nothing is done and the answer names whom it would meet.
    fn operate_many(&self, pipeline: String, word: Word, filter: BulkFilter, dry_run: bool) -> Answer<'_, BulkDone>;
    /// Closes the pipeline's circuit breaker, which is open because of this handler: the handlers are called again.
    fn close_breaker(&self, pipeline: String, handler: String) -> Answer<'_, Done>;
    /// Which components the handlers run, and which they can go back to.
    fn plugins(&self) -> Answer<'_, Vec<PluginRow>>;
    /// Has a handler run this component from the next event of each entity on. `from`: where it came from, for people.
    fn load_plugin(&self, pipeline: String, handler: String, component: Vec<u8>, from: String) -> Answer<'_, PluginDone>;
    /// Has a handler run the component before, or the kept one whose digest begins with `to`.
    fn rollback_plugin(&self, pipeline: String, handler: String, to: Option<String>) -> Answer<'_, PluginDone>;
    /// Lets go of what state was before its migrations.
    fn confirm_plugin(&self, pipeline: String, handler: String) -> Answer<'_, Done>;
    /// Erases state and ids of an entity.
    fn forget(&self, name: EntityName) -> Answer<'_, Done>;
    /// Dead letters, oldest first.
    fn dead_letters(&self, query: DeadLetterQuery) -> Answer<'_, DeadLetterPage>;
    /// One dead letter with its payload.
    fn dead_letter(&self, stream_sequence: u64) -> Answer<'_, DeadLetterReport>;
    /// Gives a dead letter's event to its entity again, once.
    fn redrive(&self, stream_sequence: u64, redrive: Redrive) -> Answer<'_, RedriveDone>;
    /// Deletes dead letters that match.
    fn purge(&self, query: DeadLetterQuery, dry_run: bool) -> Answer<'_, PurgeDone>;
}
