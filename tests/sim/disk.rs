//! The model disk: four sorted keyspaces. A batch is staged and then fsynced; a crash before the fsync loses the whole batch, after it nothing.
//! What is staged is never seen by a reader: the store reads what is on the disk.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Keyspaces: records, outbox, owing, meta.
pub(crate) const SPACES: usize = 4;

/// One write: keyspace, key, value (`None` removes).
pub(crate) type Write = (usize, Vec<u8>, Option<Vec<u8>>);

type Spaces = [BTreeMap<Vec<u8>, Vec<u8>>; SPACES];

/// How the next batch ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Fsync {
    /// It is on the disk, and the host is told so.
    #[default]
    Done,
    /// The disk reports an error, and nothing of the batch is there after a restart.
    FailedLost,
    /// The disk reports an error, and all of the batch is there after a restart.
    FailedKept,
}

#[derive(Debug, Default)]
struct Inner {
    durable: Spaces,
    next: Fsync,
    batches: u64,
}

/// See the module. Lives longer than the hosts that use it.
#[derive(Debug, Default)]
pub(crate) struct ModelDisk {
    inner: Mutex<Inner>,
}

impl ModelDisk {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the next fsync says.
    pub(crate) fn next_fsync(&self, fsync: Fsync) {
        self.inner().next = fsync;
    }

    /// Stages a batch and fsyncs it.
    ///
    /// # Errors
    /// The disk says that it could not; whether the batch is there is not known.
    pub(crate) fn commit(&self, writes: impl IntoIterator<Item = Write>) -> Result<(), String> {
        let mut inner = self.inner();
        let fsync = std::mem::take(&mut inner.next);
        if fsync != Fsync::FailedLost {
            inner.batches += 1;
            for (space, key, value) in writes {
                match value {
                    Some(value) => inner.durable[space].insert(key, value),
                    None => inner.durable[space].remove(&key),
                };
            }
        }
        if fsync == Fsync::Done { Ok(()) } else { Err("the model disk could not fsync".to_owned()) }
    }

    pub(crate) fn get(&self, space: usize, key: &[u8]) -> Option<Vec<u8>> {
        self.inner().durable[space].get(key).cloned()
    }

    /// Keys and values from `from` on, for as long as `goes_on` says of a key.
    pub(crate) fn scan(&self, space: usize, from: &[u8], goes_on: impl Fn(&[u8]) -> bool) -> Vec<(Vec<u8>, Vec<u8>)> {
        let inner = self.inner();
        let range = inner.durable[space].range::<[u8], _>((std::ops::Bound::Included(from), std::ops::Bound::Unbounded));
        range.take_while(|(key, _)| goes_on(key)).map(|(key, value)| (key.clone(), value.clone())).collect()
    }

    /// How many batches are on it.
    pub(crate) fn batches(&self) -> u64 {
        self.inner().batches
    }

    /// Everything that is on it.
    pub(crate) fn everything(&self) -> Vec<(usize, Vec<u8>, Vec<u8>)> {
        let inner = self.inner();
        let spaces = inner.durable.iter().enumerate();
        spaces.flat_map(|(space, keys)| keys.iter().map(move |(key, value)| (space, key.clone(), value.clone()))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(key: &str, value: &str) -> Write {
        (1, key.as_bytes().to_vec(), Some(value.as_bytes().to_vec()))
    }

    #[test]
    fn a_batch_is_there_whole_or_not_at_all() {
        let disk = ModelDisk::default();
        disk.commit([put("a", "1"), put("b", "2")]).unwrap();
        disk.next_fsync(Fsync::FailedLost);
        disk.commit([put("a", "3"), (1, b"b".to_vec(), None)]).unwrap_err();
        assert_eq!((disk.get(1, b"a"), disk.get(1, b"b")), (Some(b"1".to_vec()), Some(b"2".to_vec())));
        disk.next_fsync(Fsync::FailedKept);
        disk.commit([put("a", "3"), (1, b"b".to_vec(), None)]).unwrap_err();
        assert_eq!((disk.get(1, b"a"), disk.get(1, b"b"), disk.batches()), (Some(b"3".to_vec()), None, 2));
        disk.commit([put("b", "4")]).unwrap();
        assert_eq!(disk.everything().len(), 2);
    }

    #[test]
    fn keys_come_in_order() {
        let disk = ModelDisk::default();
        disk.commit([put("b1", ""), put("a", ""), put("b0", ""), put("c", "")]).unwrap();
        let found: Vec<_> = disk.scan(1, b"b", |key| key.starts_with(b"b")).into_iter().map(|(key, _)| key).collect();
        assert_eq!(found, [b"b0".to_vec(), b"b1".to_vec()]);
        assert!(disk.scan(0, b"", |_| true).is_empty());
    }
}
