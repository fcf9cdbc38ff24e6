//! The forms of single values: names, subject patterns, sources, URLs, durations, sizes. Pure; each says in one sentence what is wrong.

pub(super) use seriatim_contract::{check_outputs_pattern as output, check_pattern as pattern, overlap};

use crate::source::sources::Source;
use std::time::Duration;

/// A pipeline's or handler's name (design §5.1).
pub(super) fn name(text: &str) -> Result<(), String> {
    let mut bytes = text.bytes();
    let good = bytes.next().is_some_and(|b| b.is_ascii_lowercase())
        && bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && text.len() <= 32;
    if good { Ok(()) } else { Err("not a name; allowed: a to z, 0 to 9 and -, a letter first, at most 32 characters".to_owned()) }
}

/// A stream's name, as the broker takes it.
pub(super) fn stream(text: &str) -> Result<(), String> {
    let bad = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '.' | '*' | '>' | '/' | '\\');
    if text.is_empty() || text.len() > 255 || text.contains(bad) {
        return Err("not a stream name; it must be 1 to 255 bytes without spaces, ., *, >, / and \\".to_owned());
    }
    Ok(())
}

/// Whether a subject that matches the pattern can have this token (from 1); false only when it is certain.
pub(super) fn has_token(pattern: &str, token: usize) -> bool {
    pattern.ends_with('>') || pattern.split('.').count() >= token
}

/// Where a value stands: `subject:N`, `header:NAME`, `json:/pointer`, `msgpack:/pointer`.
pub(super) fn source(text: &str) -> Option<Result<Source, String>> {
    let (kind, rest) = text.split_once(':')?;
    Some(match kind {
        "subject" => match rest.parse::<usize>() {
            Ok(token) if (1..=128).contains(&token) && token.to_string() == rest => Ok(Source::Subject(token)),
            _ => Err("subject:N needs the number of a token, 1 to 128".to_owned()),
        },
        "header" => header(rest).map(|()| Source::Header(rest.to_owned())),
        "json" => pointer(rest).map(|()| Source::Json(rest.to_owned())),
        "msgpack" => pointer(rest).map(|()| Source::Msgpack(rest.to_owned())),
        _ => return None,
    })
}

fn header(text: &str) -> Result<(), String> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_graphic() && b != b':') {
        return Err("header:NAME needs the name of a header: printable ASCII without spaces and colons".to_owned());
    }
    Ok(())
}

/// RFC 6901, and not the empty pointer (the whole payload is no name and no number).
fn pointer(text: &str) -> Result<(), String> {
    if !text.starts_with('/') {
        return Err("the pointer must start with /, such as json:/order/id".to_owned());
    }
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c == '~' && !matches!(chars.next(), Some('0' | '1')) {
            return Err("in a pointer, ~ is written ~0 and / within a name ~1".to_owned());
        }
        if c.is_control() {
            return Err("the pointer holds a control character".to_owned());
        }
    }
    Ok(())
}

/// A server's URL without user and password.
pub(super) fn server(text: &str) -> Result<(), String> {
    let (scheme, rest) = text.split_once("://").unwrap_or(("nats", text));
    if !matches!(scheme, "nats" | "tls" | "ws" | "wss") {
        return Err("unknown scheme; allowed: nats://, tls://, ws://, wss://".to_owned());
    }
    if rest.contains('@') {
        return Err("user and password do not belong here; use user and password-file, or another way to log in".to_owned());
    }
    let (host, port) = match rest.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (rest, None),
    };
    let good_host = !host.is_empty()
        && (host.starts_with('[') == host.ends_with(']'))
        && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b'[' | b']' | b':'));
    let good_port = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0));
    if good_host && good_port { Ok(()) } else { Err("not a URL of a server, such as nats://127.0.0.1:4222".to_owned()) }
}

/// A host's name as it stands in a URL, without scheme, port and user.
pub(super) fn host(text: &str) -> Result<(), String> {
    let label = |label: &str| {
        let inner = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
        inner && (1..=63).contains(&label.len()) && !label.starts_with('-') && !label.ends_with('-')
    };
    let good = text.len() <= 253 && text.split('.').all(label);
    if good { Ok(()) } else { Err("not a host's name, such as seriatim.example.com: no scheme, no port".to_owned()) }
}

/// A duration such as `30s`, in whole milliseconds.
pub(super) fn duration(text: &str) -> Option<Duration> {
    let duration = humantime::parse_duration(text).ok()?;
    let whole = duration.subsec_nanos().is_multiple_of(1_000_000);
    whole.then_some(duration)
}

/// A size such as `16MiB`, in bytes.
pub(super) fn size(text: &str) -> Option<u64> {
    text.parse::<bytesize::ByteSize>().ok().map(|size| size.0)
}

/// A value as it is shown in messages: one line, shortened, and without what may be user and password of a URL.
pub(super) fn shown(text: &str) -> String {
    const MAX: usize = 80;
    let mut lines = text.lines();
    let mut line = String::new();
    for part in lines.next().unwrap_or_default().split_inclusive(['"', '\'', ',', ' ']) {
        match part.rsplit_once('@') {
            Some((before, host)) => {
                line.push_str(before.split_once("://").map_or("", |(scheme, _)| scheme));
                line.push_str(if before.contains("://") { "://…@" } else { "…@" });
                line.push_str(host);
            }
            None => line.push_str(part),
        }
    }
    let short: String = line.chars().filter(|c| !c.is_control()).take(MAX).collect();
    if lines.next().is_some() || line.chars().count() > MAX { format!("{short} …") } else { short }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for good in ["a", "flights", "f-1", &"a".repeat(32)] {
            assert_eq!(name(good), Ok(()), "{good}");
        }
        for bad in ["", "1a", "-a", "A", "a_b", "a.b", "ä", &"a".repeat(33)] {
            assert!(name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn sources() {
        assert_eq!(source("subject:2"), Some(Ok(Source::Subject(2))));
        assert_eq!(source("header:Seriatim-Id"), Some(Ok(Source::Header("Seriatim-Id".into()))));
        assert_eq!(source("json:/a/0/b~1c"), Some(Ok(Source::Json("/a/0/b~1c".into()))));
        assert_eq!(source("msgpack:/a"), Some(Ok(Source::Msgpack("/a".into()))));
        for bad in [
            "subject:0",
            "subject:",
            "subject:x",
            "subject:+1",
            "header:",
            "header:a b",
            "header:a:b",
            "json:a",
            "json:",
            "json:/a~2",
            "msgpack:/~",
        ] {
            assert!(matches!(source(bad), Some(Err(_))), "{bad}");
        }
        for unknown in ["", "subject", "body:/x", "Header:x"] {
            assert_eq!(source(unknown), None, "{unknown}");
        }
        for text in ["subject:2", "header:X", "json:/a", "msgpack:/a"] {
            assert_eq!(source(text).unwrap().unwrap().to_string(), text);
        }
    }

    #[test]
    fn servers() {
        for good in ["nats://127.0.0.1:4222", "tls://a.example", "localhost:4222", "wss://h:443", "nats://[::1]:4222", "nats://[::1]"] {
            assert_eq!(server(good), Ok(()), "{good}");
        }
        for bad in ["", "http://a", "nats://", "nats://a:0", "nats://a:x", "nats://u:p@h:1", "nats://a b", "nats://[::1:4222"] {
            assert!(server(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn hosts() {
        for good in ["a", "seriatim.example.com", "A-1.b_c", "10.0.0.1"] {
            assert_eq!(host(good), Ok(()), "{good}");
        }
        for bad in ["", ".", "a.", "http://a", "a:1", "a b", "-a", "a-.b", "*.example.com", &"a".repeat(64)] {
            assert!(host(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn shown_values_hide_passwords_and_fit_a_line() {
        assert_eq!(shown(r#"["nats://u:p@h:4222", "tls://x"]"#), r#"["nats://…@h:4222", "tls://x"]"#);
        assert_eq!(shown("nats://u:p@w@h"), "nats://…@h");
        assert_eq!(shown("\"u:p@h\""), "\"…@h\"");
        assert_eq!(shown("[1,\n2]"), "[1, …");
        assert_eq!(shown(&"x".repeat(200)).chars().count(), 82);
    }

    #[test]
    fn durations_and_sizes() {
        assert_eq!(duration("100ms"), Some(Duration::from_millis(100)));
        assert_eq!(duration("1m 30s"), Some(Duration::from_secs(90)));
        for bad in ["", "1", "-1s", "1us", "soon"] {
            assert_eq!(duration(bad), None, "{bad}");
        }
        assert_eq!(size("16MiB"), Some(16 << 20));
        assert_eq!(size("10GB"), Some(10_000_000_000));
        for bad in ["", "-1", "x", "1 parsec"] {
            assert_eq!(size(bad), None, "{bad}");
        }
    }
}
