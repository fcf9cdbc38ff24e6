//! Write a Seriatim handler in Rust. A handler is a function of its state and one event; this crate gives it typed state, typed payloads
//! and outputs over the `seriatim:handler` world.
//!
//! ```no_run
//! use seriatim_guest::{Event, Failure, Handler, Output, export, state, subject_token};
//!
//! #[derive(serde::Deserialize)]
//! struct Order { amount: u64 }
//!
//! struct Totals;
//!
//! impl Handler for Totals {
//!     fn handle(event: Event) -> Result<(), Failure> {
//!         let order: Order = event.json()?;
//!         let total = state::get::<u64>("total")?.unwrap_or(0) + order.amount;
//!         state::set("total", &total)?;
//!         Output::to(format!("totals.{}", subject_token(&event.entity))).json(&total)?.emit();
//!         Ok(())
//!     }
//! }
//!
//! export!(Totals);
//! # fn main() {}
//! ```
//!
//! The crate that holds it is a `cdylib` and is built with `cargo build --release --target wasm32-unknown-unknown`; the host takes the file
//! as it is.
//!
//! An event-sourced entity, a state and what each kind of event does to it, is written as an [`Aggregate`].
//!
//! Handlers are tested with plain `cargo test`: see [`testing`].
//!
//! What to keep in mind: nothing a call writes or emits exists before the event is committed; a panic costs the event an attempt and the
//! host an instance, so return a [`Failure`]; keep what you must remember in [`state`], not in globals; and prefer `BTreeMap` to `HashMap`,
//! whose order is not the same everywhere (what this crate encodes is sorted for you).

pub mod aggregate;
pub mod bindings;
mod codec;
pub mod delivery;
mod event;
pub mod host;
pub mod log;
mod output;
pub mod state;
mod subject;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;

pub use aggregate::{Aggregate, Snapshot};
pub use bindings::seriatim::handler::types::{Event, Failure, Header};
#[cfg(feature = "msgpack")]
pub use codec::MessagePack;
pub use codec::{Codec, Json};
pub use output::Output;
pub use subject::subject_token;

/// The business logic: one type per component, handed to [`export!`].
pub trait Handler {
    /// Handles one event of one entity. `Ok` commits what the call wrote and emitted.
    ///
    /// # Errors
    /// [`Failure::retry`] asks for another attempt by the pipeline's policy, [`Failure::reject`] gives the event up. Both discard everything
    /// the call did.
    fn handle(event: Event) -> Result<(), Failure>;
}

/// A value of the handler's `config` table, or none.
#[must_use]
pub fn config(key: &str) -> Option<String> {
    host::config_get(key)
}

/// Makes a [`Handler`] the component's handler.
#[macro_export]
macro_rules! export {
    ($handler:ty) => {
        const _: () = {
            struct Exported;
            impl $crate::bindings::Guest for Exported {
                fn handle(event: $crate::Event) -> ::core::result::Result<(), $crate::Failure> {
                    $crate::log::panics_to_log();
                    <$handler as $crate::Handler>::handle(event)
                }
            }
    $crate::bindings::export_handler!(Exported with_types_in $crate::bindings);
        };
    };
}

/// The Rust in the project's README, compiled as a reader would.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;

/// The same of this crate's README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct CrateReadme;
