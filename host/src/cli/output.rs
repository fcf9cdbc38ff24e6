//! How answers are printed: tables, times, places. What came from outside is cut to one line without control characters: a terminal obeys them.

use crate::control::{Alarm, Place};
use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Longest text of a table's cell, characters.
const CELL_MAX: usize = 200;

/// Pretty JSON.
pub(super) fn json<T: Serialize>(value: &T) -> Result<String, super::door::Failure> {
    serde_json::to_string_pretty(value)
        .map_err(|error| super::door::Failure::Failed(format!("the answer cannot be written as JSON: {error}")))
}

/// A table with a row of titles; without them where there are none.
pub(super) fn table(titles: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    if !titles.is_empty() {
        table.set_header(titles.iter().copied());
    }
    for row in rows {
        table.add_row(row.iter().map(|cell| line(cell, CELL_MAX)));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let text = table.to_string();
    let lines: Vec<_> = text.lines().map(str::trim_end).collect();
    lines.join("\n")
}

/// In one line, at most so many characters.
pub(super) fn line(text: &str, characters_max: usize) -> String {
    let mut short: String = text.chars().take(characters_max).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().nth(characters_max).is_some() {
        short.push('…');
    }
    short
}

/// In as many lines as it has, without other control characters.
pub(super) fn lines(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { ' ' } else { c }).collect()
}

/// A place as a person says it.
pub(super) fn place(place: &Place) -> String {
    if place.epoch == 0 { place.sequence.to_string() } else { format!("{} of epoch {}", place.sequence, place.epoch) }
}

/// The same, or `-`.
pub(super) fn some_place(it: Option<&Place>) -> String {
    it.map_or("-".to_owned(), place)
}

/// Milliseconds since 1970 as RFC 3339.
pub(super) fn at(millis: u64) -> String {
    let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(millis) * 1_000_000).ok();
    time.and_then(|time| time.format(&Rfc3339).ok()).unwrap_or_else(|| format!("{millis} ms"))
}

/// How long ago, to the second.
pub(super) fn ago(millis: u64, now: u64) -> String {
    humantime::format_duration(Duration::from_secs(now.saturating_sub(millis) / 1_000)).to_string()
}

/// When something goes on by itself.
pub(super) fn alarm(alarm: Option<&Alarm>) -> String {
    match alarm {
        None => "-".to_owned(),
        Some(Alarm::Host(time)) => at(*time),
        Some(Alarm::Stream(time)) => format!("{} of stream time", at(*time)),
    }
}

/// Milliseconds since 1970.
pub(super) fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}

/// `5m`, `2h`, `30d`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|error| format!("{error}; a duration is such as 5m, 2h or 30d"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_from_outside_moves_the_cursor() {
        let text = table(&["a", "b"], [vec!["x\u{1b}[2J".to_owned(), "y\nz".to_owned()], vec!["long".repeat(100), String::new()]]);
        assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text:?}");
        assert_eq!(text.lines().count(), 3, "{text}");
        assert!(text.lines().all(|line| line.chars().count() < 250), "{text}");
        assert_eq!(lines("a\n\u{7}b"), "a\n b");
    }

    #[test]
    fn times_and_places_are_for_people() {
        assert_eq!(at(1_357_000_000_500), "2013-01-01T00:26:40.5Z");
        assert_eq!(ago(0, 90_061_000), "1day 1h 1m 1s");
        assert_eq!(place(&Place { epoch: 0, sequence: 41 }), "41");
        assert_eq!(place(&Place { epoch: 2, sequence: 1 }), "1 of epoch 2");
        assert_eq!(duration("2h").unwrap(), Duration::from_secs(7_200));
        assert!(duration("soon").unwrap_err().contains("such as 5m"));
    }
}
