//! Unit tests of handlers with plain `cargo test`: given state and an event, what are the outputs, the new state, or the failure? No broker,
//! no wasm, no host process.
//!
//! ```
//! use seriatim_guest::testing::{FailureKind, Kit, event};
//! # use seriatim_guest::{Event, Failure, Handler, Output, state, subject_token};
//! # #[derive(serde::Deserialize)]
//! # struct Order { amount: u64 }
//! # struct Totals;
//! # impl Handler for Totals {
//! #     fn handle(event: Event) -> Result<(), Failure> {
//! #         let order: Order = event.json()?;
//! #         let total = state::get::<u64>("total")?.unwrap_or(0) + order.amount;
//! #         state::set("total", &total)?;
//! #         Output::to(format!("totals.{}", subject_token(&event.entity))).json(&total)?.emit();
//! #         Ok(())
//! #     }
//! # }
//!
//! let mut kit = Kit::<Totals>::new().outputs(["totals.*"]).state("42", "total", &10);
//!
//! let sent = kit.handle(event("42", 1).bytes(r#"{"amount": 5}"#)).unwrap();
//! assert_eq!((sent[0].subject.as_str(), sent[0].json::<u64>()), ("totals.42", 15));
//! assert_eq!(kit.get::<u64>("42", "total"), Some(15));
//!
//! let failure = kit.handle(event("42", 2).bytes("five")).unwrap_err();
//! assert_eq!(failure.kind, FailureKind::Rejected);
//! assert_eq!(kit.get::<u64>("42", "total"), Some(15));
//! ```
//!
//! A call is checked by the same code as in the host (the crate `seriatim-contract`): the same limits with the same defaults, the same failure
//! kinds, the same messages. As in the host, state belongs to the event's entity, `Ok` commits everything the call did, a failure discards it,
//! and a host call past a limit ends the handler's call at once. A panic is the failure `trap`.
//!
//! Not the same as in the host:
//! - `time-max` and `memory-max` are not enforced, and a stack overflow ends the test program: these need the component in a host.
//! - A `trap` has the panic's text as its message; a component says only that it trapped, and the text is in the host's log.
//! - Handlers are built for the test with the test's profile: an integer overflow that panics here may wrap in a release build.
//! - There is no sequencer: the kit hands in the events that it is given, in that order, and retries nothing.
//!
//! Mistakes of the test itself (a value that JSON cannot express, stored bytes that are not of the type asked for, `outputs` that the config
//! would refuse) panic and name the line of the test.

mod call;
mod event;
mod sent;
#[cfg(test)]
mod tests;

pub use event::{TestEvent, event};
pub use sent::{Line, Sent};
pub use seriatim_contract::{Failure, FailureKind, Limits};

use crate::aggregate::KEY;
use crate::{Aggregate, Codec, Handler, Json, Snapshot};
use call::Setup;
use serde::{Serialize, de::DeserializeOwned};
use seriatim_contract::{State, check_outputs_pattern};
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::marker::PhantomData;

/// A host for one handler: its configuration, and the state of every entity that it has handled events of.
pub struct Kit<H> {
    setup: Setup,
    pipeline: String,
    stream: String,
    states: BTreeMap<String, State>,
    logs: Vec<Line>,
    handler: PhantomData<fn() -> H>,
}

impl<H: Handler> Default for Kit<H> {
    fn default() -> Self {
        Self::new()
    }
}

impl<H> Clone for Kit<H> {
    fn clone(&self) -> Self {
        Self {
            setup: self.setup.clone(),
            pipeline: self.pipeline.clone(),
            stream: self.stream.clone(),
            states: self.states.clone(),
            logs: self.logs.clone(),
            handler: PhantomData,
        }
    }
}

impl<H> Debug for Kit<H> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kit")
            .field("pipeline", &self.pipeline)
            .field("states", &self.states)
            .field("logs", &self.logs)
            .finish_non_exhaustive()
    }
}

/// What the config gives a handler.
impl<H: Handler> Kit<H> {
    /// A handler with an empty `config`, no `outputs`, the default limits and no state, in the pipeline `test` that reads the stream `TEST`.
    #[must_use]
    pub fn new() -> Self {
        Self {
            setup: Setup::default(),
            pipeline: "test".to_owned(),
            stream: "TEST".to_owned(),
            states: BTreeMap::new(),
            logs: Vec::new(),
            handler: PhantomData,
        }
    }

    /// Adds a value to the handler's `config` table.
    #[must_use]
    pub fn config(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.setup.config.insert(key.into(), value.into());
        self
    }

    /// The subject patterns it may emit to. As in the host: none, unless they are named.
    ///
    /// # Panics
    /// On a pattern that the config would refuse.
    #[must_use]
    #[track_caller]
    pub fn outputs<P: Into<String>>(mut self, patterns: impl IntoIterator<Item = P>) -> Self {
        self.setup.outputs = patterns.into_iter().map(Into::into).collect();
        for pattern in &self.setup.outputs {
            if let Err(wrong) = check_outputs_pattern(pattern) {
                panic!("outputs {pattern:?}: {wrong}");
            }
        }
        self
    }

    /// Changes the limits, which are those that a config without limits and a broker with its default `max_payload` give.
    #[must_use]
    pub fn limits(mut self, change: impl FnOnce(&mut Limits)) -> Self {
        change(&mut self.setup.limits);
        self
    }

    /// The pipeline that the events say they come through.
    #[must_use]
    pub fn pipeline(mut self, name: impl Into<String>) -> Self {
        self.pipeline = name.into();
        self
    }

    /// The stream that events without an id are named after: `<stream>:<stream sequence>`.
    #[must_use]
    pub fn stream(mut self, name: impl Into<String>) -> Self {
        self.stream = name.into();
        self
    }

    /// Puts a value, as JSON, into the state of an entity.
    ///
    /// # Panics
    /// If JSON cannot express it.
    #[must_use]
    #[track_caller]
    pub fn state<T: Serialize + ?Sized>(self, entity: &str, key: &str, value: &T) -> Self {
        self.state_as::<Json, T>(entity, key, value)
    }

    /// Puts a value into the state of an entity, in the given format.
    ///
    /// # Panics
    /// If the format cannot express it.
    #[must_use]
    #[track_caller]
    pub fn state_as<C: Codec, T: Serialize + ?Sized>(self, entity: &str, key: &str, value: &T) -> Self {
        self.state_bytes(entity, key, encoded::<C, T>(&format!("state `{key}` of {entity:?}"), value))
    }

    /// Puts bytes into the state of an entity.
    #[must_use]
    pub fn state_bytes(mut self, entity: &str, key: &str, value: impl Into<Vec<u8>>) -> Self {
        self.states.entry(entity.to_owned()).or_default().insert(key.to_owned(), value.into().into());
        self
    }
}

/// Calls, and what they leave.
impl<H: Handler> Kit<H> {
    /// Handles one event. What it wrote is in the state from then on, and what it emitted is returned, in order.
    ///
    /// # Errors
    /// The host's failure for what the handler did: the state is as it was, and nothing was emitted.
    pub fn handle(&mut self, event: TestEvent) -> Result<Vec<Sent>, Failure> {
        let (event, delivery) = event.resolve(&self.pipeline, &self.stream);
        let entity = event.entity.clone();
        let state = self.states.remove(&entity).unwrap_or_default();
        let (mut state, result) = call::run::<H>(&mut self.setup, event, delivery, state, &mut self.logs);
        let sent = result.map(|effects| {
            for (key, value) in effects.writes {
                match value {
                    Some(value) => state.insert(key, value),
                    None => state.remove(&key),
                };
            }
            effects.outputs.into_iter().map(Sent::from).collect()
        });
        if !state.is_empty() {
            self.states.insert(entity, state);
        }
        sent
    }

    /// The value under a key of an entity's state, from JSON, or none.
    ///
    /// # Panics
    /// If what is stored is not a `T`.
    #[must_use]
    #[track_caller]
    pub fn get<T: DeserializeOwned>(&self, entity: &str, key: &str) -> Option<T> {
        self.get_as::<Json, T>(entity, key)
    }

    /// The value under a key of an entity's state, from the given format, or none.
    ///
    /// # Panics
    /// If what is stored is not a `T`.
    #[must_use]
    #[track_caller]
    pub fn get_as<C: Codec, T: DeserializeOwned>(&self, entity: &str, key: &str) -> Option<T> {
        let bytes = self.get_bytes(entity, key)?;
        Some(decoded::<C, T>(&format!("state `{key}` of {entity:?}"), bytes))
    }

    /// The bytes under a key of an entity's state, or none.
    #[must_use]
    pub fn get_bytes(&self, entity: &str, key: &str) -> Option<&[u8]> {
        self.states.get(entity)?.get(key).map(|value| &**value)
    }

    /// An entity's whole state, as bytes by key; empty for one that has none.
    #[must_use]
    pub fn state_of(&self, entity: &str) -> BTreeMap<String, Vec<u8>> {
        let state = self.states.get(entity).into_iter().flatten();
        state.map(|(key, value)| (key.clone(), value.to_vec())).collect()
    }

    /// What the last call logged, in order. Like the host's, it is there whether the call failed or not.
    #[must_use]
    pub fn logs(&self) -> &[Line] {
        &self.logs
    }

    /// Checks that the handler can be replayed: handles the events twice, both times from the state that the kit holds now, and compares
    /// outputs, failures and state after each event. A difference comes from what the handler must not use: a clock, randomness (the order of a
    /// `HashMap` too), globals that remember earlier events. The kit itself stays as it is.
    ///
    /// # Panics
    /// At the first event whose two results differ.
    #[track_caller]
    pub fn assert_replays(&self, events: impl IntoIterator<Item = TestEvent>) {
        let events: Vec<TestEvent> = events.into_iter().collect();
        let run = || {
            let mut kit = self.clone();
            let step = |event: &TestEvent| (kit.handle(event.clone()), kit.state_of(event.entity()));
            events.iter().map(step).collect::<Vec<_>>()
        };
        let (first, second) = (run(), run());
        for ((event, first), second) in events.iter().zip(first).zip(second) {
            let told = |(result, state): &(_, _)| told(result, state);
            assert!(first == second, "{event} does not replay:\n first: {}\nsecond: {}", told(&first), told(&second));
        }
    }
}

/// What is left of an aggregate.
impl<A: Aggregate> Kit<A> {
    /// An entity as it stands: state and version. The default state at version 0 for one without events. (What was before a test is
    /// `.state(entity, aggregate::KEY, &Snapshot::at(version, state))`.)
    ///
    /// # Panics
    /// If what is stored is no snapshot of this aggregate.
    #[must_use]
    #[track_caller]
    pub fn snapshot(&self, entity: &str) -> Snapshot<A> {
        self.get(entity, KEY).unwrap_or_default()
    }
}

/// What a call came to, for people: payloads and values as text where they are text.
fn told(result: &Result<Vec<Sent>, Failure>, state: &BTreeMap<String, Vec<u8>>) -> String {
    let text = String::from_utf8_lossy;
    let result = match result {
        Ok(sent) => {
            let sent = sent.iter().map(|sent| {
                let headers: String = sent.headers.iter().map(|header| format!(" {}: {}", header.name, header.value)).collect();
                format!("{}{headers} {}", sent.subject, text(&sent.payload))
            });
            format!("outputs [{}]", sent.collect::<Vec<_>>().join(", "))
        }
        Err(failure) => failure.to_string(),
    };
    let state = state.iter().map(|(key, value)| format!("{key} = {}", text(value)));
    format!("{result}, state {{{}}}", state.collect::<Vec<_>>().join(", "))
}

#[track_caller]
fn encoded<C: Codec, T: Serialize + ?Sized>(what: &str, value: &T) -> Vec<u8> {
    C::encode(value).unwrap_or_else(|failure| panic!("{what}: {failure}"))
}

#[track_caller]
fn decoded<C: Codec, T: DeserializeOwned>(what: &str, bytes: &[u8]) -> T {
    C::decode(bytes).unwrap_or_else(|failure| panic!("{what} is `{}`: {failure}", String::from_utf8_lossy(bytes)))
}
