//! What an entity has while it has something to do, apart from the rest: most of a million entities in memory have nothing to do.

use crate::rare::Nothing;
use crate::redrive::Redriving;
use crate::reorder::{Held, Queue};
use crate::sequencer::Current;
use crate::types::{Arrival, Millis, Place, Waiting};
use crate::waiting::{Dropped, Pass};
use alloc::boxed::Box;
use alloc::collections::VecDeque;

/// See the module. Behind a [`Rare`](crate::rare::Rare).
#[derive(Clone, Debug)]
pub(crate) struct Pending<T> {
    pub(crate) waiting: Option<Waiting>,
    pub(crate) current: Option<Current<T>>,
    pub(crate) queue: Queue<T>,
    pub(crate) held: Held<T>,
    pub(crate) lates: VecDeque<Arrival<T>>,
    pub(crate) dropped: Option<Dropped>,
    pub(crate) pass: Option<Box<Pass>>,
    /// A pass broke off: from here on retention may have taken messages between those that it brought.
    pub(crate) unsure_from: Option<u64>,
    /// Host time since which a gap is open.
    pub(crate) gap_since: Option<Millis>,
    /// The place an operator wants skipped.
    pub(crate) skip: Option<Place>,
    pub(crate) redriving: Option<Box<Redriving<T>>>,
}

impl<T: 'static> Pending<T> {
    const NONE: Self = Self {
        waiting: None,
        current: None,
        queue: Queue::new(),
        held: Held::new(),
        lates: VecDeque::new(),
        dropped: None,
        pass: None,
        unsure_from: None,
        gap_since: None,
        skip: None,
        redriving: None,
    };
}

impl<T: 'static> Nothing for Pending<T> {
    const NOTHING: &'static Self = &Self::NONE;

    fn nothing() -> Self {
        Self::NONE
    }

    fn is_nothing(&self) -> bool {
        let Self { waiting, current, queue, held, lates, dropped, pass, unsure_from, gap_since, skip, redriving } = self;
        let in_memory = current.is_some() || !queue.is_empty() || !held.is_empty() || !lates.is_empty() || redriving.is_some();
        let owed = waiting.is_some() || dropped.is_some() || pass.is_some() || unsure_from.is_some();
        !in_memory && !owed && gap_since.is_none() && skip.is_none()
    }
}
