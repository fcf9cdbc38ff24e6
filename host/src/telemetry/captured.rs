//! What is logged on one thread, for tests.

use tracing::subscriber::{DefaultGuard, NoSubscriber, set_default};
use tracing::{Dispatch, Subscriber};

/// Until it is dropped, what this thread logs goes to the subscriber.
pub(crate) struct Captured {
    _beside: Dispatch,
    _guard: DefaultGuard,
}

/// Captures what this thread logs. Beside a second dispatcher: where there is only one, whether a line is wanted at all is asked of the thread that reaches
/// it first, and kept; another test's thread wants none.
pub(crate) fn capture(subscriber: impl Subscriber + Send + Sync) -> Captured {
    let beside = Dispatch::new(NoSubscriber::default());
    Captured { _beside: beside, _guard: set_default(subscriber) }
}
