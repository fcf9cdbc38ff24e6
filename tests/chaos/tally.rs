//! What a run did: faults counted when they happened, what the host's log says about what they hit, and the judge's counts. The minimum
//! of each: a run that did not exercise what it claims fails.

use crate::deck::FAILPOINTS;
use crate::profile::Kind;
use seriatim_tests::checker::laws::Counts;
use std::collections::BTreeMap;

/// Shorter runs say what they did not reach, and pass.
pub(crate) const JUDGED_FROM_MINUTES: f64 = 5.0;

/// Everything counted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    /// Hosts started by faults' lives.
    pub(crate) lives: u64,
    /// Of these, those that were seen ready.
    pub(crate) ready: u64,
    /// Deaths by SIGKILL, by how they came.
    pub(crate) host_kills: BTreeMap<String, u64>,
    /// Of these, with a slow call of a handler under way.
    pub(crate) in_mid_handler: u64,
    /// Of these, in a life that was catching up.
    pub(crate) in_catch_up: u64,
    /// Deaths of the broker.
    pub(crate) broker_kills: BTreeMap<String, u64>,
    /// Everything else that was done to the two.
    pub(crate) faults: BTreeMap<String, u64>,
    /// Catch-ups begun, by the hosts' logs.
    pub(crate) catch_ups: u64,
    /// Messages that the broker dropped as duplicates.
    pub(crate) dropped_by_broker: u64,
    /// What was published, by kind.
    pub(crate) planned: BTreeMap<String, u64>,
    /// Phases that were judged, by profile.
    pub(crate) phases: BTreeMap<String, u64>,
    /// What the judge found in the streams and stores.
    pub(crate) counts: Counts,
    /// Broken promises.
    pub(crate) violations: u64,
}

/// A count and how high it has to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Minimum {
    pub(crate) name: String,
    pub(crate) found: u64,
    pub(crate) wanted: u64,
}

impl Minimum {
    pub(crate) fn reached(&self) -> bool {
        self.found >= self.wanted
    }
}

impl Tally {
    pub(crate) fn kill(&mut self, how: &str, log: &str) {
        *self.host_kills.entry(how.to_owned()).or_default() += 1;
        let (begun, ended) = (log.matches("slow begins").count(), log.matches("slow ends").count());
        self.in_mid_handler += u64::from(begun > ended);
        let catch_ups = self.read_log(log);
        self.in_catch_up += u64::from(catch_ups > 0);
    }

    /// Counts what a host said of its catch-ups.
    pub(crate) fn read_log(&mut self, log: &str) -> u64 {
        let catch_ups = log.matches("\"catching up\"").count() as u64;
        self.catch_ups += catch_ups;
        catch_ups
    }

    pub(crate) fn broker(&mut self, how: &str) {
        *self.broker_kills.entry(how.to_owned()).or_default() += 1;
    }

    pub(crate) fn fault(&mut self, name: &str) {
        *self.faults.entry(name.to_owned()).or_default() += 1;
    }

    pub(crate) fn host_kills(&self) -> u64 {
        self.host_kills.values().sum()
    }

    pub(crate) fn broker_kills(&self) -> u64 {
        self.broker_kills.values().sum()
    }

    /// What a run of so many minutes must have done. The rates are those of 150 kills of the host and 30 of the broker in 25 minutes.
    pub(crate) fn minimums(&self, minutes: f64) -> Vec<Minimum> {
        let scaled = |in_five_minutes: u64| (in_five_minutes as f64 * minutes / 5.0).floor() as u64;
        let mut minimums = Vec::new();
        let mut at_least = |name: String, found: u64, wanted: u64| minimums.push(Minimum { name, found, wanted });
        at_least("kills of the host".to_owned(), self.host_kills(), scaled(30));
        at_least("kills of the broker".to_owned(), self.broker_kills(), scaled(6));
        for name in FAILPOINTS {
            let how = format!("at {name}");
            at_least(format!("kills {how}"), self.host_kills.get(&how).copied().unwrap_or_default(), scaled(1));
        }
        at_least("kills of both at once".to_owned(), self.host_kills.get("with the broker").copied().unwrap_or_default(), scaled(2));
        at_least("kills in a storm".to_owned(), self.host_kills.get("storm").copied().unwrap_or_default(), scaled(8));
        at_least("kills in a handler's call".to_owned(), self.in_mid_handler, scaled(1));
        at_least("kills in a life with a catch-up".to_owned(), self.in_catch_up, scaled(3));
        // One round of the deck takes up to five minutes on a busy machine.
        for name in FAULTS {
            at_least(name.to_owned(), self.faults.get(name).copied().unwrap_or_default(), scaled(2) / 3);
        }
        at_least("catch-ups".to_owned(), self.catch_ups, scaled(20));
        let Counts { duplicates, conflicts, malformed, applied, out_of_order, .. } = self.counts;
        at_least("events applied".to_owned(), applied, scaled(10_000));
        at_least("events out of order".to_owned(), out_of_order, scaled(500));
        at_least("duplicates".to_owned(), duplicates, scaled(500));
        at_least("duplicates dropped by the broker".to_owned(), self.dropped_by_broker, scaled(50));
        at_least("conflicts".to_owned(), conflicts, scaled(20));
        at_least("malformed messages".to_owned(), malformed, scaled(50));
        for kind in [Kind::Skip, Kind::DeadLetter, Kind::Park, Kind::Deliver] {
            let phases = self.phases.get(kind.name()).copied().unwrap_or_default();
            self.of_kind(kind, phases, &mut at_least);
        }
        minimums
    }

    /// What a kind of phase has to show, as often as there were such phases.
    fn of_kind(&self, kind: Kind, phases: u64, at_least: &mut impl FnMut(String, u64, u64)) {
        let dead = |reason: &str| self.counts.dead.get(reason).copied().unwrap_or_default();
        match kind {
            Kind::Skip => {
                at_least("late events".to_owned(), self.counts.late, phases);
                at_least("sequences given up".to_owned(), self.counts.given_up, phases);
                for reason in ["rejected", "retries-exhausted", "trap", "memory", "too-large"] {
                    at_least(format!("dead letters: {reason}"), dead(reason), phases);
                }
            }
            Kind::DeadLetter => at_least("dead letters: gap".to_owned(), dead("gap"), phases * 5),
            Kind::Park => at_least("entities parked".to_owned(), self.counts.parked, phases * 3),
            Kind::Deliver => at_least("late events delivered".to_owned(), self.counts.delivered_late, phases),
            Kind::InTime | Kind::InTimeScan => {}
        }
    }
}

/// Everything that is neither a kill nor a count of the judge's.
const FAULTS: [&str; 13] = [
    "host stopped past every time-out",
    "broker stopped past every time-out",
    "graceful stop",
    "network: delayed",
    "network: slow",
    "network: stalled",
    "network: cut",
    "network: half-open to the broker",
    "network: half-open to the host",
    "network: half-open both ways",
    "network: reset",
    "output stream full",
    "dead letters full",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_did_nothing_reaches_no_minimum() {
        let minimums = Tally::default().minimums(5.0);
        let reached: Vec<_> = minimums.iter().filter(|minimum| minimum.reached() && minimum.wanted > 0).collect();
        assert_eq!(reached, Vec::<&Minimum>::new());
        assert!(minimums.len() > 30);
        let wanted = |minutes: f64, name: &str| {
            let minimums = Tally::default().minimums(minutes);
            minimums.into_iter().find(|minimum| minimum.name == name).map(|minimum| minimum.wanted)
        };
        assert_eq!(wanted(25.0, "kills of the host"), Some(150));
        assert_eq!(wanted(25.0, "kills of the broker"), Some(30));
    }

    #[test]
    fn a_kill_tells_what_it_hit() {
        let mut tally = Tally::default();
        tally.kill("random", "{\"message\":\"slow begins\"}\n{\"message\":\"slow ends\"}\n{\"message\":\"slow begins\"}");
        tally.kill("random", "{\"message\":\"catching up\"}");
        tally.kill("at prune-after", "");
        assert_eq!((tally.host_kills(), tally.in_mid_handler, tally.in_catch_up, tally.catch_ups), (3, 1, 1, 1));
    }
}
