//! The faults, dealt like cards: shuffled by the seed, none comes again before all have come.

use seriatim_tests::harness::Random;
use seriatim_tests::harness::proxy::{Lost, Mode};
use std::fmt;
use std::time::Duration;

/// The places at which a host kills itself when told to (`docs/contributing.md`).
pub(crate) const FAILPOINTS: [&str; 10] = [
    "publish-before",
    "publish-after",
    "confirm-before",
    "confirm-after",
    "commit-before",
    "commit-after",
    "prune-before",
    "prune-after",
    "catch-up-commit-before",
    "catch-up-commit-after",
];

/// Kills in a storm.
pub(crate) const STORM: usize = 10;
/// A host in a storm lives this long at most; half of it on average.
const STORM_LIFE_MAX: u64 = 4_000;

/// How a host's life ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Death {
    /// SIGKILL from outside.
    Kill,
    /// SIGKILL by its own hand at this failpoint.
    Failpoint { name: &'static str, when: When },
    /// SIGKILL together with the broker; the broker comes back before or after the next host.
    WithBroker { back_first: bool, down: Duration },
    /// SIGTERM: it ends gracefully.
    Stop,
}

/// At which pass of its failpoint a host dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    /// After so many others since its start.
    After(u32),
    /// At the next one, so long after it was ready.
    Armed(Duration),
}

/// What happens during a life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// SIGKILL of the broker, which comes back after a while.
    BrokerKill { down: Duration },
    /// SIGSTOP of the host for longer than every time-out.
    FreezeHost { hold: Duration },
    /// SIGSTOP of the broker for longer than every time-out.
    FreezeBroker { hold: Duration },
    /// The network between the two does this; `through`: the host dies and the next one starts meanwhile.
    Network { mode: Mode, hold: Duration, through: bool },
    /// Every connection is reset.
    Reset,
    /// The output stream takes nothing.
    OutputsFull { hold: Duration },
    /// The stream for dead letters takes nothing.
    DeadLettersFull { hold: Duration },
}

/// One life of a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Life {
    /// Whether it gets the time to become ready before anything happens to it.
    pub(crate) ready_first: bool,
    /// Time before the fault, or before the death if there is none.
    pub(crate) before: Duration,
    pub(crate) fault: Option<Fault>,
    /// Time after the fault.
    pub(crate) after: Duration,
    pub(crate) death: Death,
    /// Whether it belongs to a storm.
    pub(crate) storm: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Card {
    Kill,
    Failpoint(&'static str),
    WithBroker,
    Stop,
    Storm,
    BrokerKill,
    FreezeHost,
    FreezeBroker,
    Delay,
    Slow,
    Stall,
    Cut,
    HalfOpen(Lost),
    Reset,
    OutputsFull,
    DeadLettersFull,
}

/// How often each card is in the deck, beside one for each failpoint.
const CARDS: [(Card, usize); 17] = [
    (Card::Kill, 8),
    (Card::WithBroker, 4),
    (Card::Stop, 2),
    (Card::Storm, 1),
    (Card::BrokerKill, 5),
    (Card::FreezeHost, 1),
    (Card::FreezeBroker, 1),
    (Card::Delay, 1),
    (Card::Slow, 1),
    (Card::Stall, 1),
    (Card::Cut, 1),
    (Card::HalfOpen(Lost::ToBroker), 1),
    (Card::HalfOpen(Lost::ToHost), 1),
    (Card::HalfOpen(Lost::Both), 1),
    (Card::Reset, 2),
    (Card::OutputsFull, 1),
    (Card::DeadLettersFull, 1),
];

/// The deck. What it deals depends on the seed and on nothing else, except for cards that are put back.
pub(crate) struct Deck {
    random: Random,
    cards: Vec<Card>,
    storm: usize,
}

impl Deck {
    pub(crate) fn new(seed: u64) -> Self {
        Self { random: Random::silent(seed), cards: Vec::new(), storm: 0 }
    }

    /// A deck that begins with what a short run shall have done before its time is over: the last card comes first.
    pub(crate) fn short(seed: u64) -> Self {
        let cards = vec![Card::BrokerKill, Card::Kill, Card::Reset, Card::Failpoint("commit-after"), Card::WithBroker];
        Self { cards, ..Self::new(seed) }
    }

    /// The next life.
    pub(crate) fn deal(&mut self) -> Life {
        if self.storm > 0 {
            self.storm -= 1;
            return Life { storm: true, ..self.life(false, (0, STORM_LIFE_MAX), Death::Kill) };
        }
        if self.cards.is_empty() {
            self.cards = self.shuffled();
        }
        let card = self.cards.pop().unwrap_or(Card::Kill);
        self.play(card)
    }

    /// The host did not come past this failpoint: it is tried again in the next life but one.
    pub(crate) fn put_back(&mut self, name: &'static str) {
        let place = self.cards.len().saturating_sub(1);
        self.cards.insert(place, Card::Failpoint(name));
    }

    fn shuffled(&mut self) -> Vec<Card> {
        let mut cards: Vec<_> = CARDS.iter().flat_map(|(card, count)| std::iter::repeat_n(*card, *count)).collect();
        cards.extend(FAILPOINTS.map(Card::Failpoint));
        for place in (1..cards.len()).rev() {
            cards.swap(place, self.random.below(place + 1));
        }
        cards
    }

    fn play(&mut self, card: Card) -> Life {
        match card {
            Card::Kill => {
                let ready_first = self.random.below(3) > 0;
                self.life(ready_first, (0, 3_500), Death::Kill)
            }
            Card::Failpoint(name) => {
                let passes_max = match name {
                    _ if name.starts_with("catch-up") => 2,
                    _ if name.starts_with("prune") => 8,
                    _ => 40,
                };
                let when = if self.random.below(2) == 0 {
                    When::Armed(self.millis(0, 3_000))
                } else {
                    When::After(u32::try_from(self.random.below(passes_max)).unwrap_or_default())
                };
                self.life(true, (0, 0), Death::Failpoint { name, when })
            }
            Card::WithBroker => {
                let (back_first, down) = (self.random.below(2) == 0, self.millis(0, 2_000));
                self.life(true, (0, 3_000), Death::WithBroker { back_first, down })
            }
            Card::Stop => {
                let ready_first = self.random.below(2) == 0;
                self.life(ready_first, (0, 3_000), Death::Stop)
            }
            Card::Storm => {
                self.storm = STORM - 1;
                Life { storm: true, ..self.life(false, (0, STORM_LIFE_MAX), Death::Kill) }
            }
            Card::BrokerKill => {
                let down = self.millis(0, 2_500);
                self.faulty(Fault::BrokerKill { down })
            }
            Card::FreezeHost => {
                let hold = self.millis(8_000, 13_000);
                self.faulty(Fault::FreezeHost { hold })
            }
            Card::FreezeBroker => {
                let hold = self.millis(8_000, 13_000);
                self.faulty(Fault::FreezeBroker { hold })
            }
            Card::Delay => {
                let (least, jitter) = (self.millis(5, 150), self.millis(0, 150));
                self.network(Mode::Delay { least, jitter }, (3_000, 6_000))
            }
            Card::Slow => self.network(Mode::Slow { bytes: 40_000 }, (3_000, 6_000)),
            Card::Stall => self.network(Mode::Stall, (6_000, 10_000)),
            Card::Cut => self.network(Mode::Cut, (500, 7_000)),
            Card::HalfOpen(lost) => self.network(Mode::HalfOpen(lost), (6_000, 10_000)),
            Card::Reset => self.faulty(Fault::Reset),
            Card::OutputsFull => {
                let hold = self.millis(2_000, 6_000);
                self.faulty(Fault::OutputsFull { hold })
            }
            Card::DeadLettersFull => {
                let hold = self.millis(2_000, 6_000);
                self.faulty(Fault::DeadLettersFull { hold })
            }
        }
    }

    fn network(&mut self, mode: Mode, hold: (u64, u64)) -> Life {
        let hold = self.millis(hold.0, hold.1);
        let through = self.random.below(3) == 0;
        self.faulty(Fault::Network { mode, hold, through })
    }

    /// A host that works, has this happen to it, and is killed some time later.
    fn faulty(&mut self, fault: Fault) -> Life {
        let life = self.life(true, (0, 1_500), Death::Kill);
        let after = self.millis(0, 3_000);
        Life { fault: Some(fault), after, ..life }
    }

    fn life(&mut self, ready_first: bool, before: (u64, u64), death: Death) -> Life {
        let before = self.millis(before.0, before.1);
        Life { ready_first, before, fault: None, after: Duration::ZERO, death, storm: false }
    }

    fn millis(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_millis(from + self.random.below(usize::try_from(to - from + 1).unwrap_or(1)) as u64)
    }
}

impl fmt::Display for Life {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.storm {
            f.write_str("storm: ")?;
        }
        f.write_str(if self.ready_first { "ready, then " } else { "started, then " })?;
        if let Some(fault) = &self.fault {
            write!(f, "{:?}: {fault:?}, {:?}: ", self.before, self.after)?;
        } else if !self.before.is_zero() {
            write!(f, "{:?}: ", self.before)?;
        }
        write!(f, "{:?}", self.death)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_same_seed_deals_the_same_lives() {
        let lives = |seed| {
            let mut deck = Deck::new(seed);
            (0..200).map(|_| deck.deal().to_string()).collect::<Vec<_>>()
        };
        assert_eq!(lives(1), lives(1));
        assert_ne!(lives(1), lives(2));
    }

    #[test]
    fn one_round_of_the_deck_has_every_fault_and_a_whole_storm() {
        let mut deck = Deck::new(7);
        let cards = CARDS.iter().map(|(_, count)| count).sum::<usize>() + FAILPOINTS.len() - 1 + STORM;
        let lives: Vec<_> = (0..cards).map(|_| deck.deal()).collect();
        assert!(deck.cards.is_empty());
        assert_eq!(lives.iter().filter(|life| life.storm).count(), STORM);
        let died: BTreeSet<_> =
            lives.iter().filter_map(|life| if let Death::Failpoint { name, .. } = life.death { Some(name) } else { None }).collect();
        assert_eq!(died.len(), FAILPOINTS.len());
        let faults: BTreeSet<_> = lives
            .iter()
            .filter_map(|life| life.fault.as_ref())
            .map(|fault| match fault {
                Fault::Network { mode: Mode::HalfOpen(lost), .. } => format!("half-open {lost:?}"),
                Fault::Network { mode, .. } => format!("{mode:?}").chars().take(4).collect(),
                other => format!("{other:?}").chars().take(8).collect(),
            })
            .collect();
        assert_eq!(faults.len(), 13, "{faults:?}");
    }

    #[test]
    fn a_storm_is_short_and_every_freeze_longer_than_every_time_out() {
        let mut deck = Deck::new(11);
        for _ in 0..2_000 {
            let life = deck.deal();
            if life.storm {
                assert!(life.before <= Duration::from_secs(4));
            }
            if let Some(Fault::FreezeHost { hold } | Fault::FreezeBroker { hold }) = life.fault {
                assert!(hold >= Duration::from_secs(8));
            }
        }
    }

    #[test]
    fn what_is_put_back_comes_again_soon() {
        let mut deck = Deck::new(3);
        deck.deal();
        while deck.storm > 0 {
            deck.deal();
        }
        deck.put_back("prune-after");
        let soon = (0..12).map(|_| deck.deal()).any(|life| matches!(life.death, Death::Failpoint { name: "prune-after", .. }));
        assert!(soon);
    }
}
