//! The keys of the embedded store. Pure.
//!
//! Keyspace `records`: `<pipeline length, u8><pipeline><entity length, u16><entity><kind>…`, so that all parts of one entity lie side by side
//! and no entity's keys begin with another's. `outbox`: the same prefix, then the number. `owing`: `<pipeline length><pipeline><entity>`: by
//! name. `meta`: the store's own record and two per pipeline. All numbers big-endian, so that they sort.

use super::Error;
use crate::event::EntityKey;
use std::ops::Bound;

/// The engine's own bound.
pub(crate) const KEY_BYTES_MAX: usize = 65_535;

/// Key of the store's own record in `meta`.
pub(crate) const STORE: &[u8] = b"store";

const WAITING: u8 = 1;
const EXTRAS: u8 = 2;
const SLOT: u8 = 3;
const STATE: u8 = 4;
const STAMP: u8 = 5;

/// One key of the keyspace `records`, taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Part<'a> {
    Waiting,
    Extras,
    Slot,
    State { handler: &'a str, key: &'a str },
    Stamp { handler: &'a str },
}

/// What all keys of one entity begin with, in `records` and in `outbox`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Prefix(Vec<u8>);

impl Prefix {
    pub(crate) fn new(key: &EntityKey) -> Result<Self, Error> {
        let mut bytes = Vec::with_capacity(key.pipeline.len() + key.entity.len() + 24);
        push_short(&mut bytes, "a pipeline name", &key.pipeline)?;
        let length = u16::try_from(key.entity.len()).map_err(|_| Error::TooLong {
            what: "an entity name",
            bytes: key.entity.len(),
            max: u16::MAX.into(),
        })?;
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(key.entity.as_bytes());
        Ok(Self(bytes))
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn waiting(&self) -> Vec<u8> {
        self.with(WAITING, &[])
    }

    pub(crate) fn extras(&self) -> Vec<u8> {
        self.with(EXTRAS, &[])
    }

    /// `ring` must not be 0; the key is `count % ring`.
    pub(crate) fn slot(&self, count: u64, ring: u32) -> Vec<u8> {
        let index = count.checked_rem(ring.into()).unwrap_or(0);
        self.with(SLOT, &index.to_be_bytes())
    }

    pub(crate) fn state(&self, handler: &str, key: &str) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::with_capacity(self.0.len() + handler.len() + key.len() + 2);
        bytes.extend_from_slice(&self.0);
        bytes.push(STATE);
        push_short(&mut bytes, "a handler name", handler)?;
        bytes.extend_from_slice(key.as_bytes());
        if bytes.len() > KEY_BYTES_MAX {
            return Err(Error::TooLong { what: "a state key with the names before it", bytes: bytes.len(), max: KEY_BYTES_MAX });
        }
        Ok(bytes)
    }

    pub(crate) fn stamp(&self, handler: &str) -> Vec<u8> {
        self.with(STAMP, handler.as_bytes())
    }

    /// Behind every key of the entity in `records`, before every other entity's.
    pub(crate) fn end(&self) -> Vec<u8> {
        self.with(u8::MAX, &[])
    }

    /// A key of the keyspace `outbox`.
    pub(crate) fn outbox(&self, number: u64) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.0.len() + 8);
        bytes.extend_from_slice(&self.0);
        bytes.extend_from_slice(&number.to_be_bytes());
        bytes
    }

    /// Takes apart what follows this prefix in a key of `records`. `None`: not a key this version writes.
    pub(crate) fn part<'a>(&self, key: &'a [u8]) -> Option<Part<'a>> {
        let (kind, rest) = key.strip_prefix(self.bytes())?.split_first()?;
        match *kind {
            WAITING => rest.is_empty().then_some(Part::Waiting),
            EXTRAS => rest.is_empty().then_some(Part::Extras),
            SLOT => (rest.len() == 8).then_some(Part::Slot),
            STATE => {
                let (length, rest) = rest.split_first()?;
                let (handler, key) = rest.split_at_checked(usize::from(*length))?;
                Some(Part::State { handler: std::str::from_utf8(handler).ok()?, key: std::str::from_utf8(key).ok()? })
            }
            STAMP => Some(Part::Stamp { handler: std::str::from_utf8(rest).ok()? }),
            _ => None,
        }
    }

    /// The number in a key of `outbox`.
    pub(crate) fn number(&self, key: &[u8]) -> Option<u64> {
        Some(u64::from_be_bytes(key.strip_prefix(self.bytes())?.try_into().ok()?))
    }

    fn with(&self, kind: u8, rest: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.0.len() + 1 + rest.len());
        bytes.extend_from_slice(&self.0);
        bytes.push(kind);
        bytes.extend_from_slice(rest);
        bytes
    }
}

/// What all keys in `records` and in `outbox` of a pipeline's entities begin with, and the first such key that is not of the pipeline's own record.
pub(crate) fn entities(pipeline: &str) -> Result<(Vec<u8>, Vec<u8>), Error> {
    let mut all = Vec::with_capacity(pipeline.len() + 3);
    push_short(&mut all, "a pipeline name", pipeline)?;
    let mut first = all.clone();
    first.extend_from_slice(&1_u16.to_be_bytes());
    Ok((all, first))
}

/// Where the keys that begin with `prefix` end: at the first key behind all of them, if there can be one.
pub(crate) fn behind(prefix: &[u8]) -> Bound<Vec<u8>> {
    next(prefix).map_or(Bound::Unbounded, Bound::Excluded)
}

/// The first key behind all that begin with `prefix`, if there can be one.
pub(crate) fn next(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut behind = prefix.to_vec();
    while let Some(last) = behind.pop() {
        if let Some(next) = last.checked_add(1) {
            behind.push(next);
            return Some(behind);
        }
    }
    None
}

/// The entity of a key of `records` or `outbox`; `rest` is what follows the pipeline.
pub(crate) fn entity_of(rest: &[u8]) -> Option<&str> {
    let (length, rest) = rest.split_first_chunk::<2>()?;
    std::str::from_utf8(rest.get(..usize::from(u16::from_be_bytes(*length)))?).ok()
}

/// A key of the keyspace `owing`; without an entity the prefix of all of the pipeline's.
pub(crate) fn owing(pipeline: &str, entity: &str) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::with_capacity(pipeline.len() + entity.len() + 1);
    push_short(&mut bytes, "a pipeline name", pipeline)?;
    bytes.extend_from_slice(entity.as_bytes());
    Ok(bytes)
}

/// What a key of `meta` that begins with `p` tells about which pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum About {
    /// How far it is (changes with every commit).
    Progress,
    /// The rest (changes hardly ever).
    Record,
}

/// What all keys about pipelines in `meta` begin with.
pub(crate) const PIPELINES: &[u8] = b"p";

/// A key of `meta`.
pub(crate) fn pipeline(name: &str, about: About) -> Result<Vec<u8>, Error> {
    let mut bytes = PIPELINES.to_vec();
    push_short(&mut bytes, "a pipeline name", name)?;
    bytes.push(match about {
        About::Progress => b'p',
        About::Record => b'r',
    });
    Ok(bytes)
}

/// Takes a key of `meta` apart.
pub(crate) fn pipeline_of(key: &[u8]) -> Option<(&str, About)> {
    let (length, rest) = key.strip_prefix(PIPELINES)?.split_first()?;
    let (name, about) = rest.split_at_checked(usize::from(*length))?;
    let about = match about {
        b"p" => About::Progress,
        b"r" => About::Record,
        _ => return None,
    };
    Some((std::str::from_utf8(name).ok()?, about))
}

fn push_short(bytes: &mut Vec<u8>, what: &'static str, text: &str) -> Result<(), Error> {
    let length = u8::try_from(text.len()).map_err(|_| Error::TooLong { what, bytes: text.len(), max: u8::MAX.into() })?;
    bytes.push(length);
    bytes.extend_from_slice(text.as_bytes());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::ops::RangeBounds as _;

    fn key(pipeline: &str, entity: &str) -> EntityKey {
        EntityKey { pipeline: pipeline.into(), entity: entity.into() }
    }

    #[test]
    fn no_entity_lies_within_another() {
        let names = ["", "a", "a.b", "aa", "b", "\u{1}", "a\u{4}h"];
        for one in names {
            for other in names {
                for (left, right) in [("p", "p"), ("p", "pa"), ("pa", "p")] {
                    let (one_prefix, other_prefix) = (Prefix::new(&key(left, one)).unwrap(), Prefix::new(&key(right, other)).unwrap());
                    let same = left == right && one == other;
                    assert_eq!(other_prefix.bytes().starts_with(one_prefix.bytes()), same, "{left}/{one} {right}/{other}");
                }
            }
        }
    }

    #[test]
    fn behind_a_prefix_comes_the_next_key_that_does_not_begin_with_it() {
        assert_eq!(behind(b"ab"), Bound::Excluded(b"ac".to_vec()));
        assert_eq!(behind(b"a\xff\xff"), Bound::Excluded(b"b".to_vec()));
        assert_eq!(behind(b"\xff"), Bound::Unbounded);
        assert_eq!(behind(b""), Bound::Unbounded);
    }

    #[test]
    fn what_is_too_long_is_named() {
        let long = "x".repeat(300);
        assert!(matches!(Prefix::new(&key(&long, "e")), Err(Error::TooLong { what: "a pipeline name", bytes: 300, max: 255 })));
        assert!(Prefix::new(&key("p", &long)).is_ok());
        let prefix = Prefix::new(&key("p", "e")).unwrap();
        assert!(prefix.state("h", &"k".repeat(70_000)).is_err());
        assert!(prefix.state(&long, "k").is_err());
    }

    proptest! {
        #[test]
        fn keys_come_apart_as_they_were_put_together(
            pipeline_name in "[a-z][a-z0-9-]{0,31}", entity in "\\PC{0,40}", handler in "[a-z][a-z0-9-]{0,31}", state_key in "\\PC{0,40}",
            count: u64, ring in 1u32.., number: u64,
        ) {
            let prefix = Prefix::new(&key(&pipeline_name, &entity)).unwrap();
            prop_assert!(prefix.part(&prefix.waiting()) == Some(Part::Waiting));
            prop_assert!(prefix.part(&prefix.extras()) == Some(Part::Extras));
            prop_assert!(prefix.part(&prefix.slot(count, ring)) == Some(Part::Slot));
            let state = prefix.state(&handler, &state_key).unwrap();
            prop_assert_eq!(prefix.part(&state), Some(Part::State { handler: &handler, key: &state_key }));
            prop_assert_eq!(prefix.number(&prefix.outbox(number)), Some(number));
            let (all, first) = entities(&pipeline_name).unwrap();
            let parts = [prefix.waiting(), prefix.extras(), prefix.slot(count, ring), state.clone(), prefix.end()];
            prop_assert!(parts.is_sorted());
            for part in parts {
                prop_assert_eq!(part.strip_prefix(&all[..]).and_then(entity_of), Some(entity.as_str()));
                prop_assert!(entity.is_empty() || part >= first);
            }
            let all_of_it = (Bound::Included(prefix.bytes().to_vec()), behind(prefix.bytes()));
            prop_assert!(all_of_it.contains(&prefix.end()) && all_of_it.contains(&prefix.outbox(u64::MAX)));
            for about in [About::Progress, About::Record] {
                prop_assert!(pipeline_of(&pipeline(&pipeline_name, about).unwrap()) == Some((pipeline_name.as_str(), about)));
            }
        }
    }
}
