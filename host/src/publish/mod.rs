//! `seriatim publish`: rows of a file become numbered events of a stream, each once, also when the command is killed and started again.
//!
//! A [`plan`] is a function of the input and the options: the same items in the same order each time. A [`checkpoint`] says how many of them are
//! certain, and from which stream sequence on the rest would have to be ([`track`]). A run that goes on makes the plan again, makes sure that the
//! input is the one it was, looks into the stream's tail for what the run before may have sent, and publishes what is not there. Only [`run`]
//! and what it calls talks to a broker; everything else is pure.

pub mod checkpoint;
pub mod csv;
mod error;
pub mod field;
pub mod mapping;
pub mod ndjson;
mod options;
mod pace;
pub mod plan;
mod resume;
pub mod rows;
mod run;
mod session;
pub mod shuffle;
mod summary;
pub mod template;
pub mod track;

pub use error::Error;
pub use options::{Options, Source};
pub use run::{check, run};
pub use summary::{Ending, Summary};
