//! What few entities have to remember, apart from the rest: most of a million entities have none of it.

use crate::dedup::GivenUp;
use crate::floor::Floor;
use crate::lost::NamedLost;
use crate::rare::Nothing;
use crate::redrive::Letters;
use crate::types::Place;
use alloc::collections::BTreeSet;
use alloc::vec::Vec;

/// See the module. Behind a [`Rare`](crate::rare::Rare).
#[derive(Clone, Debug)]
pub(crate) struct Remembered {
    /// The last position of each epoch that is over.
    pub(crate) past: Vec<Place>,
    pub(crate) floor: Floor,
    pub(crate) given_up: GivenUp,
    /// Stream sequences at or above S of messages that are decided, although their places do not tell.
    pub(crate) fates: BTreeSet<u64>,
    pub(crate) lost: NamedLost,
    pub(crate) redriven: Letters,
}

impl Remembered {
    const NONE: Self = Self {
        past: Vec::new(),
        floor: Floor::restore(Place { epoch: 0, sequence: 0 }, 0, Vec::new()),
        given_up: GivenUp::restore(Vec::new()),
        fates: BTreeSet::new(),
        lost: NamedLost::restore(Vec::new()),
        redriven: Letters::restore(Vec::new(), 0),
    };
}

impl Nothing for Remembered {
    const NOTHING: &'static Self = &Self::NONE;

    fn nothing() -> Self {
        Self::NONE
    }

    fn is_nothing(&self) -> bool {
        let Self { past, floor, given_up, fates, lost, redriven } = self;
        past.is_empty() && floor.is_none() && given_up.len() == 0 && fates.is_empty() && lost.ranges().is_empty() && redriven.is_none()
    }
}
