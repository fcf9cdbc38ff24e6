//! Waiting: on conditions only. A condition that does not come true in [`PATIENCE`] ends the test with what was seen last.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How long any single condition may take. Generous: it is reached only by what will never come.
pub const PATIENCE: Duration = Duration::from_secs(90);

const BETWEEN_LOOKS: Duration = Duration::from_millis(25);

/// Looks until `probe` finds what it looks for; `Err` says what there is instead.
pub async fn until<T>(what: &str, probe: impl AsyncFnMut() -> Result<T, String>) -> T {
    until_within(PATIENCE, what, probe).await
}

/// The same with another patience, for what takes long by its nature.
pub async fn until_within<T>(patience: Duration, what: &str, mut probe: impl AsyncFnMut() -> Result<T, String>) -> T {
    let deadline = Instant::now() + patience;
    loop {
        match probe().await {
            Ok(found) => return found,
            Err(seen) if Instant::now() >= deadline => panic!("waited {patience:?} for {what}; now: {seen}"),
            Err(_) => tokio::time::sleep(BETWEEN_LOOKS).await,
        }
    }
}

/// This machine's clock, which is the broker's too.
pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970");
    u64::try_from(since.as_millis()).expect("a clock before the year 500 million")
}

/// Waits until this much time has passed: only where the passing of time itself is what is tested (a window, a gap's wait).
pub async fn time_passes(duration: Duration) {
    let passed = now_ms() + u64::try_from(duration.as_millis()).expect("a short time");
    until("time to pass", async || if now_ms() >= passed { Ok(()) } else { Err("not yet".to_owned()) }).await;
}
