//! What happened in a run, line by line: its hash always, the lines themselves only when somebody wants to read them. Two runs of one seed
//! must have the same trace, so nothing may stand in it that is not drawn from the seed: no clock, no address, no order of a hash table.

use std::fmt::{self, Write as _};
use std::hash::{DefaultHasher, Hasher as _};

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    hash: DefaultHasher,
    lines: Option<Vec<String>>,
}

impl Trace {
    /// With lines to read.
    pub(crate) fn told() -> Self {
        Self { lines: Some(Vec::new()), ..Self::default() }
    }

    /// Notes one line. Call it through [`note!`](crate::note).
    pub(crate) fn line(&mut self, text: fmt::Arguments<'_>) {
        if let Some(lines) = &mut self.lines {
            lines.push(text.to_string());
        }
        writeln!(Hashed(&mut self.hash), "{text}").unwrap();
    }

    /// The hash of all lines.
    pub(crate) fn hash(&self) -> u64 {
        self.hash.clone().finish()
    }

    /// The lines, if they were kept.
    pub(crate) fn lines(&self) -> &[String] {
        self.lines.as_deref().unwrap_or_default()
    }
}

/// Text goes into the hash as it is made, without a string in between.
struct Hashed<'a>(&'a mut DefaultHasher);

impl fmt::Write for Hashed<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.write(text.as_bytes());
        Ok(())
    }
}

/// Notes one line of a trace.
#[macro_export]
macro_rules! note {
    ($trace:expr, $($text:tt)*) => { $trace.line(format_args!($($text)*)) };
}

#[cfg(test)]
mod tests {
    use super::Trace;

    #[test]
    fn the_hash_tells_lines_apart_whether_they_are_kept_or_not() {
        let (mut one, mut same, mut other) = (Trace::default(), Trace::told(), Trace::default());
        note!(one, "{} {}", 1, "a");
        note!(same, "1 a");
        note!(other, "1 b");
        assert_eq!(one.hash(), same.hash());
        assert_ne!(one.hash(), other.hash());
        assert_eq!(same.lines(), ["1 a"]);
        assert!(one.lines().is_empty());
    }
}
