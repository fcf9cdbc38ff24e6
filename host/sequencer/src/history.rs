//! What few entities have to remember, apart from the rest: it takes memory from the first of it on, and most of a million entities have none of it.

use crate::dedup::GivenUp;
use crate::floor::Floor;
use crate::lost::NamedLost;
use crate::redrive::Letters;
use crate::types::Place;
use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::ops::{Deref, DerefMut};

/// See the module.
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

    fn is_none(&self) -> bool {
        let Self { past, floor, given_up, fates, lost, redriven } = self;
        past.is_empty() && floor.is_none() && given_up.len() == 0 && fates.is_empty() && lost.ranges().is_empty() && redriven.is_none()
    }
}

static NONE: Remembered = Remembered::NONE;

/// [`Remembered`], allocated when they are first changed: whoever would change nothing should not ask for them mutably.
#[derive(Clone, Debug, Default)]
pub(crate) struct History(Option<Box<Remembered>>);

impl History {
    pub(crate) fn restore(remembered: Remembered) -> Self {
        Self((!remembered.is_none()).then(|| Box::new(remembered)))
    }
}

impl Deref for History {
    type Target = Remembered;

    fn deref(&self) -> &Remembered {
        self.0.as_deref().unwrap_or(&NONE)
    }
}

impl DerefMut for History {
    fn deref_mut(&mut self) -> &mut Remembered {
        self.0.get_or_insert_with(|| Box::new(Remembered::NONE))
    }
}
