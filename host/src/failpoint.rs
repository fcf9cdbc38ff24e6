//! Named points at which tests stop the process dead (design §7). Without the feature `failpoints` they compile to nothing.
//!
//! A test starts the host with `FAILPOINTS="commit-after=5*off->return"`: five passes, then the sixth kills the process.

/// Ends the process at once: no destructors, no flushing, as a crash would.
#[cold]
pub fn die() {
    std::process::abort();
}

/// Kills the process here when the failpoint `name` says so.
#[macro_export]
macro_rules! failpoint {
    ($name:expr) => {
        fail::fail_point!($name, |_| $crate::failpoint::die())
    };
}
