//! What happened, put together from the streams and the store: each message with its output and its dead letters, each entity with its
//! messages in order. Nothing is judged here.

use super::piece::{At, Letter, Output, Piece};
use super::ranges::Ranges;
use super::{Meant, MeantAs, Run, Said, Word};
use crate::checker::store::{EntityView, PipelineView, Spot};
use std::collections::{BTreeMap, HashMap, HashSet};

/// One message of the generator's log and what came of it.
pub(super) struct Message<'a> {
    pub(super) meant: &'a Meant,
    /// Its output.
    pub(super) applied: Option<usize>,
    /// Its outputs by redrives of its dead letters.
    pub(super) redriven: Vec<usize>,
    /// Its dead letters: one at most, if all is well.
    pub(super) letters: Vec<usize>,
    /// The source stream holds it no more because it was restored to an older state.
    pub(super) gone: bool,
    /// The source stream holds it.
    pub(super) held: bool,
}

impl Message<'_> {
    pub(super) fn place(&self) -> Spot {
        (self.meant.epoch, self.meant.sequence)
    }

    pub(super) fn number(&self) -> u64 {
        self.meant.stream_sequence
    }
}

/// One entity.
#[derive(Default)]
pub(super) struct Entity<'a> {
    pub(super) name: &'a str,
    /// Its events by place, then by stream sequence.
    pub(super) events: Vec<usize>,
    /// Its outputs: those in the stream in its order, then those that are only in the outbox.
    pub(super) outputs: Vec<usize>,
    /// Ids of events that took their place in the order.
    pub(super) known: HashSet<&'a str>,
    /// Ids that were published for several places.
    pub(super) shared: HashSet<&'a str>,
    /// Stream sequences named as lost for this entity.
    pub(super) lost: Ranges,
    pub(super) view: Option<&'a EntityView>,
    /// What operators said to it, in order; redrives of its dead letters aside.
    pub(super) said: Vec<&'a Said>,
}

/// Everything that happened.
pub(super) struct Facts<'a> {
    pub(super) run: &'a Run,
    pub(super) store: Option<&'a PipelineView>,
    pub(super) messages: Vec<Message<'a>>,
    pub(super) entities: BTreeMap<&'a str, Entity<'a>>,
    pub(super) outputs: Vec<Output<'a>>,
    pub(super) letters: Vec<Letter<'a>>,
    /// Stream sequences named as lost for the whole pipeline.
    pub(super) lost: Ranges,
    /// Outputs and dead letters that are not of the documented form.
    pub(super) strange_outputs: Vec<String>,
    pub(super) strange_letters: Vec<String>,
    /// Redrives that operators asked for, by dead letter.
    pub(super) redrives: BTreeMap<u64, Vec<&'a Said>>,
    /// Messages by stream sequence.
    numbers: HashMap<u64, Vec<usize>>,
}

impl<'a> Facts<'a> {
    pub(super) fn of(run: &'a Run, nothing: &'a PipelineView) -> Self {
        let store = run.store.as_ref().map(|store| store.pipelines.get(&run.rules.pipeline).unwrap_or(nothing));
        let mut numbers: HashMap<u64, Vec<usize>> = HashMap::with_capacity(run.sent.len());
        for (at, meant) in run.sent.iter().enumerate() {
            numbers.entry(meant.stream_sequence).or_default().push(at);
        }
        let messages = run.sent.iter().enumerate().map(|(at, meant)| {
            let number = meant.stream_sequence;
            let replaced = numbers[&number].last() != Some(&at);
            let gone = replaced || number > run.source.last_sequence;
            Message {
                meant,
                applied: None,
                redriven: Vec::new(),
                letters: Vec::new(),
                gone,
                held: !gone && number >= run.source.first_sequence,
            }
        });
        let messages = messages.collect();
        let mut facts = Self {
            run,
            store,
            messages,
            entities: BTreeMap::new(),
            outputs: Vec::new(),
            letters: Vec::new(),
            lost: Ranges::default(),
            strange_outputs: Vec::new(),
            strange_letters: Vec::new(),
            redrives: BTreeMap::new(),
            numbers,
        };
        facts.gather_entities();
        facts.gather_words();
        facts.gather_letters();
        facts.gather_outputs();
        facts.gather_ids();
        facts
    }

    /// The entity of that name; made if nobody published for it.
    fn entity(&mut self, name: &'a str) -> &mut Entity<'a> {
        let view = self.store.and_then(|store| store.entities.get(name));
        self.entities.entry(name).or_insert_with(|| Entity { name, view, ..Entity::default() })
    }

    fn gather_entities(&mut self) {
        for at in 0..self.messages.len() {
            let meant = self.messages[at].meant;
            if meant.kind == MeantAs::Event {
                self.entity(&meant.entity).events.push(at);
            }
        }
        let messages = &self.messages;
        for entity in self.entities.values_mut() {
            entity.events.sort_by_key(|at| (messages[*at].place(), messages[*at].number()));
        }
        let names = self.store.into_iter().flat_map(|store| store.entities.keys()).filter(|name| !name.is_empty());
        for name in names {
            self.entity(name);
        }
    }

    fn gather_words(&mut self) {
        for said in &self.run.said {
            match said.word {
                Word::Redrive { letter, .. } => self.redrives.entry(letter).or_default().push(said),
                _ => self.entity(&said.entity).said.push(said),
            }
        }
    }

    /// Those in the outboxes and not in the stream yet count: they are committed.
    fn committed(&self, dead: bool) -> Vec<Piece<'a>> {
        let entities = self.store.into_iter().flat_map(|store| store.entities.values());
        entities.flat_map(|view| &view.outbox).filter(|entry| entry.dead == dead).map(Piece::entry).collect()
    }

    fn gather_letters(&mut self) {
        let mut pieces: Vec<_> = self.run.dead.iter().map(Piece::kept).collect();
        let there: HashSet<&str> = pieces.iter().map(|piece| piece.id).collect();
        pieces.extend(self.committed(true).into_iter().filter(|piece| !there.contains(piece.id)));
        for piece in pieces {
            match Letter::of(piece, &self.run.rules) {
                Ok(mut letter) if letter.reason == "lost" => {
                    let range = (letter.number, letter.last);
                    match letter.entity {
                        Some(name) => self.entity(name).lost.add(range),
                        None => self.lost.add(range),
                    }
                    letter.about = None;
                    self.letters.push(letter);
                }
                Ok(mut letter) => {
                    letter.about = self.named(letter.number, &piece);
                    if let Some(about) = letter.about {
                        self.messages[about].letters.push(self.letters.len());
                    }
                    self.letters.push(letter);
                }
                Err(problem) => self.strange_letters.push(format!("dead letter {} on {}: {problem}", piece.at, piece.subject)),
            }
        }
        self.lost.settle();
        for entity in self.entities.values_mut() {
            entity.lost.settle();
        }
    }

    /// The message with that stream sequence; of several (the stream was restored) the one that looks most like the dead letter.
    fn named(&self, number: u64, piece: &Piece<'_>) -> Option<usize> {
        let fits = |at: &&usize| {
            let meant = self.messages[**at].meant;
            let id = Some(meant.id.as_str()).filter(|id| !id.is_empty());
            let found = piece.header("Seriatim-Id").or_else(|| piece.header("Seriatim-Dead-Nats-Msg-Id"));
            let same = meant.headers.iter().all(|(name, value)| piece.carries(name, value));
            (meant.payload == piece.payload, piece.header("Seriatim-Dead-Subject") == Some(&meant.subject), id == found, same)
        };
        self.numbers.get(&number)?.iter().max_by_key(fits).copied()
    }

    fn gather_outputs(&mut self) {
        let mut pieces: Vec<_> = self.run.outputs.iter().map(Piece::kept).collect();
        let there: HashSet<&str> = pieces.iter().map(|piece| piece.id).collect();
        pieces.extend(self.committed(false).into_iter().filter(|piece| !there.contains(piece.id)));
        let of_letter = |letter: &Letter<'_>| match letter.piece.at {
            At::Stream(number) => letter.about.map(|about| (number, about)),
            At::Outbox(_) => None,
        };
        let letters: HashMap<u64, usize> = self.letters.iter().filter_map(of_letter).collect();
        for piece in pieces {
            match Output::of(piece, &self.run.rules) {
                Ok(mut output) => {
                    let at = self.outputs.len();
                    output.cause = match output.redriven {
                        Some(letter) => letters.get(&letter).copied().filter(|about| self.may_be_redriven(*about, &output, letter)),
                        None => self.cause(&output),
                    };
                    match (output.cause, output.redriven) {
                        (Some(cause), Some(_)) => self.messages[cause].redriven.push(at),
                        (Some(cause), None) => drop(self.messages[cause].applied.get_or_insert(at)),
                        (None, _) => {}
                    }
                    self.entity(output.entity).outputs.push(at);
                    self.outputs.push(output);
                }
                Err(problem) => self.strange_outputs.push(format!("output {} on {}: {problem}", piece.at, piece.subject)),
            }
        }
    }

    /// The message that an output is of: same place and payload, and of copies one with its id, without a dead letter or an earlier output.
    fn cause(&self, output: &Output<'_>) -> Option<usize> {
        let id = output.piece.header("Seriatim-Causation-Id");
        let fits = |at: &&usize| {
            let message = &self.messages[**at];
            // Without an id the message is named by its stream and its number there.
            let mine = match message.meant.id.as_str() {
                "" => id.and_then(|id| id.rsplit_once(':')?.1.parse().ok()) == Some(message.number()),
                named => id == Some(named),
            };
            (mine, message.applied.is_none(), message.letters.is_empty(), std::cmp::Reverse(message.number()))
        };
        let same = |at: &&usize| self.messages[**at].meant.payload == output.piece.payload;
        self.at_place(self.entities.get(output.entity)?, output.place).iter().filter(same).max_by_key(fits).copied()
    }

    /// An output of a redrive is of its dead letter's message, with its payload or one that an operator gave.
    fn may_be_redriven(&self, about: usize, output: &Output<'_>, letter: u64) -> bool {
        let message = &self.messages[about];
        let mut words = self.redrives.get(&letter).into_iter().flatten();
        let same = match output.piece.header("Seriatim-Redriven-Edited") {
            Some(_) => words.any(
                |said| matches!(&said.word, Word::Redrive { payload: Some(payload), .. } if payload.as_slice() == output.piece.payload),
            ),
            None => message.meant.payload == output.piece.payload,
        };
        same && message.meant.entity == output.entity && message.place() == output.place
    }

    fn gather_ids(&mut self) {
        let Self { messages, entities, letters, .. } = self;
        for entity in entities.values_mut() {
            let took = |at: &&usize| {
                let message = &messages[**at];
                message.applied.is_some() || message.letters.iter().any(|at| !letters[*at].beside_the_place())
            };
            let ids = entity.events.iter().filter(took).map(|at| messages[*at].meant.id.as_str());
            entity.known = ids.filter(|id| !id.is_empty()).collect();
            let mut first = HashMap::new();
            for message in entity.events.iter().map(|at| &messages[*at]).filter(|message| !message.meant.id.is_empty()) {
                if *first.entry(message.meant.id.as_str()).or_insert(message.place()) != message.place() {
                    entity.shared.insert(&message.meant.id);
                }
            }
        }
    }

    /// The messages of an entity at one place.
    pub(super) fn at_place<'e>(&self, entity: &'e Entity<'a>, place: Spot) -> &'e [usize] {
        let from = entity.events.partition_point(|at| self.messages[*at].place() < place);
        let rest = &entity.events[from..];
        &rest[..rest.partition_point(|at| self.messages[*at].place() == place)]
    }

    /// The messages of an entity, those of one place together, ascending.
    pub(super) fn places<'e>(&'e self, entity: &'e Entity<'a>) -> impl Iterator<Item = (Spot, &'e [usize])> {
        let same = |left: &usize, right: &usize| self.messages[*left].place() == self.messages[*right].place();
        entity.events.chunk_by(same).map(|group| (self.messages[group[0]].place(), group))
    }

    /// A message took its place in the order: it was applied or dead-lettered as an event, or its id was known.
    pub(super) fn took_its_place(&self, entity: &Entity<'_>, at: usize) -> bool {
        let message = &self.messages[at];
        message.applied.is_some()
            || !message.redriven.is_empty()
            || self.died_as_event(at)
            || (message.letters.is_empty() && entity.known.contains(message.meant.id.as_str()))
    }

    pub(super) fn died_as_event(&self, at: usize) -> bool {
        self.messages[at].letters.iter().any(|letter| !self.letters[*letter].beside_the_place())
    }

    /// Named as lost, and the source holds it no more.
    pub(super) fn is_lost(&self, entity: Option<&Entity<'_>>, at: usize) -> bool {
        let message = &self.messages[at];
        let number = message.number();
        !message.held && (self.lost.contain(number) || entity.is_some_and(|entity| entity.lost.contain(number)))
    }

    /// Still to do: above the watermark, or its entity waits and says from where.
    pub(super) fn is_undone(&self, entity: Option<&Entity<'_>>, at: usize) -> bool {
        let number = self.messages[at].number();
        let Some(store) = self.store else {
            let rules = &self.run.rules;
            let parked = entity.is_some_and(Entity::may_be_parked);
            return parked || !self.run.settled || rules.hole == super::Hole::Park || rules.failing == super::Failing::Park;
        };
        let waiting = entity.and_then(|entity| entity.view).and_then(|view| view.waiting.as_ref());
        number > store.watermark || waiting.is_some_and(|waiting| waiting.from <= number)
    }

    /// More than `jump-max` ahead of where every entity begins.
    pub(super) fn is_far(&self, place: Spot) -> bool {
        let before = self.run.rules.first.map_or(0, |first| first.saturating_sub(1));
        place.1.saturating_sub(before) > self.run.rules.jump_max
    }

    /// The store says that the place had been given up, or nobody ever waited for it. Without a store: the rules let it be so.
    pub(super) fn may_be_late(&self, entity: &Entity<'_>, place: Spot) -> bool {
        let rules = &self.run.rules;
        let before = place.1 < rules.first.unwrap_or(1);
        let Some(view) = entity.view else {
            return before || (self.store.is_none() && !rules.in_time);
        };
        let past = view.position.is_some_and(|position| place.0 < position.0);
        // A higher epoch that has no position yet has begun all the same.
        let begun = rules.first.is_none() && entity.events.iter().any(|at| self.messages[*at].place().0 > place.0);
        before || past || begun || place <= view.floor || view.gave_up(place)
    }
}
