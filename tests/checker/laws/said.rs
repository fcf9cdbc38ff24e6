//! What operators said to the host, as they know it themselves: what they meant, and what they were answered.

use crate::checker::store::Spot;

/// One word of an operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// To which entity.
    pub entity: String,
    /// What.
    pub word: Word,
    /// The answer.
    pub answer: Answer,
}

/// What an operator may say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Word {
    /// Stand still.
    Park {
        /// What the handler's count was on the disk when the answer came.
        counted: u64,
    },
    /// Go on.
    Resume(Head),
    /// Give the head up and go on.
    Skip(Head),
    /// Give a dead letter's event again.
    Redrive {
        /// The dead letter's number in its stream.
        letter: u64,
        /// Although others were applied since.
        out_of_order: bool,
        /// Another payload.
        payload: Option<Vec<u8>>,
    },
}

/// Which event a word names as the one at the head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Head {
    /// None: whatever is there.
    Any,
    /// The one that the operator saw there. Another may be there by now.
    Seen(Spot),
    /// One that was finished before, or that never was: the word must be refused.
    Wrong(Spot),
}

/// What an operator was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is done.
    Done,
    /// There was nothing to do: it was so before.
    AlreadySo,
    /// No, and nothing of it was done.
    Refused,
    /// Nothing, or that the host is not there for it: it may be done all the same.
    Open,
}

impl Answer {
    /// It was confirmed, whether there was something to do or not.
    pub(super) fn confirmed(self) -> bool {
        matches!(self, Self::Done | Self::AlreadySo)
    }
}
