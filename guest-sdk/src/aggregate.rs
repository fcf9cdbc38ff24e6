//! Event-sourced entities: a typed state, and how each kind of event changes it.
//!
//! An [`Aggregate`] is a [`Handler`]: hand it to [`export!`](crate::export). For each event the state is taken from where the last one left it,
//! the event is applied, and state and version are kept again, as one value under [`KEY`]. That value is the snapshot: nothing is ever read
//! from the stream again to know where an entity stands.
//!
//! ```no_run
//! use seriatim_guest::{Aggregate, Event, Failure, Output, Snapshot, export, subject_token};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Default, Serialize, Deserialize)]
//! struct Account { balance: i64 }
//!
//! #[derive(Deserialize)]
//! struct Moved { amount: i64 }
//!
//! impl Account {
//!     fn deposited(&mut self, moved: Moved) { self.balance += moved.amount; }
//!     fn withdrawn(&mut self, moved: Moved) { self.balance -= moved.amount; }
//! }
//!
//! impl Aggregate for Account {
//!     fn apply(&mut self, event: &Event) -> Result<(), Failure> {
//!         match event.kind.as_str() {
//!             "deposited" => self.deposited(event.json()?),
//!             "withdrawn" => self.withdrawn(event.json()?),
//!             "audited" => {}                               // known, and changes nothing
//!             _ => return Err(event.unknown_kind()),        // or Ok(()), to ignore what is unknown
//!         }
//!         Ok(())
//!     }
//!
//!     // Leave it out if nothing is to be sent.
//!     fn emit(now: &Snapshot<Self>, event: &Event) -> Result<(), Failure> {
//!         let to = format!("balances.{}", subject_token(&event.entity));
//!         Output::to(to).header("Account-Version", now.version()).json(&now.state)?.emit();
//!         Ok(())
//!     }
//! }
//!
//! export!(Account);
//! # fn main() {}
//! ```
//!
//! **An event is a fact.** Whether a withdrawal is allowed is decided by whoever publishes it, under the version that the decision was made on
//! (`seriatim::producer`, "Commands"); `apply` only says what has become of the state. Reject what cannot be understood, not what is unwelcome.
//!
//! **A state's shape changes** with the program. A state that does not decode asks for another attempt ([`Failure::Retry`]) instead of giving
//! events up: it is no fault of theirs. Fields with `#[serde(default)]` read what an older program wrote.

use crate::{Codec, Event, Failure, Handler, Json, state};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// Under this key of the handler's state an aggregate's [`Snapshot`] is kept, as JSON: `{"state":…,"version":7}`, with `"epoch"` where it is not 0.
pub const KEY: &str = "aggregate";

/// An event-sourced entity: its state, and what events do to it. See the [module](self).
pub trait Aggregate: Default + Serialize + DeserializeOwned {
    /// What this event does to the state: a `match` over `event.kind`. The default state is that of an entity without events.
    ///
    /// What an unknown kind is, is the author's choice, in the last arm: `Err(event.unknown_kind())` rejects it, `Ok(())` ignores it. An ignored
    /// event counts as applied: the state stays, the version moves.
    ///
    /// # Errors
    /// [`Failure::Reject`] gives the event up: it changes neither state nor version. [`Failure::Retry`] asks for another attempt.
    fn apply(&mut self, event: &Event) -> Result<(), Failure>;

    /// Sends what follows from the event, with the state after it. Nothing, unless it is written.
    ///
    /// # Errors
    /// As those of [`Aggregate::apply`]: the event is not applied then.
    fn emit(now: &Snapshot<Self>, event: &Event) -> Result<(), Failure> {
        let _ = (now, event);
        Ok(())
    }
}

impl<A: Aggregate> Handler for A {
    fn handle(event: Event) -> Result<(), Failure> {
        let mut snapshot = Snapshot::<A>::load()?;
        snapshot.apply(&event)?;
        snapshot.store()?;
        A::emit(&snapshot, &event)
    }
}

/// An aggregate as it stands after an event: its state and its version.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot<A> {
    /// The state.
    pub state: A,
    version: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    epoch: u64,
}

impl<A: Aggregate> Snapshot<A> {
    /// A state as it is at this version, in epoch 0.
    #[must_use]
    pub fn at(version: u64, state: A) -> Self {
        Self { state, version, epoch: 0 }
    }

    /// What is kept for the event's entity; without anything, the default state at version 0.
    ///
    /// # Errors
    /// [`Failure::Retry`] if what is kept is no such snapshot.
    pub fn load() -> Result<Self, Failure> {
        let Some(kept) = state::get_bytes(KEY) else { return Ok(Self::default()) };
        Json::decode(&kept).map_err(|failure| {
            let (Failure::Retry(why) | Failure::Reject(why)) = failure;
            Failure::retry(format!("state `{KEY}` was written by a handler whose state had another shape: {why}"))
        })
    }

    /// Keeps it for the event's entity.
    ///
    /// # Errors
    /// [`Failure::Reject`] for a state that JSON cannot express.
    pub fn store(&self) -> Result<(), Failure> {
        state::set(KEY, self)
    }

    /// Applies one event: to the state, then to the version. An event that comes late (`order.late = "deliver"`) does not take the version back.
    ///
    /// # Errors
    /// Those of [`Aggregate::apply`]. The state may be half changed then: drop it.
    pub fn apply(&mut self, event: &Event) -> Result<(), Failure> {
        self.state.apply(event)?;
        (self.epoch, self.version) = (self.epoch, self.version).max((event.epoch, event.sequence));
        Ok(())
    }

    /// The sequence of the last event that was applied; 0 = none. A command that was decided on this state is published under this version.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The epoch that the version belongs to; 0 without one.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.epoch
    }
}

// The signature that serde asks for.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_zero(number: &u64) -> bool {
    *number == 0
}
