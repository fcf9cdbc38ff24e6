//! Version numbers as programs print them.

/// `major.minor.patch`; orders as versions do. What follows the numbers (`-RC.1`, `+dfsg1`) is not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version(pub(crate) u32, pub(crate) u32, pub(crate) u32);

impl Version {
    /// The first version in a line such as `nats-server: v2.15.1` or `rustc 1.95.0 (…)`.
    pub(crate) fn find_in(text: &str) -> Option<Self> {
        text.split_whitespace().find_map(Self::parse)
    }

    fn parse(word: &str) -> Option<Self> {
        let mut numbers = word.strip_prefix('v').unwrap_or(word).splitn(3, '.');
        let major = numbers.next()?.parse().ok()?;
        let minor = numbers.next()?.parse().ok()?;
        let patch = numbers.next()?;
        let digits = patch.find(|c: char| !c.is_ascii_digit()).map_or(patch, |end| patch.split_at(end).0);
        Some(Self(major, minor, digits.parse().ok()?))
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self(major, minor, patch) = self;
        write!(f, "{major}.{minor}.{patch}")
    }
}

#[cfg(test)]
mod tests {
    use super::Version;

    #[test]
    fn reads_what_programs_print() {
        assert_eq!(Version::find_in("nats-server: v2.15.1\n"), Some(Version(2, 15, 1)));
        assert_eq!(Version::find_in("nats-server: v2.14.4-RC.2"), Some(Version(2, 14, 4)));
        assert_eq!(Version::find_in("rustc 1.96.0 (abc 2026-01-01) (built from a source tarball)"), Some(Version(1, 96, 0)));
        assert_eq!(Version::find_in("nothing here"), None);
        assert_eq!(Version::find_in("v2.14"), None);
    }

    #[test]
    fn orders_by_number() {
        assert!(Version(2, 9, 0) < Version(2, 14, 4));
        assert!(Version(2, 14, 4) <= Version(2, 14, 4));
    }
}
