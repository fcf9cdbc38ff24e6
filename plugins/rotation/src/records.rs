//! What the handler remembers and what it sends. The SDK writes objects with their names in order, so the order of fields here means nothing.

use serde::{Deserialize, Serialize};

use crate::payload::Flight;

/// The state of one aircraft.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Aircraft {
    /// The flight it is on; none: it is on the ground.
    pub(crate) airborne: Option<Airborne>,
    /// The flight before that one, if any.
    pub(crate) previous: Option<Previous>,
    pub(crate) total: Total,
}

/// A flight that has not ended.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Airborne {
    #[serde(flatten)]
    pub(crate) flight: Flight,
    pub(crate) dep_delay: i32,
    pub(crate) inherited: Option<u32>,
}

/// A flight that has ended, as the next one looks back on it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Previous {
    #[serde(flatten)]
    pub(crate) flight: Flight,
    /// When it ended.
    pub(crate) time: String,
    /// None: diverted, or the data does not tell.
    pub(crate) arr_delay: Option<i32>,
}

/// Sums over an aircraft's flights so far; minutes unless they count something.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Total {
    /// Departures that raised an alert.
    pub(crate) alerts: u64,
    /// Flights that ended in a diversion.
    pub(crate) diversions: u64,
    /// Flights that ended.
    pub(crate) flights: u64,
    pub(crate) inherited: u64,
    /// Of the arrivals that were late and tell it.
    pub(crate) late_arrival: u64,
    pub(crate) late_departure: u64,
    /// In the air, of the flights that tell it.
    pub(crate) minutes: u64,
    /// Flights that ended and do not tell their minutes.
    pub(crate) untimed: u64,
}

/// Sent when a departure is too late.
#[derive(Debug, Serialize)]
pub(crate) struct Alert<'a> {
    pub(crate) tailnum: &'a str,
    pub(crate) time: &'a str,
    #[serde(flatten)]
    pub(crate) flight: &'a Flight,
    pub(crate) dep_delay: i32,
    pub(crate) threshold: u32,
    pub(crate) cause: Cause,
    pub(crate) inherited: Option<u32>,
    /// The rest of the delay.
    pub(crate) own: Option<u32>,
    pub(crate) previous: Option<&'a Previous>,
}

/// Sent when a flight has ended.
#[derive(Debug, Serialize)]
pub(crate) struct Summary<'a> {
    pub(crate) tailnum: &'a str,
    /// When it ended.
    pub(crate) time: &'a str,
    #[serde(flatten)]
    pub(crate) flight: &'a Flight,
    pub(crate) outcome: Outcome,
    pub(crate) dep_delay: i32,
    pub(crate) inherited: Option<u32>,
    pub(crate) arr_delay: Option<i32>,
    pub(crate) air_time: Option<u32>,
    pub(crate) total: &'a Total,
}

/// How a flight ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Outcome {
    Arrival,
    Diversion,
}

/// Where most of a departure's delay came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Cause {
    /// At least half of it was inherited.
    LateAircraft,
    /// Less than half was.
    Other,
    /// How late the previous flight arrived is not known.
    Unknown,
}

impl Cause {
    pub(crate) fn of(late: u32, inherited: Option<u32>) -> Self {
        match inherited {
            None => Self::Unknown,
            Some(inherited) if inherited >= late.div_ceil(2) => Self::LateAircraft,
            Some(_) => Self::Other,
        }
    }
}

/// How many of a departure's minutes late may have come from the late arrival of the flight before it; none if nobody knows.
pub(crate) fn inherited(late: u32, previous: Option<&Previous>) -> Option<u32> {
    if late == 0 {
        return Some(0);
    }
    let arr_delay = previous?.arr_delay?;
    Some(late.min(minutes_late(arr_delay)))
}

/// A delay without its early side.
pub(crate) fn minutes_late(delay: i32) -> u32 {
    u32::try_from(delay).unwrap_or(0)
}
