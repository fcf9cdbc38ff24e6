//! Entities inside subjects.

/// An entity as one subject token: every byte outside `[A-Za-z0-9_-]` is written `=XX`, so that no two entities give the same token and none
/// gives a wildcard, a space or an empty token. (An empty string stays empty.)
#[must_use]
pub fn subject_token(entity: &str) -> String {
    let mut token = String::with_capacity(entity.len());
    for byte in entity.bytes() {
        if byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-' {
            token.push(char::from(byte));
        } else {
            token.push('=');
            for digit in [byte >> 4, byte & 15] {
                token.push(char::from(if digit < 10 { b'0' + digit } else { b'A' + digit - 10 }));
            }
        }
    }
    token
}

#[cfg(test)]
mod tests {
    use super::subject_token;

    #[test]
    fn tokens_are_those_of_the_host() {
        for entity in ["", "N12345_a-b", "a.b *>=", "é\u{0}", "$JS"] {
            assert_eq!(subject_token(entity), seriatim_contract::subject_token(entity));
        }
    }

    #[test]
    fn only_safe_bytes_stay() {
        assert_eq!(subject_token("N12345_a-b"), "N12345_a-b");
        assert_eq!(subject_token("a.b *>="), "a=2Eb=20=2A=3E=3D");
        assert_eq!(subject_token("é"), "=C3=A9");
    }
}
