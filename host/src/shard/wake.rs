//! Whom a start wakes: exactly those that owe something, page by page, so that nothing waits for a next event that may never come.

use super::Owing;
use crate::event::EntityKey;
use crate::pipeline::Pipeline;
use crate::store::{Error, Owed, Store};

/// A walk over all of a pipeline's entities that owe something: those that wait, then those that only have outputs to send.
#[derive(Debug, Default)]
pub struct Waking {
    after: Option<String>,
    /// Those that wait are through.
    sending: bool,
}

impl Waking {
    /// The next ones, at most `max`; none when all are through.
    ///
    /// # Errors
    /// The store does not answer. Who waits, but has a record that cannot be read, is no error: it parks, once it is loaded.
    pub fn page(&mut self, store: &dyn Store, pipeline: &Pipeline, max: usize) -> Result<Option<Vec<Owing>>, Error> {
        let key = |entity: &str| EntityKey { pipeline: pipeline.name.clone(), entity: entity.into() };
        if !self.sending {
            let page = store.owing(&pipeline.name, self.after.as_deref(), max)?;
            if let Some(last) = page.last() {
                self.after = Some(last.entity.clone());
                return page.into_iter().map(|owed| waits(store, pipeline, key(&owed.entity), &owed)).collect::<Result<_, _>>().map(Some);
            }
            (self.sending, self.after) = (true, None);
        }
        let page = store.sending(&pipeline.name, self.after.as_deref(), max)?;
        let Some(last) = page.last() else { return Ok(None) };
        self.after = Some(last.clone());
        Ok(Some(page.iter().map(|entity| Owing { key: key(entity), waiting: None, outbox: true }).collect()))
    }
}

fn waits(store: &dyn Store, pipeline: &Pipeline, key: EntityKey, owed: &Owed) -> Result<Owing, Error> {
    // Nobody handles what a forgotten pipeline waited for.
    let waiting = if pipeline.forgotten { Ok(None) } else { store.load_waiting(&key) };
    let (waiting, unreadable) = match waiting {
        Err(Error::Record { .. }) => (None, true),
        waiting => (waiting?, false),
    };
    // With an accepted stream, each that waits learns at once what is gone.
    Ok(Owing { key, waiting, outbox: owed.outbox || pipeline.accepted || unreadable })
}
