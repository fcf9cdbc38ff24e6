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
#[cfg(all(target_arch = "wasm32", feature = "allocator"))]
mod memory;
mod output;
pub mod state;
mod subject;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;
pub mod versioned;

use std::collections::BTreeMap;

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

/// A handler whose state has a version, so that a newer component can take over what an older one left.
///
/// The host keeps, for each entity, in which version its state was written, and calls [`Lifecycle::migrate`] once where that is lower than this
/// component's: before the entity's next event, and durably together with it. Make it the component's with `export!(MyHandler, lifecycle)`.
pub trait Lifecycle: Handler {
    /// The version of the state that this component reads and writes: 1 or more, always the same. A component without `lifecycle` has version 0.
    fn state_version() -> u32;

    /// All of one entity's state, as version `from` wrote it, in this component's version. What is not returned is gone.
    ///
    /// # Errors
    /// The text is for the operator: the entity parks with it, and its state stays as it was.
    fn migrate(from: u32, state: BTreeMap<String, Vec<u8>>) -> Result<BTreeMap<String, Vec<u8>>, String>;
}

/// Makes a [`Handler`] the component's handler; with `, lifecycle`, one that is a [`Lifecycle`], too.
#[macro_export]
macro_rules! export {
    ($handler:ty, lifecycle) => {
        const _: () = {
            struct Exported;
            impl $crate::versioned::Guest for Exported {
                fn handle(event: $crate::Event) -> ::core::result::Result<(), $crate::Failure> {
                    $crate::log::panics_to_log();
                    <$handler as $crate::Handler>::handle(event)
                }
            }
            impl $crate::versioned::exports::seriatim::handler::lifecycle::Guest for Exported {
                fn state_version() -> u32 {
                    <$handler as $crate::Lifecycle>::state_version()
                }

                fn migrate(
                    from: u32,
                    state: ::std::vec::Vec<$crate::versioned::exports::seriatim::handler::lifecycle::Entry>,
                ) -> ::core::result::Result<
                    ::std::vec::Vec<$crate::versioned::exports::seriatim::handler::lifecycle::Entry>,
                    ::std::string::String,
                > {
                    $crate::log::panics_to_log();
                    let state = state.into_iter().map(|entry| (entry.key, entry.value)).collect();
                    let migrated = <$handler as $crate::Lifecycle>::migrate(from, state)?;
                    let entry = |(key, value)| $crate::versioned::exports::seriatim::handler::lifecycle::Entry { key, value };
                    ::core::result::Result::Ok(migrated.into_iter().map(entry).collect())
                }
            }
    $crate::versioned::export_versioned_handler!(Exported with_types_in $crate::versioned);
        };
    };
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
