//! Which catch-ups run, and what each reads. Pure: requests and ends go in, starts come out.
//!
//! An entity in a subject token has a pass of its own (the broker filters). All others share one scan: it serves everything that had asked when
//! it started; who asks meanwhile joins the next one. At most `max` passes run at once, oldest alarm first; the scan counts as one.

use crate::event::EntityKey;
use crate::passes::Request;
use std::collections::{BTreeMap, BTreeSet};

/// What to start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// One entity, filtered by the broker.
    Own(Request),
    /// One scan for many entities of a pipeline.
    Shared(Vec<Request>),
}

/// See the module.
#[derive(Debug)]
pub struct CatchUps {
    max: usize,
    /// The pipeline's entity stands in a subject token.
    own: bool,
    waiting: BTreeMap<(u64, EntityKey), Request>,
    running: BTreeSet<EntityKey>,
    /// A shared scan runs for this many entities.
    scan: bool,
}

impl CatchUps {
    /// For one pipeline. `own`: the broker can filter by entity.
    #[must_use]
    pub fn new(max: usize, own: bool) -> Self {
        Self { max: max.max(1), own, waiting: BTreeMap::new(), running: BTreeSet::new(), scan: false }
    }

    /// An entity asks.
    pub fn request(&mut self, request: Request) {
        self.waiting.insert((request.since, request.key.clone()), request);
    }

    /// The entity's pass has ended.
    pub fn ended(&mut self, key: &EntityKey) {
        self.running.remove(key);
        if self.running.is_empty() {
            self.scan = false;
        }
    }

    /// What may start now.
    pub fn start(&mut self) -> Option<Start> {
        if self.own {
            if self.running.len() >= self.max {
                return None;
            }
            let (_, request) = self.waiting.pop_first()?;
            self.running.insert(request.key.clone());
            return Some(Start::Own(request));
        }
        if self.scan || self.waiting.is_empty() {
            return None;
        }
        self.scan = true;
        let requests: Vec<_> = std::mem::take(&mut self.waiting).into_values().collect();
        self.running.extend(requests.iter().map(|request| request.key.clone()));
        Some(Start::Shared(requests))
    }

    /// Passes asked for and not started.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(entity: &str, since: u64) -> Request {
        Request { key: EntityKey { pipeline: "p".into(), entity: entity.into() }, shard: 0, number: 1, from: 1, to: 9, since }
    }

    #[test]
    fn oldest_first_and_at_most_max_at_once() {
        let mut catch_ups = CatchUps::new(1, true);
        catch_ups.request(request("young", 5));
        catch_ups.request(request("old", 1));
        assert_eq!(catch_ups.start(), Some(Start::Own(request("old", 1))));
        assert_eq!(catch_ups.start(), None);
        catch_ups.ended(&request("old", 1).key);
        assert_eq!(catch_ups.start(), Some(Start::Own(request("young", 5))));
    }

    #[test]
    fn one_scan_serves_all_that_asked_before_it_and_the_rest_joins_the_next() {
        let mut catch_ups = CatchUps::new(8, false);
        catch_ups.request(request("a", 1));
        catch_ups.request(request("b", 2));
        assert_eq!(catch_ups.start(), Some(Start::Shared(vec![request("a", 1), request("b", 2)])));
        catch_ups.request(request("c", 3));
        assert_eq!(catch_ups.start(), None);
        catch_ups.ended(&request("a", 1).key);
        assert_eq!(catch_ups.start(), None);
        catch_ups.ended(&request("b", 2).key);
        assert_eq!(catch_ups.start(), Some(Start::Shared(vec![request("c", 3)])));
    }
}
