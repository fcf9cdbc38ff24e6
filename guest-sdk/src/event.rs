//! What an event and a failure can do beyond holding their fields.

use crate::{Codec, Event, Failure, Json};
use serde::de::DeserializeOwned;

impl Event {
    /// The payload as JSON.
    ///
    /// # Errors
    /// [`Failure::Reject`] if it is not what `T` expects: the event can never be handled.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        self.payload_as::<Json, T>()
    }

    /// The payload in the given format.
    ///
    /// # Errors
    /// [`Failure::Reject`] if it is not what `T` expects.
    pub fn payload_as<C: Codec, T: DeserializeOwned>(&self) -> Result<T, Failure> {
        C::decode(&self.payload).map_err(|failure| failure.about("payload"))
    }

    /// The failure that rejects the event because nobody knows its kind.
    #[must_use]
    pub fn unknown_kind(&self) -> Failure {
        Failure::reject(match self.kind.as_str() {
            "" => "the event has no kind, and the handler goes by it".to_owned(),
            kind => format!("the handler knows no events of kind {kind:?}"),
        })
    }

    /// The value of the first header with this name, in any case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name)).map(|header| header.value.as_str())
    }
}

impl Failure {
    /// It may work later: try again by the pipeline's policy.
    pub fn retry(reason: impl Into<String>) -> Self {
        Self::Retry(reason.into())
    }

    /// It can never work: give the event up now.
    pub fn reject(reason: impl Into<String>) -> Self {
        Self::Reject(reason.into())
    }

    /// The same failure, saying what it is about.
    pub(crate) fn about(self, what: &str) -> Self {
        match self {
            Self::Retry(reason) => Self::Retry(format!("{what} {reason}")),
            Self::Reject(reason) => Self::Reject(format!("{what} {reason}")),
        }
    }
}

impl From<serde_json::Error> for Failure {
    /// What does not decode now never will.
    fn from(error: serde_json::Error) -> Self {
        Self::Reject(format!("not the expected JSON: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use crate::{Event, Failure, Header};

    fn event(payload: &[u8]) -> Event {
        Event {
            pipeline: "orders".into(),
            entity: "42".into(),
            epoch: 0,
            sequence: 1,
            id: "a".into(),
            kind: String::new(),
            subject: "orders.42".into(),
            time: 0,
            stream_sequence: 1,
            headers: vec![Header { name: "Trace".into(), value: "on".into() }],
            payload: payload.to_vec(),
        }
    }

    #[test]
    fn a_payload_that_does_not_decode_is_rejected_by_name() {
        assert_eq!(event(b"7").json::<u64>().unwrap(), 7);
        let Err(Failure::Reject(reason)) = event(b"seven").json::<u64>() else { panic!("not rejected") };
        assert!(reason.starts_with("payload is not the expected JSON"), "{reason}");
    }

    #[test]
    fn headers_are_found_in_any_case() {
        assert_eq!(event(b"").header("trace"), Some("on"));
        assert_eq!(event(b"").header("other"), None);
    }
}
