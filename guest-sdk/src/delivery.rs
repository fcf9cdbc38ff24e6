//! How this delivery came about. It may differ when the same event is processed again: use it to decide how loudly to log, not what to keep.

use crate::host;

/// Which attempt at this event it is; 1 is the first.
#[must_use]
pub fn attempt() -> u32 {
    host::attempt()
}

/// Whether the event comes after its sequence had been given up.
#[must_use]
pub fn late() -> bool {
    host::late()
}

/// Whether the event is processed again by a rebuild or replay command.
#[must_use]
pub fn replay() -> bool {
    host::replay()
}
