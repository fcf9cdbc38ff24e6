//! Deliberate mistakes, each behind one `if` at the place where it would be made: a test that stays green with one of them proves nothing about it.
//!
//! Only in builds with the feature `mutants`, never in a release. All of them are in one build; the environment variable `SERIATIM_MUTANT` chooses
//! one for the life of the process. `cargo xtask mutants` runs tests, simulation and chaos against each.

extern crate std;

use self::std::string::{String, ToString as _};
use self::std::sync::OnceLock;
use self::std::{eprintln, process};

/// Names the mistake: `SERIATIM_MUTANT=dedup-off`.
pub const VARIABLE: &str = "SERIATIM_MUTANT";

macro_rules! mutants {
    ($(#[doc = $what:literal] $variant:ident = $name:literal,)*) => {
        /// One mistake.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Mutant {
            $(#[doc = $what] $variant,)*
        }

        impl Mutant {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// What the environment variable says to choose it.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// What is wrong, in one sentence.
            #[must_use]
            pub const fn what(self) -> &'static str {
                match self {
                    $(Self::$variant => $what.trim_ascii(),)*
                }
            }
        }
    };
}

mutants! {
    /// The watermark counts what is in no commit yet.
    WatermarkBeforeCommit = "watermark-before-commit",
    /// A message closes although a decision that it rests on is in no commit yet.
    DuplicateClosesEarly = "duplicate-closes-early",
    /// What is at or below the position is taken for the next event.
    DedupOff = "dedup-off",
    /// Another payload under a known sequence is taken for a copy.
    ConflictAsDuplicate = "conflict-as-duplicate",
    /// What was given up and comes after all is taken for a copy.
    LateAsDuplicate = "late-as-duplicate",
    /// Gaps give up by the host's clock.
    GapTimerOnWallClock = "gap-timer-on-wall-clock",
    /// A reader re-created in a live process begins where the first one began.
    ReaderRecreatedAtWatermark = "reader-recreated-at-watermark",
    /// S does not count what is held.
    WaitingWithoutHeld = "waiting-without-held",
    /// A catch-up reads up to one below L.
    CatchUpEndsOneEarly = "catch-up-ends-one-early",
    /// What is in memory closes before the commit of `waiting`.
    ClosesBeforeWaitingCommit = "closes-before-waiting-commit",
    /// The owing index is not written.
    OwingNotWritten = "owing-not-written",
    /// What a start finds in an outbox is not sent again.
    OutboxNotResent = "outbox-not-resent",
    /// What may have been sent before the duplicate window is sent without looking for it.
    ResentBlindPastWindow = "resent-blind-past-window",
    /// Confirmed outputs stay in the store.
    PruneLost = "prune-lost",
    /// The newest entry of an outbox leaves first.
    OutputOrderSwapped = "output-order-swapped",
    /// A dead letter that its stream refuses for now counts as confirmed.
    DeadLetterDroppedWhenRefused = "dead-letter-dropped-when-refused",
    /// An instance lives on after an event that did not commit.
    InstanceKeptAfterReject = "instance-kept-after-reject",
    /// Nobody compares the stream with the one that was read.
    IdentityNotChecked = "identity-not-checked",
    /// After a catch-up, arrivals are dropped until its end commit is durable, and nobody reads them again.
    ArrivalsAfterCatchUpCommit = "arrivals-after-catch-up-commit",
    /// After a start, L is no more than S, not the watermark.
    DroppedEndForgottenAtRestart = "dropped-end-forgotten-at-restart",
    /// A gap is judged while a catch-up still reads what was dropped.
    GapJudgedByLiveReader = "gap-judged-by-live-reader",
    /// What goes on again after a gap commits no alarm.
    ResumeWithoutAlarm = "resume-without-alarm",
    /// The time without heartbeats counts as time at the head.
    HeartbeatGapCountedAsIdle = "heartbeat-gap-counted-as-idle",
    /// What was found malformed is not remembered.
    MalformedDecidedTwice = "malformed-decided-twice",
    /// Outputs leave before their commit is durable.
    PublishBeforeCommit = "publish-before-commit",
    /// A hole in the consumer's sequence is passed over.
    ReaderHolePassedOver = "reader-hole-passed-over",
    /// Nobody looks whether another host has claimed the pipeline.
    ClaimNotChecked = "claim-not-checked",
    /// Early events are held without a bound.
    HeldPastBound = "held-past-bound",
    /// Stream time is stored as of the highest message read, not as of the watermark.
    StreamTimeOfHighest = "stream-time-of-highest",
    /// The record does not say which dead letters were redriven.
    RedriveNotRemembered = "redrive-not-remembered",
    /// An operator's word is answered before it is durable.
    WordAnsweredBeforeCommit = "word-answered-before-commit",
    /// The record names the component that runs when the event commits, not the one that handled it.
    StampOfTheNext = "stamp-of-the-next",
}

impl Mutant {
    /// The one with this name.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|mutant| mutant.name() == name)
    }
}

/// Whether this process makes the mistake. An unknown name ends it: a run that proves nothing must not look like one that does.
#[must_use]
pub fn active(mutant: Mutant) -> bool {
    static CHOSEN: OnceLock<Option<Mutant>> = OnceLock::new();
    *CHOSEN.get_or_init(chosen) == Some(mutant)
}

fn chosen() -> Option<Mutant> {
    let name: String = self::std::env::var_os(VARIABLE)?.to_string_lossy().to_string();
    if name.is_empty() {
        return None;
    }
    let found = Mutant::by_name(&name);
    if found.is_none() {
        eprintln!("{VARIABLE}: there is no mutant {name:?}; docs/evidence/mutants.md lists them");
        process::exit(2);
    }
    found
}
