//! The model disk: four sorted keyspaces. A batch is staged and then fsynced; a crash before the fsync loses the whole batch, after it nothing.
//! What is staged is never seen by a reader: the store reads what is on the disk.

use seriatim::store::{Disk, DiskFault, Each, Error, Range, Space, Write};
use seriatim_tests::checker::store::Keyspace;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The keyspaces, each with the name that the checker has for it.
const SPACES: [(Space, Keyspace); 4] = [
    (Space::Records, Keyspace::Records),
    (Space::Outbox, Keyspace::Outbox),
    (Space::Owing, Keyspace::Owing),
    (Space::Meta, Keyspace::Meta),
];

/// What is on the disk at one moment.
pub(crate) type Spaces = [BTreeMap<Vec<u8>, Vec<u8>>; SPACES.len()];

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
    durable: Arc<Spaces>,
    next: Fsync,
    batches: u64,
}

/// See the module. Clones are the same disk; it lives longer than the hosts that use it.
#[derive(Clone, Debug, Default)]
pub(crate) struct ModelDisk(Arc<Mutex<Inner>>);

impl ModelDisk {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the next fsync says.
    pub(crate) fn next_fsync(&self, fsync: Fsync) {
        self.inner().next = fsync;
    }

    /// How many batches are on it.
    pub(crate) fn batches(&self) -> u64 {
        self.inner().batches
    }

    /// Whether an entry of an outbox that is on it speaks of this message id.
    pub(crate) fn owes(&self, message_id: &str) -> bool {
        let spaces = self.view();
        spaces[Space::Outbox as usize].values().any(|value| value.windows(message_id.len()).any(|at| at == message_id.as_bytes()))
    }

    /// Everything that is on it, for the checker.
    pub(crate) fn everything(&self) -> Vec<(Keyspace, Vec<u8>, Vec<u8>)> {
        let spaces = self.view();
        let pairs = spaces.iter().zip(SPACES);
        pairs.flat_map(|(keys, (_, name))| keys.iter().map(move |(key, value)| (name, key.clone(), value.clone()))).collect()
    }
}

impl Disk for ModelDisk {
    type View = Arc<Spaces>;

    fn view(&self) -> Self::View {
        self.inner().durable.clone()
    }

    fn get(&self, view: &Self::View, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>, DiskFault> {
        Ok(view[space as usize].get(key).cloned())
    }

    fn scan(
        &self,
        view: &Self::View,
        space: Space,
        range: Range<'_>,
        _fault: &dyn Fn(&DiskFault) -> Error,
        each: Each<'_>,
    ) -> Result<(), Error> {
        // A real disk walks over what was removed until it finds something or the range ends.
        assert_ne!(range.1, Bound::Unbounded, "a scan that does not say where it ends");
        for (key, value) in view[space as usize].range::<[u8], _>(range) {
            if !each(key, value)? {
                break;
            }
        }
        Ok(())
    }

    fn write(&self, writes: Vec<Write>) -> Result<(), DiskFault> {
        let mut inner = self.inner();
        let fsync = std::mem::take(&mut inner.next);
        if fsync != Fsync::FailedLost {
            inner.batches += 1;
            let durable = Arc::make_mut(&mut inner.durable);
            for (space, key, value) in writes {
                match value {
                    Some(value) => durable[space as usize].insert(key, value),
                    None => durable[space as usize].remove(&key),
                };
            }
        }
        if fsync == Fsync::Done { Ok(()) } else { Err(DiskFault::Engine("the model disk could not fsync".to_owned())) }
    }

    fn damaged(&self, what: String) -> Error {
        Error::Engine { doing: "read the model disk", reason: what }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(key: &str, value: &str) -> Write {
        (Space::Outbox, key.as_bytes().to_vec(), Some(value.as_bytes().to_vec()))
    }

    fn get(disk: &ModelDisk, key: &str) -> Option<Vec<u8>> {
        disk.get(&disk.view(), Space::Outbox, key.as_bytes()).unwrap()
    }

    #[test]
    fn spaces_stand_at_their_places() {
        assert!(SPACES.iter().enumerate().all(|(at, (space, _))| *space as usize == at));
    }

    #[test]
    fn a_batch_is_there_whole_or_not_at_all() {
        let disk = ModelDisk::default();
        disk.write(vec![put("a", "1"), put("b", "id:7")]).unwrap();
        let before = disk.view();
        disk.next_fsync(Fsync::FailedLost);
        disk.write(vec![put("a", "3"), (Space::Outbox, b"b".to_vec(), None)]).unwrap_err();
        assert_eq!((get(&disk, "a"), get(&disk, "b")), (Some(b"1".to_vec()), Some(b"id:7".to_vec())));
        assert!(disk.owes("id:7") && !disk.owes("id:8"));
        disk.next_fsync(Fsync::FailedKept);
        disk.write(vec![put("a", "3"), (Space::Outbox, b"b".to_vec(), None)]).unwrap_err();
        assert_eq!((get(&disk, "a"), get(&disk, "b"), disk.batches()), (Some(b"3".to_vec()), None, 2));
        assert_eq!(disk.get(&before, Space::Outbox, b"a"), Ok(Some(b"1".to_vec())), "a view is one moment");
        disk.write(vec![put("b", "4")]).unwrap();
        assert_eq!(disk.everything().len(), 2);
    }

    #[test]
    fn keys_come_in_order_and_only_for_as_long_as_they_are_wanted() {
        let disk = ModelDisk::default();
        disk.write(vec![put("b1", ""), put("a", ""), put("b0", ""), put("c", "")]).unwrap();
        let mut found = Vec::new();
        let fault = |_: &DiskFault| disk.damaged(String::new());
        disk.scan(&disk.view(), Space::Outbox, (Bound::Excluded(b"a"), Bound::Excluded(b"c")), &fault, &mut |key, _| {
            found.push(key.to_vec());
            Ok(found.len() < 2)
        })
        .unwrap();
        assert_eq!(found, [b"b0".to_vec(), b"b1".to_vec()]);
    }
}
