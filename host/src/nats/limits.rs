//! What a stream's limits will take next: how full it is, how old its messages may get. Asked of the leader; what follows from it is pure.

use super::api::{self, ApiError};
use super::identity::{Discard, parse_millis};
use async_nats::Client;
use serde::Deserialize;

/// A stream and its limits, on its leader's word. A limit of 0 is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Sequence of the first message it still has (one above the last when empty).
    pub first_sequence: u64,
    /// Highest sequence ever given.
    pub last_sequence: u64,
    /// Messages it has.
    pub messages: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Messages it may have.
    pub messages_max: u64,
    /// Bytes it may have.
    pub bytes_max: u64,
    /// Age at which messages leave, ms.
    pub age_max_ms: u64,
    /// A full stream takes the new message and removes its oldest (instead of refusing the new one).
    pub removes_oldest: bool,
    /// The leader's clock when it answered, ms since the Unix epoch.
    pub now_ms: u64,
}

impl Limits {
    /// Whether anything leaves this stream by itself. What a limit of messages per subject removes is not foreseen: it depends on the subject.
    #[must_use]
    pub fn take_anything(&self) -> bool {
        self.age_max_ms > 0 || (self.removes_oldest && (self.messages_max > 0 || self.bytes_max > 0))
    }

    /// Share (0 to 1) of the tightest limit that is left until it removes the message at `sequence`, which has this timestamp.
    #[must_use]
    pub fn left(&self, sequence: u64, time_ms: u64) -> f64 {
        let before = sequence.saturating_sub(self.first_sequence).min(self.messages);
        let by_age = (self.age_max_ms > 0).then(|| {
            let age = self.now_ms.saturating_sub(time_ms);
            ratio(self.age_max_ms.saturating_sub(age), self.age_max_ms)
        });
        let by_room = self.rooms().map(|(used, max, of_one)| ratio(max.saturating_sub(used), max) + ratio(before, max) * of_one);
        by_room.chain(by_age).fold(1.0, f64::min)
    }

    /// Below this stream sequence, what the stream has goes before `percent` of a limit on its size is used up by new messages.
    #[must_use]
    pub fn near_by_room(&self, percent: u64) -> u64 {
        let near = self.rooms().map(|(used, max, of_one)| {
            let margin = ratio(percent.min(100), 100) - ratio(max.saturating_sub(used), max);
            if margin <= 0.0 || of_one <= 0.0 { 0 } else { whole(margin / of_one * float(max)) }
        });
        near.max().filter(|messages| *messages > 0).map_or(0, |messages| self.first_sequence.saturating_add(messages.min(self.messages)))
    }

    /// Messages older than this have less than `percent` of their age left, milliseconds since the Unix epoch; `None` without such a limit.
    #[must_use]
    pub fn near_by_age(&self, percent: u64) -> Option<u64> {
        let used = u128::from(self.age_max_ms) * u128::from(100 - percent.min(100)) / 100;
        (self.age_max_ms > 0).then(|| self.now_ms.saturating_sub(u64::try_from(used).unwrap_or(u64::MAX)))
    }

    /// For each limit on its size: what is used, the limit, and how much one message takes on average.
    fn rooms(&self) -> impl Iterator<Item = (u64, u64, f64)> {
        let average = if self.messages == 0 { 0.0 } else { ratio(self.bytes, self.messages) };
        let rooms = [(self.messages, self.messages_max, 1.0), (self.bytes, self.bytes_max, average)];
        rooms.into_iter().filter(|(_, max, _)| self.removes_oldest && *max > 0)
    }
}

#[expect(clippy::cast_precision_loss, reason = "a share needs no more")]
fn float(number: u64) -> f64 {
    number as f64
}

fn ratio(part: u64, whole: u64) -> f64 {
    float(part) / float(whole.max(1))
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates, and it is no less than 0")]
fn whole(number: f64) -> u64 {
    number.ceil() as u64
}

/// The limits of `stream`, from its leader.
///
/// # Errors
/// The broker does not answer, or does not know the stream.
pub async fn limits(client: &Client, stream: &str) -> Result<Limits, ApiError> {
    let request = format!("STREAM.INFO.{stream}");
    let answer: Answer = api::call(client, &request, &serde_json::json!({})).await?;
    answer.into_limits().map_err(|detail| ApiError::Answer { request, detail })
}

#[derive(Deserialize)]
struct Answer {
    config: Config,
    state: State,
    #[serde(default)]
    ts: Option<String>,
}

/// Bounds come as -1 or 0 for "none".
#[derive(Deserialize)]
struct Config {
    #[serde(default)]
    discard: Discard,
    #[serde(default)]
    max_msgs: i64,
    #[serde(default)]
    max_bytes: i64,
    #[serde(default)]
    max_age: u64,
}

#[derive(Deserialize)]
struct State {
    #[serde(default)]
    messages: u64,
    #[serde(default)]
    bytes: u64,
    #[serde(default)]
    first_seq: u64,
    #[serde(default)]
    last_seq: u64,
}

impl Answer {
    fn into_limits(self) -> Result<Limits, String> {
        let now = self.ts.ok_or("it does not tell the leader's time")?;
        Ok(Limits {
            first_sequence: self.state.first_seq,
            last_sequence: self.state.last_seq,
            messages: self.state.messages,
            bytes: self.state.bytes,
            messages_max: u64::try_from(self.config.max_msgs).unwrap_or(0),
            bytes_max: u64::try_from(self.config.max_bytes).unwrap_or(0),
            age_max_ms: self.config.max_age / 1_000_000,
            removes_oldest: self.config.discard == Discard::Old,
            now_ms: parse_millis(&now)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream() -> Limits {
        let text = r#"{"config":{"name":"FLIGHTS","discard":"old","max_msgs":1000,"max_bytes":-1,"max_age":100000000000},
            "state":{"messages":800,"bytes":80000,"first_seq":201,"last_seq":1000},"ts":"1970-01-01T00:10:00Z"}"#;
        serde_json::from_str::<Answer>(text).expect("an answer").into_limits().expect("limits")
    }

    fn near(left: f64, wanted: f64) -> bool {
        (left - wanted).abs() < 1e-9
    }

    #[test]
    fn they_are_read_from_the_leaders_answer() {
        let limits = stream();
        assert_eq!((limits.first_sequence, limits.last_sequence, limits.messages, limits.bytes), (201, 1000, 800, 80_000));
        assert_eq!((limits.messages_max, limits.bytes_max, limits.age_max_ms), (1000, 0, 100_000));
        assert_eq!((limits.removes_oldest, limits.now_ms), (true, 600_000));
    }

    #[test]
    fn the_tightest_limit_counts() {
        let limits = stream();
        // The first message goes after 200 more, and at the age of 100 s.
        assert!(near(limits.left(201, 600_000), 0.2));
        assert!(near(limits.left(301, 600_000), 0.3));
        assert!(near(limits.left(301, 510_000), 0.1));
        assert!(near(limits.left(301, 400_000), 0.0), "it should be gone already");
        let by_bytes = Limits { messages_max: 0, age_max_ms: 0, bytes_max: 100_000, ..limits };
        assert!(near(by_bytes.left(201, 0), 0.2) && near(by_bytes.left(301, 0), 0.3));
        assert_eq!((by_bytes.near_by_room(20), by_bytes.near_by_room(30)), (0, 301));
    }

    #[test]
    fn what_is_near_has_less_left_than_asked() {
        let limits = Limits { age_max_ms: 0, ..stream() };
        for percent in [1, 20, 21, 50, 100] {
            let near = limits.near_by_room(percent);
            for sequence in 201..=1000 {
                let is_near = limits.left(sequence, 0) < ratio(percent, 100) - 1e-9;
                assert_eq!(is_near, sequence < near, "{sequence} at {percent} %: {near}");
            }
        }
        assert_eq!(stream().near_by_age(10), Some(510_000));
        assert_eq!(limits.near_by_age(10), None);
    }

    #[test]
    fn a_stream_that_keeps_everything_takes_nothing() {
        let limits = Limits { age_max_ms: 0, removes_oldest: false, ..stream() };
        assert!(!limits.take_anything() && stream().take_anything());
        assert!(near(limits.left(201, 0), 1.0));
        assert_eq!(limits.near_by_room(100), 0);
        let unlimited = Limits { messages_max: 0, age_max_ms: 0, ..stream() };
        assert!(!unlimited.take_anything());
    }
}
