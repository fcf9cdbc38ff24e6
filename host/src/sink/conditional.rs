//! One message that the broker stores only if the last message of its subject is a certain one. It asks once and says what
//! came of it; who tries again, and what an overtaken message means, is the producer's business.

use super::ack::{self, Verdict};
use super::publisher::prepare;
use crate::nats::api::{self, ApiError};
use crate::nats::connect::Connection;
use crate::store::OutboxEntry;

/// The condition: the stream sequence of the subject's last message; 0 = it has none.
const EXPECTED: &str = "Nats-Expected-Last-Subject-Sequence";

/// What the broker said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The stream has it: stored now, or its id was known from an earlier try.
    Stored {
        /// Its sequence there.
        stream_sequence: u64,
    },
    /// The subject's last message is another one. (Which may be this very message, from an earlier try: not every server
    /// looks at the id first.)
    Overtaken,
    /// Not now, or not known.
    Unavailable {
        /// Why, in one line.
        reason: String,
        /// It may be in the stream all the same.
        may_be_stored: bool,
    },
    /// Never.
    Refused {
        /// Why, in one line.
        reason: String,
        /// The broker's error number; 0 = refused on our side.
        code: u64,
    },
}

/// Puts the message under the condition that the last message of its subject is the one at this stream sequence.
#[must_use]
pub fn under(mut entry: OutboxEntry, last: u64) -> OutboxEntry {
    entry.headers.push((EXPECTED.into(), last.to_string()));
    entry
}

/// Publishes once and waits for the answer, [`api::REQUEST_TIMEOUT`] at most.
pub async fn publish(connection: &Connection, entry: &OutboxEntry) -> Answer {
    let client = connection.client();
    let headers = match prepare(entry, client.max_payload()) {
        Ok(headers) => headers,
        Err(reason) => return Answer::Refused { reason, code: 0 },
    };
    if !connection.is_connected() {
        return Answer::Unavailable { reason: "not connected to the broker".to_owned(), may_be_stored: false };
    }
    match api::request_bytes(&client, &entry.subject, Some(headers), entry.payload.clone()).await {
        Ok(answer) => judge(&answer),
        Err(ApiError::NoResponders { .. }) => {
            let reason = "no stream takes this subject, or it has no leader now".to_owned();
            Answer::Unavailable { reason, may_be_stored: false }
        }
        Err(error) => Answer::Unavailable { reason: error.to_string(), may_be_stored: true },
    }
}

fn judge(answer: &[u8]) -> Answer {
    match ack::judge(None, answer) {
        Verdict::Confirmed { sequence, .. } => Answer::Stored { stream_sequence: sequence },
        Verdict::Refused { code, .. } if api::WRONG_LAST_SEQUENCE.contains(&code) => Answer::Overtaken,
        Verdict::Refused { reason, code } => Answer::Refused { reason, code },
        // Some of these answers come while replicas still vote.
        Verdict::Unavailable { reason } => Answer::Unavailable { reason, may_be_stored: true },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broker_that_knows_another_last_message_says_so_in_two_ways() {
        for answer in [
            r#"{"error":{"code":400,"err_code":10071,"description":"wrong last sequence: 7"},"stream":"IN","seq":0}"#,
            r#"{"error":{"code":400,"err_code":10164,"description":"wrong last sequence"},"stream":"IN","seq":0}"#,
        ] {
            assert_eq!(judge(answer.as_bytes()), Answer::Overtaken);
        }
        let sealed = r#"{"error":{"code":400,"err_code":10109,"description":"invalid operation on sealed stream"}}"#;
        assert!(matches!(judge(sealed.as_bytes()), Answer::Refused { code: 10109, .. }));
        assert_eq!(judge(br#"{"stream":"IN","seq":8,"duplicate":true}"#), Answer::Stored { stream_sequence: 8 });
        let full = r#"{"error":{"code":503,"err_code":10077,"description":"maximum bytes exceeded"}}"#;
        assert!(matches!(judge(full.as_bytes()), Answer::Unavailable { may_be_stored: true, .. }));
    }
}
