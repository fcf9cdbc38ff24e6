//! Operators: who says what to which entity, and when. Drawn from dice of their own, so that a run without operators is what it was before there were
//! any. What they said, what they meant by it and what they were answered is the log that the checker judges by.

use crate::asking::Asked;
use crate::broker::{DEAD, OUTPUTS};
use crate::dice::Dice;
use crate::host::Host;
use crate::note;
use crate::start::PIPELINE;
use crate::stream::Stored;
use crate::verdict;
use crate::world::{READER, World};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use seriatim::control::{self, EntityName, Fault, Place};
use seriatim::event::{Header, Message};
use seriatim_tests::checker::laws::{Answer, Head, MeantAs, Said, Word};
use seriatim_tests::checker::store::{EntityView, PipelineView, Reason, Spot};

/// Draws of their own: another number than any that the rest of a run begins with.
const SALT: u64 = 0x0BE5_A70B_5A1D_0000;
/// Dead letters that are redriven in the end, at most.
const LAST_REDRIVES: usize = 20;
/// No event has this sequence.
const NEVER_CAME: u64 = 60_000_000;

/// What operators of a run are like.
#[derive(Clone, Debug)]
struct Habits {
    /// A word once in so many steps.
    rate: u64,
    /// How often they park, resume, skip and redrive, one against the other.
    kinds: [u64; 4],
    /// A word is said twice, once in so many times.
    twice: u64,
    /// The host dies right behind a commit while a word is not answered, once in so many commits; 0 = never.
    kills: u64,
    /// In the end everybody who was parked is resumed; else they stay.
    resumes_all: bool,
    /// In the end every dead letter is redriven, and then every redrive is asked for again.
    redrives_all: bool,
}

/// See the module.
pub(crate) struct Operators {
    dice: Dice,
    /// `None`: nobody says anything.
    habits: Option<Habits>,
    /// Words that may still be said before faults stop.
    left: u64,
    open: Vec<Open>,
    pub(crate) said: Vec<Said>,
    /// Rounds of redrives that were asked for in the end.
    rounds: usize,
}

/// A word that was not answered yet.
struct Open {
    /// Its place in the log.
    said: usize,
    asked: Asked,
    /// For a redrive: how many events behind it were applied when it was asked for.
    applied_since: u64,
}

impl Operators {
    /// Half of all runs have some.
    pub(crate) fn draw(seed: u64, any: bool) -> Self {
        let mut dice = Dice::new(seed ^ SALT);
        let habits = (dice.once_in(2) && any).then(|| {
            let mut kind = || dice.pick(&[0, 1, 1, 3]);
            let kinds = [kind(), kind(), kind(), kind()];
            Habits {
                rate: dice.pick(&[5, 20, 60, 150]),
                // Somebody who says nothing proves nothing.
                kinds: if kinds == [0; 4] { [1; 4] } else { kinds },
                twice: dice.pick(&[0, 3, 8]),
                kills: dice.pick(&[0, 0, 4]),
                resumes_all: dice.once_in(2),
                redrives_all: dice.once_in(2),
            }
        });
        let left = dice.pick(&[3, 10, 30]);
        Self { dice, habits, left, open: Vec::new(), said: Vec::new(), rounds: 0 }
    }

    /// For the trace.
    pub(crate) fn described(&self) -> Option<String> {
        self.habits.as_ref().map(|habits| format!("{habits:?}, at most {} words", self.left))
    }

    /// The host dies between the commit that a word may stand in and its answer.
    pub(crate) fn kills(&mut self) -> bool {
        let rate = self.habits.as_ref().map_or(0, |habits| habits.kills);
        !self.open.is_empty() && self.dice.once_in(rate)
    }
}

fn place(spot: Spot) -> Place {
    Place { epoch: spot.0, sequence: spot.1 }
}

fn at(head: Head) -> Option<Place> {
    match head {
        Head::Any => None,
        Head::Seen(spot) | Head::Wrong(spot) => Some(place(spot)),
    }
}

fn parked(view: &EntityView) -> bool {
    view.waiting.as_ref().is_some_and(|waiting| waiting.alarm.is_none())
}

fn parked_by_operator(view: &EntityView) -> bool {
    parked(view) && view.waiting.as_ref().is_some_and(|waiting| waiting.reason == Reason::Operator)
}

fn number(stored: &Stored, name: &str) -> Option<u64> {
    header(stored, name)?.parse().ok()
}

fn header<'a>(stored: &'a Stored, name: &str) -> Option<&'a str> {
    stored.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

impl World {
    /// Before faults stop: somebody may say something.
    pub(crate) fn operate(&mut self) {
        let operators = &mut self.operators;
        let Some(habits) = operators.habits.clone() else { return };
        let listens = self.host.as_ref().is_some_and(Host::listens);
        if operators.left == 0 || !listens || !operators.dice.once_in(habits.rate) {
            return;
        }
        operators.left -= 1;
        let Some(word) = self.draw_word(&habits) else { return };
        let twice = self.operators.dice.once_in(habits.twice);
        self.say(word.clone());
        if twice {
            self.stats.add("words said twice");
            self.say(word);
        }
    }

    fn draw_word(&mut self, habits: &Habits) -> Option<Said> {
        let mut names: Vec<&str> =
            self.sent.iter().filter(|meant| meant.kind == MeantAs::Event).map(|meant| meant.entity.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        let view = verdict::pipeline(&self.disk).unwrap_or_default();
        let dice = &mut self.operators.dice;
        let kind = dice.weighted(habits.kinds.into_iter())?;
        if kind == 3 {
            return self.draw_redrive();
        }
        // Mostly somebody to whom it means something.
        let fits = |name: &&str| match (kind, view.entities.get(*name)) {
            (1, Some(entity)) => parked(entity),
            (2, Some(entity)) => entity.waiting.is_some(),
            (0, _) => true,
            _ => false,
        };
        let fitting: Vec<&str> = names.iter().copied().filter(|name| fits(name)).collect();
        let from = if fitting.is_empty() || dice.once_in(4) { &names } else { &fitting };
        let entity = if from.is_empty() || dice.once_in(20) { "nobody" } else { dice.pick(from) }.to_owned();
        let mut head = || draw_head(dice, view.entities.get(&entity), self.settings.first.unwrap_or(1));
        let word = match kind {
            0 => Word::Park { counted: 0 },
            1 => Word::Resume(head()),
            _ => Word::Skip(head()),
        };
        Some(Said { entity, word, answer: Answer::Open })
    }

    fn draw_redrive(&mut self) -> Option<Said> {
        let dice = &mut self.operators.dice;
        let redriven = |said: &Said| match said.word {
            Word::Redrive { letter, .. } => Some(letter),
            _ => None,
        };
        let before: Vec<u64> = self.operators.said.iter().filter_map(redriven).collect();
        let letters: Vec<u64> = self.broker.stream(DEAD).messages().map(|stored| stored.sequence).collect();
        let from = if before.is_empty() || !dice.once_in(3) { &letters } else { &before };
        if from.is_empty() {
            return None;
        }
        let letter = dice.pick(from);
        self.redrive_of(letter)
    }

    fn redrive_of(&mut self, letter: u64) -> Option<Said> {
        let dice = &mut self.operators.dice;
        let stored = self.broker.stream(DEAD).get(letter)?;
        let entity = header(stored, "Seriatim-Dead-Entity").unwrap_or("nobody").to_owned();
        // What failed would fail again: most are given with another payload.
        let text = String::from_utf8_lossy(&stored.payload);
        let edited = text.rsplit_once(' ').filter(|_| !dice.once_in(4));
        let payload = edited.map(|(front, _)| format!("{front} edited{} accept", dice.range(0, 1)).into_bytes());
        Some(Said { entity, word: Word::Redrive { letter, out_of_order: dice.once_in(2), payload }, answer: Answer::Open })
    }

    /// Says it. What comes back is heard later.
    fn say(&mut self, said: Said) {
        let reached = self.broker.up && self.broker.leader && self.links[READER].connected;
        let Some(host) = &self.host else { return };
        note!(self.trace, "operator: to {}: {:?}", said.entity, said.word);
        self.stats.add(match said.word {
            Word::Park { .. } => "words: park",
            Word::Resume(_) => "words: resume",
            Word::Skip(_) => "words: skip",
            Word::Redrive { .. } => "words: redrive",
        });
        if host.parts.passes.numbers().next().is_some() {
            self.stats.add("words during a catch-up");
        }
        let asking = &host.parts.asking;
        let name = EntityName { pipeline: PIPELINE.to_owned(), entity: said.entity.clone() };
        let mut applied_since = 0;
        let asked = match &said.word {
            Word::Park { .. } => asking.say(name, control::Word::Park),
            Word::Resume(head) => asking.say(name, control::Word::Resume { place: at(*head) }),
            Word::Skip(head) => asking.say(name, control::Word::Skip { place: at(*head) }),
            Word::Redrive { letter, out_of_order, payload } => {
                let stored = self.broker.stream(DEAD).get(*letter);
                applied_since = stored.map_or(0, |stored| self.applied_behind(&said.entity, stored));
                let message = stored.filter(|_| reached).map(|stored| message(stored));
                let payload = payload.as_ref().map(|payload| BASE64_STANDARD.encode(payload));
                asking.redrive(*letter, message, control::Redrive { out_of_order: *out_of_order, payload })
            }
        };
        self.operators.open.push(Open { said: self.operators.said.len(), asked, applied_since });
        self.operators.said.push(said);
        self.hear();
    }

    /// How many events of the entity behind the one of a dead letter were applied, as far as the world can see.
    fn applied_behind(&self, entity: &str, letter: &Stored) -> u64 {
        let (Some(epoch), Some(sequence)) = (number(letter, "Seriatim-Dead-Epoch"), number(letter, "Seriatim-Dead-Sequence")) else {
            return 0;
        };
        let behind = |stored: &&std::sync::Arc<Stored>| {
            let place = stored.id().and_then(|id| id.split(':').nth(2)?.parse::<u64>().ok()).zip(number(stored, "Seriatim-Cause-Sequence"));
            let redriven = header(stored, "Seriatim-Redriven").is_some();
            !redriven && header(stored, "Seriatim-Entity") == Some(entity) && place > Some((epoch, sequence))
        };
        self.broker.stream(OUTPUTS).messages().filter(behind).count() as u64
    }

    /// Hears what came back.
    pub(crate) fn hear(&mut self) {
        let mut open = std::mem::take(&mut self.operators.open);
        open.retain_mut(|open| {
            let Some(answer) = open.asked.answer() else { return true };
            self.heard(open, answer);
            false
        });
        self.operators.open = open;
    }

    fn heard(&mut self, open: &Open, answer: Result<bool, Fault>) {
        let said = &self.operators.said[open.said];
        note!(self.trace, "operator: to {}: {:?} was answered {answer:?}", said.entity, said.word);
        let told = match &answer {
            Ok(true) => Answer::Done,
            Ok(false) => Answer::AlreadySo,
            Err(Fault::Unavailable(_)) => Answer::Open,
            Err(_) => Answer::Refused,
        };
        let since = applied_since(&answer);
        if since.is_some() {
            self.stats.add("redrives refused because others were applied since");
        }
        if since.is_some_and(|since| since < open.applied_since.max(1)) {
            let (least, text) = (open.applied_since, format!("{:?} to {}: {answer:?}", said.word, said.entity));
            self.wrong.push(format!("G2: a redrive was refused with a wrong number, at least {least} were applied since: {text}"));
        }
        let counted = verdict::pipeline(&self.disk).and_then(|view| count(&view, &said.entity)).unwrap_or(0);
        self.stats.add(match (&said.word, told) {
            (Word::Park { .. }, Answer::Done) => "words done: park",
            (Word::Resume(_), Answer::Done) => "words done: resume",
            (Word::Skip(_), Answer::Done) => "words done: skip",
            (Word::Redrive { out_of_order: false, .. }, Answer::Done) => "words done: redrive in order",
            (Word::Redrive { .. }, Answer::Done) => "words done: redrive that may be out of order",
            (Word::Redrive { .. }, Answer::AlreadySo) => "words: redrives repeated",
            (Word::Resume(Head::Wrong(_)) | Word::Skip(Head::Wrong(_)), Answer::Refused) => "words refused: another head",
            (_, Answer::Refused) => "words refused",
            _ => "words: nothing to do, or no answer",
        });
        let said = &mut self.operators.said[open.said];
        said.answer = told;
        if let Word::Park { counted: at } = &mut said.word {
            *at = counted;
        }
    }

    /// The host is gone: nobody is answered any more.
    pub(crate) fn unheard(&mut self) {
        let open = std::mem::take(&mut self.operators.open);
        if open.is_empty() {
            return;
        }
        let view = verdict::pipeline(&self.disk).unwrap_or_default();
        for Open { said, .. } in open {
            let said = &self.operators.said[said];
            note!(self.trace, "operator: to {}: {:?} is not answered", said.entity, said.word);
            self.stats.add("words without an answer");
            if matches!(said.word, Word::Park { .. }) && view.entities.get(&said.entity).is_some_and(parked_by_operator) {
                self.stats.add("words durable and without an answer");
            }
        }
    }

    /// Everything else is at rest: whether operators are too. What they still have to say, they say now.
    pub(crate) fn operators_rest(&mut self) -> bool {
        if !self.operators.open.is_empty() {
            return false;
        }
        let Some(habits) = self.operators.habits.clone() else { return true };
        let view = verdict::pipeline(&self.disk).unwrap_or_default();
        let parked = view.entities.iter().filter(|(_, view)| parked_by_operator(view)).map(|(entity, _)| entity.clone());
        let mut last: Vec<Said> = Vec::new();
        if habits.resumes_all {
            last.extend(parked.map(|entity| Said { entity, word: Word::Resume(Head::Any), answer: Answer::Open }));
        } else if parked.count() > 0 && self.operators.rounds == 0 {
            self.stats.add("runs that end with entities parked by an operator");
        }
        if last.is_empty() && habits.redrives_all {
            self.operators.rounds += 1;
            match self.operators.rounds {
                1 => {
                    let letters = self.broker.stream(DEAD).messages().map(|stored| stored.sequence);
                    let letters: Vec<u64> = letters.take(LAST_REDRIVES).collect();
                    last.extend(letters.into_iter().filter_map(|letter| self.redrive_of(letter)));
                }
                2 => {
                    let again = self.operators.said.iter().filter(|said| matches!(said.word, Word::Redrive { .. }));
                    last.extend(again.map(|said| Said { answer: Answer::Open, ..said.clone() }));
                }
                _ => {}
            }
        }
        let rests = last.is_empty();
        // One after the other: the host asks back when it is busy with another redrive of the same entity.
        last.into_iter().for_each(|said| self.say(said));
        rests
    }
}

/// What an operator would name as the head of an entity.
fn draw_head(dice: &mut Dice, view: Option<&EntityView>, first: u64) -> Head {
    let seen = || view.and_then(|view| view.position).map_or((0, first), |(epoch, sequence)| (epoch, sequence + 1));
    match dice.range(0, 9) {
        0..=4 => Head::Any,
        5..=7 => Head::Seen(seen()),
        8 => {
            let done = |view: &EntityView| view.slots.iter().map(|slot| slot.place).filter(|place| Some(*place) <= view.position).collect();
            let done: Vec<Spot> = view.map(done).unwrap_or_default();
            Head::Wrong(if done.is_empty() { (0, NEVER_CAME) } else { dice.pick(&done) })
        }
        _ => Head::Wrong((0, NEVER_CAME)),
    }
}

fn count(view: &PipelineView, entity: &str) -> Option<u64> {
    let bytes = view.entities.get(entity)?.state.get(crate::handler::NAME)?.get("count")?;
    std::str::from_utf8(bytes).ok()?.parse().ok()
}

/// The number in "N events of … were applied since".
fn applied_since(answer: &Result<bool, Fault>) -> Option<u64> {
    match answer {
        Err(Fault::Conflict { detail, .. }) if detail.contains(" were applied since") => detail.split(' ').next()?.parse().ok(),
        _ => None,
    }
}

/// As the broker gives it.
fn message(stored: &Stored) -> Message {
    let header = |(name, value): &(String, String)| Header { name: name.clone(), value: value.clone() };
    Message {
        subject: stored.subject.clone(),
        headers: stored.headers.iter().map(header).collect(),
        payload: Bytes::copy_from_slice(&stored.payload),
        stream_sequence: stored.sequence,
        time: stored.time,
    }
}
