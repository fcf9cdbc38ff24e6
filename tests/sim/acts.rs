//! What can happen in a world, each thing with its weight, and how it is done.

use crate::link::Around;
use crate::note;
use crate::world::{PUBLISHER, READER, World};

/// One thing that can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    Publish,
    Deliver(Option<u64>),
    Heartbeat(Option<u64>),
    Stray,
    Start,
    Wake,
    Read,
    Route,
    Round(usize),
    Mail(usize),
    Question(usize),
    Poll(usize),
    Commit,
    Ask,
    PassRead(u64),
    PassServe(u64),
    PublisherTake,
    PublisherArrive,
    PublisherAnswer,
    PublisherExpire,
    Search,
    Lookup,
    StopStep,
    Time,
}

impl World {
    /// What can happen now. Always at least that time passes.
    pub(crate) fn find_acts(&mut self) {
        let mut acts = std::mem::take(&mut self.acts);
        acts.clear();
        let (now, wall, speeds) = (self.time, self.wall(), self.speeds);
        // Once faults have stopped, time passes only when there is nothing to do: a host that is always busy would not come to rest.
        acts.push((Act::Time, if self.settling { 0 } else { speeds.time }));
        if !self.items.is_empty() && self.next_item_at <= now {
            acts.push((Act::Publish, speeds.producer));
        }
        if !self.strays.is_empty() && self.broker.up {
            acts.push((Act::Stray, speeds.broker));
        }
        let frozen = self.frozen_until.is_some();
        let (reader, publisher) = (self.links[READER], self.links[PUBLISHER]);
        let broker = &self.broker;
        let Some(host) = &mut self.host else {
            if self.start_at <= now && !frozen {
                acts.push((Act::Start, 10));
            }
            self.acts = acts;
            return;
        };
        if reader.connected && broker.up {
            let passes: Vec<u64> = host.parts.passes.numbers().collect();
            for pass in std::iter::once(None).chain(passes.into_iter().map(Some)) {
                let gapless = match pass {
                    None => Some(&mut host.parts.reader.gapless),
                    Some(pass) => host.parts.passes.gapless(pass),
                };
                let Some(gapless) = gapless else { continue };
                let beat = gapless.heartbeat_at();
                let Some(consumer) = gapless.consumer() else { continue };
                if consumer.can_deliver(broker) {
                    acts.push((Act::Deliver(pass), speeds.broker));
                } else if beat.is_some_and(|at| at <= broker.now) && !consumer.has_arrived() {
                    acts.push((Act::Heartbeat(pass), speeds.broker));
                }
            }
        }
        if host.parts.publishing.can_arrive(broker) {
            acts.push((Act::PublisherArrive, speeds.broker));
        }
        if frozen {
            self.acts = acts;
            return;
        }
        if host.can_wake() {
            acts.push((Act::Wake, speeds.router));
        }
        if host.can_read(reader, now) {
            acts.push((Act::Read, speeds.reader));
        }
        if host.can_route() {
            acts.push((Act::Route, speeds.router));
        }
        for shard in 0..host.shards() {
            if host.wants_round(shard, wall) {
                acts.push((Act::Round(shard), speeds.shard));
            }
            if host.can_take(shard) {
                acts.push((Act::Mail(shard), speeds.shard));
            }
            if host.is_asked(shard) {
                acts.push((Act::Question(shard), speeds.shard));
            }
            if host.calls() > 0 {
                acts.push((Act::Poll(shard), speeds.shard));
            }
        }
        if host.can_commit(now) {
            acts.push((Act::Commit, speeds.committer));
        }
        if host.serves() {
            if host.parts.passes.asked() {
                acts.push((Act::Ask, speeds.pass));
            }
            for pass in host.parts.passes.numbers() {
                if host.parts.passes.can_read(pass, reader.generation, now) {
                    acts.push((Act::PassRead(pass), speeds.pass));
                }
                if host.parts.passes.can_serve(pass, &host.parts.mail) {
                    acts.push((Act::PassServe(pass), speeds.pass));
                }
            }
        }
        if host.publishes() {
            if host.parts.publishing.can_take() {
                acts.push((Act::PublisherTake, speeds.publisher));
            }
            if publisher.connected && host.parts.publishing.answered().next().is_some() {
                acts.push((Act::PublisherAnswer, speeds.publisher));
            }
            if host.parts.publishing.expires_at().is_some_and(|at| at <= now) {
                acts.push((Act::PublisherExpire, speeds.publisher));
            }
            if !host.parts.searching.idle() {
                acts.push((Act::Search, speeds.searcher));
            }
            if host.parts.lookup.due <= now {
                acts.push((Act::Lookup, speeds.searcher));
            }
        }
        if host.stops() {
            acts.push((Act::StopStep, speeds.committer));
        }
        self.acts = acts;
    }

    pub(crate) fn act(&mut self, act: Act) {
        match act {
            Act::Time => {
                let by = self.dice.range(1, 20);
                self.pass_time(by);
            }
            Act::Publish => self.publish_item(),
            Act::Stray => self.stray(),
            Act::Start => self.start(),
            _ => self.host_act(act),
        }
    }

    /// What the host does, or what is done to what it holds.
    fn host_act(&mut self, act: Act) {
        let (now, wall) = (self.time, self.wall());
        let Some(mut host) = self.host.take() else { return };
        host.set_clock(now, wall);
        match act {
            Act::Deliver(pass) => self.deliver(&mut host, pass),
            Act::Heartbeat(pass) => {
                let gapless = match pass {
                    None => Some(&mut host.parts.reader.gapless),
                    Some(pass) => host.parts.passes.gapless(pass),
                };
                if let Some(consumer) = gapless.and_then(|gapless| gapless.consumer()) {
                    consumer.heartbeat(&self.broker);
                }
            }
            Act::Wake => host.wake(&mut self.trace),
            Act::Route => host.route(&mut self.trace),
            Act::Round(shard) => host.round(shard, wall),
            Act::Mail(shard) => host.take_mail(shard, wall),
            Act::Question(shard) => host.take_question(shard, wall),
            Act::Poll(shard) => {
                let left = host.poll_calls(shard, wall);
                note!(self.trace, "shard {shard}: {left} calls set aside");
                self.stats.add("looks at calls set aside");
            }
            Act::Commit => self.commit(&mut host),
            Act::PublisherTake => {
                if let Some(entry) =
                    host.parts.publishing.take(self.links[PUBLISHER], now, &host.parts.completions, &host.parts.streams, &mut self.trace)
                    && !self.disk.owes(&entry.message_id)
                {
                    self.wrong.push(format!("G4: {} leaves the host and is not on the disk", entry.message_id));
                }
            }
            Act::PublisherArrive => {
                let Self { broker, faults, dice, stats, trace, .. } = self;
                host.parts.publishing.arrive(broker, faults, dice, stats, trace);
            }
            Act::PublisherAnswer => {
                let answered: Vec<_> = host.parts.publishing.answered().collect();
                let number = self.dice.pick(&answered);
                host.parts.publishing.answer(number, &host.parts.completions, &host.parts.streams, &mut self.trace);
            }
            Act::PublisherExpire => {
                host.parts.publishing.expire(now, &host.parts.completions, &mut self.stats, &mut self.trace);
            }
            Act::StopStep => {
                if !host.stop_step(now, &mut self.trace) {
                    self.pass_time(1);
                }
            }
            _ => {
                let link = if matches!(act, Act::Search | Act::Lookup) { PUBLISHER } else { READER };
                let Self { broker, faults, dice, stats, trace, links, .. } = self;
                let mut around = Around { broker, link: links[link], now, dice, faults, stats };
                match act {
                    Act::Read => host.read(&mut around, trace),
                    Act::Ask => host.parts.passes.take_asks(&mut around, trace),
                    Act::PassRead(pass) => host.parts.passes.read(pass, &mut around, trace),
                    Act::PassServe(pass) => host.parts.passes.serve(pass, &mut host.parts.mail, &mut around, trace),
                    Act::Search => {
                        host.parts.searching.step(&mut around, &host.parts.completions, &host.parts.streams, trace);
                        host.parts.clock = (around.broker.now, now, wall);
                    }
                    Act::Lookup => {
                        host.parts.lookup.step(&mut around, &host.parts.streams);
                        host.parts.clock = (around.broker.now, now, wall);
                    }
                    _ => {}
                }
            }
        }
        self.host = Some(host);
    }
}
