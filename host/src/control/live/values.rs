//! A handler's state as a person reads it: decoded where it is JSON, MessagePack or text. Pure.

use crate::control::{StateEntry, StateReport};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;
use seriatim_contract::State;

/// All entries, or those of one handler.
pub(in crate::control) fn report(state: &[(String, State)], handler: Option<&str>) -> StateReport {
    let wanted = state.iter().filter(|(name, _)| handler.is_none_or(|wanted| wanted == name));
    let entries = wanted.flat_map(|(name, keys)| keys.iter().map(move |(key, value)| entry(name, key, value)));
    StateReport { entries: entries.collect() }
}

fn entry(handler: &str, key: &str, value: &[u8]) -> StateEntry {
    let (format, decoded) = decoded(value);
    StateEntry { handler: handler.to_owned(), key: key.to_owned(), bytes: value.len(), format: format.to_owned(), value: decoded }
}

fn decoded(value: &[u8]) -> (&'static str, Value) {
    if let Ok(json) = serde_json::from_slice(value) {
        return ("json", json);
    }
    if let Ok(text) = std::str::from_utf8(value)
        && text.chars().all(|letter| !letter.is_control() || letter.is_whitespace())
    {
        return ("text", Value::from(text));
    }
    // A single byte is a whole MessagePack number: that says nothing.
    let mut rest = value;
    if value.len() > 1
        && let Ok(packed) = rmp_serde::from_read(&mut rest)
        && rest.is_empty()
    {
        return ("msgpack", packed);
    }
    ("bytes", Value::from(BASE64_STANDARD.encode(value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_format_is_told_by_its_bytes() {
        let packed = rmp_serde::to_vec(&(1_u8, "x", vec![300_u32])).unwrap();
        let values: [(&[u8], &str, Value); 6] = [
            (b"{\"a\":1}", "json", serde_json::json!({"a": 1})),
            (b"hello w\xc3\xb6rld", "text", Value::from("hello w\u{f6}rld")),
            (&packed, "msgpack", serde_json::json!([1, "x", [300]])),
            (&[0xff, 0xfe, 1], "bytes", Value::from("//4B")),
            (&[7], "bytes", Value::from("Bw==")),
            (b"", "text", Value::from("")),
        ];
        for (bytes, format, value) in values {
            assert_eq!(decoded(bytes), (format, value), "{bytes:?}");
        }
    }

    #[test]
    fn one_handlers_entries_or_all() {
        let keys = State::from_iter([("k".to_owned(), bytes::Bytes::from_static(b"1"))]);
        let state = [("a".to_owned(), keys.clone()), ("b".to_owned(), keys)];
        assert_eq!(report(&state, None).entries.len(), 2);
        let one = report(&state, Some("b")).entries;
        assert_eq!((one.len(), one[0].handler.as_str(), one[0].bytes), (1, "b", 1));
    }
}
