//! What the broker's answer to one publish means. Pure.
//!
//! Three outcomes: stored (or stored before), not now (the stream is full, leaderless, missing, overloaded: the same
//! message may be taken later), never (it would be refused again however often it is sent).

use async_nats::StatusCode;
use serde::Deserialize;
use std::borrow::Cow;

/// What became of one publish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict<'a> {
    /// It is in the stream.
    Confirmed {
        /// Stream.
        stream: Cow<'a, str>,
        /// Its sequence there.
        sequence: u64,
        /// It was there before: the message id was known.
        duplicate: bool,
    },
    /// Not now; may have been stored only if the reason is a time-out.
    Unavailable {
        /// Why, in one line.
        reason: String,
    },
    /// Never.
    Refused {
        /// Why, in one line.
        reason: String,
        /// The broker's error number; 0 = refused on our side.
        code: u64,
    },
}

#[derive(Deserialize)]
struct PubAck<'a> {
    #[serde(borrow, default)]
    stream: Cow<'a, str>,
    #[serde(default)]
    seq: u64,
    #[serde(default)]
    duplicate: bool,
    #[serde(default)]
    error: Option<Refusal>,
}

#[derive(Deserialize)]
struct Refusal {
    #[serde(default)]
    code: u64,
    #[serde(default)]
    err_code: u64,
    #[serde(default)]
    description: String,
}

/// Judges an answer by its status line and payload.
pub fn judge(status: Option<StatusCode>, payload: &[u8]) -> Verdict<'_> {
    if status == Some(StatusCode::NO_RESPONDERS) {
        return Verdict::Unavailable { reason: "no stream takes this subject, or it has no leader now".to_owned() };
    }
    match serde_json::from_slice::<PubAck<'_>>(payload) {
        Ok(PubAck { error: Some(refusal), .. }) => refused(refusal),
        Ok(ack) if ack.seq > 0 && !ack.stream.is_empty() => {
            Verdict::Confirmed { stream: ack.stream, sequence: ack.seq, duplicate: ack.duplicate }
        }
        // Somebody else answered (a service on the same subject): nothing is stored as far as we know.
        _ => {
            Verdict::Unavailable { reason: "the answer is no confirmation of a stream: something else listens on this subject".to_owned() }
        }
    }
}

fn refused(refusal: Refusal) -> Verdict<'static> {
    let Refusal { code, err_code, description } = refusal;
    let reason = format!("{description} (error {err_code})");
    // The store's own "message too large" comes as a failure of the store.
    let too_large = description.contains("too large") || description.contains("to large");
    /// The account's storage or memory is used up: as a stream that is full, it passes.
    const ACCOUNT_LIMITS: u64 = 10002;
    match code {
        _ if err_code == ACCOUNT_LIMITS => Verdict::Unavailable { reason },
        400..=407 | 409..=428 => Verdict::Refused { reason, code: err_code },
        _ if too_large => Verdict::Refused { reason, code: err_code },
        _ => Verdict::Unavailable { reason },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(code: u64, err_code: u64, description: &str) -> Verdict<'static> {
        refused(Refusal { code, err_code, description: description.to_owned() })
    }

    #[test]
    fn confirmations() {
        let stored = judge(None, br#"{"stream":"OUT","seq":12}"#);
        assert_eq!(stored, Verdict::Confirmed { stream: "OUT".into(), sequence: 12, duplicate: false });
        let again = judge(None, br#"{"stream":"OUT", "seq":12,"duplicate": true,"domain":"x"}"#);
        assert_eq!(again, Verdict::Confirmed { stream: "OUT".into(), sequence: 12, duplicate: true });
    }

    #[test]
    fn what_may_pass_is_unavailable() {
        assert!(matches!(judge(Some(StatusCode::NO_RESPONDERS), b""), Verdict::Unavailable { .. }));
        for (code, err_code, text) in [
            (503, 10077, "maximum bytes exceeded"),
            (503, 10077, "maximum messages exceeded"),
            (503, 10077, "maximum messages per subject exceeded"),
            (503, 10023, "insufficient resources"),
            (500, 10047, "insufficient storage resources available"),
            (429, 10167, "too many requests"),
            (503, 10008, "JetStream system temporarily unavailable"),
            (408, 0, "timeout"),
        ] {
            assert!(matches!(error(code, err_code, text), Verdict::Unavailable { .. }), "{text}");
        }
        assert!(matches!(judge(None, b"hello"), Verdict::Unavailable { .. }));
        assert!(matches!(judge(None, br#"{"ok":true}"#), Verdict::Unavailable { .. }));
    }

    #[test]
    fn what_can_never_pass_is_refused() {
        for (code, err_code, text) in [
            (400, 10054, "message size exceeds maximum allowed"),
            (400, 10109, "invalid operation on sealed stream"),
            (400, 10097, "header size exceeds maximum allowed of 64k"),
            (400, 10060, "expected stream does not match"),
            (503, 10077, "message to large"),
        ] {
            assert_eq!(
                error(code, err_code, text),
                Verdict::Refused { reason: format!("{text} (error {err_code})"), code: err_code },
                "{text}"
            );
        }
    }
}
