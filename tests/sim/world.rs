//! The scheduler: one world with a broker, a disk, a producer and a host that lives and dies. In each step it draws one thing that can happen now.
//! First faults strike while the plan is published; then they stop, everything heals, and the world must come to rest (G8).

use crate::acts::Act;
use crate::broker::{Broker, DEAD, OUTPUTS, SOURCE};
use crate::dice::Dice;
use crate::disk::ModelDisk;
use crate::faults::{Fault, Faults};
use crate::host::Host;
use crate::link::{Around, Link};
use crate::note;
use crate::operators::Operators;
use crate::plan::{self, FOREIGN, Item, Kind, SUBJECTS};
use crate::publishing::Packet;
use crate::replacing::Replacing;
use crate::settings::Settings;
use crate::start::{self, Given, NotStarted, STREAM};
use crate::stats::Stats;
use crate::stream::{Config, Said, Stream};
use crate::trace::Trace;
use seriatim::nats::bucket::Entry;
use seriatim_tests::checker::laws::Meant;
use std::collections::VecDeque;

/// When every run begins: 2026-01-01, milliseconds since the Unix epoch.
pub(crate) const EPOCH: u64 = 1_767_225_600_000;
/// Steps in which faults may strike, at most.
const SAFETY_STEPS: u64 = 10_000;
/// Steps without a commit after which the healed world is said not to come to rest, and steps in which it must in any case: with next to no memory a
/// catch-up needs a pass for each event.
const SETTLE_STEPS: u64 = 100_000;
const SETTLE_STEPS_MAX: u64 = 2_000_000;
/// Virtual milliseconds in which it must, beside what gaps and clocks may make it wait.
const SETTLE_TIME: u64 = 30 * 60 * 1_000;
/// How often the bucket hears from the host, milliseconds.
const HEARTBEAT: u64 = 5_000;

/// Which connection.
pub(crate) const READER: usize = 0;
pub(crate) const PUBLISHER: usize = 1;

/// See the module.
pub(crate) struct World {
    pub(crate) settings: Settings,
    pub(crate) faults: Faults,
    pub(crate) dice: Dice,
    pub(crate) trace: Trace,
    pub(crate) stats: Stats,
    /// Milliseconds since the run began: every machine's monotonic clock.
    pub(crate) time: u64,
    /// How far the host's wall clock is off.
    pub(crate) wall_off: i64,
    pub(crate) broker: Broker,
    pub(crate) disk: ModelDisk,
    pub(crate) links: [Link; 2],
    /// When a lost connection is made again.
    pub(crate) link_back: [Option<u64>; 2],
    pub(crate) broker_back: Option<u64>,
    pub(crate) leader_back: Option<u64>,
    /// When a full stream has room again.
    pub(crate) full: Option<(usize, u64)>,
    pub(crate) frozen_until: Option<u64>,
    pub(crate) host: Option<Host>,
    /// The next start.
    pub(crate) start_at: u64,
    /// An operator accepts the stream at the next start.
    pub(crate) accept: bool,
    /// Streams accepted so far.
    pub(crate) accepted: u64,
    /// What the bucket says.
    pub(crate) told: Option<Entry>,
    pub(crate) tell_at: u64,
    pub(crate) strays: VecDeque<Packet>,
    pub(crate) items: VecDeque<Item>,
    pub(crate) next_item_at: u64,
    pub(crate) sent: Vec<Meant>,
    /// Messages were taken from the stream that may not have been done.
    pub(crate) lost: bool,
    /// The source stream gave numbers again: what the log says of one is the later message.
    pub(crate) renumbered: bool,
    pub(crate) speeds: Speeds,
    pub(crate) operators: Operators,
    pub(crate) replacing: Replacing,
    /// What was seen at once to be wrong.
    pub(crate) wrong: Vec<String>,
    pub(crate) steps: u64,
    /// Faults have stopped.
    pub(crate) settling: bool,
    /// How often faults may still strike between two steps.
    strikes: u64,
    pub(crate) acts: Vec<(Act, u64)>,
}

/// How likely each part takes its turn.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Speeds {
    pub(crate) producer: u64,
    pub(crate) broker: u64,
    pub(crate) reader: u64,
    pub(crate) router: u64,
    pub(crate) shard: u64,
    pub(crate) committer: u64,
    pub(crate) publisher: u64,
    pub(crate) searcher: u64,
    pub(crate) pass: u64,
    pub(crate) time: u64,
}

impl World {
    pub(crate) fn new(seed: u64, told: bool, operators: bool) -> Self {
        let mut dice = Dice::new(seed);
        let settings = Settings::draw(&mut dice.split());
        let faults = Faults::draw(&mut dice.split(), !settings.in_time);
        let items: VecDeque<_> = plan::draw(&mut dice.split(), &settings).into();
        let mut speed = || dice.pick(&[1, 3, 10]);
        let speeds = Speeds {
            producer: speed(),
            broker: speed(),
            reader: speed(),
            router: speed(),
            shard: speed(),
            committer: speed(),
            publisher: speed(),
            searcher: speed(),
            pass: speed(),
            time: speed(),
        };
        let mut trace = if told { Trace::told() } else { Trace::default() };
        note!(trace, "seed {seed}: {settings:?}");
        note!(trace, "{speeds:?}");
        for (kind, rate) in faults.kinds() {
            note!(trace, "fault {} once in {rate}", kind.name());
        }
        let operators = Operators::draw(seed, operators);
        if let Some(described) = operators.described() {
            note!(trace, "operators: {described}");
        }
        let stream = |name, subjects: &[&str], message_max| {
            let subjects = subjects.iter().map(|subject| (*subject).to_owned()).collect();
            let created = i64::try_from(EPOCH).unwrap() * 1_000_000;
            Stream::new(Config { name, subjects, window: settings.window, message_max, messages_max: 0 }, created)
        };
        let streams = [
            stream(STREAM, &[SUBJECTS, FOREIGN], 0),
            stream("ECHO", &["echo.>"], settings.output_max),
            stream("SERIATIM_DEAD_LETTERS", &["seriatim.dead.>"], 0),
        ];
        let link = Link { connected: true, generation: 1 };
        Self {
            broker: Broker::new(EPOCH, streams),
            faults,
            trace,
            stats: Stats::default(),
            time: 0,
            wall_off: 0,
            disk: ModelDisk::default(),
            links: [link, link],
            link_back: [None, None],
            broker_back: None,
            leader_back: None,
            full: None,
            frozen_until: None,
            host: None,
            start_at: dice.pick(&[0, 0, 5_000]),
            accept: false,
            accepted: 0,
            told: None,
            tell_at: 0,
            strays: VecDeque::new(),
            next_item_at: 0,
            items,
            sent: Vec::new(),
            lost: false,
            renumbered: false,
            speeds,
            operators,
            replacing: Replacing::draw(seed),
            wrong: Vec::new(),
            steps: 0,
            settling: false,
            strikes: dice.pick(&[3, 10, 30]),
            acts: Vec::new(),
            settings,
            dice,
        }
    }

    /// The host's wall clock, milliseconds since the Unix epoch.
    pub(crate) fn wall(&self) -> u64 {
        (EPOCH + self.time).saturating_add_signed(self.wall_off)
    }

    /// Runs it from beginning to rest; false: it did not come to rest.
    pub(crate) fn run(&mut self) -> bool {
        let extra = self.dice.range(0, 400);
        let mut left = extra;
        while self.steps < SAFETY_STEPS && self.wrong.is_empty() && (!self.items.is_empty() || left > 0) {
            if self.items.is_empty() {
                left -= 1;
            }
            self.step();
            self.strike();
            self.operate();
            self.replace();
        }
        self.heal();
        note!(self.trace, "faults stop at {} after {} steps", self.time, self.steps);
        let patience = if self.settings.in_time { 0 } else { 60 * self.settings.gap_wait };
        let until = self.time + SETTLE_TIME + patience + 4 * self.wall_off.unsigned_abs();
        let (mut steps, most, mut batches) = (self.steps + SETTLE_STEPS, self.steps + SETTLE_STEPS_MAX, self.disk.batches());
        while self.wrong.is_empty() {
            if self.rests() {
                note!(self.trace, "at rest at {} after {} steps", self.time, self.steps);
                self.stats.more("steps", self.steps);
                return true;
            }
            if self.disk.batches() > batches {
                (batches, steps) = (self.disk.batches(), (self.steps + SETTLE_STEPS).min(most));
            }
            if self.time > until || self.steps > steps {
                return false;
            }
            self.step();
            self.replace();
        }
        true
    }

    /// One thing happens.
    pub(crate) fn step(&mut self) {
        self.steps += 1;
        self.find_acts();
        let acts = std::mem::take(&mut self.acts);
        match self.dice.weighted(acts.iter().map(|(_, weight)| *weight)) {
            Some(at) if acts.len() > 1 => self.act(acts[at].0),
            _ => self.skip_to_next_timer(),
        }
        self.acts = acts;
        self.hear();
        if let Some(host) = &self.host
            && let Some(reason) = host.parts.poison.poisoned()
        {
            note!(self.trace, "host: poisoned: {reason}");
            self.down("poisoned");
        }
        if self.host.as_ref().is_some_and(Host::stopped) {
            note!(self.trace, "host: stopped");
            self.stats.add("graceful stops");
            self.down("stopped");
        }
    }

    pub(crate) fn start(&mut self) {
        let (now, wall) = (self.time, self.wall());
        let Self { broker, faults, dice, stats, trace, links, settings, disk, told, accept, replacing, .. } = self;
        let mut around = Around { broker, link: links[READER], now, dice, faults, stats };
        let given = Given { settings, disk, told: told.as_ref(), accept_stream: *accept, wall, component: replacing.runs };
        match start::start(&given, &mut around, trace) {
            Ok(host) => {
                self.stats.add("starts");
                if host.parts.pipeline.accepted {
                    self.accepted += 1;
                    self.stats.add("streams accepted");
                }
                self.accept = false;
                self.tell_at = now;
                self.host = Some(host);
            }
            Err(NotStarted::Away) => {
                note!(self.trace, "host: does not start, the broker is away");
                self.start_at = now + 1_000;
            }
            Err(NotStarted::Stream(why)) => {
                note!(self.trace, "host: does not start: {why}");
                self.stats.add("starts refused: another stream");
                self.accept = true;
                self.start_at = now + 1_000;
            }
            Err(NotStarted::Wrong(why)) => self.wrong.push(why),
        }
    }

    pub(crate) fn publish_item(&mut self) {
        let Some(item) = self.items.front() else { return };
        let said = self.broker.publish(SOURCE, &item.subject, item.headers.clone(), item.payload.clone());
        let Ok(said) = said else {
            self.next_item_at = self.time + 500;
            return;
        };
        let Some(item) = self.items.pop_front() else { return };
        note!(self.trace, "producer: {} {}/{} {:?} {:?}: {said:?}", item.entity, item.epoch, item.sequence, item.kind, item.does);
        if let Said::Stored(sequence) = said
            && item.kind != Kind::Foreign
        {
            self.sent.push(crate::verdict::meant(&item, sequence, self.broker.now));
        }
        self.next_item_at = self.time + self.items.front().map_or(0, |next| next.after);
    }

    pub(crate) fn stray(&mut self) {
        let Some(packet) = self.strays.pop_front() else { return };
        if packet.until >= self.broker.now {
            self.stats.add("publishes that arrived after their connection was lost");
            // Nobody hears the answer.
            let _unheard = crate::publishing::store(&mut self.broker, &packet.entry, &mut self.stats, &mut self.trace);
        }
    }

    /// The host is gone, however it went.
    pub(crate) fn down(&mut self, how: &'static str) {
        let Some(mut host) = self.host.take() else { return };
        self.unheard();
        let until = self.broker.now + self.stray_life();
        self.strays.extend(host.parts.publishing.stray(until, &mut self.dice));
        note!(self.trace, "host: down ({how})");
        self.start_at = self.time + self.dice.range(10, 3_000);
        self.frozen_until = None;
        // Somebody looks at it, and accepts what happened to the stream.
        if host.parts.pipeline.control.stopped().is_some() {
            self.accept = true;
        }
    }

    /// How long a message may still be on its way when its connection is gone: far shorter than the window in which the broker knows it again.
    pub(crate) fn stray_life(&self) -> u64 {
        self.settings.window / 4
    }

    pub(crate) fn pass_time(&mut self, by: u64) {
        self.time += by;
        self.broker.now += by;
        self.wake_up();
        self.tell();
    }

    /// What ends by itself has ended.
    fn wake_up(&mut self) {
        let now = self.time;
        let past = |at: &mut Option<u64>| at.take_if(|at| *at <= now).is_some();
        if past(&mut self.broker_back) {
            note!(self.trace, "broker: back");
            self.broker.restart();
            self.link_back = [Some(now), Some(now)];
        }
        if past(&mut self.leader_back) {
            note!(self.trace, "broker: leaders answer again");
            self.broker.leader = true;
        }
        if past(&mut self.frozen_until) {
            note!(self.trace, "host: goes on");
        }
        for at in [READER, PUBLISHER] {
            if self.broker.up && past(&mut self.link_back[at]) {
                self.links[at] = Link { connected: true, generation: self.links[at].generation + 1 };
            }
        }
        if let Some((stream, _)) = self.full.take_if(|(_, at)| *at <= now) {
            note!(self.trace, "broker: there is room again");
            self.broker.stream_mut(stream).unbound();
        }
        if let Some(host) = &self.host
            && host.parts.pipeline.control.stopped().is_some()
            && !host.stops()
            && self.frozen_until.is_none()
        {
            note!(self.trace, "operator: the pipeline has stopped; starts it again");
            self.accept = true;
            if let Some(host) = &mut self.host {
                host.stop(now);
            }
        }
    }

    /// The bucket hears from the host.
    fn tell(&mut self) {
        let Some(host) = self.host.as_ref().filter(|_| self.tell_at <= self.time && self.frozen_until.is_none()) else { return };
        self.tell_at = self.time + HEARTBEAT;
        if self.links[READER].connected && self.broker.leader {
            self.told = Some(Entry {
                store_id: host.parts.store.identity().store_id,
                generation: host.parts.pipeline.generation,
                watermark: host.parts.progress.get().watermark,
                ..Entry::default()
            });
        }
    }

    /// Nothing can happen before time has passed.
    fn skip_to_next_timer(&mut self) {
        let now = self.time;
        let mut next = now + 60_000;
        let mut consider = |at: Option<u64>| {
            if let Some(at) = at {
                next = next.min(at.max(now + 1));
            }
        };
        consider((!self.items.is_empty()).then_some(self.next_item_at));
        consider(self.broker_back);
        consider(self.leader_back);
        consider(self.frozen_until);
        self.link_back.into_iter().for_each(&mut consider);
        consider(self.full.map(|(_, at)| at));
        let (wall, broker_now) = (self.wall(), self.broker.now);
        let reaches = self.broker.up && self.links[READER].connected;
        match &mut self.host {
            None => consider(Some(self.start_at)),
            Some(host) => {
                let beat = host.heartbeat_at().filter(|_| reaches);
                consider(beat.map(|at| now.saturating_add(at.saturating_sub(broker_now))));
                consider(host.wakes_at(now, wall).filter(|_| self.frozen_until.is_none()));
            }
        }
        self.pass_time(next - now);
    }

    /// Faults stop, and what they broke heals.
    fn heal(&mut self) {
        self.faults = Faults::none();
        self.settling = true;
        if !self.broker.up {
            self.broker_back = Some(self.time);
        }
        self.leader_back = Some(self.time);
        self.frozen_until = None;
        for at in [READER, PUBLISHER] {
            if !self.links[at].connected {
                self.link_back[at] = Some(self.time);
            }
        }
        for at in [OUTPUTS, DEAD] {
            self.broker.stream_mut(at).unbound();
        }
        self.full = None;
        self.next_item_at = self.next_item_at.min(self.time);
        self.pass_time(1);
    }

    /// Faults that strike between two steps.
    fn strike(&mut self) {
        for kind in Fault::BETWEEN {
            if self.strikes > 0 && self.faults.strikes(kind, &mut self.dice) && self.fault(kind) {
                self.strikes -= 1;
                self.stats.fault(kind);
            }
        }
    }
}
