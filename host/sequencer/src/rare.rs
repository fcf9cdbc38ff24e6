//! Something that few of very many have, or have for a short time: it takes memory only then.

use alloc::boxed::Box;
use core::ops::{Deref, DerefMut};

/// What can be nothing.
pub trait Nothing: Sized + 'static {
    /// To be read where there is none.
    const NOTHING: &'static Self;

    /// To be changed.
    fn nothing() -> Self;

    /// Whether there is nothing worth its memory.
    fn is_nothing(&self) -> bool;
}

/// Allocated by the first change and kept until [`rest`](Self::rest): whoever would change nothing should not ask for it mutably.
#[derive(Clone, Debug)]
pub struct Rare<T>(Option<Box<T>>);

impl<T: Nothing> Rare<T> {
    /// None of it.
    #[must_use]
    pub const fn none() -> Self {
        Self(None)
    }

    /// To take something out of it: `None` where it has no memory, so there is nothing to take, and none is allocated.
    pub fn taken_from(&mut self) -> Option<&mut T> {
        self.0.as_deref_mut()
    }

    /// Gives its memory back if there is nothing in it.
    pub fn rest(&mut self) {
        self.0.take_if(|it| it.is_nothing());
    }
}

impl<T: Nothing> From<T> for Rare<T> {
    fn from(it: T) -> Self {
        Self((!it.is_nothing()).then(|| Box::new(it)))
    }
}

impl<T: Nothing> Default for Rare<T> {
    fn default() -> Self {
        Self::none()
    }
}

impl<T: Nothing> Deref for Rare<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_deref().unwrap_or(T::NOTHING)
    }
}

impl<T: Nothing> DerefMut for Rare<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.0.get_or_insert_with(|| Box::new(T::nothing()))
    }
}

#[cfg(test)]
mod tests {
    use super::{Nothing, Rare};

    #[derive(Debug, PartialEq)]
    struct Count(u32);

    impl Nothing for Count {
        const NOTHING: &'static Self = &Self(0);

        fn nothing() -> Self {
            Self(0)
        }

        fn is_nothing(&self) -> bool {
            self.0 == 0
        }
    }

    #[test]
    fn it_takes_memory_only_while_there_is_something() {
        let mut rare = Rare::<Count>::none();
        assert_eq!(*rare, Count(0));
        rare.rest();
        assert!(rare.taken_from().is_none());
        assert!(rare.0.is_none(), "reading, taking and resting allocate nothing");
        rare.0 = Rare::from(Count(0)).0;
        assert!(rare.0.is_none());
        rare.0 = None;
        (*rare).0 += 2;
        rare.rest();
        assert_eq!(*rare, Count(2), "what is there stays");
        if let Some(count) = rare.taken_from() {
            count.0 = 0;
        }
        assert!(rare.0.is_some(), "until it rests");
        rare.rest();
        assert!(rare.0.is_none());
    }
}
