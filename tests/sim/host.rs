//! One incarnation of the host: its tasks and threads as steps that the world takes in any order, between which it may be killed. The tasks' own
//! decisions are the host's; what stands here is who waits for whom, as `app/run.rs` wires it.

use crate::asking::Asking;
use crate::broker::{Broker, SOURCE};
use crate::gapless::Gapless;
use crate::link::{Around, Link};
use crate::mail::Mailboxes;
use crate::note;
use crate::passes::Passes;
use crate::publishing::{Lookup, Publishing, Searching};
use crate::reading::LiveReader;
use crate::trace::Trace;
use seriatim::pipeline::Pipeline;
use seriatim::router;
use seriatim::shard::{Batch, Completions, Mail, Owing, Stepped, Waking as Walk};
use seriatim::sink::streams::Streams;
use seriatim::source::decode::Decoder;
use seriatim::store::{DurableProgress, Entry, Poison, SteppedCommitter, Store, Turn};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::oneshot;

/// How long a graceful stop waits for what is in flight, milliseconds (`run.drain`).
const DRAIN: u64 = 20_000;

/// What a start puts together.
pub(crate) struct Parts {
    /// The host's monotonic clock when it began.
    pub(crate) started: u64,
    pub(crate) pipeline: Arc<Pipeline>,
    pub(crate) decoder: Arc<Decoder>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) committer: SteppedCommitter,
    pub(crate) progress: Arc<DurableProgress>,
    pub(crate) shards: Vec<Stepped>,
    pub(crate) completions: Vec<Arc<Completions>>,
    pub(crate) mail: Mailboxes,
    pub(crate) asking: Asking,
    pub(crate) reader: LiveReader,
    pub(crate) waking: Waking,
    pub(crate) passes: Passes,
    pub(crate) publishing: Publishing,
    pub(crate) searching: Searching,
    pub(crate) lookup: Lookup,
    pub(crate) streams: Streams,
    pub(crate) poison: Poison,
    /// Calls that were started and have not ended.
    pub(crate) aside: Arc<AtomicUsize>,
    /// The broker's clock as it was told last, and the host's two clocks then.
    pub(crate) clock: (u64, u64, u64),
}

/// The start's last part: whoever owes something is woken, page by page.
pub(crate) struct Waking {
    page: usize,
    walk: Walk,
    mail: VecDeque<(usize, Mail)>,
    done: bool,
}

impl Waking {
    pub(crate) fn new(page: usize) -> Self {
        Self { page, walk: Walk::default(), mail: VecDeque::new(), done: false }
    }
}

/// How far a graceful stop is.
enum Stopping {
    No,
    /// Shards that still have to be told, and the answers of those that were.
    Draining {
        untold: VecDeque<usize>,
        answers: Vec<oneshot::Receiver<()>>,
        until: u64,
    },
    Flushing(Option<oneshot::Receiver<()>>),
    Ending {
        told: bool,
    },
    Done,
}

/// See the module.
pub(crate) struct Host {
    pub(crate) parts: Parts,
    /// The shard has something that only a round hands over.
    dirty: Vec<bool>,
    /// Batches' parts on their way from the router into the mailboxes.
    routed: VecDeque<(usize, Batch)>,
    /// What the router tells the committer before.
    opened: VecDeque<Entry>,
    /// What the batch in the router becomes once the committer knows of it.
    split: Vec<Batch>,
    /// The committer's next turn, by time.
    commit_due: Option<u64>,
    commit_more: bool,
    stopping: Stopping,
}

impl Host {
    pub(crate) fn new(parts: Parts) -> Self {
        Self {
            dirty: vec![true; parts.shards.len()],
            parts,
            routed: VecDeque::new(),
            opened: VecDeque::new(),
            split: Vec::new(),
            commit_due: None,
            commit_more: true,
            stopping: Stopping::No,
        }
    }

    pub(crate) fn shards(&self) -> usize {
        self.parts.shards.len()
    }

    /// Reading goes on: not before everybody who owes something was woken, not once a stop was asked for, or the pipeline stopped.
    fn reads(&self) -> bool {
        self.parts.waking.done && matches!(self.stopping, Stopping::No) && self.parts.pipeline.control.stopped().is_none()
    }

    /// The broker's clock lies between these, as far as the host's clocks can tell.
    pub(crate) fn set_clock(&self, now: u64, wall: u64) {
        let (broker, monotonic, walled) = self.parts.clock;
        let (one, other) = (broker + (now - monotonic), broker + wall.saturating_sub(walled));
        self.parts.streams.set_clock(one.min(other), one.max(other));
    }

    // The start's last part.

    pub(crate) fn can_wake(&self) -> bool {
        let waking = &self.parts.waking;
        !waking.done && waking.mail.front().is_none_or(|(shard, _)| self.parts.mail.has_room(*shard))
    }

    pub(crate) fn wake(&mut self, trace: &mut Trace) {
        let (pipeline, shards) = (self.parts.pipeline.clone(), self.shards());
        let waking = &mut self.parts.waking;
        if let Some((shard, mail)) = waking.mail.pop_front() {
            self.parts.mail.push(shard, mail);
            return;
        }
        let Some(page) = waking.walk.page(&*self.parts.store, &pipeline, waking.page).unwrap() else {
            waking.done = true;
            return;
        };
        let mut parts: Vec<Vec<Owing>> = (0..shards).map(|_| Vec::new()).collect();
        for owing in page {
            note!(trace, "start: {:?} owes (outbox {}, waiting {:?})", owing.key.entity, owing.outbox, owing.waiting);
            parts[router::shard_of(&owing.key, shards)].push(owing);
        }
        let mail = parts.into_iter().enumerate().filter(|(_, owed)| !owed.is_empty());
        waking.mail.extend(mail.map(|(shard, owed)| (shard, Mail::Wake { pipeline: 0, owed })));
    }

    // Reader and router.

    pub(crate) fn can_read(&self, link: Link, now: u64) -> bool {
        self.reads() && self.parts.reader.ready(link.generation, now)
    }

    pub(crate) fn read(&mut self, around: &mut Around<'_>, trace: &mut Trace) {
        self.parts.reader.step(around, trace);
        if let Some(error) = &self.parts.reader.ended {
            self.parts.pipeline.control.stop(error.to_string());
        }
    }

    pub(crate) fn can_route(&self) -> bool {
        if !self.opened.is_empty() || !self.split.is_empty() {
            return matches!(self.stopping, Stopping::No);
        }
        match self.routed.front() {
            Some((shard, _)) => self.parts.mail.has_room(*shard),
            None => self.reads() && !self.parts.pipeline.control.own_full() && !self.parts.reader.out.is_empty(),
        }
    }

    pub(crate) fn route(&mut self, trace: &mut Trace) {
        if let Some((shard, batch)) = self.routed.pop_front() {
            self.parts.mail.push(shard, Mail::Batch(batch));
            return;
        }
        if self.opened.is_empty()
            && let Some(batch) = self.parts.reader.out.pop_front()
        {
            self.opened.push_back(router::opened(&self.parts.pipeline, &batch));
            self.split = router::split(&self.parts.pipeline, &self.parts.decoder, batch, self.shards());
        }
        match self.parts.committer.handle().try_send_all(&mut self.opened) {
            Ok(true) => self.routed.extend(std::mem::take(&mut self.split).into_iter().enumerate()),
            Ok(false) => {}
            Err(error) => {
                note!(trace, "router: {error}");
                self.parts.poison.set(error.to_string());
            }
        }
    }

    /// The admin API listens once everybody who owes something was told so; mail may still wait for the shards.
    pub(crate) fn listens(&self) -> bool {
        self.parts.waking.done && !self.stops()
    }

    // Shards.

    pub(crate) fn wants_round(&self, shard: usize, wall: u64) -> bool {
        self.dirty[shard]
            || !self.parts.completions[shard].0.is_empty()
            || self.parts.shards[shard].next_wakeup().is_some_and(|at| at <= wall)
    }

    pub(crate) fn round(&mut self, shard: usize, wall: u64) {
        self.parts.shards[shard].round(wall);
        // What the committer had no room for waits in the shard.
        self.dirty[shard] = false;
    }

    pub(crate) fn can_take(&self, shard: usize) -> bool {
        self.parts.mail.has_mail(shard) && self.parts.shards[shard].has_room()
    }

    pub(crate) fn take_mail(&mut self, shard: usize, wall: u64) {
        if let Some(mail) = self.parts.mail.take(shard) {
            self.parts.shards[shard].take(wall, mail);
            self.dirty[shard] = true;
        }
    }

    pub(crate) fn is_asked(&self, shard: usize) -> bool {
        self.parts.asking.waits(shard) && self.parts.shards[shard].takes_questions()
    }

    pub(crate) fn take_question(&mut self, shard: usize, wall: u64) {
        if let Some(question) = self.parts.asking.take(shard) {
            self.parts.shards[shard].ask(wall, question);
            self.dirty[shard] = true;
        }
    }

    /// Calls set aside, over all shards.
    pub(crate) fn calls(&self) -> usize {
        self.parts.aside.load(Ordering::Relaxed)
    }

    pub(crate) fn poll_calls(&mut self, shard: usize, wall: u64) -> usize {
        self.dirty[shard] = true;
        self.parts.shards[shard].poll_calls(wall)
    }

    // The committer.

    pub(crate) fn can_commit(&self, now: u64) -> bool {
        self.commit_more || self.parts.committer.handle().queued() > 0 || self.commit_due.is_some_and(|at| at <= now - self.parts.started)
    }

    /// One turn; true when it made a commit.
    pub(crate) fn commit(&mut self, now: u64) -> Result<bool, String> {
        self.commit_more = false;
        self.commit_due = None;
        // A queue that was full has room now.
        self.dirty.fill(true);
        match self.parts.committer.turn(now - self.parts.started)? {
            Turn::Committed => {
                self.commit_more = true;
                Ok(true)
            }
            Turn::Waits { until } => {
                self.commit_due = until;
                Ok(false)
            }
            Turn::Ended => {
                self.stopping = Stopping::Done;
                Ok(true)
            }
        }
    }

    /// The host's monotonic time of the committer's next turn.
    fn commit_at(&self) -> Option<u64> {
        self.commit_due.map(|at| at + self.parts.started)
    }

    /// When something of the host wants to be looked at although nothing came, on its monotonic clock.
    pub(crate) fn wakes_at(&self, now: u64, wall: u64) -> Option<u64> {
        let parts = &self.parts;
        let shards = parts.shards.iter().filter_map(Stepped::next_wakeup).map(|at| now.saturating_add(at.saturating_sub(wall)));
        let reading = parts.reader.gapless.wakes_at().filter(|_| self.reads() && parts.reader.listens());
        let passes = parts.passes.numbers().filter_map(|pass| parts.passes.wakes_at(pass)).filter(|_| self.serves());
        let publishing = [parts.publishing.expires_at(), Some(parts.lookup.due)].into_iter().flatten().filter(|_| self.publishes());
        let own = [reading, self.commit_at(), self.stop_at()].into_iter().flatten();
        shards.chain(passes).chain(publishing).chain(own).min()
    }

    /// The broker's time of the next heartbeat of a consumer whose client has taken everything.
    pub(crate) fn heartbeat_at(&mut self) -> Option<u64> {
        let passes: Vec<_> = self.parts.passes.numbers().collect();
        let beat = |gapless: &mut Gapless| {
            let at = gapless.heartbeat_at();
            at.filter(|_| gapless.consumer().is_some_and(|consumer| !consumer.has_arrived()))
        };
        let live = beat(&mut self.parts.reader.gapless);
        passes.into_iter().filter_map(|pass| self.parts.passes.gapless(pass).and_then(beat)).chain(live).min()
    }

    // A graceful stop.

    pub(crate) fn stop(&mut self, now: u64) {
        if matches!(self.stopping, Stopping::No) {
            let untold = (0..self.shards()).collect();
            self.stopping = Stopping::Draining { untold, answers: Vec::new(), until: now + DRAIN };
            (self.opened, self.split, self.routed) = (VecDeque::new(), Vec::new(), VecDeque::new());
        }
    }

    pub(crate) fn stops(&self) -> bool {
        !matches!(self.stopping, Stopping::No)
    }

    /// It has stopped gracefully.
    pub(crate) fn stopped(&self) -> bool {
        matches!(self.stopping, Stopping::Done)
    }

    /// Catch-ups are served.
    pub(crate) fn serves(&self) -> bool {
        matches!(self.stopping, Stopping::No)
    }

    /// Outputs leave.
    pub(crate) fn publishes(&self) -> bool {
        matches!(self.stopping, Stopping::No | Stopping::Draining { .. } | Stopping::Flushing(_))
    }

    /// When the stop gives up waiting.
    fn stop_at(&self) -> Option<u64> {
        match &self.stopping {
            Stopping::Draining { until, .. } => Some(*until),
            _ => None,
        }
    }

    /// One step of the stop; false: it waits.
    pub(crate) fn stop_step(&mut self, now: u64, trace: &mut Trace) -> bool {
        match &mut self.stopping {
            Stopping::No | Stopping::Done => false,
            Stopping::Draining { untold, answers, until } => {
                if let Some(shard) = untold.front().copied().filter(|shard| self.parts.mail.has_room(*shard)) {
                    untold.pop_front();
                    let (answer, answered) = oneshot::channel();
                    answers.push(answered);
                    self.parts.mail.push(shard, Mail::Drain(answer));
                    return true;
                }
                let drained = untold.is_empty() && answers.iter_mut().all(|answer| answer.is_terminated() || answer.try_recv().is_ok());
                if drained || now >= *until {
                    note!(trace, "stop: {}", if drained { "drained" } else { "not everything came to its end in time" });
                    self.stopping = Stopping::Flushing(None);
                    return true;
                }
                false
            }
            Stopping::Flushing(None) => {
                let (answer, answered) = oneshot::channel();
                let mut entries = VecDeque::from([Entry::Flush(answer)]);
                if self.parts.committer.handle().try_send_all(&mut entries).is_ok_and(|all| all) {
                    self.stopping = Stopping::Flushing(Some(answered));
                    return true;
                }
                false
            }
            Stopping::Flushing(Some(answer)) => {
                let flushed = answer.try_recv().is_ok();
                if flushed {
                    self.stopping = Stopping::Ending { told: false };
                }
                flushed
            }
            Stopping::Ending { told } => {
                let tell = !*told && self.parts.committer.handle().try_send_all(&mut VecDeque::from([Entry::Stop])).is_ok_and(|all| all);
                *told |= tell;
                tell
            }
        }
    }

    /// Everything that came in was worked off, as far as the host's own parts can tell.
    pub(crate) fn idle(&mut self, broker: &Broker) -> bool {
        self.busy(broker).is_none()
    }

    /// The first part that still has something to do.
    pub(crate) fn busy(&mut self, broker: &Broker) -> Option<&'static str> {
        let stopped = self.parts.pipeline.control.stopped().is_some();
        let reader = &self.parts.reader;
        // Without a consumer nobody knows what the stream is by now.
        let read = reader.gapless.reads(broker) && broker.stream(SOURCE).next(reader.gapless.at(), reader.gapless.filters()).is_none();
        let parts = [
            ("the start", self.parts.waking.done),
            ("the reader: not at the stream's end", read || stopped),
            ("the reader", reader.drained() || stopped),
            ("the router", self.opened.is_empty() && self.split.is_empty() && self.routed.is_empty()),
            ("mail", self.parts.mail.all_empty()),
            ("operators' questions", self.parts.asking.idle()),
            ("catch-ups", self.parts.passes.idle()),
            ("the publisher", self.parts.publishing.idle()),
            ("the searcher", self.parts.searching.idle()),
            ("calls set aside", self.calls() == 0),
            ("the committer", !self.can_commit(u64::MAX)),
            ("completions", self.parts.completions.iter().all(|completions| completions.0.is_empty())),
            ("a shard", self.parts.shards.iter().all(Stepped::idle)),
        ];
        parts.into_iter().find(|(_, idle)| !idle).map(|(name, _)| name)
    }
}
