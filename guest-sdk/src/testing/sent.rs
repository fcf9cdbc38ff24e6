//! What a call leaves for a test to look at: its outputs and its log lines.

use super::decoded;
use crate::log::Level;
use crate::{Codec, Header, Json};
use serde::de::DeserializeOwned;
use seriatim_contract::{Emitted, log_line};
use std::fmt;

/// One message the handler emitted. The host adds headers of its own on the way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Where to.
    pub subject: String,
    /// The handler's headers, in order.
    pub headers: Vec<Header>,
    /// The payload.
    pub payload: Vec<u8>,
}

impl Sent {
    /// The value of the first header with this name, in any case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name)).map(|header| header.value.as_str())
    }

    /// The payload as text.
    ///
    /// # Panics
    /// If it is not UTF-8.
    #[must_use]
    #[track_caller]
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.payload).unwrap_or_else(|error| panic!("output to {}: {error}", self.subject))
    }

    /// The payload as JSON.
    ///
    /// # Panics
    /// If it is not a `T`.
    #[must_use]
    #[track_caller]
    pub fn json<T: DeserializeOwned>(&self) -> T {
        self.payload_as::<Json, T>()
    }

    /// The payload in the given format.
    ///
    /// # Panics
    /// If it is not a `T`.
    #[must_use]
    #[track_caller]
    pub fn payload_as<C: Codec, T: DeserializeOwned>(&self) -> T {
        decoded::<C, T>(&format!("output to {}", self.subject), &self.payload)
    }
}

impl From<Emitted> for Sent {
    fn from(emitted: Emitted) -> Self {
        let headers = emitted.headers.into_iter().map(|header| Header { name: header.name, value: header.value }).collect();
        Self { subject: emitted.subject, headers, payload: emitted.payload.into() }
    }
}

/// One line the handler logged. Displayed, it is the line as it stands in the host's log: escaped, and cut at 1 KiB.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// How much it matters.
    pub level: Level,
    /// The message, as the handler gave it.
    pub message: String,
    /// The named values beside it.
    pub fields: Vec<(String, String)>,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&log_line(&self.message, self.fields.iter().map(|(name, value)| (name.as_str(), value.as_str()))))
    }
}
