//! Named points at which tests stop the process dead (design §7). Without the feature `failpoints` they compile to nothing.
//!
//! A test starts the host with `FAILPOINTS="commit-after=5*off->return"`: five passes, then the sixth kills the process. With
//! `FAILPOINTS_ARMED_BY=FILE` a point that says so kills only once that file exists; until then the process goes on.

/// Kills the process here when the failpoint `name` says so.
#[macro_export]
macro_rules! failpoint {
    ($name:expr) => {{
        #[cfg(feature = "failpoints")]
        $crate::failpoint::pass($name);
    }};
}

/// Passes the failpoint `name`, or dies at it.
#[cfg(feature = "failpoints")]
pub fn pass(name: &'static str) {
    // The macro returns from the function it stands in, so it has one of its own.
    fail::fail_point!(name, |_| if armed() {
        die(name)
    });
}

/// Whether a point may kill: always, unless a file was named and is not there (yet).
#[cfg(feature = "failpoints")]
fn armed() -> bool {
    use std::path::PathBuf;
    use std::sync::OnceLock;

    static FILE: OnceLock<Option<PathBuf>> = OnceLock::new();
    FILE.get_or_init(|| std::env::var_os("FAILPOINTS_ARMED_BY").map(PathBuf::from)).as_ref().is_none_or(|file| file.exists())
}

/// Ends the process at once: no destructors, no flushing, as a crash would.
#[cfg(feature = "failpoints")]
#[cold]
fn die(name: &str) {
    use rustix::process::{Signal, getpid, kill_process};

    eprintln!("failpoint {name}: SIGKILL");
    if let Err(error) = kill_process(getpid(), Signal::KILL) {
        eprintln!("failpoint {name}: cannot send SIGKILL to itself: {error}");
    }
    std::process::abort();
}
