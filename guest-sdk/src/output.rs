//! Messages the handler sends: built step by step, sent with `emit`.

use crate::{Codec, Failure, Header, Json, host};
use serde::Serialize;

/// A message on its way to a subject. Nothing is sent before [`emit`](Self::emit).
#[derive(Debug)]
#[must_use = "call `emit` to send it"]
pub struct Output {
    subject: String,
    headers: Vec<Header>,
    payload: Vec<u8>,
}

impl Output {
    /// An empty message to this subject, which must match one of the handler's `outputs`. Write entities with
    /// [`subject_token`](crate::subject_token).
    pub fn to(subject: impl Into<String>) -> Self {
        Self { subject: subject.into(), headers: Vec::new(), payload: Vec::new() }
    }

    /// Adds a header. `Nats-*` and `Seriatim-*` belong to the host and are refused.
    pub fn header(mut self, name: impl Into<String>, value: impl ToString) -> Self {
        self.headers.push(Header { name: name.into(), value: value.to_string() });
        self
    }

    /// Sets the payload to these bytes.
    pub fn bytes(mut self, payload: impl Into<Vec<u8>>) -> Self {
        self.payload = payload.into();
        self
    }

    /// Sets the payload to the value as JSON.
    ///
    /// # Errors
    /// [`Failure::Reject`] for a value that JSON cannot express.
    pub fn json<T: Serialize + ?Sized>(self, value: &T) -> Result<Self, Failure> {
        self.body_as::<Json, T>(value)
    }

    /// Sets the payload to the value in the given format.
    ///
    /// # Errors
    /// [`Failure::Reject`] for a value the format cannot express.
    pub fn body_as<C: Codec, T: Serialize + ?Sized>(mut self, value: &T) -> Result<Self, Failure> {
        self.payload = C::encode(value).map_err(|failure| failure.about("output"))?;
        Ok(self)
    }

    /// Hands the message to the host: published once, in the order of these calls, when the event is committed.
    pub fn emit(self) {
        host::emit(&self.subject, &self.headers, &self.payload);
    }
}
