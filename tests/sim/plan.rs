//! The generator: what is published to the source stream, in which order and when, and what is meant by each message. Drawn from the seed alone,
//! before the run begins.

use crate::dice::Dice;
use crate::settings::Settings;
use std::collections::BTreeMap;

/// The pipeline's subjects begin with this.
pub(crate) const SUBJECTS: &str = "flights.>";
/// Subjects of the source stream that are not the pipeline's.
pub(crate) const FOREIGN: &str = "other.>";

/// Sequences from here on lie more than `jump-max` ahead of every position.
pub(crate) const FAR: u64 = 50_000;

/// What the handler does with an event. It stands in the payload, so that the handler needs no other knowledge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Does {
    Accept,
    /// Says that it can never succeed.
    Reject,
    /// Fails so often, then accepts.
    FailThenAccept(u32),
    /// Fails each time, in this way.
    AlwaysFail(Fails),
}

/// How a handler fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fails {
    Retry,
    Trap,
    Timeout,
    OutputRefused,
}

impl Fails {
    /// The reason of its dead letter.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Self::Retry => "retries-exhausted",
            Self::Trap => "trap",
            Self::Timeout => "timeout",
            Self::OutputRefused => "output-refused",
        }
    }
}

impl Does {
    fn word(self) -> String {
        match self {
            Self::Accept => "accept".to_owned(),
            Self::Reject => "reject".to_owned(),
            Self::FailThenAccept(times) => format!("fail={times}"),
            Self::AlwaysFail(fails) => fails.reason().to_owned(),
        }
    }

    /// Reads it from a payload.
    pub(crate) fn of(payload: &[u8]) -> Self {
        let word = std::str::from_utf8(payload).unwrap().rsplit(' ').next().unwrap();
        match word {
            "accept" => Self::Accept,
            "reject" => Self::Reject,
            "retries-exhausted" => Self::AlwaysFail(Fails::Retry),
            "trap" => Self::AlwaysFail(Fails::Trap),
            "timeout" => Self::AlwaysFail(Fails::Timeout),
            "output-refused" => Self::AlwaysFail(Fails::OutputRefused),
            other => Self::FailThenAccept(other.strip_prefix("fail=").unwrap().parse().unwrap()),
        }
    }
}

/// What a message is meant as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Event,
    Malformed,
    /// Of a subject that the pipeline does not read.
    Foreign,
}

/// One message to be published.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    /// Milliseconds after the message before it.
    pub(crate) after: u64,
    pub(crate) kind: Kind,
    pub(crate) entity: String,
    pub(crate) epoch: u64,
    pub(crate) sequence: u64,
    /// The producer's id; empty = none.
    pub(crate) id: String,
    pub(crate) subject: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) payload: Vec<u8>,
    pub(crate) does: Does,
}

/// How often what happens: once in so many events, 0 = never.
struct Habits {
    holes: u64,
    copies: u64,
    conflicts: u64,
    stragglers: u64,
    malformed: u64,
    failing: u64,
    far: u64,
    foreign: u64,
    broker_ids: bool,
    /// By how many places an event may come too late.
    disorder: u64,
}

/// Draws the messages of a run.
pub(crate) fn draw(dice: &mut Dice, settings: &Settings) -> Vec<Item> {
    let open = !settings.in_time;
    let habits = Habits {
        holes: if open { dice.pick(&[0, 0, 10, 4]) } else { 0 },
        copies: dice.pick(&[0, 6, 2]),
        conflicts: dice.pick(&[0, 0, 4]),
        stragglers: if open { dice.pick(&[0, 0, 12, 5]) } else { dice.pick(&[0, 12]) },
        malformed: dice.pick(&[0, 0, 8]),
        failing: dice.pick(&[0, 0, 8, 3]),
        far: if settings.first.is_some() { dice.pick(&[0, 0, 15]) } else { 0 },
        foreign: dice.pick(&[0, 0, 3]),
        broker_ids: dice.once_in(3),
        disorder: dice.pick(&[0, 2, 6, 20]),
    };
    let entities = dice.pick(&[1, 1, 2, 3, 5, 8]);
    let messages = dice.pick(&[5, 20, 40, 40, 80, 150]);
    let mut drawn: Vec<(u64, Item)> = Vec::new();
    for number in 0..entities {
        let entity = name(dice, number, settings.token);
        draw_entity(dice, settings, &habits, &entity, (messages / entities).max(2), &mut drawn);
    }
    drawn.sort_by_key(|(at, _)| *at);
    let pace = dice.pick(&[0, 5, 100, 2_000]);
    let mut items = Vec::new();
    for (_, item) in drawn {
        while dice.once_in(habits.foreign) {
            items.push(foreign(dice.range(0, pace)));
        }
        items.push(Item { after: dice.range(0, pace), ..item });
    }
    items
}

/// One entity's messages with the places at which they come.
fn draw_entity(dice: &mut Dice, settings: &Settings, habits: &Habits, entity: &str, messages: u64, out: &mut Vec<(u64, Item)>) {
    let epochs = if settings.epochs { dice.range(1, 3) } else { 1 };
    let mut base = dice.range(0, 10) * 10;
    for epoch in 0..epochs {
        let first = settings.first.unwrap_or_else(|| dice.range(1, 30));
        let count = (messages / epochs).max(1);
        for sequence in first..first + count {
            // The last one comes, so that a gap before it is seen.
            if dice.once_in(habits.holes) && sequence + 1 < first + count {
                continue;
            }
            let at = base + (sequence - first) * 10;
            let does = does(dice, habits);
            let item = event(dice, settings, habits, entity, (epoch, sequence), 0, does);
            let straggles = dice.once_in(habits.stragglers);
            let shift = if straggles { dice.range(1, count) * 10 } else { dice.range(0, habits.disorder) * 10 };
            while dice.once_in(habits.copies) {
                let copy = copy(dice, settings, habits, &item);
                out.push((at + dice.range(0, 3 * habits.disorder + 6) * 10, copy));
            }
            if dice.once_in(habits.malformed) {
                out.push((at + dice.range(0, 9), malformed(dice, settings, entity)));
            }
            if dice.once_in(habits.far) {
                let far = event(dice, settings, habits, entity, (epoch, FAR + epoch), 0, Does::Accept);
                out.push((at, far));
            }
            out.push((at + shift, item));
        }
        if settings.first.is_some_and(|first| first > 1) && !settings.in_time && dice.once_in(3) {
            let before = event(dice, settings, habits, entity, (epoch, 1), 0, Does::Accept);
            out.push((base + dice.range(0, count) * 10, before));
        }
        // An epoch begins when most of the one before has come, or before that.
        base += if settings.in_time { (count * 2 + 4 * habits.disorder + 10) * 10 } else { count * dice.range(5, 14) };
    }
}

/// A copy of an event: as it was, under another id, without id, or with another payload.
fn copy(dice: &mut Dice, settings: &Settings, habits: &Habits, item: &Item) -> Item {
    let variant = if dice.once_in(habits.conflicts) { dice.range(1, 2) } else { 0 };
    if dice.once_in(2) && variant == 0 {
        return item.clone();
    }
    event(dice, settings, habits, &item.entity, (item.epoch, item.sequence), variant, item.does)
}

fn does(dice: &mut Dice, habits: &Habits) -> Does {
    if !dice.once_in(habits.failing) {
        return Does::Accept;
    }
    match dice.range(0, 5) {
        0 => Does::Reject,
        1..=3 => Does::FailThenAccept(u32::try_from(dice.range(1, 3)).unwrap()),
        _ => Does::AlwaysFail(dice.pick(&[Fails::Retry, Fails::Trap, Fails::Timeout, Fails::OutputRefused])),
    }
}

fn name(dice: &mut Dice, number: u64, token: bool) -> String {
    let plain = format!("e{number}");
    if token || dice.once_in(2) {
        return plain;
    }
    // Whatever a header may say.
    dice.pick(&["{} x", "{}.y", "{}:z", "{}ü", "{}%"]).replace("{}", &plain)
}

fn subject(dice: &mut Dice, settings: &Settings, entity: &str) -> String {
    match (settings.token, dice.once_in(4)) {
        (true, false) => format!("flights.{entity}"),
        (true, true) => format!("flights.{entity}.leg"),
        (false, _) => "flights.all".to_owned(),
    }
}

fn event(
    dice: &mut Dice,
    settings: &Settings,
    habits: &Habits,
    entity: &str,
    (epoch, sequence): (u64, u64),
    variant: u64,
    does: Does,
) -> Item {
    let mut headers = vec![("Seriatim-Sequence".to_owned(), sequence.to_string())];
    if !settings.token {
        headers.push(("Seriatim-Entity".to_owned(), entity.to_owned()));
    }
    if settings.epochs && (epoch > 0 || dice.once_in(2)) {
        headers.push(("Seriatim-Epoch".to_owned(), epoch.to_string()));
    }
    // Most copies carry the event's id, some one of their own, some none.
    let id = match dice.range(0, 7) {
        0 => String::new(),
        1 => format!("{entity}/{epoch}/{sequence}/{}", dice.range(1, 1_000_000)),
        _ if variant > 0 => format!("{entity}/{epoch}/{sequence}/v{variant}"),
        _ => format!("{entity}/{epoch}/{sequence}"),
    };
    if !id.is_empty() {
        let header = if habits.broker_ids { "Nats-Msg-Id" } else { "Seriatim-Id" };
        headers.push((header.to_owned(), id.clone()));
    }
    let padding = if settings.output_max > 0 && variant == 0 && (sequence + epoch) % 11 == 7 {
        "x".repeat(settings.output_max)
    } else {
        String::new()
    };
    let payload = format!("{entity} {epoch} {sequence} {variant}{padding} {}", does.word()).into_bytes();
    let subject = subject(dice, settings, entity);
    Item { after: 0, kind: Kind::Event, entity: entity.to_owned(), epoch, sequence, id, subject, headers, payload, does }
}

/// A message that says nothing, or not enough.
fn malformed(dice: &mut Dice, settings: &Settings, entity: &str) -> Item {
    let mut headers = BTreeMap::from([("Seriatim-Sequence", "1"), ("Seriatim-Entity", entity)]);
    if settings.token {
        headers.remove("Seriatim-Entity");
    }
    match dice.range(0, 4) {
        0 => headers.remove("Seriatim-Sequence"),
        1 => headers.insert("Seriatim-Sequence", "0"),
        2 => headers.insert("Seriatim-Sequence", "one"),
        3 if !settings.token => headers.remove("Seriatim-Entity"),
        _ => headers.insert("Seriatim-Sequence", "-1"),
    };
    let headers = headers.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let payload = format!("malformed {} accept", dice.range(0, 1_000_000)).into_bytes();
    Item {
        after: 0,
        kind: Kind::Malformed,
        entity: entity.to_owned(),
        epoch: 0,
        sequence: 0,
        id: String::new(),
        subject: subject(dice, settings, entity),
        headers,
        payload,
        does: Does::Accept,
    }
}

fn foreign(after: u64) -> Item {
    Item {
        after,
        kind: Kind::Foreign,
        entity: String::new(),
        epoch: 0,
        sequence: 0,
        id: String::new(),
        subject: "other.x".to_owned(),
        headers: Vec::new(),
        payload: Vec::new(),
        does: Does::Accept,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_handler_does_is_read_back_from_the_payload() {
        let all =
            [Does::Accept, Does::Reject, Does::FailThenAccept(3), Does::AlwaysFail(Fails::Trap), Does::AlwaysFail(Fails::OutputRefused)];
        for does in all {
            assert_eq!(Does::of(format!("a 0 1 0 {}", does.word()).as_bytes()), does);
        }
    }

    #[test]
    fn in_time_every_event_of_every_entity_comes() {
        let mut seen = 0;
        for seed in 0..300 {
            let mut dice = Dice::new(seed);
            let settings = Settings::draw(&mut dice);
            let items = draw(&mut dice, &settings);
            assert!(!items.is_empty());
            if !settings.in_time {
                continue;
            }
            let mut events: BTreeMap<(&str, u64), Vec<u64>> = BTreeMap::new();
            for item in items.iter().filter(|item| item.kind == Kind::Event && item.sequence < FAR) {
                events.entry((&item.entity, item.epoch)).or_default().push(item.sequence);
            }
            for sequences in events.values_mut() {
                sequences.sort_unstable();
                sequences.dedup();
                let first = settings.first.unwrap_or(1);
                assert!(sequences.iter().copied().eq(first..first + sequences.len() as u64), "seed {seed}: {sequences:?}");
            }
            seen += 1;
        }
        assert!(seen > 50);
    }

    #[test]
    fn each_kind_of_message_comes() {
        let mut kinds = BTreeMap::new();
        let mut copies = 0;
        for seed in 0..200 {
            let mut dice = Dice::new(seed);
            let settings = Settings::draw(&mut dice);
            let items = draw(&mut dice, &settings);
            for item in &items {
                *kinds.entry(format!("{:?}", item.kind)).or_insert(0) += 1;
            }
            let mut places: Vec<_> = items.iter().map(|item| (&item.entity, item.epoch, item.sequence)).collect();
            let all = places.len();
            places.sort_unstable();
            places.dedup();
            copies += all - places.len();
        }
        assert!(kinds.len() == 3 && kinds.values().all(|count| *count > 100), "{kinds:?}");
        assert!(copies > 500, "{copies}");
    }
}
