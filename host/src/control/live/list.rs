//! A page of the entities that the directory shows: chosen and sorted within the memory of one page, however many there are.

use crate::control::report::{self, alarm, backlog};
use crate::control::{BulkFilter, EntityPage, EntityQuery, EntityRow, EntityState, Fault, Sort};
use crate::directory::{Directory, View};
use std::collections::BinaryHeap;
use std::sync::Arc;

/// Entities in a page when the query does not say.
const PAGE: usize = 100;
/// Entities in a page at most.
const PAGE_MAX: usize = 1_000;

/// Where an entity stands in a list: by number, then by name.
type Key = (u64, Arc<str>);

fn key(sort: Sort, entity: &Arc<str>, view: &View, highest: u64) -> Key {
    let number = match sort {
        Sort::Name => 0,
        Sort::Age => view.waiting.map_or(u64::MAX, |waiting| waiting.since),
        Sort::Backlog => u64::MAX - backlog(view.waiting.as_ref(), highest),
    };
    (number, entity.clone())
}

fn row(entity: &Arc<str>, view: &View, highest: u64) -> EntityRow {
    let waiting = view.waiting.as_ref();
    EntityRow {
        entity: entity.to_string(),
        state: report::state(waiting),
        live: view.live,
        reason: waiting.map(|waiting| waiting.reason.name().to_owned()),
        since: waiting.map(|waiting| waiting.since),
        backlog: backlog(waiting, highest),
        alarm: waiting.and_then(|waiting| waiting.alarm).map(alarm),
    }
}

/// The first `limit` entities behind `after`, sorted: a heap of that many is all that is held.
fn first(
    directory: &Directory,
    pipeline: &str,
    after: Option<&Key>,
    limit: usize,
    key: impl Fn(&Arc<str>, &View) -> Key,
    fits: impl Fn(&View) -> bool,
) -> Vec<Key> {
    let mut heap: BinaryHeap<Key> = BinaryHeap::with_capacity(limit + 1);
    directory.each(pipeline, |entity, view| {
        if !fits(view) {
            return;
        }
        let at = key(entity, view);
        if after.is_some_and(|after| at <= *after) || (heap.len() >= limit && heap.peek().is_some_and(|last| at >= *last)) {
            return;
        }
        heap.push(at);
        if heap.len() > limit {
            heap.pop();
        }
    });
    heap.into_sorted_vec()
}

/// A page of entities. `handler`: the index of the one that the query names; `now`: host time. What changes its place between two pages may be seen twice or not at all, unless the list is sorted by name.
pub(in crate::control) fn page(
    directory: &Directory,
    query: &EntityQuery,
    handler: Option<usize>,
    highest: u64,
    now: u64,
) -> Result<EntityPage, Fault> {
    let limit = if query.limit == 0 { PAGE } else { query.limit.min(PAGE_MAX) };
    let after = query.after.as_deref().map(parse).transpose()?;
    let name: Arc<str> = query.pipeline.as_str().into();
    let filter = BulkFilter {
        states: query.states.clone(),
        reason: query.reason.clone(),
        older_than_seconds: query.older_than_seconds,
        ..BulkFilter::default()
    };
    let wanted = Wanted { filter: &filter, handler, parked: false, now };
    let place = |entity: &Arc<str>, view: &View| key(query.sort, entity, view, highest);
    let mut keys = first(directory, &query.pipeline, after.as_ref(), limit + 1, place, |view| wanted.fits(view));
    let more = keys.len() > limit;
    keys.truncate(limit);
    let next = keys.last().filter(|_| more).map(|(number, entity)| format!("{number}:{entity}"));
    let rows = keys.iter().filter_map(|(_, entity)| {
        // It may have left since.
        let view = directory.get(&crate::event::EntityKey { pipeline: name.clone(), entity: entity.clone() })?;
        Some(row(entity, &view, highest))
    });
    Ok(EntityPage { entities: rows.collect(), next })
}

fn parse(after: &str) -> Result<Key, Fault> {
    let bad = || Fault::Bad(format!("{after:?} is not the `next` of a page of entities"));
    let (number, entity) = after.split_once(':').ok_or_else(bad)?;
    Ok((number.parse().map_err(|_| bad())?, entity.into()))
}

/// Names of a pipeline's entities that match, by name, behind `after`.
pub(super) fn matching(directory: &Directory, pipeline: &str, filter: &Wanted<'_>, after: Option<&str>, limit: usize) -> Vec<Arc<str>> {
    let after = after.map(|after| (0, Arc::from(after)));
    let keys = first(directory, pipeline, after.as_ref(), limit, |entity, _| (0, entity.clone()), |view| filter.fits(view));
    keys.into_iter().map(|(_, entity)| entity).collect()
}

/// Which entities a word for many means.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted<'a> {
    pub(super) filter: &'a BulkFilter,
    /// The handler's index, where the filter names one.
    pub(super) handler: Option<usize>,
    /// Without a reason or a state only those that are parked.
    pub(super) parked: bool,
    /// Host time.
    pub(super) now: u64,
}

impl Wanted<'_> {
    pub(super) fn fits(&self, view: &View) -> bool {
        let waiting = view.waiting.as_ref();
        let age = |seconds: u64| waiting.is_some_and(|waiting| self.now.saturating_sub(waiting.since) >= seconds.saturating_mul(1_000));
        let reason = waiting.map(|waiting| waiting.reason.name());
        let state = report::state(waiting);
        let said = self.filter.reason.is_some() || !self.filter.states.is_empty();
        self.filter.reason.as_deref().is_none_or(|wanted| reason == Some(wanted))
            && (self.filter.states.is_empty() || self.filter.states.contains(&state))
            && (said || !self.parked || state == EntityState::Parked)
            && self.filter.older_than_seconds.is_none_or(age)
            && self.handler.is_none_or(|handler| view.failed == Some(handler))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::EntityKey;
    use seriatim_sequencer::{Alarm, Attempts, WaitReason, Waiting};

    fn directory() -> Directory {
        let directory = Directory::default();
        for at in 0..30_u64 {
            let alarm = (at % 3 == 1).then_some(Alarm::Host(at));
            let reason = if at % 2 == 0 { WaitReason::Operator } else { WaitReason::Retry };
            let waiting = Waiting { from: 100 - at, reason, attempts: Attempts::default(), alarm, since: 1_000 + (at * 7) % 30 };
            let view = View { live: at % 2 == 0, waiting: (at % 3 != 0).then_some(waiting), failed: Some((at % 2) as usize) };
            directory.show(&EntityKey { pipeline: "p".into(), entity: format!("e{at:02}").into() }, view);
        }
        directory.show(&EntityKey { pipeline: "q".into(), entity: "other".into() }, View { live: true, waiting: None, failed: None });
        directory
    }

    fn all(query: &EntityQuery) -> Vec<EntityRow> {
        let (directory, mut query, mut rows) = (directory(), query.clone(), Vec::new());
        loop {
            let handler = query.handler.as_deref().map(|handler| usize::from(handler == "one"));
            let page = page(&directory, &query, handler, 100, 11_015).unwrap();
            assert!(page.entities.len() <= query.limit);
            rows.extend(page.entities);
            match page.next {
                Some(next) => query.after = Some(next),
                None => return rows,
            }
        }
    }

    #[test]
    fn pages_by_name_by_age_and_by_backlog_bring_each_once() {
        let query = EntityQuery { pipeline: "p".to_owned(), limit: 7, ..EntityQuery::default() };
        let names: Vec<_> = all(&query).into_iter().map(|row| row.entity).collect();
        assert!(names.len() == 30 && names.is_sorted(), "{names:?}");
        let waiting = vec![EntityState::Waiting, EntityState::Parked];
        let query = EntityQuery { states: waiting, sort: Sort::Age, ..query };
        let ages: Vec<_> = all(&query).into_iter().map(|row| row.since).collect();
        assert!(ages.len() == 20 && ages.is_sorted(), "{ages:?}");
        let backlogs: Vec<_> = all(&EntityQuery { sort: Sort::Backlog, ..query }).into_iter().map(|row| row.backlog).collect();
        assert!(backlogs.len() == 20 && backlogs.iter().rev().is_sorted(), "{backlogs:?}");
    }

    #[test]
    fn states_and_reasons_filter_and_a_foreign_next_is_refused() {
        let query = EntityQuery { pipeline: "p".to_owned(), limit: 7, states: vec![EntityState::Parked], ..EntityQuery::default() };
        assert_eq!(all(&query).len(), 10);
        let rows = all(&EntityQuery { reason: Some("operator".to_owned()), ..query.clone() });
        assert!(!rows.is_empty() && rows.iter().all(|row| row.reason.as_deref() == Some("operator") && row.alarm.is_none()));
        let error = page(&directory(), &EntityQuery { after: Some("x".to_owned()), ..query }, None, 100, 0).unwrap_err();
        assert!(matches!(error, Fault::Bad(_)));
    }

    #[test]
    fn age_and_handler_choose_before_pages_are_cut() {
        let query =
            EntityQuery { pipeline: "p".to_owned(), limit: 3, sort: Sort::Age, older_than_seconds: Some(10), ..EntityQuery::default() };
        let rows = all(&query);
        assert!((4..20).contains(&rows.len()) && rows.iter().all(|row| row.since.is_some_and(|since| since <= 1_015)), "{rows:?}");
        let one = all(&EntityQuery { handler: Some("one".to_owned()), sort: Sort::Name, older_than_seconds: None, ..query.clone() });
        assert!(one.len() == 15 && one.iter().all(|row| !row.live), "{one:?}");
        let both = all(&EntityQuery { handler: Some("one".to_owned()), ..query });
        assert!(both.len() < rows.len() && both.iter().all(|row| rows.contains(row)), "{both:?}");
    }

    #[test]
    fn a_word_for_many_means_those_that_match_all_of_the_filter() {
        let names = |filter: &BulkFilter, handler, parked| {
            let wanted = Wanted { filter, handler, parked, now: 11_015 };
            matching(&directory(), "p", &wanted, None, 100).len()
        };
        assert_eq!(names(&BulkFilter::default(), None, false), 30);
        assert_eq!(names(&BulkFilter::default(), None, true), 10);
        assert_eq!(names(&BulkFilter { reason: Some("retry".to_owned()), ..BulkFilter::default() }, Some(1), true), 10);
        assert_eq!(names(&BulkFilter { reason: Some("retry".to_owned()), ..BulkFilter::default() }, Some(0), true), 0);
        let states = |states: &[EntityState]| BulkFilter { states: states.to_vec(), ..BulkFilter::default() };
        // A state that is said is meant, also by those words that else mean what is parked.
        assert_eq!(names(&states(&[EntityState::Live]), None, true), 10);
        assert_eq!(names(&states(&[EntityState::Waiting, EntityState::Parked]), None, true), 20);
        assert_eq!(names(&BulkFilter { reason: Some("operator".to_owned()), ..states(&[EntityState::Live]) }, None, true), 0);
        assert!((1..20).contains(&names(&BulkFilter { older_than_seconds: Some(10), ..BulkFilter::default() }, None, false)));
    }
}
