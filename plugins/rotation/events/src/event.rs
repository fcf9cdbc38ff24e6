//! One event, and its payload byte for byte.

use serde::ser::{Error as _, SerializeMap};
use serde::{Serialize, Serializer};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::Error;

/// A departure, or the end of a flight.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The aircraft's registration: the entity.
    pub tailnum: String,
    /// The number of the event within its aircraft: 1, 2, 3, …
    pub sequence: u64,
    /// What happened.
    pub kind: Kind,
    /// Unique within the aircraft, and the same whenever the file is read: `<carrier><flight>-<scheduled date>-<origin>-<dep, arr or div>`.
    pub id: String,
    /// When it happened, on New York's clock, which is written as if it were UTC. Never before the aircraft's previous event.
    pub time: OffsetDateTime,
    /// The airline's two-letter code.
    pub carrier: String,
    /// The flight number.
    pub flight: u32,
    /// The airport it left.
    pub origin: String,
    /// The airport it was meant for.
    pub dest: String,
}

/// What happened, and what is known of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The aircraft left.
    Departure {
        /// Minutes after the scheduled time; below 0: early.
        dep_delay: i32,
    },
    /// It arrived.
    Arrival {
        /// Minutes after the scheduled time; below 0: early.
        arr_delay: Option<i32>,
        /// Minutes in the air.
        air_time: Option<u32>,
    },
    /// It left and did not arrive where it was meant to.
    Diversion,
}

impl Kind {
    /// The kind's name in events: `departure`, `arrival` or `diversion`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Departure { .. } => "departure",
            Self::Arrival { .. } => "arrival",
            Self::Diversion => "diversion",
        }
    }
}

impl Event {
    /// The payload: JSON without spaces, its fields in the order that the README of `plugins/rotation` fixes, missing numbers as null.
    ///
    /// # Errors
    /// [`Error::Json`] for a time outside the years 0 to 9999; events from files have none.
    pub fn payload(&self) -> Result<Vec<u8>, Error> {
        serde_json::to_vec(self).map_err(|source| Error::Json { id: self.id.clone(), source })
    }
}

impl Serialize for Event {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut row = serializer.serialize_map(None)?;
        row.serialize_entry("tailnum", &self.tailnum)?;
        row.serialize_entry("kind", self.kind.name())?;
        row.serialize_entry("id", &self.id)?;
        row.serialize_entry("time", &self.time.format(&Rfc3339).map_err(S::Error::custom)?)?;
        row.serialize_entry("carrier", &self.carrier)?;
        row.serialize_entry("flight", &self.flight)?;
        row.serialize_entry("origin", &self.origin)?;
        row.serialize_entry("dest", &self.dest)?;
        match self.kind {
            Kind::Departure { dep_delay } => row.serialize_entry("dep_delay", &dep_delay)?,
            Kind::Arrival { arr_delay, air_time } => {
                row.serialize_entry("arr_delay", &arr_delay)?;
                row.serialize_entry("air_time", &air_time)?;
            }
            Kind::Diversion => {}
        }
        row.end()
    }
}
