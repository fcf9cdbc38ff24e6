//! The plain computation: what `echo` and `rotation` have to send if every aircraft's events are handled once and in order. Written from the
//! README of `plugins/rotation`; it shares no code with the host, the SDK or the handlers, and knows nothing of streams.

use anyhow::{Context as _, Result, ensure};
use rotation_events::{Event, Kind};
use serde::Serialize;
use seriatim_tests::checker::token;
use std::collections::BTreeMap;
use std::fmt;
use time::format_description::well_known::Rfc3339;

use crate::verdict::Wanted;

/// One output as it has to be in its stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Output {
    /// Where it was sent.
    pub(crate) subject: String,
    /// The handler's own headers, by name: their order in a message means nothing.
    pub(crate) headers: BTreeMap<String, Vec<String>>,
    /// Byte for byte.
    pub(crate) payload: Vec<u8>,
    /// The handler that sent it.
    pub(crate) handler: String,
    /// The sequence of the event that caused it; none if the message does not say.
    pub(crate) cause: Option<u64>,
}

/// Everything that comes of the month.
#[derive(Debug, Default)]
pub(crate) struct Month {
    /// Outputs of `echo`.
    pub(crate) echo: Wanted,
    /// Outputs of `rotation`; every aircraft is there, also one without any.
    pub(crate) rotation: Wanted,
    /// For each aircraft how many events it has.
    pub(crate) sequences: BTreeMap<String, u64>,
    /// What a person may want to know.
    pub(crate) figures: Figures,
}

/// Counts over the whole month.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Figures {
    pub(crate) departures: u64,
    pub(crate) arrivals: u64,
    pub(crate) diversions: u64,
    /// Alerts by their cause.
    pub(crate) alerts: BTreeMap<&'static str, u64>,
    /// The aircraft that left late by the most minutes in all, and those minutes.
    pub(crate) most_delayed: (String, u64),
    /// The one departure that was the latest: minutes, and which flight it was.
    pub(crate) latest: (u64, String),
}

impl Month {
    /// Handles all events, which stand in true order, one after the other.
    ///
    /// # Errors
    /// An aircraft's events are not numbered 1, 2, 3, …, a flight ends that has not begun, or an event cannot be written down.
    pub(crate) fn compute(events: &[Event], threshold: i32) -> Result<Self> {
        let mut month = Self::default();
        let mut fleet: BTreeMap<&str, Aircraft> = BTreeMap::new();
        for event in events {
            let name = event.tailnum.as_str();
            let sequence = month.sequences.entry(name.to_owned()).or_default();
            *sequence += 1;
            ensure!(event.sequence == *sequence, "{name}: event {} stands where {sequence} belongs", event.sequence);
            let echo = echo(event)?;
            month.echo.entry(name.to_owned()).or_default().push(echo);
            let sent = fleet.entry(name).or_default().handle(event, threshold, &mut month.figures)?;
            month.rotation.entry(name.to_owned()).or_default().extend(sent);
        }
        let most = fleet.iter().max_by_key(|(_, aircraft)| aircraft.total.late_departure);
        month.figures.most_delayed = most.map(|(name, aircraft)| ((*name).to_owned(), aircraft.total.late_departure)).unwrap_or_default();
        Ok(month)
    }

    /// How many events there are.
    pub(crate) fn events(&self) -> u64 {
        self.sequences.values().sum()
    }

    /// How many aircraft there are.
    pub(crate) fn aircraft(&self) -> u64 {
        self.sequences.len() as u64
    }

    /// How many outputs there are, of both handlers.
    pub(crate) fn outputs(&self) -> u64 {
        count(&self.echo) + count(&self.rotation)
    }
}

/// How many outputs these are.
pub(crate) fn count(wanted: &Wanted) -> u64 {
    wanted.values().map(|outputs| outputs.len() as u64).sum()
}

fn echo(event: &Event) -> Result<Output> {
    let number = event.sequence.to_string();
    let headers = [("Echo-Sequence", &number), ("Echo-Count", &number)];
    Ok(Output {
        subject: format!("echo.{}", token(&event.tailnum)),
        headers: headers.into_iter().map(|(name, value)| (name.to_owned(), vec![value.clone()])).collect(),
        payload: event.payload()?,
        handler: "echo".to_owned(),
        cause: Some(event.sequence),
    })
}

/// One aircraft, as the README's rules have it.
#[derive(Default)]
struct Aircraft {
    /// The departure that has no end yet: its delay, and the inherited part.
    airborne: Option<(i32, Option<u64>)>,
    previous: Option<Previous>,
    total: Total,
}

/// The fields of all JSON objects stand in ascending order, as the README wants them.
#[derive(Clone, Serialize)]
struct Previous {
    arr_delay: Option<i32>,
    carrier: String,
    dest: String,
    flight: u32,
    origin: String,
    time: String,
}

#[derive(Clone, Copy, Default, Serialize)]
struct Total {
    alerts: u64,
    diversions: u64,
    flights: u64,
    inherited: u64,
    late_arrival: u64,
    late_departure: u64,
    minutes: u64,
    untimed: u64,
}

#[derive(Serialize)]
struct Alert<'a> {
    carrier: &'a str,
    cause: &'a str,
    dep_delay: i32,
    dest: &'a str,
    flight: u32,
    inherited: Option<u64>,
    origin: &'a str,
    own: Option<u64>,
    previous: &'a Option<Previous>,
    tailnum: &'a str,
    threshold: i32,
    time: String,
}

#[derive(Serialize)]
struct Summary<'a> {
    air_time: Option<u32>,
    arr_delay: Option<i32>,
    carrier: &'a str,
    dep_delay: i32,
    dest: &'a str,
    flight: u32,
    inherited: Option<u64>,
    origin: &'a str,
    outcome: &'a str,
    tailnum: &'a str,
    time: String,
    total: Total,
}

impl Aircraft {
    fn handle(&mut self, event: &Event, threshold: i32, figures: &mut Figures) -> Result<Option<Output>> {
        match event.kind {
            Kind::Departure { dep_delay } => self.departs(event, dep_delay, threshold, figures),
            Kind::Arrival { arr_delay, air_time } => {
                figures.arrivals += 1;
                self.ends(event, "arrival", arr_delay, air_time).map(Some)
            }
            Kind::Diversion => {
                figures.diversions += 1;
                self.total.diversions += 1;
                self.ends(event, "diversion", None, None).map(Some)
            }
        }
    }

    fn departs(&mut self, event: &Event, dep_delay: i32, threshold: i32, figures: &mut Figures) -> Result<Option<Output>> {
        ensure!(self.airborne.is_none(), "{}: departure {} in mid-air", event.tailnum, event.id);
        figures.departures += 1;
        let late = minutes(dep_delay);
        let brought = self.previous.as_ref().and_then(|previous| previous.arr_delay).map(minutes);
        let inherited = if late == 0 { Some(0) } else { brought.map(|brought| brought.min(late)) };
        self.airborne = Some((dep_delay, inherited));
        self.total.late_departure += late;
        self.total.inherited += inherited.unwrap_or(0);
        if late > figures.latest.0 {
            let Event { carrier, flight, origin, dest, tailnum, .. } = event;
            figures.latest = (late, format!("{carrier}{flight} from {origin} to {dest} with {tailnum}, on {}", day(event)));
        }
        if dep_delay <= threshold {
            return Ok(None);
        }
        self.total.alerts += 1;
        let cause = match inherited {
            None => "unknown",
            Some(inherited) if inherited * 2 >= late => "late-aircraft",
            Some(_) => "other",
        };
        *figures.alerts.entry(cause).or_default() += 1;
        let Event { carrier, flight, origin, dest, tailnum, .. } = event;
        let alert = Alert {
            carrier,
            cause,
            dep_delay,
            dest,
            flight: *flight,
            inherited,
            origin,
            own: inherited.map(|inherited| late - inherited),
            previous: &self.previous,
            tailnum,
            threshold,
            time: clock(event)?,
        };
        rotation("alert", event, &alert).map(Some)
    }

    fn ends(&mut self, event: &Event, outcome: &str, arr_delay: Option<i32>, air_time: Option<u32>) -> Result<Output> {
        let departure = self.airborne.take();
        let (dep_delay, inherited) = departure.with_context(|| format!("{}: {} on the ground", event.tailnum, event.id))?;
        self.total.flights += 1;
        self.total.late_arrival += arr_delay.map_or(0, minutes);
        match air_time {
            Some(air_time) => self.total.minutes += u64::from(air_time),
            None => self.total.untimed += 1,
        }
        let Event { carrier, flight, origin, dest, tailnum, .. } = event;
        let (flight, total, time) = (*flight, self.total, clock(event)?);
        let (carrier, origin, dest) = (carrier.clone(), origin.clone(), dest.clone());
        let previous = Previous { arr_delay, carrier, dest, flight, origin, time: time.clone() };
        let Previous { carrier, dest, origin, .. } = &previous;
        let summary = Summary { air_time, arr_delay, carrier, dep_delay, dest, flight, inherited, origin, outcome, tailnum, time, total };
        let output = rotation("summary", event, &summary)?;
        self.previous = Some(previous);
        Ok(output)
    }
}

fn rotation(what: &str, event: &Event, content: &impl Serialize) -> Result<Output> {
    Ok(Output {
        subject: format!("rotation.{what}.{}", token(&event.tailnum)),
        headers: BTreeMap::new(),
        payload: serde_json::to_vec(content).with_context(|| format!("the {what} of {}", event.id))?,
        handler: "rotation".to_owned(),
        cause: Some(event.sequence),
    })
}

/// Minutes late: early is not late.
fn minutes(delay: i32) -> u64 {
    u64::try_from(delay).unwrap_or(0)
}

fn clock(event: &Event) -> Result<String> {
    event.time.format(&Rfc3339).with_context(|| format!("the time of {}", event.id))
}

fn day(event: &Event) -> String {
    format!("{} {}", event.time.day(), event.time.month())
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { subject, headers, payload, cause, .. } = self;
        write!(f, "{subject} ")?;
        if !headers.is_empty() {
            let headers: Vec<_> = headers.iter().map(|(name, values)| format!("{name}: {}", values.join(", "))).collect();
            write!(f, "[{}] ", headers.join(", "))?;
        }
        match cause {
            Some(cause) => write!(f, "caused by event {cause}: ")?,
            None => f.write_str("of unknown cause: ")?,
        }
        f.write_str(&String::from_utf8_lossy(payload))
    }
}

#[cfg(test)]
mod tests;
