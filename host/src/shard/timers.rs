//! When actors want to be looked at again: in memory by token, out of memory (waiting with an alarm) by name. Pure.

use seriatim_sequencer::{Alarm, WaitReason, Waiting};
use std::collections::BTreeSet;
use std::sync::Arc;

/// One clock's wishes.
#[derive(Debug, Default)]
pub(super) struct Timers {
    live: BTreeSet<(u64, usize)>,
}

impl Timers {
    /// Replaces an actor's wish.
    pub(super) fn set(&mut self, registered: &mut Option<u64>, wanted: Option<u64>, token: usize) {
        if *registered == wanted {
            return;
        }
        if let Some(at) = registered.take() {
            self.live.remove(&(at, token));
        }
        if let Some(at) = wanted {
            self.live.insert((at, token));
        }
        *registered = wanted;
    }

    /// The next actor whose time has come.
    pub(super) fn due(&mut self, now: u64) -> Option<usize> {
        let (at, token) = *self.live.first()?;
        if at > now {
            return None;
        }
        self.live.remove(&(at, token));
        Some(token)
    }

    /// When the next wish comes up.
    pub(super) fn next(&self) -> Option<u64> {
        self.live.first().map(|(at, _)| *at)
    }
}

/// Alarms of entities that are not in memory, by pipeline. Whoever takes one off names what it was set with; one that stays because that had changed
/// meanwhile wakes its entity once too often, which harms nobody.
#[derive(Debug, Default)]
pub(super) struct Sleeping {
    lines: Vec<Lines>,
}

/// Entities by time.
type Line = BTreeSet<(u64, Arc<str>)>;

/// Those of one pipeline.
#[derive(Clone, Debug, Default)]
struct Lines {
    host: Line,
    stream: Line,
    /// Those that wait because no handler is called, by the time since which they wait.
    barred: Line,
}

impl Lines {
    /// Where one that waits like this stands, and with which time. A parked one is not woken.
    fn of(&mut self, waiting: &Waiting) -> Option<(&mut Line, u64)> {
        Some(match (waiting.reason, waiting.alarm?) {
            (WaitReason::Breaker, _) => (&mut self.barred, waiting.since),
            (_, Alarm::Host(at)) => (&mut self.host, at),
            (_, Alarm::Stream(at)) => (&mut self.stream, at),
        })
    }
}

/// Takes the first one whose time has come.
fn due(line: &mut Line, now: u64) -> Option<Arc<str>> {
    if line.first()?.0 > now {
        return None;
    }
    line.pop_first().map(|(_, entity)| entity)
}

impl Sleeping {
    pub(super) fn new(pipelines: usize) -> Self {
        Self { lines: vec![Lines::default(); pipelines] }
    }

    /// The entity left memory, or was found at the start.
    pub(super) fn insert(&mut self, pipeline: usize, entity: &Arc<str>, waiting: &Waiting) {
        if let Some((line, at)) = self.lines.get_mut(pipeline).and_then(|lines| lines.of(waiting)) {
            line.insert((at, entity.clone()));
        }
    }

    /// The entity is in memory again; this is what it waited for when it left.
    pub(super) fn remove(&mut self, pipeline: usize, entity: &Arc<str>, waiting: &Waiting) {
        if let Some((line, at)) = self.lines.get_mut(pipeline).and_then(|lines| lines.of(waiting)) {
            line.remove(&(at, entity.clone()));
        }
    }

    /// Takes the next entity whose alarm has rung on host time, with its pipeline.
    pub(super) fn due_host(&mut self, now: u64) -> Option<(usize, Arc<str>)> {
        self.lines.iter_mut().enumerate().find_map(|(pipeline, lines)| Some((pipeline, due(&mut lines.host, now)?)))
    }

    /// Takes the next entity of a pipeline whose alarm has rung on stream time.
    pub(super) fn due_stream(&mut self, pipeline: usize, now: u64) -> Option<Arc<str>> {
        due(&mut self.lines.get_mut(pipeline)?.stream, now)
    }

    /// Whether an entity of a pipeline waits because no handler is called.
    pub(super) fn has_barred(&self, pipeline: usize) -> bool {
        self.lines.get(pipeline).is_some_and(|lines| !lines.barred.is_empty())
    }

    /// Takes the one of them that has waited longest.
    pub(super) fn take_barred(&mut self, pipeline: usize) -> Option<Arc<str>> {
        due(&mut self.lines.get_mut(pipeline)?.barred, u64::MAX)
    }

    /// When the next one rings on host time.
    pub(super) fn next_host(&self) -> Option<u64> {
        self.lines.iter().filter_map(|lines| lines.host.first()).map(|(at, _)| *at).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use seriatim_sequencer::Attempts;

    fn waiting(reason: WaitReason, alarm: Option<Alarm>, since: u64) -> Waiting {
        Waiting { from: 1, reason, attempts: Attempts::default(), alarm, since }
    }

    #[test]
    fn who_sleeps_is_woken_once_when_its_time_has_come() {
        let mut sleeping = Sleeping::new(2);
        let (a, b, c): (Arc<str>, Arc<str>, Arc<str>) = ("a".into(), "b".into(), "c".into());
        let retry = |at| waiting(WaitReason::Retry, Some(Alarm::Host(at)), 1);
        let gap = waiting(WaitReason::Gap, Some(Alarm::Stream(70)), 1);
        sleeping.insert(0, &a, &retry(50));
        sleeping.insert(1, &b, &retry(40));
        sleeping.insert(1, &c, &gap);
        sleeping.insert(1, &a, &waiting(WaitReason::Operator, None, 1));
        assert_eq!((sleeping.next_host(), sleeping.due_host(39)), (Some(40), None));
        assert_eq!(sleeping.due_host(60), Some((0, a.clone())), "pipeline by pipeline");
        assert_eq!((sleeping.due_host(60), sleeping.due_host(u64::MAX)), (Some((1, b.clone())), None), "a parked one never");
        assert_eq!((sleeping.due_stream(0, 70), sleeping.due_stream(1, 69)), (None, None));
        sleeping.remove(1, &c, &gap);
        assert_eq!(sleeping.due_stream(1, 70), None, "it came into memory before");
        for (entity, since) in [(&b, 9), (&c, 7)] {
            sleeping.insert(1, entity, &waiting(WaitReason::Breaker, Some(Alarm::Host(0)), since));
        }
        assert!(sleeping.has_barred(1) && !sleeping.has_barred(0));
        assert_eq!([sleeping.take_barred(1), sleeping.take_barred(1), sleeping.take_barred(1)], [Some(c), Some(b), None]);
        assert_eq!(sleeping.next_host(), None);
    }
}
