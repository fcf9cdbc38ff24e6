//! Text from a handler as one bounded line: nothing it says can forge a line or a terminal sequence.

/// Bytes of one line of text that came from a handler.
pub const LINE_BYTES_MAX: usize = 1024;

/// Text as one line of at most `max` bytes: control characters (and what terminals or line readers take for a line's end) are written as
/// escapes; what does not fit is cut and marked with `…`.
#[must_use]
pub fn one_line(text: &str, max: usize) -> String {
    const CUT: char = '…';
    let mut line = String::with_capacity(text.len().min(max));
    let mut fits = 0;
    for c in text.chars() {
        if c.is_control()
            || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        {
            line.extend(c.escape_default());
        } else {
            line.push(c);
        }
        if line.len() > max {
            line.truncate(fits);
            line.push(CUT);
            return line;
        }
        if line.len() + CUT.len_utf8() <= max {
            fits = line.len();
        }
    }
    line
}

/// Whether there is a control character in it. Nearly all texts are ASCII, which is looked through many bytes at a time.
#[must_use]
pub fn has_control(text: &str) -> bool {
    if text.is_ascii() { text.bytes().any(|byte| byte.is_ascii_control()) } else { text.contains(char::is_control) }
}

#[cfg(test)]
mod tests {
    use super::{has_control, one_line};

    #[test]
    fn control_characters_are_found_wherever_they_stand() {
        for text in ["", "plain", "é — \u{a0}", "\u{202e}"] {
            assert!(!has_control(text), "{text:?}");
        }
        for control in ['\0', '\n', '\u{1f}', '\u{7f}', '\u{80}', '\u{9f}'] {
            assert!(has_control(&format!("abcdefghijklmnop{control}")) && has_control(&format!("é{control}x")), "{control:?}");
        }
    }

    #[test]
    fn a_line_stays_a_line_and_within_its_bound() {
        assert_eq!(one_line("plain — text", 1024), "plain — text");
        assert_eq!(one_line("a\r\nb\t\u{1b}[31m\0\u{202e}", 1024), "a\\r\\nb\\t\\u{1b}[31m\\u{0}\\u{202e}");
        assert_eq!(one_line("abcdefgh", 8), "abcdefgh");
        assert_eq!(one_line("abcdefghi", 8), "abcde…");
        assert_eq!(one_line("é\né\né", 8), "é\\n…");
        for max in 3..40 {
            assert!(one_line("ab\ncdé\u{1b}fgh ij — klm\u{2028}", max).len() <= max);
        }
        assert_eq!(one_line("", 0), "");
    }
}
