//! Where the parts of an event are found in a message: `"subject:2"`, `"header:Seriatim-Sequence"`, `"json:/order/id"`.
//! Parsing only; [`crate::source::decode`] looks there.

use std::fmt;
use std::str::FromStr;

/// One place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// `subject:N`: the Nth token of the subject, from 1.
    Subject(usize),
    /// `header:NAME`.
    Header(String),
    /// `json:/pointer` into the payload (RFC 6901).
    Json(String),
    /// `msgpack:/pointer` into the payload.
    Msgpack(String),
    /// `stream`: the stream sequence.
    Stream,
    /// `content`: the SHA-256 of the payload.
    Content,
}

/// Text that names no source.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no source: use \"subject:N\" (N from 1), \"header:NAME\", \"json:/pointer\" or \"msgpack:/pointer\"")]
pub struct SourceError {
    /// The text.
    pub text: String,
}

impl FromStr for Source {
    type Err = SourceError;

    fn from_str(text: &str) -> Result<Self, SourceError> {
        let error = || SourceError { text: text.to_owned() };
        match text.split_once(':') {
            None if text == "stream" => Ok(Self::Stream),
            None if text == "content" => Ok(Self::Content),
            Some(("subject", number)) => match number.parse() {
                Ok(number @ 1..=128) if number.to_string().len() == text.len() - "subject:".len() => Ok(Self::Subject(number)),
                _ => Err(error()),
            },
            Some(("header", name)) if !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':') => {
                Ok(Self::Header(name.to_owned()))
            }
            Some(("json", pointer)) if valid_pointer(pointer) => Ok(Self::Json(pointer.to_owned())),
            Some(("msgpack", pointer)) if valid_pointer(pointer) => Ok(Self::Msgpack(pointer.to_owned())),
            _ => Err(error()),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Subject(number) => write!(f, "subject:{number}"),
            Self::Header(name) => write!(f, "header:{name}"),
            Self::Json(pointer) => write!(f, "json:{pointer}"),
            Self::Msgpack(pointer) => write!(f, "msgpack:{pointer}"),
            Self::Stream => f.write_str("stream"),
            Self::Content => f.write_str("content"),
        }
    }
}

fn valid_pointer(pointer: &str) -> bool {
    pointer.starts_with('/')
}

/// Where all parts of an event are found (`[pipelines.x.event]`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventSources {
    /// The entity.
    pub entity: Source,
    /// Its sequence.
    pub sequence: Source,
    /// The producer's epoch; a message without one has 0.
    pub epoch: Option<Source>,
    /// The producer's id; `Nats-Msg-Id` stands in.
    pub id: Option<Source>,
    /// Kind of event; may be absent.
    pub kind: Option<Source>,
    /// The producer's time; the broker's stands in.
    pub time: Option<Source>,
}

impl Default for EventSources {
    fn default() -> Self {
        let header = |name: &str| Source::Header(name.to_owned());
        Self {
            entity: Source::Subject(2),
            sequence: header("Seriatim-Sequence"),
            epoch: None,
            id: Some(header("Seriatim-Id")),
            kind: Some(header("Seriatim-Type")),
            time: Some(header("Seriatim-Time")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_read_and_written_alike() {
        for text in ["subject:1", "subject:12", "header:Seriatim-Id", "json:/a/0/b~1c", "msgpack:/id", "stream", "content"] {
            assert_eq!(text.parse::<Source>().map(|source| source.to_string()).as_deref(), Ok(text));
        }
    }

    #[test]
    fn what_is_no_source_is_refused() {
        for text in [
            "",
            "subject",
            "subject:0",
            "subject:-1",
            "subject:+1",
            "subject:02",
            "subject:x",
            "header:",
            "header:a b",
            "header:a:b",
            "json:a",
            "json:",
            "xml:/a",
            "Stream",
        ] {
            let error = text.parse::<Source>().unwrap_err();
            assert!(error.to_string().contains("is no source"), "{text}");
        }
    }
}
