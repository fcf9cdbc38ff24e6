//! Single messages by the leader's `STREAM.MSG.GET`. Answers "what is the next message that matches, at or after here?"
//! beyond doubt, and brings messages whose headers the client library cannot take: those end its connection (or its task)
//! each time they come near, so reading past them needs this way round.

use crate::event::{Header, Message};
use crate::nats::api::{self, ApiError};
use crate::nats::identity::parse_millis;
use async_nats::Client;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

/// A message as the leader gave it.
#[derive(Debug)]
pub struct RawMessage {
    /// The message; header text that is not UTF-8 has replacement characters.
    pub message: Message,
    /// Its headers would break the client library.
    pub unreadable: bool,
}

#[derive(Deserialize)]
struct Answer {
    message: Stored,
}

#[derive(Deserialize)]
struct Stored {
    subject: String,
    seq: u64,
    time: String,
    #[serde(default)]
    hdrs: Option<String>,
    #[serde(default)]
    data: Option<String>,
}

/// The first message at or after `from` that matches one of `subjects` (none = any).
pub async fn next_message(client: &Client, stream: &str, subjects: &[String], from: u64) -> Result<Option<RawMessage>, ApiError> {
    let everything = [">".to_owned()];
    let subjects = if subjects.is_empty() { &everything[..] } else { subjects };
    let mut first: Option<RawMessage> = None;
    for subject in subjects {
        let query = serde_json::json!({ "seq": from.max(1), "next_by_subj": subject });
        let Some(found) = get(client, stream, &query).await? else { continue };
        if first.as_ref().is_none_or(|first| found.message.stream_sequence < first.message.stream_sequence) {
            first = Some(found);
        }
    }
    Ok(first)
}

/// The newest message of a subject.
pub async fn last_of_subject(client: &Client, stream: &str, subject: &str) -> Result<Option<RawMessage>, ApiError> {
    get(client, stream, &serde_json::json!({ "last_by_subj": subject })).await
}

/// The message at `sequence` (for dead letters that were sent without their payload).
pub async fn message_at(client: &Client, stream: &str, sequence: u64) -> Result<Option<RawMessage>, ApiError> {
    get(client, stream, &serde_json::json!({ "seq": sequence })).await
}

async fn get(client: &Client, stream: &str, query: &serde_json::Value) -> Result<Option<RawMessage>, ApiError> {
    let request = format!("STREAM.MSG.GET.{stream}");
    match api::call::<_, Answer>(client, &request, query).await {
        Ok(answer) => read(answer.message).map(Some).map_err(|detail| ApiError::Answer { request, detail }),
        Err(error) if error.is_message_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

fn read(stored: Stored) -> Result<RawMessage, String> {
    let decode = |text: Option<String>| match text {
        Some(text) => STANDARD.decode(text).map_err(|error| format!("message {} is not base64: {error}", stored.seq)),
        None => Ok(Vec::new()),
    };
    let (headers, unreadable) = parse_headers(&decode(stored.hdrs)?);
    let message = Message {
        subject: stored.subject,
        headers,
        payload: decode(stored.data)?.into(),
        stream_sequence: stored.seq,
        time: parse_millis(&stored.time)?,
    };
    Ok(RawMessage { message, unreadable })
}

/// Headers of a raw block, by name, and whether the client library would break on them.
fn parse_headers(block: &[u8]) -> (Vec<Header>, bool) {
    let mut unreadable = std::str::from_utf8(block).is_err();
    let text = String::from_utf8_lossy(block);
    let mut headers: Vec<Header> = Vec::new();
    for line in text.lines().skip(1).filter(|line| !line.is_empty()) {
        if line.starts_with(char::is_whitespace)
            && let Some(folded) = headers.last_mut()
        {
            folded.value.push_str(line.trim_end());
            continue;
        }
        let Some((name, value)) = line.split_once(':') else {
            unreadable = true;
            headers.push(Header { name: line.to_owned(), value: String::new() });
            continue;
        };
        unreadable |= name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_graphic()) || value.contains('\r');
        headers.push(Header { name: name.to_owned(), value: value.trim().to_owned() });
    }
    headers.sort_by(|a, b| a.name.cmp(&b.name));
    (headers, unreadable)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(block: &[u8]) -> (Vec<(String, String)>, bool) {
        let (headers, unreadable) = parse_headers(block);
        (headers.into_iter().map(|header| (header.name, header.value)).collect(), unreadable)
    }

    #[test]
    fn ordinary_headers_read_as_the_client_reads_them() {
        let (headers, unreadable) = parse(b"NATS/1.0\r\nB: 2\r\nA:  1 \r\nB: 1\r\n\r\n");
        assert_eq!(headers, [("A", "1"), ("B", "2"), ("B", "1")].map(|(a, b)| (a.to_owned(), b.to_owned())));
        assert!(!unreadable);
        assert_eq!(parse(b""), (vec![], false));
    }

    #[test]
    fn what_would_break_the_client_is_noticed() {
        for block in [
            &b"NATS/1.0\r\nA: \xff\xfe\r\n\r\n"[..],
            b"NATS/1.0\r\nA: x\ry\r\n\r\n",
            b"NATS/1.0\r\nbad name: x\r\n\r\n",
            b"NATS/1.0\r\nno colon\r\n\r\n",
        ] {
            assert!(parse(block).1, "{block:?}");
        }
        assert_eq!(parse(b"NATS/1.0\r\nA: \xff\r\n\r\n").0, [("A".to_owned(), "\u{fffd}".to_owned())]);
    }

    #[test]
    fn a_stored_message_is_read() {
        let text =
            r#"{"message":{"subject":"a.b","seq":7,"hdrs":"TkFUUy8xLjANCkE6IDENCg0K","data":"aGk=","time":"2026-01-01T00:00:00.123456Z"}}"#;
        let raw = read(serde_json::from_str::<Answer>(text).unwrap().message).unwrap();
        assert_eq!((raw.message.stream_sequence, raw.message.time, &raw.message.payload[..]), (7, 1_767_225_600_123, &b"hi"[..]));
        assert_eq!(raw.message.headers, [Header { name: "A".into(), value: "1".into() }]);
    }
}
