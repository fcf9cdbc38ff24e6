//! What each fault does to the world, and the steps in which one may strike in the middle: a delivery, a commit.

use crate::broker::{DEAD, Mishap, OUTPUTS, SOURCE};
use crate::disk::Fsync;
use crate::faults::Fault;
use crate::host::Host;
use crate::note;
use crate::plan::Kind;
use crate::verdict;
use crate::world::{PUBLISHER, READER, World};

impl World {
    /// A fault strikes between two steps; those that strike in the middle of one are not here. Whether there was anything to strike.
    pub(crate) fn fault(&mut self, kind: Fault) -> bool {
        match kind {
            Fault::Kill => self.kill(kind),
            Fault::Stop => self.stop(),
            Fault::Freeze => self.freeze(),
            Fault::ConsumerDeleted => self.delete_consumer(),
            Fault::Reconnect => self.cut(),
            Fault::BrokerRestart => self.broker_away(),
            Fault::LeaderPause => self.leader_away(),
            Fault::Full => self.fill(),
            Fault::Retention => self.trim(),
            Fault::Deletion => self.delete(),
            Fault::Restore => self.restore(),
            Fault::Recreate => self.recreate(),
            Fault::Clock => self.set_clock(),
            Fault::Silence => self.silence(),
            Fault::KillAfterCommit
            | Fault::KillInCall
            | Fault::Disk
            | Fault::Hole
            | Fault::Again
            | Fault::Unconfirmed
            | Fault::NotStored
            | Fault::Request => false,
        }
    }

    /// SIGKILL.
    fn kill(&mut self, kind: Fault) -> bool {
        let Some(host) = &self.host else { return false };
        if host.calls() > 0 {
            self.stats.add("kills with calls set aside");
        }
        if host.stops() {
            self.stats.add("kills during a graceful stop");
        }
        if host.can_wake() {
            self.stats.add("kills during a start");
        }
        if host.parts.passes.numbers().next().is_some() {
            self.stats.add("kills during a catch-up");
        }
        note!(self.trace, "fault: {}", kind.name());
        verdict::at_a_kill(self);
        self.down(kind.name());
        true
    }

    fn stop(&mut self) -> bool {
        let now = self.time;
        let Some(host) = self.host.as_mut().filter(|host| !host.stops()) else { return false };
        note!(self.trace, "fault: stop");
        host.stop(now);
        true
    }

    fn freeze(&mut self) -> bool {
        if self.host.is_none() || self.frozen_until.is_some() {
            return false;
        }
        let longest = self.dice.pick(&[500, 10_000, 200_000]);
        let by = self.dice.range(10, longest);
        note!(self.trace, "fault: the host stands still for {by} ms");
        self.frozen_until = Some(self.time + by);
        true
    }

    fn delete_consumer(&mut self) -> bool {
        let Some(host) = &mut self.host else { return false };
        let passes: Vec<_> = host.parts.passes.numbers().collect();
        let gapless = match self.dice.size(0, passes.len()).checked_sub(1) {
            None => Some(&mut host.parts.reader.gapless),
            Some(at) => host.parts.passes.gapless(passes[at]),
        };
        let Some(consumer) = gapless.and_then(|gapless| gapless.consumer()) else { return false };
        note!(self.trace, "fault: a consumer is deleted");
        consumer.deleted = true;
        true
    }

    fn cut(&mut self) -> bool {
        let at = self.dice.size(READER, PUBLISHER);
        if !self.links[at].connected {
            return false;
        }
        let away = self.dice.pick(&[1, 500, 10_000]);
        self.lose(at);
        self.link_back[at] = Some(self.time + self.dice.range(1, away));
        note!(self.trace, "fault: connection {at} is lost");
        true
    }

    /// A connection is lost, with what is on it.
    fn lose(&mut self, at: usize) {
        self.links[at].connected = false;
        self.links[at].generation += 1;
        if at == PUBLISHER
            && let Some(host) = &mut self.host
        {
            let until = self.broker.now + self.settings.window / 4;
            let stray = host.parts.publishing.cut(until, &host.parts.completions, &mut self.dice);
            self.strays.extend(stray);
        }
    }

    fn broker_away(&mut self) -> bool {
        if !self.broker.up {
            return false;
        }
        let away = self.dice.pick(&[200, 5_000, 300_000]);
        let by = self.dice.range(1, away);
        note!(self.trace, "fault: the broker is away for {by} ms");
        self.broker.up = false;
        self.strays.clear();
        self.lose(READER);
        self.lose(PUBLISHER);
        // Nothing that was on its way survives the server.
        self.strays.clear();
        self.broker_back = Some(self.time + by);
        self.link_back = [None, None];
        true
    }

    fn leader_away(&mut self) -> bool {
        if !self.broker.leader {
            return false;
        }
        let away = self.dice.pick(&[200, 8_000, 200_000]);
        let by = self.dice.range(1, away);
        note!(self.trace, "fault: no leader answers for {by} ms");
        self.broker.leader = false;
        self.leader_back = Some(self.time + by);
        true
    }

    fn fill(&mut self) -> bool {
        if self.full.is_some() {
            return false;
        }
        let at = self.dice.pick(&[OUTPUTS, DEAD]);
        let by = self.dice.range(1, 60_000);
        note!(self.trace, "fault: stream {} is full for {by} ms", self.broker.stream(at).config().name);
        self.broker.stream_mut(at).fill();
        self.full = Some((at, self.time + by));
        true
    }

    fn trim(&mut self) -> bool {
        let stream = self.broker.stream(SOURCE);
        // A stream that was put back, grew and was trimmed between two looks at it leaves nothing to tell it by: no host can name what went.
        if stream.len() == 0 || self.renumbered {
            return false;
        }
        let through = self.dice.range(stream.first(), stream.last());
        note!(self.trace, "fault: retention takes everything up to {through}");
        self.broker.stream_mut(SOURCE).trim(through);
        self.taken(|sequence| sequence <= through);
        true
    }

    /// Of what nobody needs any more, and not at the front: that would be retention.
    fn delete(&mut self) -> bool {
        // Where numbers were given again, the watermark may still speak of the stream as it was.
        let Some(needed) = verdict::needed_from(&self.disk).filter(|_| !self.renumbered) else { return false };
        let stream = self.broker.stream(SOURCE);
        let gone: Vec<_> =
            stream.messages().map(|stored| stored.sequence).filter(|sequence| *sequence < needed && *sequence > stream.first()).collect();
        if gone.is_empty() {
            return false;
        }
        let sequence = self.dice.pick(&gone);
        note!(self.trace, "fault: message {sequence} is deleted");
        self.broker.stream_mut(SOURCE).delete(sequence);
        true
    }

    fn restore(&mut self) -> bool {
        let stream = self.broker.stream(SOURCE);
        if stream.len() < 2 || !self.broker.up {
            return false;
        }
        let last = self.dice.range(stream.first(), stream.last() - 1);
        note!(self.trace, "fault: the stream is put back to an older state that ends at {last}");
        // It takes the server a while, in which nothing is published.
        self.pass_time(2_000);
        self.broker_away();
        self.broker_back = Some(self.time + 1_000);
        let now = self.broker.now;
        self.broker.stream_mut(SOURCE).restore(last, now);
        self.taken(|sequence| sequence > last);
        self.renumber();
        true
    }

    fn recreate(&mut self) -> bool {
        if self.broker.stream(SOURCE).last() == 0 || !self.broker.up {
            return false;
        }
        note!(self.trace, "fault: the stream is deleted and created again");
        self.pass_time(1_000);
        let created = i64::try_from(self.broker.now).unwrap() * 1_000_000;
        self.broker.stream_mut(SOURCE).recreate(created);
        self.taken(|_| true);
        self.renumber();
        true
    }

    /// Messages are gone, some of which may not have been done. What went before the pipeline began was never its own.
    fn taken(&mut self, gone: impl Fn(u64) -> bool) {
        self.lost = true;
        if verdict::pipeline(&self.disk).is_none() {
            self.sent.retain(|meant| !gone(meant.stream_sequence));
        }
    }

    /// Numbers are given again. A message that nobody reads would take a number without a line in the generator's log: none comes from here on.
    fn renumber(&mut self) {
        self.renumbered = true;
        self.items.retain(|item| item.kind != Kind::Foreign);
    }

    fn set_clock(&mut self) -> bool {
        let by = self.dice.pick(&[500_i64, 30_000, 120_000]);
        let by = if self.dice.once_in(2) { by } else { -by };
        // Off by more than this is no clock.
        if (self.wall_off + by).abs() > 300_000 {
            return false;
        }
        note!(self.trace, "fault: the host's clock is set by {by} ms");
        self.wall_off += by;
        true
    }

    fn silence(&mut self) -> bool {
        if self.items.is_empty() || self.next_item_at > self.time {
            return false;
        }
        let by = self.dice.range(1_000, 150_000);
        note!(self.trace, "fault: nothing is published for {by} ms");
        self.next_item_at = self.time + by;
        true
    }

    /// The broker delivers some messages to a consumer.
    pub(crate) fn deliver(&mut self, host: &mut Host, pass: Option<u64>) {
        let gapless = match pass {
            None => Some(&mut host.parts.reader.gapless),
            Some(pass) => host.parts.passes.gapless(pass),
        };
        let Some(consumer) = gapless.and_then(|gapless| gapless.consumer()) else { return };
        for _ in 0..self.dice.range(1, 8) {
            let mut mishap = Mishap::None;
            if self.faults.strikes(Fault::Hole, &mut self.dice) {
                mishap = Mishap::Lost;
                self.stats.fault(Fault::Hole);
            } else if self.faults.strikes(Fault::Again, &mut self.dice) {
                mishap = self.dice.pick(&[Mishap::Twice, Mishap::Redelivered]);
                self.stats.fault(Fault::Again);
            }
            if mishap != Mishap::None {
                note!(self.trace, "fault: a delivery is {mishap:?}");
            }
            consumer.deliver(&self.broker, mishap);
        }
    }

    /// The committer takes its turn; the host may die right behind the fsync, or the disk fail.
    pub(crate) fn commit(&mut self, host: &mut Host) {
        if self.faults.strikes(Fault::Disk, &mut self.dice) {
            self.stats.fault(Fault::Disk);
            let fsync = self.dice.pick(&[Fsync::FailedLost, Fsync::FailedKept]);
            note!(self.trace, "fault: the next fsync: {fsync:?}");
            self.disk.next_fsync(fsync);
        }
        let before = self.disk.batches();
        let made = host.commit(self.time);
        self.disk.next_fsync(Fsync::Done);
        match made {
            Ok(made) if made || self.disk.batches() > before => {
                let progress = host.parts.progress.get();
                note!(self.trace, "committer: batch {} watermark {}", self.disk.batches(), progress.watermark);
                self.stats.add("commits");
                if self.faults.strikes(Fault::KillAfterCommit, &mut self.dice) {
                    self.stats.fault(Fault::KillAfterCommit);
                    note!(self.trace, "fault: kill right behind the fsync");
                    host.parts.poison.set("killed");
                } else if !self.settling && self.operators.kills() {
                    self.stats.add("kills while a word was not answered");
                    note!(self.trace, "fault: kill right behind the fsync, while an operator waits for an answer");
                    host.parts.poison.set("killed");
                }
            }
            Ok(_) => {}
            Err(reason) => note!(self.trace, "committer: {reason}"),
        }
        if host.calls() > 0 && self.faults.strikes(Fault::KillInCall, &mut self.dice) {
            self.stats.fault(Fault::KillInCall);
            self.stats.add("kills with calls set aside");
            note!(self.trace, "fault: kill with calls set aside");
            host.parts.poison.set("killed");
        }
    }
}
