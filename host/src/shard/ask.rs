//! What is asked of one entity from outside the flow of events: to be shown, an operator's word, a redrive, to be forgotten. Answers go back only when
//! the commits that stand before them are durable; when the host goes down before, the answer's sender is dropped.

use super::actor::{Actor, Ticket, arrival};
use super::decisions::{Decided, LastFailure};
use super::run::Shard;
use crate::event::{EntityKey, Event};
use seriatim_sequencer::{Answer, Input, Now, Operator, Place, Range, Redriven, Status, WaitReason, mutant};
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::oneshot;

/// Where the answer to a word, or to forgetting, goes.
pub type WordTo = oneshot::Sender<Result<Answer, Refused>>;
/// Where the answer to a redrive goes, with the handler's error when it failed again.
pub type RedriveTo = oneshot::Sender<Result<(Redriven, Option<String>), Refused>>;

/// One question to one entity.
#[derive(Debug)]
pub struct Question {
    /// Which entity.
    pub key: EntityKey,
    /// Its pipeline's index.
    pub pipeline: usize,
    /// What is asked.
    pub what: Asked,
}

/// What is asked.
#[derive(Debug)]
pub enum Asked {
    /// How it stands; `None`: it is not in memory.
    Show(oneshot::Sender<Option<Box<Shown>>>),
    /// An operator's word.
    Word(Spoken, WordTo),
    /// A dead letter's event again.
    Redrive {
        /// The dead letter's stream sequence.
        dead: u64,
        /// Its event.
        event: Arc<Event>,
        /// An operator changed its payload.
        edited: bool,
        /// Although others were applied since.
        out_of_order: bool,
        /// Where the answer goes.
        answer: RedriveTo,
    },
    /// Erase its state and ids.
    Forget(WordTo),
    /// The same, if it was not seen for as long as `retain` says and has nothing to do.
    Retire(WordTo),
}

/// A word. Without a place it means wherever the entity stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spoken {
    /// Let nothing be delivered.
    Park,
    /// Try the head again.
    Resume(Option<Place>),
    /// Give the head up.
    Skip(Option<Place>),
}

/// Why a shard did not ask the entity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Nothing is known of such an entity.
    Unknown,
    /// The host stops.
    Stopping,
    /// The pipeline stopped, for this reason.
    Stopped(String),
    /// An output of the entity was refused for good: nothing can be skipped before that is mended.
    Undeliverable,
    /// Outputs or dead letters of it are not confirmed: that many.
    Unconfirmed(usize),
    /// Its record cannot be read.
    Unreadable,
}

/// How an entity in memory stands.
#[derive(Clone, Debug)]
pub struct Shown {
    /// What it is doing.
    pub status: Status,
    /// At or below it an unknown id is late.
    pub floor: Place,
    /// Given-up ranges.
    pub given_up: Vec<Range>,
    /// Bytes in memory for it.
    pub bytes: u64,
    /// Outputs and dead letters that are not confirmed.
    pub outbox: usize,
    /// Tries of the first of them.
    pub tries: usize,
    /// The last failure since it came into memory.
    pub failure: Option<LastFailure>,
    /// The last decisions since it came into memory, oldest first.
    pub decisions: Vec<Decided>,
    /// Both clocks.
    pub now: Now,
}

#[derive(Debug)]
enum Reply {
    Word(WordTo, Answer),
    Redrive(RedriveTo, Redriven, Option<String>),
}

impl Reply {
    fn send(self) {
        // Nobody may wait any more: what was asked is done all the same.
        match self {
            Self::Word(to, answer) => drop(to.send(Ok(answer))),
            Self::Redrive(to, answer, error) => drop(to.send(Ok((answer, error)))),
        }
    }
}

/// What an actor has been asked and has not answered.
#[derive(Debug, Default)]
pub(super) struct Open {
    /// Words that the core has not answered, in order.
    words: VecDeque<WordTo>,
    redrive: Option<RedriveTo>,
    /// Answers, and how many commits stand before each.
    ready: VecDeque<(usize, Reply)>,
}

impl Open {
    /// A commit of the actor is durable.
    pub(super) fn durable(&mut self) {
        for (before, _) in &mut self.ready {
            *before = before.saturating_sub(1);
        }
        while self.ready.front().is_some_and(|(before, _)| *before == 0)
            && let Some((_, reply)) = self.ready.pop_front()
        {
            reply.send();
        }
    }

    fn answer(&mut self, commits: usize, reply: Reply) {
        let now = (commits == 0 && self.ready.is_empty()) || mutant!(WordAnsweredBeforeCommit);
        if now { reply.send() } else { self.ready.push_back((commits, reply)) }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.words.is_empty() && self.redrive.is_none() && self.ready.is_empty()
    }
}

impl Actor {
    /// What it was asked; there is room for it from the first question on.
    fn open(&mut self) -> &mut Open {
        self.open.get_or_insert_default()
    }

    /// The core answered the oldest word that is open.
    pub(super) fn answer_word(&mut self, answer: Answer) {
        let commits = self.busy.commits.len();
        if let Some(open) = &mut self.open
            && let Some(to) = open.words.pop_front()
        {
            open.answer(commits, Reply::Word(to, answer));
        }
    }

    /// The core answered a redrive. One that was refused at once, while another is under way, is not the one that is open.
    pub(super) fn answer_redrive(&mut self, answer: Redriven) {
        let commits = self.busy.commits.len();
        let error = match answer {
            Redriven::Failed(_) => self.last_failure.as_ref().map(|failure| failure.message.clone()),
            _ => None,
        };
        if let Some(open) = &mut self.open
            && let Some(to) = open.redrive.take()
        {
            open.answer(commits, Reply::Redrive(to, answer, error));
        }
    }

    fn shown(&self, now: Now) -> Shown {
        Shown {
            status: self.sequencer.status(now),
            floor: self.sequencer.floor(),
            given_up: self.sequencer.given_up().to_vec(),
            bytes: self.busy.held_bytes,
            outbox: self.outbox.len(),
            tries: self.outbox.tries(),
            failure: self.last_failure.as_deref().cloned(),
            decisions: self.decisions.iter().copied().collect(),
            now,
        }
    }
}

impl Shard {
    /// Answers one question, or sees to it that it will be answered.
    pub(super) fn ask(&mut self, question: Question) {
        let Question { key, pipeline, what } = question;
        match what {
            Asked::Show(to) => {
                let now = self.now(pipeline);
                let token = self.places.find(&key, &self.actors);
                let shown = token.and_then(|token| self.actors.get(token)).map(|actor| Box::new(actor.shown(now)));
                drop(to.send(shown));
            }
            Asked::Word(word, to) => match self.may_ask(&key, pipeline, !matches!(word, Spoken::Park)) {
                Ok(token) => self.word(token, word, to),
                Err(refused) => drop(to.send(Err(refused))),
            },
            Asked::Redrive { dead, event, edited, out_of_order, answer } => match self.may_ask(&key, pipeline, true) {
                Ok(token) => self.redrive(token, dead, event, (edited, out_of_order), answer),
                Err(refused) => drop(answer.send(Err(refused))),
            },
            Asked::Forget(to) => match self.may_ask(&key, pipeline, false) {
                Ok(token) => self.forget(token, to),
                Err(refused) => drop(to.send(Err(refused))),
            },
            Asked::Retire(to) => self.retire(&key, pipeline, to),
        }
        self.make_room();
    }

    /// The entity's actor, loaded if it has a record; one that nothing is known of is not kept.
    fn may_ask(&mut self, key: &EntityKey, pipeline: usize, moves: bool) -> Result<usize, Refused> {
        if self.stopping {
            return Err(Refused::Stopping);
        }
        let shared = self.parts.pipelines.get(pipeline).cloned().ok_or(Refused::Unknown)?;
        if let Some(reason) = shared.control.stopped().filter(|_| moves) {
            return Err(Refused::Stopped(reason));
        }
        if key.entity.is_empty() || shared.forgotten {
            return Err(Refused::Unknown);
        }
        let token = self.actor(key, pipeline).ok_or(Refused::Stopping)?;
        let actor = self.actors.get(token).ok_or(Refused::Stopping)?;
        if !actor.sequencer.is_known() && actor.outbox.is_empty() {
            // A change of it that is on its way is not in what would be loaded next.
            if actor.can_leave() {
                self.leave(token);
            }
            return Err(Refused::Unknown);
        }
        Ok(token)
    }

    fn word(&mut self, token: usize, word: Spoken, to: WordTo) {
        let Some(actor) = self.actors.get_mut(token) else { return };
        let head = actor.sequencer.head_place();
        let undeliverable = actor.outbox.is_refused();
        let unreadable = actor.sequencer.waiting().is_some_and(|waiting| waiting.reason == WaitReason::Record);
        let refused = match word {
            Spoken::Resume(_) | Spoken::Skip(_) if unreadable => Some(Refused::Unreadable),
            Spoken::Skip(_) if undeliverable => Some(Refused::Undeliverable),
            _ => None,
        };
        if let Some(refused) = refused {
            drop(to.send(Err(refused)));
            return;
        }
        let word = match word {
            Spoken::Park => Operator::Park,
            Spoken::Resume(place) => Operator::Resume { place: place.unwrap_or(head) },
            Spoken::Skip(place) => Operator::Skip { place: place.unwrap_or(head) },
        };
        let again = matches!(word, Operator::Resume { place } if place == head) && undeliverable;
        if again {
            actor.outbox.retry();
        }
        actor.open().words.push_back(to);
        self.drive(token, Input::Operator(word));
        if again {
            self.send(token);
            self.settle(token);
        }
    }

    fn redrive(&mut self, token: usize, dead: u64, event: Arc<Event>, (edited, out_of_order): (bool, bool), to: RedriveTo) {
        let Some(actor) = self.actors.get_mut(token) else { return };
        let open = actor.open();
        if open.redrive.is_some() {
            drop(to.send(Ok((Redriven::Busy, None))));
            return;
        }
        open.redrive = Some(to);
        let arrival = arrival(event, self.host_now);
        let arrival = seriatim_sequencer::Arrival { ticket: Ticket { edited, ..arrival.ticket }, ..arrival };
        self.drive(token, Input::Redrive { dead, arrival, out_of_order });
    }

    fn forget(&mut self, token: usize, to: WordTo) {
        let Some(actor) = self.actors.get_mut(token) else { return };
        if !actor.outbox.is_empty() {
            drop(to.send(Err(Refused::Unconfirmed(actor.outbox.len()))));
            return;
        }
        if actor.sequencer.running() {
            drop(to.send(Ok(Answer::Owes)));
            return;
        }
        actor.open().words.push_back(to);
        self.drive(token, Input::Forget);
    }

    /// Only an entity at rest is asked. One that comes into memory for this leaves it again, so that a sweep drives out nobody who is busy.
    fn retire(&mut self, key: &EntityKey, pipeline: usize, to: WordTo) {
        let visits = self.places.find(key, &self.actors).is_none();
        let token = match self.may_ask(key, pipeline, true) {
            Ok(token) => token,
            Err(refused) => return drop(to.send(Err(refused))),
        };
        let Some(actor) = self.actors.get_mut(token) else { return };
        actor.visits = visits;
        if actor.can_leave() && actor.sequencer.waiting().is_none() {
            actor.open().words.push_back(to);
            self.drive(token, Input::Retire);
        } else {
            drop(to.send(Ok(Answer::Owes)));
        }
        self.leave_after_visit(token);
    }

    /// One that came into memory only to be asked leaves it as soon as it may.
    pub(super) fn leave_after_visit(&mut self, token: usize) {
        if self.actors.get(token).is_some_and(|actor| actor.visits && actor.can_leave()) {
            self.leave(token);
        }
    }
}
