//! What events carry. Every field must be there; those that may be unknown hold null then. Further fields are not read.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A flight: in payloads, in the state and in outputs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Flight {
    carrier: String,
    flight: u32,
    origin: String,
    dest: String,
}

impl fmt::Display for Flight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{} {}-{}", self.carrier, self.flight, self.origin, self.dest)
    }
}

/// What the payload of every kind has.
#[derive(Debug, Deserialize)]
pub(crate) struct Common {
    pub(crate) tailnum: String,
    /// Handed on as it is written.
    pub(crate) time: String,
    #[serde(flatten)]
    pub(crate) flight: Flight,
}

/// What a departure has besides.
#[derive(Debug, Deserialize)]
pub(crate) struct Departure {
    /// Minutes after the scheduled time; below 0: early.
    pub(crate) dep_delay: i32,
}

/// What an arrival has besides. (Naming the function makes serde insist on the field: an `Option` alone may be left out.)
#[derive(Debug, Deserialize)]
pub(crate) struct Arrival {
    /// Minutes after the scheduled time; below 0: early.
    #[serde(deserialize_with = "Option::deserialize")]
    pub(crate) arr_delay: Option<i32>,
    /// Minutes in the air.
    #[serde(deserialize_with = "Option::deserialize")]
    pub(crate) air_time: Option<u32>,
}
