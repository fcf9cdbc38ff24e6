//! From a TOML value to its type, within the bounds that the table of keys gives. Each parser notes what is wrong and goes on.

use super::document::{Reading, Section};
use super::keys::{Kind, duration_text, size_text, words_text};
use super::problem::At;
use super::types::Start;
use super::values;
use crate::source::sources::Source;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use toml::Spanned;
use toml::de::DeValue;

type Value<'v> = Spanned<DeValue<'v>>;

impl Section<'_, '_> {
    pub(super) fn count(&self, key: &str) -> Option<usize> {
        self.read(key, integer).map(|at| to_usize(at.value))
    }

    pub(super) fn bytes(&self, key: &str) -> Option<usize> {
        self.read(key, size).map(|at| to_usize(at.value))
    }

    pub(super) fn duration(&self, key: &str) -> Option<Duration> {
        self.read(key, duration).map(|at| at.value)
    }

    pub(super) fn flag(&self, key: &str) -> Option<bool> {
        self.read(key, |value, reading| value.get_ref().as_bool().or_else(|| reading.mismatch(value))).map(|at| at.value)
    }

    pub(super) fn file(&self, key: &str, folder: &Path) -> Option<At<PathBuf>> {
        self.read(key, |value, reading| text(value, reading).map(|text| folder.join(text)))
    }

    pub(super) fn word<T: Copy>(&self, key: &str, words: &[(&str, T)]) -> Option<T> {
        let parsed = self.read(key, |value, reading| {
            let Some(text) = value.get_ref().as_str() else {
                return reading.mismatch(value);
            };
            let Kind::Word { now, later } = reading.doc.kind else { return None };
            if let Some((_, meaning)) = words.iter().find(|(word, _)| *word == text) {
                return Some(*meaning);
            }
            let allowed = words_text(now);
            let what = if later.contains(&text) { "not in this release" } else { "unknown value" };
            reading.fault(value.span(), format!("{what}; allowed: {allowed}"))
        });
        parsed.map(|at| at.value)
    }
}

pub(super) fn to_usize(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

pub(super) fn text(value: &Value<'_>, reading: &mut Reading<'_, '_>) -> Option<String> {
    match value.get_ref().as_str() {
        Some("") => reading.fault(value.span(), "is empty"),
        Some(text) => Some(text.to_owned()),
        None => reading.mismatch(value),
    }
}

pub(super) fn checked_text(check: fn(&str) -> Result<(), String>) -> impl Fn(&Value<'_>, &mut Reading<'_, '_>) -> Option<String> {
    move |value, reading| {
        let Some(text) = value.get_ref().as_str() else {
            return reading.mismatch(value);
        };
        match check(text) {
            Ok(()) => Some(text.to_owned()),
            Err(message) => reading.fault(value.span(), message),
        }
    }
}

fn number(value: &Value<'_>) -> Option<u64> {
    let integer = value.get_ref().as_integer()?;
    u64::from_str_radix(integer.as_str(), integer.radix()).ok()
}

pub(super) fn integer(value: &Value<'_>, reading: &mut Reading<'_, '_>) -> Option<u64> {
    let (Kind::Integer(min, max) | Kind::IntegerOr(_, min, max)) = reading.doc.kind else {
        return None;
    };
    if !value.get_ref().is_integer() {
        return reading.mismatch(value);
    }
    match number(value).filter(|number| (min..=max).contains(number)) {
        Some(number) => Some(number),
        None => reading.fault(value.span(), format!("out of bounds; allowed: {}", reading.doc.kind)),
    }
}

/// `Some(None)` is the word.
pub(super) fn integer_or(value: &Value<'_>, reading: &mut Reading<'_, '_>) -> Option<Option<u64>> {
    match (reading.doc.kind, value.get_ref().as_str()) {
        (Kind::IntegerOr(word, ..), Some(text)) if text == word => Some(None),
        (kind, Some(_)) => reading.fault(value.span(), format!("unknown value; allowed: {kind}")),
        (_, None) => integer(value, reading).map(Some),
    }
}

pub(super) fn duration(value: &Value<'_>, reading: &mut Reading<'_, '_>) -> Option<Duration> {
    let (Kind::Duration(min, max) | Kind::DurationOr(_, min, max) | Kind::Durations(_, min, max)) = reading.doc.kind else {
        return None;
    };
    let Some(text) = value.get_ref().as_str() else {
        return match value.get_ref() {
            DeValue::Integer(_) | DeValue::Float(_) => reading.fault(value.span(), "a duration needs its unit, such as \"30s\""),
            _ => reading.mismatch(value),
        };
    };
    let Some(duration) = values::duration(text) else {
        return reading.fault(value.span(), "not a duration in whole milliseconds, such as \"30s\", \"100ms\" or \"1m 30s\"");
    };
    if duration < Duration::from_millis(min) || duration > Duration::from_millis(max) {
        return reading.fault(value.span(), format!("out of bounds; allowed: \"{}\" to \"{}\"", duration_text(min), duration_text(max)));
    }
    Some(duration)
}

/// `Some(None)` is the word.
pub(super) fn duration_or(value: &Value<'_>, reading: &mut Reading<'_, '_>) -> Option<Option<Duration>> {
    match (reading.doc.kind, value.get_ref().as_str()) {
        (Kind::DurationOr(word, ..), Some(text)) if text == word => Some(None),
        _ => duration(value, reading).map(Some),
    }
}

pub(super) fn durations(value: &Value<'_>, reading: &mut Reading<'_, '_>) -> Option<Vec<Duration>> {
    let Kind::Durations(count, ..) = reading.doc.kind else {
        return None;
    };
    let Some(list) = value.get_ref().as_array() else {
        return reading.mismatch(value);
    };
    if list.len() > count {
        return reading.fault(value.span(), format!("{} delays; at most {count} are allowed", list.len()));
    }
    Some(list.iter().filter_map(|element| duration(element, reading)).collect())
}

pub(super) fn size(value: &Value<'_>, reading: &mut Reading<'_, '_>) -> Option<u64> {
    let Kind::Size(min, max) = reading.doc.kind else { return None };
    let bytes = match value.get_ref() {
        DeValue::String(text) => values::size(text),
        DeValue::Integer(_) => return reading.fault(value.span(), "a size needs its unit, such as \"16MiB\""),
        _ => return reading.mismatch(value),
    };
    match bytes {
        Some(bytes) if (min..=max).contains(&bytes) => Some(bytes),
        Some(_) => reading.fault(value.span(), format!("out of bounds; allowed: \"{}\" to \"{}\"", size_text(min), size_text(max))),
        None => reading.fault(value.span(), "not a size, such as \"16MiB\" or \"10GB\""),
    }
}

pub(super) fn address(value: &Value<'_>, reading: &mut Reading<'_, '_>) -> Option<SocketAddr> {
    let Some(text) = value.get_ref().as_str() else {
        return reading.mismatch(value);
    };
    text.parse().ok().or_else(|| reading.fault(value.span(), format!("not {}", reading.doc.kind)))
}

pub(super) fn servers(value: &Value<'_>, reading: &mut Reading<'_, '_>) -> Option<Vec<At<String>>> {
    match value.get_ref().as_array() {
        Some(list) if list.is_empty() => reading.fault(value.span(), "is empty; at least one server is needed"),
        _ => patterns(values::server)(value, reading),
    }
}

/// A list of texts, each checked.
pub(super) fn patterns(check: fn(&str) -> Result<(), String>) -> impl Fn(&Value<'_>, &mut Reading<'_, '_>) -> Option<Vec<At<String>>> {
    const MAX: usize = 1_000;
    move |value, reading| {
        let Some(list) = value.get_ref().as_array() else {
            return reading.mismatch(value);
        };
        if list.len() > MAX {
            return reading.fault(value.span(), format!("{} entries; at most {MAX} are allowed", list.len()));
        }
        if list.is_empty() && matches!(reading.doc.kind, Kind::Subjects(true)) {
            return reading.fault(value.span(), "is empty; at least one is needed");
        }
        let mut texts = Vec::new();
        for element in list.iter() {
            if let Some(text) = checked_text(check)(element, reading) {
                texts.push(reading.at(element.span(), text));
            }
        }
        Some(texts)
    }
}

pub(super) fn source(value: &Value<'_>, reading: &mut Reading<'_, '_>) -> Option<Source> {
    let Kind::Source { later, .. } = reading.doc.kind else {
        return None;
    };
    let Some(text) = value.get_ref().as_str() else {
        return reading.mismatch(value);
    };
    let allowed = reading.doc.kind;
    match values::source(text) {
        Some(Ok(source)) => Some(source),
        Some(Err(message)) => reading.fault(value.span(), message),
        None if later == Some(text) => reading.fault(value.span(), format!("not in this release; allowed: {allowed}")),
        None => reading.fault(value.span(), format!("unknown value; allowed: {allowed}")),
    }
}

pub(super) fn start(value: &Value<'_>, reading: &mut Reading<'_, '_>) -> Option<Start> {
    match value.get_ref() {
        DeValue::String(text) if text == "first" => Some(Start::First),
        DeValue::String(text) if text == "new" => Some(Start::New),
        DeValue::Table(table) if table.len() == 1 => {
            let (key, inner) = table.iter().next()?;
            match (&**key.get_ref(), inner.get_ref()) {
                ("sequence", _) => match number(inner).filter(|number| *number > 0) {
                    Some(number) => Some(Start::Sequence(number)),
                    None => reading.fault(inner.span(), "not a stream sequence: a whole number from 1"),
                },
                ("time", DeValue::String(text)) => start_time(text, inner, reading),
                ("time", DeValue::Datetime(time)) => start_time(&time.to_string(), inner, reading),
                _ => reading.fault(value.span(), format!("unknown value; allowed: {}", reading.doc.kind)),
            }
        }
        _ => reading.fault(value.span(), format!("unknown value; allowed: {}", reading.doc.kind)),
    }
}

fn start_time(text: &str, value: &Value<'_>, reading: &mut Reading<'_, '_>) -> Option<Start> {
    match time::OffsetDateTime::parse(text, &time::format_description::well_known::Rfc3339) {
        Ok(time) => Some(Start::Time(time)),
        Err(_) => reading.fault(value.span(), "not a time with its offset, such as \"2013-01-01T00:00:00Z\""),
    }
}

pub(super) fn texts(value: &Value<'_>, reading: &mut Reading<'_, '_>) -> Option<BTreeMap<String, String>> {
    let Some(table) = value.get_ref().as_table() else {
        return reading.mismatch(value);
    };
    let mut texts = BTreeMap::new();
    for (key, value) in table.iter() {
        match value.get_ref().as_str() {
            Some(text) => drop(texts.insert(key.get_ref().to_string(), text.to_owned())),
            None => drop(reading.fault::<()>(value.span(), format!("{} is not a text; write it in quotes", key.get_ref()))),
        }
    }
    Some(texts)
}
