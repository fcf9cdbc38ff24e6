//! Subjects: which are valid, which patterns match them, and how an entity becomes one token of a subject. Pure functions of text; nothing here
//! talks to a broker. Used wherever a subject is read from the config, checked on its way out, or made from an entity.

/// Whether a message may be published to this subject: dot-separated tokens, none empty, no wildcard, no space and no control character.
#[must_use]
pub fn valid_subject(subject: &str) -> bool {
    valid_pattern(subject) && !subject.split('.').any(|token| token == "*" || token == ">")
}

/// Whether this may stand where a subscription or filter stands: as [`valid_subject`], with `*` as a whole token and `>` as the last one allowed.
#[must_use]
pub fn valid_pattern(pattern: &str) -> bool {
    check_pattern(pattern).is_ok()
}

/// A subject pattern: tokens between dots, `*` for one token, a last `>` for one or more.
///
/// # Errors
/// What is wrong with it, in one sentence.
pub fn check_pattern(text: &str) -> Result<(), String> {
    if text.is_empty() {
        return Err("not a subject: it is empty".to_owned());
    }
    if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err("not a subject: it holds spaces or control characters".to_owned());
    }
    let mut tokens = text.split('.').peekable();
    while let Some(token) = tokens.next() {
        match token {
            "" => return Err("not a subject: a token between dots is empty".to_owned()),
            "*" => {}
            ">" if tokens.peek().is_none() => {}
            ">" => return Err("not a subject pattern: > may only be the last token".to_owned()),
            token if token.contains(['*', '>']) => {
                return Err(format!("not a subject pattern: in {token:?} the wildcard is not a whole token"));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Subjects that outputs must stay clear of: what is published there is a command to the broker, or ours.
const RESERVED: [&str; 5] = ["$JS.API.>", "$JS.ACK.>", "$KV.SERIATIM.>", "_INBOX.*.>", "seriatim.dead.>"];

/// The pattern of a handler's `outputs`.
///
/// # Errors
/// What is wrong with it, in one sentence.
pub fn check_outputs_pattern(text: &str) -> Result<(), String> {
    check_pattern(text)?;
    match RESERVED.iter().find(|reserved| overlap(reserved, text)) {
        Some(reserved) => Err(format!("covers {reserved}, which is not for handlers; begin with a token of your own")),
        None => Ok(()),
    }
}

/// Whether some subject matches both patterns.
#[must_use]
pub fn overlap(a: &str, b: &str) -> bool {
    let (mut a, mut b) = (a.split('.'), b.split('.'));
    loop {
        match (a.next(), b.next()) {
            (None, None) => return true,
            (Some(">"), Some(_)) | (Some(_), Some(">")) => return true,
            (None, _) | (_, None) => return false,
            (Some(x), Some(y)) if x == y || x == "*" || y == "*" => {}
            _ => return false,
        }
    }
}

/// Whether a subject lies within a pattern by NATS's rules: `*` stands for one token, a last `>` for one or more. Both must be valid; a subject
/// that is itself a pattern lies within the other if everything it matches does.
#[must_use]
pub fn subject_matches(pattern: &str, subject: &str) -> bool {
    // Bytes are split in a fraction of what characters take, and this runs with each output.
    let dot = |byte: &u8| *byte == b'.';
    let mut subject = subject.as_bytes().split(dot);
    for want in pattern.as_bytes().split(dot) {
        match (want, subject.next()) {
            (b">", Some(_)) => return true,
            (b"*", Some(token)) if token != b">" => {}
            (want, Some(token)) if want == token && token != b">" => {}
            _ => return false,
        }
    }
    subject.next().is_none()
}

/// An entity as one subject token: every byte outside `[A-Za-z0-9_-]` is written `=XX`. Different entities give different tokens, and no
/// entity of at least one byte gives a wildcard or an empty token.
#[must_use]
pub fn subject_token(entity: &str) -> String {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).map_or('0', |byte| char::from(*byte));
    let mut token = String::with_capacity(entity.len());
    for byte in entity.bytes() {
        if byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-' {
            token.push(char::from(byte));
        } else {
            token.push('=');
            token.push(digit(byte >> 4));
            token.push(digit(byte & 15));
        }
    }
    token
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn subjects_and_patterns() {
        for subject in ["a", "a.b", "flights.N1-2_3.x", "$JS.API", "a.=2A", "grüße.x"] {
            assert!(valid_subject(subject), "{subject}");
            assert!(valid_pattern(subject), "{subject}");
        }
        for pattern in ["*", ">", "a.*", "a.*.b", "a.>", "*.>"] {
            assert!(!valid_subject(pattern), "{pattern}");
            assert!(valid_pattern(pattern), "{pattern}");
        }
        for neither in ["", ".", "a.", ".a", "a..b", "a b", "a\tb", "a\r\nb", "a\0", "a.>.b", "a*", "a.b>", "a.*b", "\u{a0}"] {
            assert!(!valid_subject(neither), "{neither:?}");
            assert!(!valid_pattern(neither), "{neither:?}");
        }
    }

    #[test]
    fn matching() {
        let cases = [
            ("a.b", "a.b", true),
            ("a.b", "a", false),
            ("a", "a.b", false),
            ("a.*", "a.b", true),
            ("a.*", "a", false),
            ("a.*", "a.b.c", false),
            ("*.b", "a.b", true),
            ("a.>", "a.b", true),
            ("a.>", "a.b.c", true),
            ("a.>", "a", false),
            (">", "a", true),
            ("*", "a.b", false),
            ("a.>", "a.*", true),
            ("a.*", "a.>", false),
            ("a.>", "a.>", true),
            ("a.b", "a.*", false),
        ];
        for (pattern, subject, expected) in cases {
            assert_eq!(subject_matches(pattern, subject), expected, "{pattern} {subject}");
        }
    }

    #[test]
    fn patterns() {
        for good in ["a", "a.b", "a.*", "a.>", ">", "*", "*.a.*", "$KV.b.k"] {
            assert_eq!(check_pattern(good), Ok(()), "{good}");
        }
        for bad in ["", ".", "a.", ".a", "a..b", "a.>.b", "a b", "a.b>", "a*", "a.\u{7f}", "a.\n"] {
            assert!(check_pattern(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn overlaps() {
        for (a, b, yes) in [
            ("a", "a", true),
            ("a", "b", false),
            ("a.*", "a.b", true),
            ("a.*", "*.b", true),
            ("a.>", "a.b.c", true),
            ("a.>", "a", false),
            ("a.b", "a.b.c", false),
            (">", "x", true),
            ("a.*.c", "a.>", true),
            ("a.*.c", "a.b.d", false),
        ] {
            assert_eq!(overlap(a, b), yes, "{a} {b}");
            assert_eq!(overlap(b, a), yes, "{b} {a}");
        }
    }

    #[test]
    fn outputs_stay_clear_of_commands() {
        for good in ["out.>", "*.out", "seriatim.mine", "$KV.other.k"] {
            assert_eq!(check_outputs_pattern(good), Ok(()), "{good}");
        }
        for bad in [">", "*.>", "$JS.>", "$JS.API.STREAM.DELETE.X", "seriatim.>", "seriatim.dead.p.gap", "_INBOX.>", "$KV.SERIATIM.x"] {
            assert!(check_outputs_pattern(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn a_token_is_valid_and_tells_its_entity(entity in "\\PC{1,40}") {
            let token = subject_token(&entity);
            prop_assert!(valid_subject(&token));
            prop_assert!(!token.contains('.'));
            let mut bytes = Vec::new();
            let mut rest = token.as_str();
            while let Some(first) = rest.chars().next() {
                let taken = if first == '=' { 3 } else { 1 };
                let (head, tail) = rest.split_at(taken);
                bytes.push(if taken == 3 { u8::from_str_radix(&head[1..], 16).unwrap() } else { head.as_bytes()[0] });
                rest = tail;
            }
            prop_assert_eq!(String::from_utf8(bytes).unwrap(), entity);
        }

        #[test]
        fn wildcards_match_what_they_stand_for(tokens in prop::collection::vec("[a-z]{1,3}", 1..6), star in any::<prop::sample::Index>()) {
            let subject = tokens.join(".");
            let mut pattern = tokens.clone();
            pattern[star.index(tokens.len())] = "*".into();
            prop_assert!(subject_matches(&pattern.join("."), &subject));
            pattern.truncate(star.index(tokens.len()));
            pattern.push(">".into());
            prop_assert!(subject_matches(&pattern.join("."), &subject));
        }
    }
}
