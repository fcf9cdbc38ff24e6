//! What a run is made of: the policy, the messages of the stream and how often which fault strikes. Drawn from the seed alone.

use crate::dice::Dice;
use seriatim_sequencer::{DeadReason, FailureThen, First, GapThen, Late, Place, Policy, Retain};

/// A gap wait that never passes in a run.
pub(crate) const NEVER: u64 = 1_000_000_000;
/// Sequences this far ahead are malformed.
pub(crate) const JUMP_MAX: u64 = 1_000;

/// One message of the stream.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Message {
    pub(crate) stream_sequence: u64,
    /// `None`: a message of another entity of the same shard.
    pub(crate) place: Option<Place>,
    pub(crate) id: u64,
    pub(crate) payload: u64,
    pub(crate) time: u64,
    /// The handlers fail this often before the last word.
    pub(crate) fails: u32,
    /// The last word: refused for good.
    pub(crate) reject: bool,
    pub(crate) fail_with: DeadReason,
}

/// How often which fault strikes: once in so many rounds, 0 = never.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Faults {
    pub(crate) crash: u64,
    pub(crate) leave: u64,
    pub(crate) pass_fails: u64,
    pub(crate) shed: u64,
    pub(crate) outputs: u64,
    pub(crate) refused: u64,
    pub(crate) park: u64,
    pub(crate) resume: u64,
    pub(crate) skip: u64,
    pub(crate) redrive: u64,
    pub(crate) retention: u64,
    pub(crate) undelivered: u64,
    /// One in so many deliveries finds the handlers not called, while they are not called always.
    pub(crate) bars: u64,
    pub(crate) time: u64,
    /// Weight of making one store item durable, of 10.
    pub(crate) store_speed: u64,
    /// Weight of the handlers, of the catch-up reader and of the live reader, of 10.
    pub(crate) handler_speed: u64,
    pub(crate) pass_speed: u64,
    pub(crate) reader_speed: u64,
}

/// What may be said about the run's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Every event comes, and no gap is ever given up: what is applied is known exactly.
    Exact,
    /// Some never come, and all others come in time: what is applied is known exactly again.
    InTime,
    /// Anything goes: only rules hold.
    Chaos,
}

#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) mode: Mode,
    pub(crate) policy: Policy,
    pub(crate) messages: Vec<Message>,
    pub(crate) faults: Faults,
}

impl Plan {
    pub(crate) fn draw(seed: u64, mode: Mode) -> Self {
        let mut dice = Dice::new(seed);
        let mut policy = draw_policy(&mut dice, mode);
        let messages = draw_messages(&mut dice, mode, &policy);
        if mode == Mode::InTime {
            policy.gap_wait = longest_gap(&messages) + dice.pick(&[1, 100, 5_000]);
        }
        let faults = draw_faults(&mut dice, mode);
        Self { seed, mode, policy, messages, faults }
    }
}

fn draw_policy(dice: &mut Dice, mode: Mode) -> Policy {
    let retries = dice.size(0, 3);
    let gap_then = dice.pick(&[GapThen::Skip, GapThen::DeadLetter, GapThen::Park, GapThen::Stop]);
    Policy {
        first: if mode != Mode::Exact && dice.once_in(3) { First::Any } else { First::At(1) },
        gap_wait: if mode == Mode::Exact { NEVER } else { dice.pick(&[50, 1_000, 20_000]) },
        gap_then,
        held_max: dice.size(2, 5),
        queue_max: dice.size(1, 4),
        jump_max: JUMP_MAX,
        late: dice.pick(&[Late::DeadLetter, Late::Drop, Late::Deliver]),
        ids: dice.size(1, 4),
        retry: (0..retries).map(|_| dice.pick(&[0, 10, 1_000])).collect(),
        failure_then: dice.pick(&[FailureThen::DeadLetter, FailureThen::Park, FailureThen::Stop]),
        commits_max: u32::try_from(dice.size(1, 3)).unwrap(),
        ranges_max: dice.size(1, 3),
        settle: dice.pick(&[0, 100, 1_000]),
        // What is noted of when it was seen changes nothing of what is decided.
        retain: (retries == 1).then_some(Retain { after: 1_000, since: 0 }),
    }
}

fn draw_messages(dice: &mut Dice, mode: Mode, policy: &Policy) -> Vec<Message> {
    let (holes, copies, conflicts, same_ids) =
        (dice.pick(&[0, 0, 8, 3]), dice.pick(&[0, 5, 2]), dice.pick(&[0, 0, 6]), dice.pick(&[0, 0, 0, 9]));
    let (window, foreign, failing) = (dice.size(1, 20), dice.pick(&[0, 3, 1]), dice.pick(&[0, 0, 6, 2]));
    let mut list: Vec<(u64, Message)> = Vec::new();
    let mut epochs = dice.pick(&[1, 1, 1, 2, 3]);
    if mode == Mode::InTime && policy.gap_then == GapThen::DeadLetter {
        epochs = 1;
    }
    let mut base = 0;
    for epoch in 0..epochs {
        let start = if policy.first == First::Any { dice.range(1, 30) } else { 1 };
        let longest = if epochs > 1 { 10 } else { dice.pick(&[24, 24, 24, 80]) };
        let count = dice.range(1, longest);
        for sequence in start..start + count {
            if mode != Mode::Exact && dice.once_in(holes) {
                continue;
            }
            let place = Place { epoch, sequence };
            let id = if dice.once_in(4) { 0 } else { 1_000 * (epoch + 1) + sequence };
            let mut message = Message {
                stream_sequence: 0,
                place: Some(place),
                id,
                payload: 7 * sequence + epoch,
                time: 0,
                fails: 0,
                reject: false,
                fail_with: dice.pick(&[DeadReason::Trap, DeadReason::Timeout, DeadReason::RetriesExhausted]),
            };
            if mode == Mode::Chaos && same_ids != 0 && dice.once_in(same_ids) && sequence > start {
                message.id = 1_000 * (epoch + 1) + sequence - 1;
            }
            if dice.once_in(failing) {
                message.fails = u32::try_from(dice.range(1, 4)).unwrap();
                message.reject = dice.once_in(3);
            }
            let at = base + sequence * 10;
            list.push((at + dice.range(0, window as u64) * 10, message));
            while dice.once_in(copies) {
                let mut copy = message;
                if dice.once_in(3) {
                    copy.id = 0;
                }
                // A conflicting copy stands behind everything else of its place, so that it is known which one counts.
                if dice.once_in(conflicts) {
                    copy.payload += 1_000;
                    list.push((u64::MAX / 2 + at, copy));
                } else {
                    list.push((at + dice.range(0, 3 * window as u64) * 10, copy));
                }
            }
        }
        if dice.once_in(6) {
            let place = Place { epoch, sequence: 50_000 + epoch };
            let far = Message {
                stream_sequence: 0,
                place: Some(place),
                id: 0,
                payload: 1,
                time: 0,
                fails: 0,
                reject: false,
                fail_with: DeadReason::Trap,
            };
            if policy.first == First::At(1) {
                list.push((base + dice.range(0, count) * 10, far));
            }
        }
        // But for chaos an epoch begins when all of the one before has been published.
        base += if mode != Mode::Chaos { (count + 4 * window as u64 + 4) * 10 } else { count * dice.range(5, 12) };
    }
    if dice.once_in(2) {
        // Conflicts come near their place instead.
        for entry in list.iter_mut().filter(|entry| entry.0 >= u64::MAX / 2) {
            entry.0 = entry.0 - u64::MAX / 2 + 3 * window as u64 * 10;
        }
    }
    list.sort_by_key(|entry| entry.0);
    let mut messages = Vec::new();
    let mut time = 1_000;
    let pace = dice.pick(&[0, 5, 100, 2_000]);
    let blank =
        Message { stream_sequence: 0, place: None, id: 0, payload: 0, time: 0, fails: 0, reject: false, fail_with: DeadReason::Trap };
    for (_, message) in list {
        for _ in 0..if foreign == 0 { 0 } else { dice.range(0, foreign) } {
            messages.push(blank);
        }
        messages.push(message);
    }
    let (stride, mut stream_sequence) = (dice.pick(&[1, 1, 3, 200]), 0);
    for message in &mut messages {
        time += dice.range(0, pace);
        stream_sequence += dice.range(1, stride);
        message.time = time;
        message.stream_sequence = stream_sequence;
    }
    messages
}

/// How long at most an event stays away after one that stands behind it has come.
fn longest_gap(messages: &[Message]) -> u64 {
    let first = |place: Place| messages.iter().find(|message| message.place == Some(place));
    let late = |message: &Message| {
        let place = message.place?;
        let comes = first(place)?;
        let behind = messages.iter().find(|other| other.place.is_some_and(|other| other > place && other.sequence < 10_000))?;
        comes.time.checked_sub(behind.time)
    };
    messages.iter().filter_map(late).max().unwrap_or(0)
}

fn draw_faults(dice: &mut Dice, mode: Mode) -> Faults {
    let mut rare = |chances: &[u64]| dice.pick(chances);
    let mut faults = Faults {
        crash: rare(&[0, 15, 40, 150]),
        leave: rare(&[0, 3, 10, 60]),
        pass_fails: rare(&[0, 0, 5, 20]),
        shed: rare(&[0, 0, 30, 100]),
        outputs: rare(&[0, 0, 20, 100]),
        refused: rare(&[0, 0, 0, 80]),
        park: rare(&[0, 0, 0, 50]),
        resume: rare(&[0, 20, 50]),
        skip: 0,
        redrive: 0,
        retention: 0,
        undelivered: rare(&[0, 0, 5]),
        bars: 0,
        time: rare(&[2, 5, 20]),
        store_speed: rare(&[1, 3, 10]),
        handler_speed: rare(&[1, 3, 10]),
        pass_speed: rare(&[1, 3, 10]),
        reader_speed: rare(&[1, 3, 10]),
    };
    if mode == Mode::Chaos {
        faults.skip = rare(&[0, 0, 0, 30]);
        faults.retention = rare(&[0, 0, 0, 40]);
        faults.redrive = rare(&[0, 5, 20]);
    }
    faults
}
