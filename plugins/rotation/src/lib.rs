//! Follows each aircraft from flight to flight. A departure puts it into the air and may raise an alert; an arrival or a diversion puts it on
//! the ground and gives a summary of the flight. What cannot happen in true order is rejected, so that a mistake in the order shows.
//!
//! The README fixes subjects, fields and bytes; `tests/` holds the handler to it.

mod payload;
mod records;

use serde::Serialize;
use seriatim_guest::{Event, Failure, Handler, Output, config, export, state, subject_token};

use payload::{Arrival, Common, Departure, Flight};
use records::{Airborne, Aircraft, Alert, Cause, Outcome, Previous, Summary, inherited, minutes_late};

/// The one key of the state.
const STATE: &str = "aircraft";
/// The one setting, and the most it may be: a day.
const THRESHOLD: &str = "threshold-minutes";
const THRESHOLD_MAX: u32 = 24 * 60;

/// The handler.
#[derive(Debug)]
pub struct Rotation;

impl Handler for Rotation {
    fn handle(event: Event) -> Result<(), Failure> {
        let threshold = threshold()?;
        match event.kind.as_str() {
            "departure" => departed(&event, threshold),
            "arrival" => ended(&event, Outcome::Arrival),
            "diversion" => ended(&event, Outcome::Diversion),
            other => Err(Failure::reject(format!("kind \"{other}\" is none of departure, arrival, diversion"))),
        }
    }
}

export!(Rotation);

/// How late a departure may be without an alert. A setting can be put right, so without a good one the event is tried again.
fn threshold() -> Result<u32, Failure> {
    let Some(text) = config(THRESHOLD) else {
        return Err(Failure::retry(format!(
            "config \"{THRESHOLD}\" is missing: how many minutes late a departure may be without an alert"
        )));
    };
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(minutes) if digits && minutes <= THRESHOLD_MAX => Ok(minutes),
        _ => Err(Failure::retry(format!("config \"{THRESHOLD}\" is \"{text}\": not a whole number from 0 to {THRESHOLD_MAX}"))),
    }
}

fn departed(event: &Event, threshold: u32) -> Result<(), Failure> {
    let Common { tailnum, time, flight } = common(event)?;
    let Departure { dep_delay } = event.json()?;
    let mut aircraft = aircraft()?;
    if let Some(airborne) = &aircraft.airborne {
        return Err(impossible(event, &flight, Some(airborne)));
    }
    let late = minutes_late(dep_delay);
    let inherited = inherited(late, aircraft.previous.as_ref());
    add(&mut aircraft.total.late_departure, late)?;
    add(&mut aircraft.total.inherited, inherited.unwrap_or(0))?;
    if late > threshold {
        add(&mut aircraft.total.alerts, 1)?;
        let alert = Alert {
            tailnum: &tailnum,
            time: &time,
            flight: &flight,
            dep_delay,
            threshold,
            cause: Cause::of(late, inherited),
            inherited,
            own: inherited.map(|inherited| late - inherited),
            previous: aircraft.previous.as_ref(),
        };
        emit("alert", event, &alert)?;
    }
    aircraft.airborne = Some(Airborne { flight, dep_delay, inherited });
    state::set(STATE, &aircraft)
}

fn ended(event: &Event, outcome: Outcome) -> Result<(), Failure> {
    let Common { tailnum, time, flight } = common(event)?;
    let Arrival { arr_delay, air_time } = match outcome {
        Outcome::Arrival => event.json()?,
        Outcome::Diversion => Arrival { arr_delay: None, air_time: None },
    };
    let Aircraft { airborne, mut total, .. } = aircraft()?;
    let departed = match airborne {
        Some(departed) if departed.flight == flight => departed,
        other => return Err(impossible(event, &flight, other.as_ref())),
    };
    add(&mut total.flights, 1)?;
    add(&mut total.diversions, u32::from(outcome == Outcome::Diversion))?;
    add(&mut total.late_arrival, arr_delay.map_or(0, minutes_late))?;
    add(&mut total.minutes, air_time.unwrap_or(0))?;
    add(&mut total.untimed, u32::from(air_time.is_none()))?;
    let Airborne { dep_delay, inherited, .. } = departed;
    let summary =
        Summary { tailnum: &tailnum, time: &time, flight: &flight, outcome, dep_delay, inherited, arr_delay, air_time, total: &total };
    emit("summary", event, &summary)?;
    state::set(STATE, &Aircraft { airborne: None, previous: Some(Previous { flight, time, arr_delay }), total })
}

/// What every payload has; it must be about the event's aircraft.
fn common(event: &Event) -> Result<Common, Failure> {
    let common: Common = event.json()?;
    if common.tailnum != event.entity {
        let Common { tailnum, .. } = common;
        return Err(Failure::reject(format!("the payload's tailnum is \"{tailnum}\", the entity is \"{}\"", event.entity)));
    }
    Ok(common)
}

/// The aircraft as it was left; a new one is on the ground and has flown nothing.
fn aircraft() -> Result<Aircraft, Failure> {
    Ok(state::get(STATE)?.unwrap_or_default())
}

/// The event does not fit where the aircraft is.
fn impossible(event: &Event, flight: &Flight, airborne: Option<&Airborne>) -> Failure {
    let place = airborne.map_or("on the ground".to_owned(), |airborne| format!("airborne with {}", airborne.flight));
    Failure::reject(format!("{} of {flight} while {place}: impossible in true order", event.kind))
}

fn add(total: &mut u64, amount: u32) -> Result<(), Failure> {
    *total = total.checked_add(amount.into()).ok_or_else(|| Failure::reject("a total of the aircraft would be too large"))?;
    Ok(())
}

fn emit<T: Serialize>(what: &str, event: &Event, message: &T) -> Result<(), Failure> {
    Output::to(format!("rotation.{what}.{}", subject_token(&event.entity))).json(message)?.emit();
    Ok(())
}
