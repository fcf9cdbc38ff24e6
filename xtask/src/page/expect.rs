//! Whether an output is what the page shows. Pure.

use anyhow::{Result, bail};
use regex::Regex;

/// What stands for "anything": within a line, or, alone on it, for any lines.
const ANYTHING: &str = "…";

/// What a page shows of an output.
#[derive(Debug)]
pub(super) struct Shown {
    lines: Vec<String>,
}

impl Shown {
    pub(super) fn new(block: &str) -> Self {
        Self { lines: lines(block).map(str::to_owned).collect() }
    }

    /// The whole output is what the page shows.
    pub(super) fn is_all_of(&self, output: &str) -> Result<()> {
        if self.regex(self.lines.len(), true)?.is_match(&normal(output)) {
            return Ok(());
        }
        bail!("{}", self.difference(output)?)
    }

    /// The output so far begins with what the page shows, and how many of its lines that took.
    pub(super) fn begins(&self, output: &str) -> Result<Option<usize>> {
        let output = normal(output);
        let found = self.regex(self.lines.len(), false)?.find(&output);
        Ok(found.map(|found| found.as_str().lines().count()))
    }

    /// Both texts, and the first line shown that was not printed.
    pub(super) fn difference(&self, output: &str) -> Result<String> {
        let printed = normal(output);
        let mut first = "more was printed than is shown (a line `…` stands for the rest)".to_owned();
        for count in 1..=self.lines.len() {
            if !self.regex(count, false)?.is_match(&printed) {
                let line = self.lines.get(count - 1).map_or("", String::as_str);
                first = format!("this line was not printed where the page shows it: {line}");
                break;
            }
        }
        Ok(format!("{first}\n--- the page shows\n{}\n--- printed was\n{}", self.lines.join("\n"), printed.trim_end()))
    }

    /// For the first `count` lines; `all`: and nothing may follow.
    fn regex(&self, count: usize, all: bool) -> Result<Regex> {
        let mut pattern = r"\A".to_owned();
        for line in self.lines.iter().take(count) {
            if line == ANYTHING {
                pattern.push_str(r"(?:.*\n)*?");
            } else {
                let parts: Vec<String> = line.split(ANYTHING).map(regex::escape).collect();
                pattern.push_str(&parts.join(".*"));
                pattern.push_str(r"\n");
            }
        }
        if all {
            pattern.push_str(r"\z");
        }
        Ok(Regex::new(&pattern)?)
    }
}

/// The lines that count, each with its line break.
fn normal(text: &str) -> String {
    lines(text).flat_map(|line| [line, "\n"]).collect()
}

/// All but the empty ones, without blanks at their ends.
pub(super) fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim_end).filter(|line| !line.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(shown: &str, output: &str) -> bool {
        Shown::new(shown).is_all_of(output).is_ok()
    }

    #[test]
    fn everything_printed_must_be_shown() {
        assert!(all("one\ntwo\n", "one\n\ntwo  \n"));
        assert!(!all("one\n", "one\ntwo\n"));
        assert!(!all("two\n", "one\ntwo\n"));
        assert!(!all("one\ntwo\nthree\n", "one\ntwo\n"));
        assert!(!all("two\none\n", "one\ntwo\n"));
        assert!(all("", ""));
        assert!(!all("", "x\n"));
    }

    #[test]
    fn an_ellipsis_stands_for_anything() {
        assert!(all("…\ntwo\n…\n", "one\ntwo\nthree\nfour\n"));
        assert!(all("…\ntwo\n…\n", "two\n"));
        assert!(all("a … in …s", "a b.c in 0.1s\n"));
        assert!(!all("a … in …s", "a b.c\nin 0.1s\n"));
        assert!(!all("a.c", "abc\n"));
        assert!(!all("…\ntwo\n", "two\nthree\n"));
    }

    #[test]
    fn a_terminal_goes_on_printing() {
        let shown = Shown::new("…\nready …\n");
        assert_eq!(shown.begins("a\nb\n").unwrap(), None);
        assert_eq!(shown.begins("a\nb\nready now\nc\nready then\n").unwrap(), Some(3));
    }

    #[test]
    fn a_difference_names_the_first_line_that_is_not_there() {
        let difference = |shown: &str, output: &str| Shown::new(shown).is_all_of(output).unwrap_err().to_string();
        assert!(difference("one\n2\nthree\n", "one\ntwo\nthree\n").starts_with("this line was not printed where the page shows it: 2\n"));
        assert!(difference("one\n", "one\ntwo\n").starts_with("more was printed than is shown"));
    }
}
