//! Which faults a run knows and how often they strike. Each seed first draws which kinds exist at all ("swarm"): a run with every fault at once
//! explores less than many runs with a few each, because faults hide one another.

use crate::dice::Dice;

/// A kind of fault. The order is part of every seed's meaning: new kinds go to the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    /// SIGKILL of the host, anywhere between two steps.
    Kill,
    /// SIGKILL right behind an fsync: the batch is on the disk, nobody was told.
    KillAfterCommit,
    /// SIGKILL while calls of handlers are set aside.
    KillInCall,
    /// A graceful stop, and a start.
    Stop,
    /// SIGSTOP of the host: it stands still while everything else goes on.
    Freeze,
    /// The disk reports an error at an fsync.
    Disk,
    /// A delivery does not arrive.
    Hole,
    /// A delivery arrives twice, or counted as a second one.
    Again,
    /// The reader's consumer is deleted.
    ConsumerDeleted,
    /// The connection is lost, and made again.
    Reconnect,
    /// The server is away for a while, and starts again.
    BrokerRestart,
    /// Leaders do not answer for a while.
    LeaderPause,
    /// A publish is stored, its confirmation lost.
    Unconfirmed,
    /// A publish gets lost on its way.
    NotStored,
    /// The output stream, or that of dead letters, is full for a while.
    Full,
    /// Retention takes the front of the source stream.
    Retention,
    /// Somebody deletes a message in the middle of the source stream.
    Deletion,
    /// The source stream is put back from an older copy.
    Restore,
    /// The source stream is deleted and created again.
    Recreate,
    /// The host's wall clock is set.
    Clock,
    /// Nothing is published for long.
    Silence,
    /// A single request to a leader is not answered.
    Request,
}

impl Fault {
    pub(crate) const ALL: [Self; 22] = [
        Self::Kill,
        Self::KillAfterCommit,
        Self::KillInCall,
        Self::Stop,
        Self::Freeze,
        Self::Disk,
        Self::Hole,
        Self::Again,
        Self::ConsumerDeleted,
        Self::Reconnect,
        Self::BrokerRestart,
        Self::LeaderPause,
        Self::Unconfirmed,
        Self::NotStored,
        Self::Full,
        Self::Retention,
        Self::Deletion,
        Self::Restore,
        Self::Recreate,
        Self::Clock,
        Self::Silence,
        Self::Request,
    ];

    /// Those that strike between two steps; the others strike in the middle of one.
    pub(crate) const BETWEEN: [Self; 14] = [
        Self::Kill,
        Self::Stop,
        Self::Freeze,
        Self::ConsumerDeleted,
        Self::Reconnect,
        Self::BrokerRestart,
        Self::LeaderPause,
        Self::Full,
        Self::Retention,
        Self::Deletion,
        Self::Restore,
        Self::Recreate,
        Self::Clock,
        Self::Silence,
    ];

    /// As it stands in traces and figures.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::KillAfterCommit => "kill-after-commit",
            Self::KillInCall => "kill-in-call",
            Self::Stop => "stop",
            Self::Freeze => "freeze",
            Self::Disk => "disk",
            Self::Hole => "hole",
            Self::Again => "again",
            Self::ConsumerDeleted => "consumer-deleted",
            Self::Reconnect => "reconnect",
            Self::BrokerRestart => "broker-restart",
            Self::LeaderPause => "leader-pause",
            Self::Unconfirmed => "unconfirmed",
            Self::NotStored => "not-stored",
            Self::Full => "full",
            Self::Retention => "retention",
            Self::Deletion => "deletion",
            Self::Restore => "restore",
            Self::Recreate => "recreate",
            Self::Clock => "clock",
            Self::Silence => "silence",
            Self::Request => "request",
        }
    }

    /// It can take messages away that were not done: exact results are not known then.
    fn takes_messages(self) -> bool {
        matches!(self, Self::Retention | Self::Deletion | Self::Restore | Self::Recreate)
    }

    /// How often it may strike: once in so many chances.
    fn rates(self) -> &'static [u64] {
        match self {
            Self::Kill | Self::Stop | Self::Freeze | Self::Clock | Self::Silence => &[100, 300, 1_000],
            Self::KillAfterCommit | Self::KillInCall | Self::Disk => &[4, 15, 50],
            Self::Hole | Self::Again | Self::Unconfirmed | Self::NotStored | Self::Request => &[3, 10, 40],
            Self::ConsumerDeleted | Self::Reconnect | Self::BrokerRestart | Self::LeaderPause | Self::Full => &[100, 300, 1_000],
            Self::Retention | Self::Deletion => &[200, 600],
            Self::Restore | Self::Recreate => &[300, 800],
        }
    }
}

/// Once in how many chances each kind strikes; 0 = never.
#[derive(Clone, Debug)]
pub(crate) struct Faults([u64; Fault::ALL.len()]);

impl Faults {
    /// `lossy`: faults that take messages away may be among them.
    pub(crate) fn draw(dice: &mut Dice, lossy: bool) -> Self {
        let kinds = Fault::ALL.len();
        let mut rates = [0; Fault::ALL.len()];
        let swarm = dice.range(0, 99);
        let one = dice.size(0, kinds - 1);
        for (at, kind) in Fault::ALL.into_iter().enumerate() {
            let exists = match swarm {
                0..=4 => false,
                5..=24 => at == one,
                25..=64 => dice.once_in(5),
                _ => dice.once_in(2),
            };
            let rate = dice.pick(kind.rates());
            // Most runs keep the stream as it is, even when they may not.
            let allowed = !kind.takes_messages() || (lossy && dice.once_in(2));
            if exists && allowed {
                rates[at] = rate;
            }
        }
        Self(rates)
    }

    /// Nothing strikes any more.
    pub(crate) fn none() -> Self {
        Self([0; Fault::ALL.len()])
    }

    pub(crate) fn rate(&self, kind: Fault) -> u64 {
        self.0[kind as usize]
    }

    /// Whether it strikes now.
    pub(crate) fn strikes(&self, kind: Fault, dice: &mut Dice) -> bool {
        dice.once_in(self.rate(kind))
    }

    /// The kinds that exist, for the trace.
    pub(crate) fn kinds(&self) -> impl Iterator<Item = (Fault, u64)> {
        Fault::ALL.into_iter().map(|kind| (kind, self.rate(kind))).filter(|(_, rate)| *rate > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_stand_in_their_order_and_have_names_of_their_own() {
        let mut names: Vec<_> = Fault::ALL.iter().map(|kind| kind.name()).collect();
        assert!(Fault::ALL.iter().enumerate().all(|(at, kind)| *kind as usize == at));
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Fault::ALL.len());
    }

    #[test]
    fn some_runs_have_no_fault_some_one_kind_and_each_kind_comes() {
        let (mut none, mut one, mut seen) = (0, 0, [0; Fault::ALL.len()]);
        for seed in 0..1000 {
            let faults = Faults::draw(&mut Dice::new(seed), true);
            match faults.kinds().count() {
                0 => none += 1,
                1 => one += 1,
                _ => {}
            }
            faults.kinds().for_each(|(kind, _)| seen[kind as usize] += 1);
        }
        assert!(none > 20 && one > 100, "{none} {one}");
        assert!(seen.iter().all(|times| *times > 50), "{seen:?}");
        assert!((0..200).all(|seed| Faults::draw(&mut Dice::new(seed), false).kinds().all(|(kind, _)| !kind.takes_messages())));
    }
}
