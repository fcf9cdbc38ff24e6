//! Reads a dead letter back: what its headers say, and the message that it was made of. The counterpart of `sink/dead_letter.rs`, which writes them. Pure.

use crate::control::{DeadLetterReport, DeadLetterRow, Place};
use crate::event::{Header, Message};
use crate::nats::identity::parse_millis;
use crate::sink::dead_letter::{PREFIX, TEXT_BYTES_MAX, original_name};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// A message of the stream of dead letters, with its meaning.
pub(super) struct Letter {
    pub(super) row: DeadLetterRow,
    message: Message,
}

impl Letter {
    /// `None`: its subject is not that of a dead letter (the stream may take others too).
    pub(super) fn read(message: Message) -> Option<Self> {
        let mut tokens = message.subject.strip_prefix("seriatim.dead.")?.split('.');
        let (pipeline, reason) = (tokens.next()?.to_owned(), tokens.next()?.to_owned());
        if tokens.next().is_some() {
            return None;
        }
        let text = |name: &str| ours(&message, name).map(str::to_owned);
        let number = |name: &str| ours(&message, name).and_then(|text| text.parse::<u64>().ok());
        let place = number("Epoch").zip(number("Sequence")).map(|(epoch, sequence)| Place { epoch, sequence });
        let row = DeadLetterRow {
            stream_sequence: message.stream_sequence,
            time: message.time,
            pipeline,
            reason,
            error: text("Error").unwrap_or_default(),
            entity: text("Entity"),
            place,
            handler: text("Handler"),
            attempts: number("Attempts").and_then(|attempts| u32::try_from(attempts).ok()).unwrap_or(0),
            source: text("Stream").unwrap_or_default(),
            source_sequence: number("Stream-Sequence").unwrap_or(0),
            source_last: number("Stream-Sequence-Last"),
            subject: text("Subject"),
        };
        Some(Self { row, message })
    }

    /// Bytes of its payload.
    pub(super) fn payload_bytes(&self) -> usize {
        self.message.payload.len()
    }

    /// It names messages that were gone, and has none itself.
    pub(super) fn lost(&self) -> bool {
        self.row.reason == "lost"
    }

    /// The message did not fit: its payload (and perhaps its headers) is in its own stream only.
    pub(super) fn truncated(&self) -> bool {
        ours(&self.message, "Truncated") == Some("true")
    }

    /// The subject was longer than a header of ours may be.
    pub(super) fn subject_cut(&self) -> bool {
        self.row.subject.as_deref().is_some_and(|subject| subject.ends_with('…') && subject.len() > TEXT_BYTES_MAX - 8)
    }

    /// The generation in its id `<pipeline>:<generation>:dead:…`.
    pub(super) fn generation(&self) -> Option<u64> {
        let id = self.message.header("Nats-Msg-Id")?;
        let (generation, rest) = id.strip_prefix(self.row.pipeline.as_str())?.strip_prefix(':')?.split_once(':')?;
        rest.starts_with("dead:").then(|| generation.parse().ok()).flatten()
    }

    /// The broker's time of the message it was made of, ms.
    pub(super) fn source_time(&self) -> Option<u64> {
        parse_millis(ours(&self.message, "Time")?).ok()
    }

    /// Whether `found`, which stands in the source stream under its number now, is the message that it was made of.
    pub(super) fn made_of(&self, found: &Message) -> bool {
        let id = |message: &Message, name: &str| message.header(name).map(|id| id.trim().to_owned());
        let carried = id(&self.message, &format!("{PREFIX}Nats-Msg-Id"));
        found.stream_sequence == self.row.source_sequence
            && self.source_time() == Some(found.time)
            && (self.subject_cut() || self.row.subject.as_deref() == Some(found.subject.as_str()))
            && (carried.is_none() || carried == id(found, "Nats-Msg-Id"))
    }

    /// The message as the reader had it, from what the dead letter carries; `None` where that does not say all of it.
    pub(super) fn original(&self) -> Option<Message> {
        if self.lost() || self.truncated() || self.subject_cut() {
            return None;
        }
        let headers = self.message.headers.iter();
        let mut headers: Vec<Header> =
            headers.filter_map(|header| original_name(&header.name).map(|name| Header { name, value: header.value.clone() })).collect();
        // By name, as the reader gives them; values of one name keep their order.
        headers.sort_by(|a, b| a.name.cmp(&b.name));
        Some(Message {
            subject: self.row.subject.clone()?,
            headers,
            payload: self.message.payload.clone(),
            stream_sequence: self.row.source_sequence,
            time: self.source_time()?,
        })
    }

    /// Everything about it; `payload` is what its source stream said of one that could not carry its payload.
    pub(super) fn report(self, source: Option<Result<Message, String>>) -> DeadLetterReport {
        let (payload, payload_missing) = match source {
            Some(Ok(found)) => (Some(STANDARD.encode(&found.payload)), None),
            Some(Err(why)) => (None, Some(why)),
            None if self.lost() => {
                (None, Some("its messages had left the stream before they were read: there never was a payload".to_owned()))
            }
            None => (Some(STANDARD.encode(&self.message.payload)), None),
        };
        let headers = self.message.headers.into_iter().map(|header| (header.name, header.value)).collect();
        DeadLetterReport { row: self.row, headers, payload, payload_missing }
    }
}

/// A header that we added. Under our names the input's own cannot stand: they were renamed.
fn ours<'m>(message: &'m Message, name: &str) -> Option<&'m str> {
    message.headers.iter().find(|header| header.name.strip_prefix(PREFIX) == Some(name)).map(|header| header.value.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::dead_letter::{DeadLetter, Reason, build};
    use bytes::Bytes;

    /// As the broker would give it back.
    fn stored(letter: &DeadLetter<'_>, max_payload: usize) -> Letter {
        let built = build(letter, max_payload);
        let id = ("Nats-Msg-Id".to_owned(), built.message_id);
        let headers = built.headers.into_iter().chain([id]).map(|(name, value)| Header { name, value }).collect();
        let message = Message { subject: built.subject, headers, payload: built.payload, stream_sequence: 9, time: 5 };
        Letter::read(message).unwrap()
    }

    fn input(headers: &[(&str, &str)], payload: &[u8]) -> Message {
        Message {
            subject: "flights.N1".into(),
            headers: headers.iter().map(|(name, value)| Header { name: (*name).into(), value: (*value).into() }).collect(),
            payload: Bytes::copy_from_slice(payload),
            stream_sequence: 42,
            time: 1_767_225_600_123,
        }
    }

    fn letter<'a>(message: Option<&'a Message>, entity: &'a str) -> DeadLetter<'a> {
        DeadLetter {
            pipeline: "flights",
            generation: 3,
            reason: Reason::Trap,
            error: "unreachable",
            attempts: 2,
            handler: Some("rotation"),
            component: Some("abc"),
            entity: Some(entity),
            epoch: Some(1),
            sequence: Some(7),
            id: Some("i-1"),
            stream: "FLIGHTS",
            stream_sequence: 42,
            lost_to: None,
            accepted: false,
            message,
        }
    }

    #[test]
    fn what_was_written_is_read_back() {
        let headers = [("Nats-Msg-Id", "own"), ("Seriatim-Dead-Reason", "gap"), ("X", "1"), ("X", "2"), ("nats-ttl", "1h")];
        let message = input(&headers, b"payload");
        for entity in ["N1", "a.b", "*", ">", "two words", "𝄞✈", &"x".repeat(256)] {
            let read = stored(&letter(Some(&message), entity), 1 << 20);
            let row = &read.row;
            assert_eq!((row.stream_sequence, row.time, row.pipeline.as_str(), row.reason.as_str()), (9, 5, "flights", "trap"));
            assert_eq!((row.entity.as_deref(), row.place), (Some(entity), Some(Place { epoch: 1, sequence: 7 })));
            assert_eq!((row.handler.as_deref(), row.attempts, row.error.as_str()), (Some("rotation"), 2, "unreachable"));
            assert_eq!((row.source.as_str(), row.source_sequence, row.source_last), ("FLIGHTS", 42, None));
            assert_eq!(read.generation(), Some(3));
            let original = read.original().unwrap();
            assert_eq!((original.subject.as_str(), original.stream_sequence, original.time), ("flights.N1", 42, message.time));
            let mut expected = message.headers.clone();
            expected.sort_by(|a, b| a.name.cmp(&b.name));
            assert_eq!((original.headers, original.payload), (expected, message.payload.clone()));
        }
    }

    #[test]
    fn a_truncated_one_knows_its_message_when_it_sees_it() {
        let message = input(&[("Nats-Msg-Id", "own")], &[b'x'; 4096]);
        for room in [2048, 600] {
            let read = stored(&letter(Some(&message), "N1"), room);
            assert!(read.truncated() && read.original().is_none());
            assert!(read.made_of(&message));
            assert!(!read.made_of(&Message { time: message.time + 1, ..message.clone() }), "another time");
            assert!(!read.made_of(&Message { subject: "flights.N2".into(), ..message.clone() }), "another subject");
            assert!(!read.made_of(&Message { stream_sequence: 43, ..message.clone() }), "another number");
        }
        let read = stored(&letter(Some(&message), "N1"), 2048);
        assert!(!read.made_of(&Message { headers: Vec::new(), ..message.clone() }), "another id");
        assert_eq!(read.report(Some(Ok(message))).payload.map(|payload| payload.len()), Some(4096_usize.div_ceil(3) * 4));
        let gone = stored(&letter(Some(&input(&[], &[b'x'; 4096])), "N1"), 2048).report(Some(Err("gone".into())));
        assert_eq!((gone.payload, gone.payload_missing.as_deref()), (None, Some("gone")));
    }

    #[test]
    fn a_loss_has_no_message() {
        let lost = DeadLetter { reason: Reason::Lost, lost_to: Some(50), epoch: None, sequence: None, ..letter(None, "N1") };
        let read = stored(&lost, 1 << 20);
        assert!(read.lost() && read.original().is_none());
        assert_eq!((read.row.source_last, read.row.place, read.generation()), (Some(50), None, Some(3)));
        let report = read.report(None);
        assert!(report.payload.is_none() && report.payload_missing.is_some_and(|why| why.contains("never was")));
    }

    #[test]
    fn what_is_no_dead_letter_is_none() {
        for subject in ["seriatim.dead", "seriatim.dead.p", "seriatim.dead.p.late.x", "flights.N1"] {
            assert!(Letter::read(Message { subject: subject.into(), ..input(&[], b"") }).is_none(), "{subject}");
        }
        let bare = Letter::read(Message { subject: "seriatim.dead.p.late".into(), ..input(&[], b"") }).unwrap();
        assert_eq!((bare.row.source_sequence, bare.generation(), bare.original().is_none()), (0, None, true), "somebody else wrote it");
    }
}
