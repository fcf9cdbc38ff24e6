//! The publisher's and the searcher's shells, as `sink/publisher.rs` and `sink/search.rs` have them, over the model broker: requests leave in order and
//! reach the broker in order, answers come back in any order, or not at all; every request gets exactly one reply.

use crate::broker::{Away, Broker};
use crate::dice::Dice;
use crate::faults::{Fault, Faults};
use crate::link::{Around, Link, facts};
use crate::note;
use crate::stats::Stats;
use crate::stream::Said;
use crate::trace::Trace;
use seriatim::shard::Completions;
use seriatim::sink::publisher::{PublishReply, PublishRequest, PublishResult, PublishSink as _};
use seriatim::sink::search::{Found, SearchReply, SearchRequest, SearchSink as _, Searcher};
use seriatim::sink::streams::Streams;
use seriatim::store::{Mark, OutboxEntry};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use tokio::sync::mpsc;

/// A message unanswered for this long counts as not confirmed, milliseconds.
const CONFIRM_TIMEOUT: u64 = 5_000;

/// A message on its way to the broker, whoever sent it.
#[derive(Clone, Debug)]
pub(crate) struct Packet {
    pub(crate) entry: Arc<OutboxEntry>,
    /// After this time of the broker it is gone.
    pub(crate) until: u64,
}

/// See the module.
pub(crate) struct Publishing {
    requests: mpsc::Receiver<PublishRequest>,
    window: usize,
    next: u64,
    in_flight: BTreeMap<u64, Flight>,
    /// Numbers of what has not reached the broker yet.
    wire: VecDeque<u64>,
}

struct Flight {
    request: PublishRequest,
    since: u64,
    /// What the broker answered; `None`: nothing so far, perhaps never.
    answer: Option<PublishResult>,
}

impl Publishing {
    pub(crate) fn new(requests: mpsc::Receiver<PublishRequest>, window: usize) -> Self {
        Self { requests, window, next: 0, in_flight: BTreeMap::new(), wire: VecDeque::new() }
    }

    /// Nothing is asked, nothing unanswered.
    pub(crate) fn idle(&self) -> bool {
        self.in_flight.is_empty() && self.requests.is_empty()
    }

    pub(crate) fn can_take(&self) -> bool {
        self.in_flight.len() < self.window && !self.requests.is_empty()
    }

    /// Takes a request: it leaves, or is refused on the spot. Returns the entry that left.
    pub(crate) fn take(
        &mut self,
        link: Link,
        now: u64,
        sinks: &[Arc<Completions>],
        streams: &Streams,
        trace: &mut Trace,
    ) -> Option<Arc<OutboxEntry>> {
        let request = self.requests.try_recv().ok()?;
        note!(trace, "publisher: takes {}", request.entry.message_id);
        if !link.connected {
            reply(sinks, &request, unavailable("not connected to the broker"));
            return None;
        }
        if request.too_late(streams.broker_now_ms()) {
            note!(trace, "publisher: {} waited too long", request.entry.message_id);
            reply(sinks, &request, unavailable("it waited so long that it must be looked for first"));
            return None;
        }
        let entry = request.entry.clone();
        self.in_flight.insert(self.next, Flight { request, since: now, answer: None });
        self.wire.push_back(self.next);
        self.next += 1;
        Some(entry)
    }

    pub(crate) fn can_arrive(&self, broker: &Broker) -> bool {
        broker.up && !self.wire.is_empty()
    }

    /// The next message reaches the broker.
    pub(crate) fn arrive(&mut self, broker: &mut Broker, faults: &Faults, dice: &mut Dice, stats: &mut Stats, trace: &mut Trace) {
        let Some(number) = self.wire.pop_front() else { return };
        let Some(flight) = self.in_flight.get_mut(&number) else { return };
        let entry = flight.request.entry.clone();
        if faults.strikes(Fault::NotStored, dice) {
            stats.fault(Fault::NotStored);
            note!(trace, "broker: {} got lost", entry.message_id);
            return;
        }
        let answer = store(broker, &entry, stats, trace);
        let leaderless = matches!(&answer, Err(Away));
        if leaderless && dice.once_in(2) {
            return;
        }
        if faults.strikes(Fault::Unconfirmed, dice) {
            stats.fault(Fault::Unconfirmed);
            note!(trace, "broker: the answer about {} got lost", entry.message_id);
            return;
        }
        flight.answer = Some(answer.unwrap_or_else(|Away| unavailable("no leader")));
    }

    /// Numbers of what was answered.
    pub(crate) fn answered(&self) -> impl Iterator<Item = u64> {
        self.in_flight.iter().filter(|(_, flight)| flight.answer.is_some()).map(|(number, _)| *number)
    }

    /// One of the answers arrives.
    pub(crate) fn answer(&mut self, number: u64, sinks: &[Arc<Completions>], streams: &Streams, trace: &mut Trace) {
        let Some(Flight { request, answer: Some(answer), .. }) = self.in_flight.remove(&number) else { return };
        note!(trace, "publisher: {} is {}", request.entry.message_id, said(&answer));
        if let PublishResult::Confirmed { stream, sequence, .. } = &answer {
            streams.confirmed(stream, *sequence);
        }
        reply(sinks, &request, answer);
    }

    /// When the oldest unanswered message counts as not confirmed.
    pub(crate) fn expires_at(&self) -> Option<u64> {
        self.in_flight.values().map(|flight| flight.since + CONFIRM_TIMEOUT).min()
    }

    /// Gives up what was not answered in time.
    pub(crate) fn expire(&mut self, now: u64, sinks: &[Arc<Completions>], stats: &mut Stats, trace: &mut Trace) {
        let old: Vec<_> = self.in_flight.iter().filter(|(_, flight)| flight.since + CONFIRM_TIMEOUT <= now).map(|(n, _)| *n).collect();
        for number in old {
            if let Some(flight) = self.in_flight.remove(&number) {
                note!(trace, "publisher: no answer about {}", flight.request.entry.message_id);
                stats.add("publishes without an answer");
                reply(sinks, &flight.request, unavailable("no confirmation in time"));
            }
        }
    }

    /// The connection is lost: nothing on it is answered any more. Returns what the broker may still get of it.
    pub(crate) fn cut(&mut self, until: u64, sinks: &[Arc<Completions>], dice: &mut Dice) -> Vec<Packet> {
        let stray = self.stray(until, dice);
        for flight in std::mem::take(&mut self.in_flight).into_values() {
            reply(sinks, &flight.request, unavailable("the connection to the broker was lost"));
        }
        stray
    }

    /// What was sent and has not reached the broker: a part from the front still does.
    pub(crate) fn stray(&mut self, until: u64, dice: &mut Dice) -> Vec<Packet> {
        let keep = dice.size(0, self.wire.len());
        let wire = std::mem::take(&mut self.wire);
        let flights = wire.into_iter().take(keep).filter_map(|number| self.in_flight.get(&number));
        flights.map(|flight| Packet { entry: flight.request.entry.clone(), until }).collect()
    }
}

/// A message reaches the broker and is stored, or not.
pub(crate) fn store(broker: &mut Broker, entry: &OutboxEntry, stats: &mut Stats, trace: &mut Trace) -> Result<PublishResult, Away> {
    let Some(at) = broker.taker(&entry.subject) else { return Ok(unavailable("no stream takes it")) };
    let mut headers: Vec<_> = entry.headers.iter().map(|(name, value)| (name.to_string(), value.clone())).collect();
    headers.push(("Nats-Msg-Id".to_owned(), entry.message_id.clone()));
    let said = broker.publish(at, &entry.subject, headers, entry.payload.to_vec())?;
    note!(trace, "broker: {} {said:?}", entry.message_id);
    let stream: Arc<str> = broker.stream(at).config().name.into();
    Ok(match said {
        Said::Stored(sequence) => PublishResult::Confirmed { stream, sequence, duplicate: false },
        Said::Duplicate(sequence) => {
            stats.add("publishes the broker knew");
            PublishResult::Confirmed { stream, sequence, duplicate: true }
        }
        Said::Full => {
            stats.add("publishes into a full stream");
            unavailable("maximum messages exceeded")
        }
        Said::Refused => {
            stats.add("publishes refused for good");
            PublishResult::Refused { reason: "message size exceeds maximum allowed".to_owned(), code: 10_054 }
        }
    })
}

fn reply(sinks: &[Arc<Completions>], request: &PublishRequest, result: PublishResult) {
    sinks[request.shard].published(vec![PublishReply { token: request.token, shard: request.shard, result }]);
}

fn unavailable(reason: &str) -> PublishResult {
    PublishResult::Unavailable { reason: reason.to_owned() }
}

fn said(result: &PublishResult) -> &'static str {
    match result {
        PublishResult::Confirmed { duplicate: false, .. } => "confirmed",
        PublishResult::Confirmed { duplicate: true, .. } => "confirmed as a duplicate",
        PublishResult::Unavailable { .. } => "unavailable",
        PublishResult::Refused { .. } => "refused",
    }
}

/// The searcher: takes what was asked, reads the output stream up to its end as it was then, and answers each.
pub(crate) struct Searching {
    searcher: Searcher,
    running: Option<Search>,
    asked: VecDeque<SearchRequest>,
}

struct Search {
    stream: usize,
    created: i64,
    mark: u64,
    end: u64,
    requests: Vec<SearchRequest>,
}

impl Searching {
    pub(crate) fn new(searcher: Searcher) -> Self {
        Self { searcher, running: None, asked: VecDeque::new() }
    }

    /// Takes what was asked; returns whether nothing is asked and nothing runs.
    pub(crate) fn idle(&mut self) -> bool {
        let mut taken = Vec::new();
        self.searcher.take(&mut taken);
        self.asked.extend(taken);
        self.asked.is_empty() && self.running.is_none()
    }

    /// Begins a search, or ends the one that runs.
    pub(crate) fn step(&mut self, around: &mut Around<'_>, sinks: &[Arc<Completions>], streams: &Streams, trace: &mut Trace) -> bool {
        match self.running.take() {
            None => self.begin(around, sinks, streams, trace),
            Some(search) => {
                end(search, around, sinks, streams, trace);
                true
            }
        }
    }

    /// One stream's requests; those of others wait for the next search.
    fn begin(&mut self, around: &mut Around<'_>, sinks: &[Arc<Completions>], streams: &Streams, trace: &mut Trace) -> bool {
        let Some(first) = self.asked.front() else { return false };
        let at = around.broker.taker(&first.entry.subject).unwrap();
        let taken: VecDeque<_> = std::mem::take(&mut self.asked);
        let (requests, rest) = taken.into_iter().partition(|request| around.broker.stream(at).takes(&request.entry.subject));
        self.asked = rest;
        let facts = match around.facts(at) {
            Ok(facts) => facts,
            Err(Away) => {
                requests_unknown(requests, sinks);
                return true;
            }
        };
        let requests: Vec<_> = Vec::from(requests);
        let created = facts.created_nanos;
        let from = |request: &SearchRequest| {
            if request.mark.stream == facts.name && request.mark.created == created { request.mark.last_sequence } else { 0 }
        };
        let mark = requests.iter().map(from).min().unwrap_or(0);
        note!(trace, "searcher: reads {} above {mark} up to {} for {}", facts.name, facts.last_sequence, requests.len());
        self.running = Some(Search { stream: at, created, mark, end: facts.last_sequence, requests });
        streams.learn(facts);
        true
    }
}

fn requests_unknown(requests: impl IntoIterator<Item = SearchRequest>, sinks: &[Arc<Completions>]) {
    for request in requests {
        let found = Found::Unknown { reason: "no leader answers".to_owned() };
        sinks[request.shard].searched(SearchReply { token: request.token, found });
    }
}

fn end(search: Search, around: &mut Around<'_>, sinks: &[Arc<Completions>], streams: &Streams, trace: &mut Trace) {
    let Search { stream, created, mark, end, requests } = search;
    let Ok(found) = around.ask(stream) else { return requests_unknown(requests, sinks) };
    let ids: BTreeMap<&str, u64> = found
        .messages()
        .filter(|stored| stored.sequence > mark && stored.sequence <= end)
        .filter_map(|stored| stored.id().map(|id| (id, stored.sequence)))
        .collect();
    let name: Arc<str> = found.config().name.into();
    let mut answers = Vec::new();
    for request in &requests {
        let id = request.entry.message_id.as_str();
        answers.push(match ids.get(id) {
            Some(sequence) => Found::There { stream: name.clone(), sequence: *sequence },
            None => Found::Absent {
                never: request.mark.stream == *name && request.mark.created == created,
                end: Mark { stream: name.to_string(), created, last_sequence: end, sent_after: streams.broker_now_ms().unwrap_or(0) },
            },
        });
    }
    for (request, found) in requests.into_iter().zip(answers) {
        let there = matches!(found, Found::There { .. });
        around.stats.add(if there { "searches: there" } else { "searches: absent" });
        note!(trace, "searcher: {} is {}", request.entry.message_id, if there { "there" } else { "absent" });
        sinks[request.shard].searched(SearchReply { token: request.token, found });
    }
}

/// What the host knows of the output streams, kept fresh as `sink/lookup.rs` does.
pub(crate) struct Lookup {
    /// The next round, on the host's monotonic clock.
    pub(crate) due: u64,
}

impl Lookup {
    pub(crate) fn step(&mut self, around: &mut Around<'_>, streams: &Streams) {
        const REFRESH: u64 = 15_000;
        const RETRY: u64 = 1_000;
        let (names, wanted) = streams.take_wanted();
        let known = names.iter().filter_map(|name| (0..3).find(|at| around.broker.stream(*at).config().name == name));
        let mut stale: Vec<_> = known.collect();
        stale.extend(wanted.iter().filter_map(|subject| around.broker.taker(subject)));
        stale.dedup();
        let mut answered = true;
        for at in stale {
            let now = around.broker.now;
            match around.ask(at) {
                Ok(stream) => streams.learn(facts(stream, now)),
                Err(Away) => answered = false,
            }
        }
        self.due = around.now + if answered { REFRESH } else { RETRY };
    }
}
