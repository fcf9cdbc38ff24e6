//! The true order: within an aircraft by flight, over all aircraft by time.

use std::collections::BTreeMap;

use time::OffsetDateTime;

use crate::flight::Flight;
use crate::{Error, Event, Kind, Problem};

/// The flights' events, ordered by time; at the same time by aircraft and sequence.
pub(crate) fn events(file: &str, mut flights: Vec<Flight>) -> Result<Vec<Event>, Error> {
    flights.sort_by(|a, b| (&a.tailnum, a.departure, a.scheduled, a.line).cmp(&(&b.tailnum, b.departure, b.scheduled, b.line)));
    let mut events = Vec::with_capacity(flights.len() * 2);
    for flights in flights.chunk_by(|a, b| a.tailnum == b.tailnum) {
        aircraft(file, flights, &mut events)?;
    }
    events.sort_by(|a, b| (a.time, &a.tailnum, a.sequence).cmp(&(b.time, &b.tailnum, b.sequence)));
    Ok(events)
}

/// Appends the events of one aircraft, whose flights stand in their order. A flight that the data lets begin before the one before it ended
/// begins when that ended.
fn aircraft(file: &str, flights: &[Flight], events: &mut Vec<Event>) -> Result<(), Error> {
    let mut lines = BTreeMap::new();
    let mut sequence = 0;
    let mut now: Option<OffsetDateTime> = None;
    for flight in flights {
        let Flight { carrier, number, origin, .. } = flight;
        let name = format!("{carrier}{number}-{}-{origin}", flight.scheduled.date());
        if let Some(line) = lines.insert(name.clone(), flight.line) {
            let problem = Problem::Twice { flight: name, line };
            return Err(Error::Field { file: file.to_owned(), line: flight.line, column: "flight", problem });
        }
        let (end, ended) = match &flight.arrival {
            Some(arrival) => (Kind::Arrival { arr_delay: arrival.arr_delay, air_time: arrival.air_time }, "arr"),
            None => (Kind::Diversion, "div"),
        };
        let departure = Kind::Departure { dep_delay: flight.dep_delay };
        for (kind, time, suffix) in [(departure, flight.departure, "dep"), (end, flight.end, ended)] {
            sequence += 1;
            let time = now.map_or(time, |now| now.max(time));
            now = Some(time);
            events.push(Event {
                tailnum: flight.tailnum.clone(),
                sequence,
                kind,
                id: format!("{name}-{suffix}"),
                time,
                carrier: carrier.clone(),
                flight: *number,
                origin: origin.clone(),
                dest: flight.dest.clone(),
            });
        }
    }
    Ok(())
}
