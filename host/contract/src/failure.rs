//! Why a call did nothing: the kinds, their names, and a message of one line.

use crate::text::{LINE_BYTES_MAX, one_line};
use std::fmt;

/// What kind of failure ended a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// The handler asks for another attempt.
    Retry,
    /// The handler says it can never succeed.
    Rejected,
    /// The handler trapped, or the call broke inside the host.
    Trap,
    /// It ran longer than `time-max`.
    Timeout,
    /// It broke off after it was refused memory beyond `memory-max`.
    Memory,
    /// It emitted what it may not emit.
    OutputRefused,
    /// It went past a bound on state, outputs or log lines.
    TooLarge,
    /// The entity's state is of another version, and the component could not migrate it.
    Migration,
    /// The host could not run it: no room for an instance. Not the handler's fault; no attempt is counted.
    Host,
}

impl FailureKind {
    /// Whether it shows that the component is broken, whatever event it is given: what opens a circuit breaker. What a handler says itself, and the
    /// host's own faults, do not.
    #[must_use]
    pub fn is_fault(self) -> bool {
        matches!(self, Self::Trap | Self::Timeout | Self::Memory)
    }

    /// The name in metric labels, logs and dead letters.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Rejected => "rejected",
            Self::Trap => "trap",
            Self::Timeout => "timeout",
            Self::Memory => "memory",
            Self::OutputRefused => "output-refused",
            Self::TooLarge => "too-large",
            Self::Migration => "migration",
            Self::Host => "host",
        }
    }
}

/// Why a call did nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Its kind.
    pub kind: FailureKind,
    /// What happened: one line of at most 1 KiB.
    pub message: String,
    /// Where in the component, for what ended inside it: several lines, at most 4 KiB.
    pub backtrace: Option<String>,
}

impl Failure {
    /// A failure without a backtrace; the message is made one bounded line.
    #[must_use]
    pub fn new(kind: FailureKind, message: impl AsRef<str>) -> Self {
        Self { kind, message: one_line(message.as_ref(), LINE_BYTES_MAX), backtrace: None }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind.name(), self.message)
    }
}

impl std::error::Error for Failure {}
