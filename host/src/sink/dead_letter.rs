//! The form of a dead letter (design §5.3): the message as it came, and beside it why it was given up. Pure.
//!
//! Headers of the input keep their names, except two kinds: `Nats-*` would command the broker, and `Seriatim-Dead-*` would
//! mix with ours (the input may be a dead letter itself). The first become `Seriatim-Dead-Nats-*`, the second
//! `Seriatim-Dead-Input-*`; [`original_name`] undoes both. Text of ours is one line of at most 1 KiB.

use crate::event::{Header, Message};
use crate::sink::publisher::wire_size;
use bytes::Bytes;
use seriatim_contract::has_control;
pub use seriatim_sequencer::DeadReason as Reason;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Longest text that we put into a header, bytes.
pub const TEXT_BYTES_MAX: usize = 1024;
/// Longest header block that JetStream stores, bytes: an input at that bound leaves no room for our headers.
const HEADERS_BYTES_MAX: usize = 65_535;
/// Every header of ours on a dead letter begins with this.
pub const PREFIX: &str = "Seriatim-Dead-";

const INPUT: &str = "Seriatim-Dead-Input-";

/// What is to be said of a message that was given up.
#[derive(Clone, Debug)]
pub struct DeadLetter<'a> {
    /// Pipeline.
    pub pipeline: &'a str,
    /// Its generation.
    pub generation: u64,
    /// Why.
    pub reason: Reason,
    /// Why, in words.
    pub error: &'a str,
    /// Tries; 0 = it never reached a handler.
    pub attempts: u32,
    /// Handler that failed.
    pub handler: Option<&'a str>,
    /// SHA-256 of its component.
    pub component: Option<&'a str>,
    /// The entity, where known.
    pub entity: Option<&'a str>,
    /// Its epoch, where decoded.
    pub epoch: Option<u64>,
    /// Its sequence, where decoded.
    pub sequence: Option<u64>,
    /// Its id, where decoded.
    pub id: Option<&'a str>,
    /// The source stream.
    pub stream: &'a str,
    /// Its number there; of a lost range the first.
    pub stream_sequence: u64,
    /// Last number of a lost range.
    pub lost_to: Option<u64>,
    /// The range went with the stream that stood there before another was accepted: its numbers mean other messages now.
    pub accepted: bool,
    /// The message; `None` for what is lost.
    pub message: Option<&'a Message>,
}

/// A dead letter ready for the outbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Built {
    /// `seriatim.dead.<pipeline>.<reason>`.
    pub subject: String,
    /// `Nats-Msg-Id`, which is not among the headers.
    pub message_id: String,
    /// Headers.
    pub headers: Vec<(String, String)>,
    /// The payload as it came; empty when truncated or lost.
    pub payload: Bytes,
    /// Whether the payload (and, if even that was too much, the input's headers) had to be left out.
    pub truncated: bool,
}

/// Builds it for a broker that takes messages of `max_payload` bytes.
pub fn build(letter: &DeadLetter<'_>, max_payload: usize) -> Built {
    let message_id = message_id(letter);
    let input: Vec<(String, String)> = letter.message.map(|message| message.headers.iter().map(carried).collect()).unwrap_or_default();
    let ours = headers(letter);
    let mut built = Built {
        subject: format!("seriatim.dead.{}.{}", letter.pipeline, letter.reason.name()),
        message_id,
        headers: [input, ours.clone()].concat(),
        payload: letter.message.map(|message| message.payload.clone()).unwrap_or_default(),
        truncated: false,
    };
    if built.size() > max_payload || built.headers_size() > HEADERS_BYTES_MAX {
        built.truncated = true;
        built.payload = Bytes::new();
        built.headers.push((format!("{PREFIX}Truncated"), "true".to_owned()));
        if built.size() > max_payload.min(HEADERS_BYTES_MAX) {
            built.headers = ours;
            built.headers.push((format!("{PREFIX}Truncated"), "true".to_owned()));
        }
    }
    built
}

impl Built {
    fn headers_size(&self) -> usize {
        self.size().saturating_sub(self.payload.len())
    }

    /// Bytes as the broker counts them.
    pub fn size(&self) -> usize {
        wire_size(self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())), &self.message_id, self.payload.len())
    }
}

/// `<pipeline>:<generation>:dead:<stream sequence>`. A loss named for one entity is told from the loss of the whole range.
fn message_id(letter: &DeadLetter<'_>) -> String {
    let DeadLetter { pipeline, generation, stream_sequence, .. } = letter;
    let id = format!("{pipeline}:{generation}:dead:{stream_sequence}");
    match (letter.reason, letter.entity) {
        (Reason::Lost, Some(entity)) => {
            let how = if letter.accepted { "gone" } else { "lost" };
            format!("{id}:{how}:{}", percent_encoding::utf8_percent_encode(entity, percent_encoding::NON_ALPHANUMERIC))
        }
        (Reason::Lost, None) => format!("{id}:lost"),
        _ => id,
    }
}

fn headers(letter: &DeadLetter<'_>) -> Vec<(String, String)> {
    let mut headers = Vec::with_capacity(16);
    let mut push = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            headers.push((format!("{PREFIX}{name}"), value));
        }
    };
    push("Reason", Some(letter.reason.name().to_owned()));
    push("Error", Some(one_line(letter.error)));
    push("Attempts", Some(letter.attempts.to_string()));
    push("Handler", letter.handler.map(one_line));
    push("Component", letter.component.map(one_line));
    push("Pipeline", Some(letter.pipeline.to_owned()));
    push("Entity", letter.entity.map(one_line));
    push("Epoch", letter.epoch.map(|epoch| epoch.to_string()));
    push("Sequence", letter.sequence.map(|sequence| sequence.to_string()));
    push("Id", letter.id.map(one_line));
    push("Stream", Some(letter.stream.to_owned()));
    push("Stream-Sequence", Some(letter.stream_sequence.to_string()));
    push("Stream-Sequence-Last", letter.lost_to.map(|last| last.to_string()));
    push("Subject", letter.message.map(|message| one_line(&message.subject)));
    push("Time", letter.message.map(|message| rfc3339(message.time)));
    headers
}

/// A header of the input, under a name that commands nothing.
fn carried(header: &Header) -> (String, String) {
    let name = if starts_with(&header.name, "Nats-") {
        format!("{PREFIX}{}", header.name)
    } else if starts_with(&header.name, PREFIX) {
        format!("{INPUT}{}", header.name.get(PREFIX.len()..).unwrap_or_default())
    } else {
        header.name.clone()
    };
    // As it came; only what would end the header's line is written out.
    (sendable_name(&name), header.value.replace('\r', "\\r").replace('\n', "\\n"))
}

/// The input's own name of a header on a dead letter; `None` for headers that we added.
pub fn original_name(name: &str) -> Option<String> {
    if let Some(rest) = name.strip_prefix(INPUT) {
        return Some(format!("{PREFIX}{rest}"));
    }
    match name.strip_prefix(PREFIX) {
        Some(rest) if starts_with(rest, "Nats-") => Some(rest.to_owned()),
        Some(_) => None,
        None if name == "Nats-Msg-Id" => None,
        None => Some(name.to_owned()),
    }
}

fn starts_with(name: &str, prefix: &str) -> bool {
    name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

/// Names that no header may have come only from messages that the client library could not read.
fn sendable_name(name: &str) -> String {
    let name: String = name.chars().map(|c| if c.is_ascii_graphic() && c != ':' { c } else { '_' }).collect();
    if name.is_empty() { "_".to_owned() } else { name }
}

/// Text for a header: one line, at most [`TEXT_BYTES_MAX`] bytes; what was cut ends in `…`.
pub fn one_line(text: &str) -> String {
    if text.len() <= TEXT_BYTES_MAX && !has_control(text) {
        return text.to_owned();
    }
    // Escaping only makes text longer, so more than the bound of it is never needed.
    let head = text.char_indices().take_while(|(at, _)| *at <= TEXT_BYTES_MAX).last().map_or(0, |(at, c)| at + c.len_utf8());
    let mut line = escape(text.get(..head).unwrap_or_default());
    if line.len() > TEXT_BYTES_MAX || head < text.len() {
        let mut end = TEXT_BYTES_MAX.saturating_sub('…'.len_utf8()).min(line.len());
        while !line.is_char_boundary(end) {
            end -= 1;
        }
        line.truncate(end);
        line.push('…');
    }
    line
}

/// Control characters (line ends among them) as `\n`, `\u{7}` and the like.
fn escape(text: &str) -> String {
    if !has_control(text) {
        return text.to_owned();
    }
    text.chars().fold(String::with_capacity(text.len() + 16), |mut line, c| {
        if c.is_control() {
            line.extend(c.escape_default())
        } else {
            line.push(c)
        }
        line
    })
}

fn rfc3339(millis: u64) -> String {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(millis) * 1_000_000)
        .ok()
        .and_then(|time| time.format(&Rfc3339).ok())
        .unwrap_or_else(|| millis.to_string())
}

#[cfg(test)]
mod tests;
