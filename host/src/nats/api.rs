//! Requests to the JetStream API as plain JSON. Only the fields that the host decides by are read, and only the leader is
//! asked: `STREAM.INFO`, `STREAM.MSG.GET` and `CONSUMER.*` are answered by leaders, direct gets are not used.

use async_nats::{Client, RequestErrorKind};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::time::Duration;

/// How long one request to the API may take.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

const STREAM_NOT_FOUND: u64 = 10059;
const CONSUMER_NOT_FOUND: u64 = 10014;
const MESSAGE_NOT_FOUND: u64 = 10037;
/// A message came under a condition that does not hold: its subject's (or stream's) last message is another one.
pub(crate) const WRONG_LAST_SEQUENCE: [u64; 2] = [10071, 10164];

/// Why a request to JetStream brought no answer that can be used.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ApiError {
    /// No answer in time.
    #[error("the broker did not answer {request} within {} s", REQUEST_TIMEOUT.as_secs())]
    Timeout {
        /// The request, without its `$JS.API.` prefix.
        request: String,
    },
    /// Nobody listens: JetStream is off for this account, or the stream has no leader now.
    #[error("nobody answers {request}: JetStream is not enabled for this account, or what was asked for has no leader at the moment")]
    NoResponders {
        /// The request.
        request: String,
    },
    /// The client could not send, or its connection ended.
    #[error("{request} could not be sent: {detail}")]
    Connection {
        /// The request.
        request: String,
        /// What the client said.
        detail: String,
    },
    /// JetStream said no.
    #[error("JetStream refused {request}: {description} (code {code}, error {err_code})")]
    Refused {
        /// The request.
        request: String,
        /// HTTP-like code.
        code: u64,
        /// JetStream's own error number.
        err_code: u64,
        /// JetStream's words.
        description: String,
    },
    /// The answer is not what the API promises.
    #[error("the answer to {request} cannot be read: {detail}")]
    Answer {
        /// The request.
        request: String,
        /// What is wrong with it.
        detail: String,
    },
}

impl ApiError {
    /// Whether asking again later may help: everything but a clear refusal.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Refused { code, .. } => matches!(code, 408 | 429 | 500..=599),
            _ => true,
        }
    }

    /// The stream does not exist (on the meta leader's word).
    pub fn is_stream_not_found(&self) -> bool {
        self.err_code() == Some(STREAM_NOT_FOUND)
    }

    /// The consumer does not exist.
    pub fn is_consumer_not_found(&self) -> bool {
        self.err_code() == Some(CONSUMER_NOT_FOUND)
    }

    /// The stream exists and has no such message.
    pub fn is_message_not_found(&self) -> bool {
        self.err_code() == Some(MESSAGE_NOT_FOUND)
    }

    /// A compare-and-set met another revision.
    pub fn is_wrong_last_sequence(&self) -> bool {
        self.err_code().is_some_and(|code| WRONG_LAST_SEQUENCE.contains(&code))
    }

    fn err_code(&self) -> Option<u64> {
        match self {
            Self::Refused { err_code, .. } => Some(*err_code),
            _ => None,
        }
    }
}

#[derive(serde::Deserialize)]
struct Envelope {
    error: Option<Refusal>,
}

#[derive(serde::Deserialize)]
struct Refusal {
    #[serde(default)]
    code: u64,
    #[serde(default)]
    err_code: u64,
    #[serde(default)]
    description: String,
}

/// Sends `body` to `$JS.API.<request>` and reads the answer as `A`.
pub async fn call<Q, A>(client: &Client, request: &str, body: &Q) -> Result<A, ApiError>
where
    Q: Serialize + Sync,
    A: DeserializeOwned,
{
    let payload = serde_json::to_vec(body).map_err(|error| answer(request, error.to_string()))?;
    let bytes = request_bytes(client, &format!("$JS.API.{request}"), None, payload.into()).await?;
    read(request, &bytes)
}

/// Sends to any subject and returns the raw answer, within [`REQUEST_TIMEOUT`].
pub(crate) async fn request_bytes(
    client: &Client,
    subject: &str,
    headers: Option<async_nats::HeaderMap>,
    payload: bytes::Bytes,
) -> Result<bytes::Bytes, ApiError> {
    let name = subject.trim_start_matches("$JS.API.").to_owned();
    let mut request = async_nats::Request::new().payload(payload).timeout(Some(REQUEST_TIMEOUT));
    if let Some(headers) = headers {
        request = request.headers(headers);
    }
    // The client's own time-out starts only once the command is queued: without a connection the queue itself may block.
    let sent = tokio::time::timeout(REQUEST_TIMEOUT, client.send_request(subject.to_owned(), request)).await;
    match sent {
        Err(_) => Err(ApiError::Timeout { request: name }),
        Ok(Ok(message)) => Ok(message.payload),
        Ok(Err(error)) => Err(match error.kind() {
            RequestErrorKind::TimedOut => ApiError::Timeout { request: name },
            RequestErrorKind::NoResponders => ApiError::NoResponders { request: name },
            _ => ApiError::Connection { request: name, detail: error.to_string() },
        }),
    }
}

/// Reads an answer of the API: its `error`, or else the value.
pub(crate) fn read<A: DeserializeOwned>(request: &str, bytes: &[u8]) -> Result<A, ApiError> {
    let envelope: Envelope = serde_json::from_slice(bytes).map_err(|error| answer(request, error.to_string()))?;
    if let Some(refusal) = envelope.error {
        return Err(ApiError::Refused {
            request: request.to_owned(),
            code: refusal.code,
            err_code: refusal.err_code,
            description: refusal.description,
        });
    }
    serde_json::from_slice(bytes).map_err(|error| answer(request, error.to_string()))
}

fn answer(request: &str, detail: String) -> ApiError {
    ApiError::Answer { request: request.to_owned(), detail }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_told_from_an_answer() {
        let refused = read::<serde_json::Value>(
            "STREAM.INFO.X",
            br#"{"type":"io.nats.jetstream.api.v1.stream_info_response","error":{"code":404,"err_code":10059,"description":"stream not found"}}"#,
        )
        .unwrap_err();
        assert!(refused.is_stream_not_found());
        assert!(!refused.is_transient());
        assert_eq!(refused.to_string(), "JetStream refused STREAM.INFO.X: stream not found (code 404, error 10059)");
        let value: serde_json::Value = read("STREAM.INFO.X", br#"{"ok":1}"#).unwrap();
        assert_eq!(value["ok"], 1);
    }

    #[test]
    fn overload_is_transient_and_rubbish_is_named() {
        let busy = read::<serde_json::Value>("X", br#"{"error":{"code":503,"err_code":10008,"description":"temporarily unavailable"}}"#);
        assert!(busy.unwrap_err().is_transient());
        assert!(matches!(read::<serde_json::Value>("X", b"no json"), Err(ApiError::Answer { .. })));
    }
}
