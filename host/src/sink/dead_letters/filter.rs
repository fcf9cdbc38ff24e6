//! Which dead letters a query means, checked. What the broker can find by itself (pipeline, reason) becomes a subject; the rest is compared with headers.
//! Pure.

use crate::control::{DeadLetterQuery, DeadLetterRow, Fault};
use seriatim_sequencer::DeadReason;

/// Dead letters in a page when the query does not say.
pub(super) const PAGE: usize = 100;
/// Dead letters in a page at most.
pub(super) const PAGE_MAX: usize = 1_000;
/// The last millisecond that RFC 3339 can write.
const TIME_MAX: u64 = 253_402_300_799_999;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Filter {
    /// What the broker filters by.
    pub(super) subject: String,
    entity: Option<String>,
    handler: Option<String>,
    /// Written at or after this time, ms.
    pub(super) since: Option<u64>,
    /// Written before this time, ms.
    pub(super) until: Option<u64>,
    /// First stream sequence.
    pub(super) from: u64,
}

impl Filter {
    /// What the query means, or what is wrong with it.
    pub(super) fn new(query: &DeadLetterQuery) -> Result<Self, Fault> {
        if let Some(name) = query.pipeline.as_deref().filter(|name| !is_name(name)) {
            return Err(Fault::Bad(format!(
                "{name:?} is no name of a pipeline: it begins with a letter from a to z and has at most 32 of a-z, 0-9 and \"-\""
            )));
        }
        if let Some(reason) = query.reason.as_deref()
            && !DeadReason::ALL.iter().any(|known| known.name() == reason)
        {
            let known: Vec<&str> = DeadReason::ALL.iter().map(|known| known.name()).collect();
            return Err(Fault::Bad(format!("{reason:?} is no reason of a dead letter: use one of {}", known.join(", "))));
        }
        for (name, time) in [("since", query.since), ("until", query.until)] {
            if time.is_some_and(|time| time > TIME_MAX) {
                return Err(Fault::Bad(format!("{name} lies after the year 9999: it is in milliseconds since 1970")));
            }
        }
        let token = |value: &Option<String>| value.clone().unwrap_or_else(|| "*".to_owned());
        Ok(Self {
            subject: format!("seriatim.dead.{}.{}", token(&query.pipeline), token(&query.reason)),
            entity: query.entity.as_deref().map(|entity| entity.trim().to_owned()),
            handler: query.handler.clone(),
            since: query.since,
            until: query.until,
            from: query.from.max(1),
        })
    }

    /// Whether the subject alone tells what matches (times apart, which are ends of the reading).
    pub(super) fn by_subject_alone(&self) -> bool {
        self.entity.is_none() && self.handler.is_none()
    }

    /// Whether one under the subject matches the rest. Blanks at the ends of an entity's name do not survive in a header.
    pub(super) fn matches(&self, row: &DeadLetterRow) -> bool {
        self.since.is_none_or(|since| row.time >= since)
            && !self.over(row.time)
            && self.entity.as_deref().is_none_or(|entity| row.entity.as_deref().is_some_and(|found| found.trim() == entity))
            && self.handler.as_deref().is_none_or(|handler| row.handler.as_deref() == Some(handler))
    }

    /// Written too late: from here on nothing matches.
    pub(super) fn over(&self, time: u64) -> bool {
        self.until.is_some_and(|until| time >= until)
    }
}

/// How many dead letters a page holds.
pub(super) fn page_size(limit: usize) -> usize {
    if limit == 0 { PAGE } else { limit.min(PAGE_MAX) }
}

fn is_name(name: &str) -> bool {
    name.len() <= 32
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pipeline_and_reason_are_the_brokers_to_find() {
        let subject = |pipeline: Option<&str>, reason: Option<&str>| {
            let query =
                DeadLetterQuery { pipeline: pipeline.map(str::to_owned), reason: reason.map(str::to_owned), ..DeadLetterQuery::default() };
            Filter::new(&query).map(|filter| filter.subject)
        };
        assert_eq!(subject(None, None).as_deref(), Ok("seriatim.dead.*.*"));
        assert_eq!(subject(Some("flights"), None).as_deref(), Ok("seriatim.dead.flights.*"));
        assert_eq!(subject(None, Some("late")).as_deref(), Ok("seriatim.dead.*.late"));
        for name in ["", "*", ">", "a.b", "a b", "Flights", "1a", "-a", "✈", &"a".repeat(33)] {
            assert!(matches!(subject(Some(name), None), Err(Fault::Bad(text)) if text.contains("no name of a pipeline")), "{name}");
        }
        for reason in ["", "*", ">", "Late", "late.>"] {
            assert!(matches!(subject(None, Some(reason)), Err(Fault::Bad(text)) if text.contains("malformed, gap, late")), "{reason}");
        }
    }

    #[test]
    fn times_past_the_calendar_and_sizes_past_the_bound_are_caught() {
        let query = DeadLetterQuery { since: Some(TIME_MAX + 1), ..DeadLetterQuery::default() };
        assert!(matches!(Filter::new(&query), Err(Fault::Bad(text)) if text.starts_with("since lies after")));
        assert_eq!([0, 1, 1_000, 1_001].map(page_size), [100, 1, 1_000, 1_000]);
    }
}
