//! The six deaths of the host: how each comes, and when it counts.

use std::fmt;
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;

/// Where the SIGKILL comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// From the demo, at any moment.
    Outside,
    /// From the host itself, at the next pass through this failpoint once the demo has armed it.
    Failpoint(&'static str),
}

/// The plan: kill number k comes when k/7 of all outputs are there.
pub(crate) const KILLS: [How; 6] = [
    How::Outside,
    How::Failpoint("commit-before"),
    How::Outside,
    How::Failpoint("commit-after"),
    How::Failpoint("publish-after"),
    How::Failpoint("commit-before"),
];

/// Outputs that a host must have sent since its start for its death to count.
pub(crate) const WORK_MIN: u64 = 500;

/// One death.
#[derive(Clone, Debug)]
pub(crate) struct Kill {
    /// How it came.
    pub(crate) how: How,
    /// Outputs that were there when the host was dead.
    pub(crate) outputs: u64,
}

impl fmt::Display for How {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Outside => f.write_str("from outside"),
            Self::Failpoint("commit-before") => f.write_str("in mid-commit, nothing written"),
            Self::Failpoint("commit-after") => f.write_str("in mid-commit, nothing sent"),
            Self::Failpoint("publish-after") => f.write_str("between output and confirmation"),
            Self::Failpoint(name) => write!(f, "at the failpoint {name}"),
        }
    }
}

/// Whether a death proves something: the host ended by SIGKILL, by the failpoint's own hand if there is one, after it had done work, and
/// with work left to do.
///
/// # Errors
/// Which of these does not hold.
pub(crate) fn counts(kill: &Kill, status: ExitStatus, log: &str, outputs_at_start: u64, outputs_in_all: u64) -> Result<(), String> {
    const SIGKILL: i32 = 9;
    if status.signal() != Some(SIGKILL) {
        return Err(format!("the host ended by itself ({status}), not by SIGKILL"));
    }
    if let How::Failpoint(name) = kill.how
        && !log.contains(&format!("failpoint {name}: SIGKILL"))
    {
        return Err(format!("the host did not die at the failpoint {name}"));
    }
    let sent = kill.outputs.saturating_sub(outputs_at_start);
    if sent < WORK_MIN {
        return Err(format!("the host was not at work: {sent} outputs since its start, at least {WORK_MIN} are asked for"));
    }
    if kill.outputs >= outputs_in_all {
        return Err(format!("the host had nothing left to do: all {outputs_in_all} outputs were there"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{How, KILLS, Kill, counts};
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::ExitStatus;

    const LOG: &str = "working\nfailpoint commit-after: SIGKILL\n";

    fn judged(how: How, raw: i32, outputs: u64) -> Result<(), String> {
        counts(&Kill { how, outputs }, ExitStatus::from_raw(raw), LOG, 1000, 9000)
    }

    #[test]
    fn at_least_two_come_in_mid_commit() {
        assert!(KILLS.iter().filter(|how| how.to_string().contains("mid-commit")).count() >= 2);
    }

    #[test]
    fn only_the_death_of_a_working_host_counts() {
        assert_eq!(judged(How::Outside, 9, 5000), Ok(()));
        assert_eq!(judged(How::Failpoint("commit-after"), 9, 5000), Ok(()));
        for (how, raw, outputs, problem) in [
            (How::Outside, 6, 5000, "the host ended by itself"),
            (How::Outside, 0, 5000, "the host ended by itself"),
            (How::Failpoint("commit-before"), 9, 5000, "did not die at the failpoint commit-before"),
            (How::Outside, 9, 1499, "not at work: 499 outputs"),
            (How::Outside, 9, 900, "not at work: 0 outputs"),
            (How::Outside, 9, 9000, "nothing left to do"),
        ] {
            let said = judged(how, raw, outputs).expect_err(problem);
            assert!(said.contains(problem), "{said}");
        }
    }
}
