//! `--rate`: not more publications a second than wanted.

use std::time::Duration;
use tokio::time::Instant;

/// What was held up this long is made up for; more is let go.
const BURST: Duration = Duration::from_millis(100);

/// When the next publication may leave.
#[derive(Clone, Debug)]
pub(super) struct Pace {
    interval: Option<Duration>,
    next: Instant,
}

impl Pace {
    /// So many a second at most; none = as fast as it goes.
    pub(super) fn new(rate: Option<f64>, now: Instant) -> Self {
        let interval = rate.and_then(|rate| Duration::try_from_secs_f64(1.0 / rate).ok());
        Self { interval, next: now }
    }

    /// Returns when the next may leave. Cancel safe.
    pub(super) async fn ready(&self) {
        if self.interval.is_some() {
            tokio::time::sleep_until(self.next).await;
        }
    }

    /// One has left.
    pub(super) fn left(&mut self, now: Instant) {
        if let Some(interval) = self.interval {
            let earliest = now.checked_sub(BURST).unwrap_or(now);
            self.next = self.next.max(earliest).checked_add(interval).unwrap_or(self.next);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn publications_are_spread_and_a_pause_is_not_made_up_for() {
        let start = Instant::now();
        let mut pace = Pace::new(Some(100.0), start);
        for sent in 1..=50_u32 {
            pace.left(start);
            let wanted = Duration::from_millis(10) * sent;
            assert_eq!(pace.next, start + wanted);
        }
        let later = start + Duration::from_secs(60);
        pace.left(later);
        assert_eq!(pace.next, later - BURST + Duration::from_millis(10));
        let mut free = Pace::new(None, start);
        free.left(start);
        assert_eq!(free.next, start);
    }
}
