//! What an entity has while it has something to do, apart from the rest: it takes memory only then, and most of a million entities in memory rest.

use crate::redrive::Redriving;
use crate::reorder::{Held, Queue};
use crate::sequencer::Current;
use crate::types::{Arrival, Millis, Place, Waiting};
use crate::waiting::{Dropped, Pass};
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use core::ops::{Deref, DerefMut};

/// See the module.
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
    const NOTHING: &'static Self = &Self::NONE;

    fn is_none(&self) -> bool {
        let Self { waiting, current, queue, held, lates, dropped, pass, unsure_from, gap_since, skip, redriving } = self;
        let in_memory = current.is_some() || !queue.is_empty() || !held.is_empty() || !lates.is_empty() || redriving.is_some();
        let owed = waiting.is_some() || dropped.is_some() || pass.is_some() || unsure_from.is_some();
        !in_memory && !owed && gap_since.is_none() && skip.is_none()
    }
}

/// [`Pending`], allocated by the first change of it and kept until [`rest`](Self::rest).
#[derive(Clone, Debug)]
pub(crate) struct Work<T>(Option<Box<Pending<T>>>);

impl<T: 'static> Work<T> {
    pub(crate) const NONE: Self = Self(None);

    /// Gives its memory back if there is nothing in it.
    pub(crate) fn rest(&mut self) {
        self.0.take_if(|pending| pending.is_none());
    }
}

impl<T: 'static> Deref for Work<T> {
    type Target = Pending<T>;

    fn deref(&self) -> &Pending<T> {
        self.0.as_deref().unwrap_or(Pending::NOTHING)
    }
}

impl<T: 'static> DerefMut for Work<T> {
    fn deref_mut(&mut self) -> &mut Pending<T> {
        self.0.get_or_insert_with(|| Box::new(Pending::NONE))
    }
}
