//! Whether the state that an entity has is of the version that a component reads, and what to do where it is not. Pure, but for the component's own
//! `migrate`.

use crate::runtime::{Failure, FailureKind, Handler, Instance, State};
use crate::store::{Prior, Stamp};
use bytes::Bytes;
use std::sync::Arc;

/// What the component needs before it can handle the entity's next event.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fit {
    /// Nothing.
    Fits,
    /// The state that was kept from before the last migration: nothing was written since.
    Restore(Arc<Prior>),
    /// Its `migrate`, from this version.
    Migrate(u32),
    /// A component that knows the state. In words.
    Unfit(String),
}

/// Compares. `confirmed`: migrations of loads up to this number stay.
pub(crate) fn fit(stamp: &Stamp, state: &State, handler: &Handler, confirmed: u64) -> Fit {
    decide(stamp, state, (handler.state_version(), handler.digest()), confirmed)
}

fn decide(stamp: &Stamp, state: &State, (version, component): (u32, &str), confirmed: u64) -> Fit {
    if stamp.version == version {
        return Fit::Fits;
    }
    let prior = stamp.prior.as_ref().filter(|prior| prior.load > confirmed && prior.version == version);
    match prior {
        Some(prior) if !prior.written => Fit::Restore(prior.clone()),
        // Nothing is there to be misread. With a state from before the migration it may be the migration, or events since, that left nothing.
        None if state.is_empty() => Fit::Fits,
        None if version > stamp.version => Fit::Migrate(stamp.version),
        kept => {
            let (older, by) = (stamp.version, &stamp.component);
            let kept = kept.map_or("", |_| "; the state of that version is kept, but events have written to the newer one since");
            Fit::Unfit(format!(
                "the state has version {older}, written by component {by}, and component {component} has version {version}{kept}: \
                 load a component that reads version {older}, then resume; or forget the entity"
            ))
        }
    }
}

impl Fit {
    /// The state for the component, where it is another one than `state`.
    pub(crate) async fn state(&self, instance: &mut Instance, state: &State) -> Result<Option<State>, Failure> {
        match self {
            Self::Fits => Ok(None),
            Self::Restore(prior) => Ok(Some(prior.state.clone())),
            Self::Migrate(from) => instance.migrate(*from, state).await.map(Some),
            Self::Unfit(why) => Err(Failure::new(FailureKind::Migration, why)),
        }
    }

    /// What is noted with the event that `handler` has handled: its state was `before`, and it has written to it or not.
    pub(crate) fn stamp(self, old: Stamp, handler: &Handler, before: Option<&State>, written: bool, confirmed: u64) -> Stamp {
        self.noted(old, (handler.state_version(), handler.digest(), handler.load()), before, written, confirmed)
    }

    fn noted(
        self,
        old: Stamp,
        (version, component, load): (u32, &Arc<str>, u64),
        before: Option<&State>,
        written: bool,
        confirmed: u64,
    ) -> Stamp {
        let prior = match self {
            Self::Fits => old.prior.filter(|prior| prior.load > confirmed).map(|mut prior| {
                if written && !prior.written {
                    Arc::make_mut(&mut prior).written = true;
                }
                prior
            }),
            Self::Migrate(from) => {
                let state = before.cloned().unwrap_or_default();
                Some(Arc::new(Prior { load, component: old.component, version: from, state, written }))
            }
            Self::Restore(_) | Self::Unfit(_) => None,
        };
        Stamp { component: component.clone(), version, prior }
    }
}

/// The writes that make `to` of `from`.
pub(crate) fn difference(from: &State, to: &State) -> Vec<(String, Option<Bytes>)> {
    let gone = from.keys().filter(|key| !to.contains_key(*key)).map(|key| (key.clone(), None));
    let new = to.iter().filter(|(key, value)| from.get(*key) != Some(value)).map(|(key, value)| (key.clone(), Some(value.clone())));
    gone.chain(new).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(entries: &[(&str, &str)]) -> State {
        entries.iter().map(|(key, value)| ((*key).to_owned(), Bytes::copy_from_slice(value.as_bytes()))).collect()
    }

    fn stamp(version: u32, prior: Option<Prior>) -> Stamp {
        Stamp { component: "old".into(), version, prior: prior.map(Arc::new) }
    }

    fn prior(load: u64, version: u32, written: bool) -> Prior {
        Prior { load, component: "older".into(), version, state: state(&[("k", "before")]), written }
    }

    #[test]
    fn the_same_version_and_no_state_fit_as_they_are() {
        let some = state(&[("k", "v")]);
        assert_eq!(decide(&stamp(2, None), &some, (2, "new"), 0), Fit::Fits);
        assert_eq!(decide(&stamp(1, None), &State::new(), (2, "new"), 0), Fit::Fits);
        assert_eq!(decide(&stamp(2, Some(prior(5, 1, false))), &some, (2, "new"), 0), Fit::Fits);
    }

    #[test]
    fn a_migration_that_left_nothing_is_taken_back_like_any_other() {
        let none = State::new();
        assert_eq!(decide(&stamp(2, Some(prior(5, 1, false))), &none, (1, "new"), 4), Fit::Restore(Arc::new(prior(5, 1, false))));
        assert!(matches!(decide(&stamp(2, Some(prior(5, 1, true))), &none, (1, "new"), 4), Fit::Unfit(_)), "events deleted it");
        assert_eq!(decide(&stamp(2, Some(prior(5, 1, false))), &none, (1, "new"), 5), Fit::Fits, "confirmed: it has no state");
    }

    #[test]
    fn a_newer_component_migrates_and_an_older_one_cannot() {
        let some = state(&[("k", "v")]);
        assert_eq!(decide(&stamp(0, None), &some, (3, "new"), 0), Fit::Migrate(0));
        let Fit::Unfit(why) = decide(&stamp(3, None), &some, (2, "new"), 0) else { panic!("it fits") };
        assert!(why.contains("version 3, written by component old") && why.contains("component new has version 2"), "{why}");
    }

    #[test]
    fn a_rollback_takes_back_what_nobody_has_written_to_since() {
        let some = state(&[("k", "v")]);
        assert_eq!(decide(&stamp(2, Some(prior(5, 1, false))), &some, (1, "new"), 4), Fit::Restore(Arc::new(prior(5, 1, false))));
        let Fit::Unfit(why) = decide(&stamp(2, Some(prior(5, 1, true))), &some, (1, "new"), 4) else { panic!("it fits") };
        assert!(why.contains("have written to the newer one since"), "{why}");
        assert!(matches!(decide(&stamp(2, Some(prior(5, 1, false))), &some, (1, "new"), 5), Fit::Unfit(_)), "confirmed");
        assert!(matches!(decide(&stamp(2, Some(prior(5, 0, false))), &some, (1, "new"), 4), Fit::Unfit(_)), "of another version");
    }

    #[test]
    fn a_migration_keeps_the_state_from_before_until_it_is_confirmed() {
        let component: Arc<str> = "new".into();
        let before = state(&[("k", "v")]);
        let migrated = Fit::Migrate(1).noted(stamp(1, None), (2, &component, 7), Some(&before), false, 0);
        let kept = Prior { load: 7, component: "old".into(), version: 1, state: before, written: false };
        assert_eq!(migrated, Stamp { component: component.clone(), version: 2, prior: Some(Arc::new(kept)) });
        let idle = Fit::Fits.noted(migrated.clone(), (2, &component, 7), None, false, 6);
        assert_eq!(idle, migrated, "nothing was written");
        let written = Fit::Fits.noted(migrated.clone(), (2, &component, 7), None, true, 6);
        assert!(written.prior.as_ref().is_some_and(|prior| prior.written));
        assert_eq!(Fit::Fits.noted(written, (2, &component, 7), None, false, 7).prior, None, "confirmed");
    }

    #[test]
    fn a_difference_makes_one_state_of_the_other() {
        let (from, to) = (state(&[("a", "1"), ("b", "2"), ("c", "3")]), state(&[("b", "2"), ("c", "4"), ("d", "5")]));
        let value = |text: &str| Some(Bytes::copy_from_slice(text.as_bytes()));
        let expected = vec![("a".to_owned(), None), ("c".to_owned(), value("4")), ("d".to_owned(), value("5"))];
        assert_eq!(difference(&from, &to), expected);
    }
}
