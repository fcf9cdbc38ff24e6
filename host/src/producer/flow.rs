//! The one flow of an entity: gives its events their numbers.

use super::client::{Pending, Producer};
use super::error::Error;
use super::event::{NewEvent, check_entity};
use super::history::{highest, only_stream};
use seriatim_contract::valid_pattern;
use std::sync::Arc;

/// Where a flow's numbers begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// With 1: the entity is new.
    First,
    /// With the number after this one.
    After(u64),
    /// After the highest number, within the highest epoch, that the stream holds of this entity. Reads the headers of everything in
    /// these subjects: the narrower, the faster. Counts messages that carry `Seriatim-Entity` and `Seriatim-Sequence`.
    Stream {
        /// A subject or a pattern that covers the entity's events; the more it covers beside them, the longer it takes. Without
        /// [`Options::stream`](super::Options::stream) one stream alone must take them, else [`Error::SeveralStreams`].
        subjects: String,
    },
}

/// The one flow of an entity. Dropping it ends it; what it published is still confirmed.
#[derive(Debug)]
pub struct Flow {
    producer: Producer,
    entity: Arc<str>,
    epoch: Option<u64>,
    last: u64,
}

impl Producer {
    /// Opens the one flow of an entity; [`Error::FlowOpen`] if there is one. An entity that was [blocked](Error::Blocked) is free again: `start`
    /// says how it goes on.
    pub async fn flow(&self, entity: &str, start: Start) -> Result<Flow, Error> {
        check_entity(entity)?;
        let entity: Arc<str> = entity.into();
        self.open_flow(&entity)?;
        // From here on dropping it closes it, also when this is cancelled.
        let mut flow = Flow { producer: self.clone(), entity, epoch: None, last: 0 };
        match start {
            Start::First => {}
            Start::After(last) => flow.last = last,
            Start::Stream { subjects } => flow.go_on_in(&subjects).await?,
        }
        Ok(flow)
    }
}

impl Flow {
    async fn go_on_in(&mut self, subjects: &str) -> Result<(), Error> {
        if !valid_pattern(subjects) {
            return Err(self.invalid("subjects", format!("{subjects:?} is neither a subject nor a pattern of subjects")));
        }
        let options = self.producer.options();
        let stream = match &options.stream {
            Some(stream) => stream.clone(),
            None => only_stream(self.producer.connection(), subjects, options.patience).await?,
        };
        if let Some(found) = highest(self.producer.connection(), &stream, subjects, &self.entity, options.patience).await? {
            self.epoch = (found.epoch > 0).then_some(found.epoch);
            self.last = found.sequence;
        }
        Ok(())
    }

    /// Accepts the next event. Waits for room in the window. After an error from here the number is still to be given.
    pub async fn publish(&mut self, event: NewEvent) -> Result<Pending, Error> {
        let Some(next) = self.last.checked_add(1) else {
            return Err(self.invalid("sequence", "there is none after the highest: start over with a higher epoch".to_owned()));
        };
        let pending = self.producer.accept(event.numbered(&self.entity, self.epoch, next), true).await?;
        self.last = next;
        Ok(pending)
    }

    /// Numbers from 1 again, under a higher epoch (an absent one counts as 0).
    pub fn start_over(&mut self, epoch: u64) -> Result<(), Error> {
        let present = self.epoch.unwrap_or(0);
        if epoch <= present {
            return Err(self.invalid("epoch", format!("{epoch} is not above {present}, the present one")));
        }
        self.epoch = Some(epoch);
        self.last = 0;
        Ok(())
    }

    /// The entity.
    #[must_use]
    pub fn entity(&self) -> &str {
        &self.entity
    }

    /// The last number given; 0 = none yet.
    #[must_use]
    pub fn last(&self) -> u64 {
        self.last
    }

    /// The epoch; `None` counts as 0.
    #[must_use]
    pub fn epoch(&self) -> Option<u64> {
        self.epoch
    }

    fn invalid(&self, field: &str, problem: String) -> Error {
        Error::Invalid { entity: self.entity.to_string(), sequence: self.last, field: field.to_owned(), problem }
    }
}

impl Drop for Flow {
    fn drop(&mut self) {
        self.producer.close_flow(&self.entity);
    }
}
