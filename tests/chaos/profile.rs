//! The configs that the phases of a run go through: each a policy of its own, with bounds drawn from the seed.

use crate::load::{Place, Shape};
use seriatim_tests::checker::laws::{Failing, Hole, LateRule, Rules};
use seriatim_tests::harness::config::Pipeline;
use seriatim_tests::harness::{Config, Random, misbehave};
use std::path::Path;
use std::time::Duration;

/// The kinds, in no order: a run deals them out like cards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Every missing event comes in time; entity in the subject.
    InTime,
    /// The same with the entity in the payload: one scan serves all that catch up.
    InTimeScan,
    /// What does not come is skipped; what comes late is dead-lettered, or dropped.
    Skip,
    /// What came early is dead-lettered. Entity in a header.
    DeadLetter,
    /// A gap parks its entity, and so does an event that cannot be handled.
    Park,
    /// What comes late is delivered; entities begin anywhere and start over under higher epochs.
    Deliver,
}

/// All of them.
pub(crate) const KINDS: [Kind; 6] = [Kind::InTime, Kind::Skip, Kind::DeadLetter, Kind::Park, Kind::Deliver, Kind::InTimeScan];

impl Kind {
    /// For people and for reports.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::InTime => "in-time",
            Self::InTimeScan => "in-time-scan",
            Self::Skip => "skip",
            Self::DeadLetter => "dead-letter",
            Self::Park => "park",
            Self::Deliver => "deliver",
        }
    }
}

/// One phase's config and load.
#[derive(Clone, Debug)]
pub(crate) struct Profile {
    pub(crate) kind: Kind,
    pub(crate) shape: Shape,
    /// What the config promises.
    pub(crate) rules: Rules,
    /// `gap.wait` where gaps give up within a phase.
    pub(crate) wait: Option<Duration>,
    /// The duplicate window of the output stream and of the dead letters' (after the host has made it).
    pub(crate) window: Duration,
    /// For the log: what was drawn.
    pub(crate) drawn: String,
    run: Vec<(&'static str, String)>,
    pipeline: Bounds,
}

/// What differs in `[pipelines.flights]`.
#[derive(Clone, Debug)]
struct Bounds {
    wait: &'static str,
    isolation: &'static str,
    misbehaves: bool,
    held_max: u32,
    ids: u32,
}

/// Delays between attempts.
const RETRY: [&str; 2] = ["50ms", "150ms"];
/// `time-max` of the handler that misbehaves: long enough for any honest call on a busy machine.
const TIME_MAX: &str = "1s";

impl Profile {
    /// Draws the bounds for a phase of this kind.
    pub(crate) fn draw(kind: Kind, random: &mut Random) -> Self {
        let (held_max, ids) = (pick(random, [3_u32, 8, 40]), pick(random, [8_u32, 64]));
        let run = [
            ("shards", pick(random, [1, 2, 3])),
            ("prefetch-messages", pick(random, [30, 300, 10_000])),
            ("queue-max", pick(random, [5, 50, 1_000])),
            ("commits-max", pick(random, [1, 4, 64])),
            ("catch-ups-max", pick(random, [1, 2, 8])),
            ("publish-window", pick(random, [5, 100, 4_000])),
            ("outbox-max", pick(random, [2, 64])),
        ];
        let window = Duration::from_secs(pick(random, [3, 3, 120]));
        let isolation = pick(random, ["run", "event", "shared"]);
        let seconds = 2 + random.below(2) as u64;

        let (hole, late, failing) = match kind {
            Kind::InTime | Kind::InTimeScan => (Hole::Park, LateRule::DeadLetter, Failing::DeadLetter),
            Kind::Skip if random.below(2) == 0 => (Hole::Skip, LateRule::DeadLetter, Failing::DeadLetter),
            Kind::Skip => (Hole::Skip, LateRule::Drop, Failing::DeadLetter),
            Kind::DeadLetter => (Hole::DeadLetter, LateRule::DeadLetter, Failing::DeadLetter),
            Kind::Park => (Hole::Park, LateRule::DeadLetter, Failing::Park),
            Kind::Deliver => (Hole::Skip, LateRule::Deliver, Failing::DeadLetter),
        };
        // Under this policy each pass of a catch-up gives up as many events as fit, so a small bound takes passes without end.
        let held_max = if hole == Hole::DeadLetter { held_max.max(16) } else { held_max };
        let in_time = matches!(kind, Kind::InTime | Kind::InTimeScan);
        let place = match kind {
            Kind::InTime | Kind::Skip | Kind::Deliver => Place::Subject,
            Kind::DeadLetter | Kind::Park => Place::Header,
            Kind::InTimeScan => Place::Json,
        };
        // A command in the payload leaves no room for an entity there.
        let misbehaves = kind != Kind::InTimeScan;
        let wait = (!in_time).then(|| Duration::from_secs(seconds));
        let shape = Shape {
            rate: 140,
            entities: 60,
            place,
            misbehaving: misbehaves,
            late: if in_time { (300, 6_000) } else { (500, seconds * 3_000) },
            // Under "dead-letter" such an entity only gives up from there on, event by event and pass by pass: that takes long to settle.
            never: (!in_time).then_some(if kind == Kind::DeadLetter { 240 } else { 60 }),
            epochs: kind == Kind::Deliver,
        };
        let rules = Rules {
            first: if kind == Kind::Deliver { None } else { Some(1) },
            hole,
            late,
            failing,
            attempts: RETRY.len() as u32 + 1,
            ids: usize::try_from(ids).unwrap_or(usize::MAX),
            held_max: usize::try_from(held_max).unwrap_or(usize::MAX),
            in_time,
            ..Rules::default()
        };
        let drawn = run.iter().map(|(key, value)| format!("{key} {value}, ")).collect::<String>()
            + &format!("held-max {held_max}, ids {ids}, isolation {isolation}, window {window:?}, wait {wait:?}, late {late:?}");
        let wait_text = match (in_time, seconds) {
            (true, _) => "1h",
            (false, 2) => "2s",
            (false, _) => "3s",
        };
        Self {
            kind,
            shape,
            rules,
            wait,
            window,
            drawn,
            run: run.into_iter().map(|(key, value)| (key, value.to_string())).collect(),
            pipeline: Bounds { wait: wait_text, isolation, misbehaves, held_max, ids },
        }
    }

    /// The host's config for a folder.
    pub(crate) fn config(&self, folder: &Path) -> Config {
        let mut config = Config::new(folder);
        config.run.clone_from(&self.run);
        config.run.push(("drain", "\"5s\"".to_owned()));
        let flights: &mut Pipeline = config.flights();
        flights.entity = match self.shape.place {
            Place::Subject => "subject:2",
            Place::Header => "header:Seriatim-Entity",
            Place::Json => "json:/entity",
        };
        flights.epoch = self.shape.epochs.then_some("header:Seriatim-Epoch");
        flights.first_sequence = if self.rules.first.is_some() { "1" } else { "\"any\"" };
        flights.gap_wait = self.pipeline.wait;
        flights.gap_then = match self.rules.hole {
            Hole::Skip => "skip",
            Hole::DeadLetter => "dead-letter",
            Hole::Park => "park",
        };
        flights.held_max = self.pipeline.held_max;
        flights.late = match self.rules.late {
            LateRule::DeadLetter => "dead-letter",
            LateRule::Drop => "drop",
            LateRule::Deliver => "deliver",
        };
        flights.ids = self.pipeline.ids;
        flights.retry = RETRY.to_vec();
        flights.failure_then = match self.rules.failing {
            Failing::DeadLetter => "dead-letter",
            Failing::Park => "park",
        };
        if self.pipeline.misbehaves {
            flights.handlers = vec![misbehave(TIME_MAX)];
        }
        for handler in &mut flights.handlers {
            handler.limits.push(("isolation", self.pipeline.isolation));
        }
        config
    }

    /// Whether entities may stay parked for a gap.
    pub(crate) fn parks_gaps(&self) -> bool {
        self.rules.hole == Hole::Park && self.wait.is_some()
    }
}

fn pick<T: Default, const N: usize>(random: &mut Random, choices: [T; N]) -> T {
    choices.into_iter().nth(random.below(N)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_config_says_is_what_the_rules_promise() {
        for kind in KINDS {
            let profile = Profile::draw(kind, &mut Random::silent(5));
            assert_eq!(profile.rules.in_time, profile.wait.is_none(), "{kind:?}");
            assert_eq!(profile.shape.never.is_some(), profile.wait.is_some(), "{kind:?}: what never comes must be given up some time");
            assert!(!profile.drawn.is_empty());
        }
    }

    #[test]
    fn bounds_differ_between_seeds() {
        let drawn = |seed| Profile::draw(Kind::Skip, &mut Random::silent(seed)).drawn;
        assert_eq!(drawn(1), drawn(1));
        assert!((2..30).any(|seed| drawn(seed) != drawn(1)));
    }
}
