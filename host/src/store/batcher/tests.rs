//! The batching by example, then against a model that remembers everything.

use super::*;
use crate::event::EntityKey;
use bytes::Bytes;
use proptest::prelude::*;
use seriatim_sequencer::Attempts;
use std::collections::BTreeSet;

fn batcher() -> Batcher {
    Batcher::new(vec![("p".into(), Progress::default()), ("q".into(), Progress::default())])
}

fn change(pipeline: &str, entity: &str, closes: &[u64]) -> Box<Change> {
    let key = EntityKey { pipeline: pipeline.into(), entity: entity.into() };
    Box::new(Change { closes: closes.to_vec(), ..Change::new(key, 1, 0) })
}

fn reply(number: u64) -> Reply {
    Reply { shard: 0, entity: 0, number }
}

fn opened(pipeline: usize, sequences: impl IntoIterator<Item = u64>) -> Entry {
    let messages: Vec<_> = sequences.into_iter().map(|sequence| (sequence, sequence * 10)).collect();
    let stream_time = messages.last().map_or(0, |message| message.1);
    Entry::Opened { pipeline, messages, stream_time }
}

fn watermarks(draft: &Draft) -> Vec<(&str, u64)> {
    draft.batch.pipelines.iter().map(|(name, progress)| (&**name, progress.watermark)).collect()
}

#[test]
fn opened_messages_are_no_reason_to_commit_but_are_written_along() {
    let mut batcher = batcher();
    batcher.push(opened(0, [1, 2, 3])).unwrap();
    assert_eq!(batcher.due(0), Due::Never);
    batcher.push(Entry::Change(change("q", "e", &[]), reply(1))).unwrap();
    assert_eq!(batcher.due(0), Due::Now);
    let draft = batcher.take(0);
    let progress = Progress { watermark: 0, highest: 3, highest_time: 30, stream_time: 0 };
    assert_eq!(draft.progress, [(0, progress)]);
    assert_eq!(&*draft.batch.pipelines[0].0, "p");
}

#[test]
fn the_watermark_counts_the_closes_of_the_same_commit() {
    let mut batcher = batcher();
    batcher.push(opened(0, 1..=4)).unwrap();
    batcher.push(Entry::Change(change("p", "e", &[1, 3]), reply(1))).unwrap();
    batcher.push(Entry::Close { pipeline: 0, stream_sequence: 2 }).unwrap();
    assert_eq!(watermarks(&batcher.take(0)), [("p", 3)]);
    batcher.push(Entry::Change(change("p", "e", &[4]), reply(2))).unwrap();
    assert_eq!(watermarks(&batcher.take(0)), [("p", 4)]);
}

#[test]
fn closes_alone_are_written_once_a_second() {
    let mut batcher = batcher();
    batcher.push(opened(0, 1..=9)).unwrap();
    batcher.push(Entry::Close { pipeline: 0, stream_sequence: 1 }).unwrap();
    assert_eq!(batcher.due(5), Due::Now, "nothing was written before");
    assert_eq!(watermarks(&batcher.take(5)), [("p", 1)]);
    assert_eq!(batcher.due(5), Due::Never);
    batcher.push(Entry::Close { pipeline: 0, stream_sequence: 3 }).unwrap();
    assert_eq!(batcher.due(6), Due::Never, "the watermark did not move");
    batcher.push(Entry::Close { pipeline: 0, stream_sequence: 2 }).unwrap();
    assert_eq!(batcher.due(6), Due::At(1005));
    assert_eq!(batcher.due(1004), Due::At(1005));
    assert_eq!(batcher.due(1005), Due::Now);
    batcher.push(Entry::Change(change("p", "e", &[]), reply(1))).unwrap();
    assert_eq!(batcher.due(6), Due::Now, "they ride with a change");
    assert_eq!(watermarks(&batcher.take(6)), [("p", 3)]);
}

#[test]
fn a_flush_or_a_stop_writes_everything_at_once() {
    for stop in [false, true] {
        let mut batcher = batcher();
        batcher.push(opened(1, [7])).unwrap();
        let (answer, _answered) = oneshot::channel();
        batcher.push(if stop { Entry::Stop } else { Entry::Flush(answer) }).unwrap();
        assert_eq!((batcher.due(0), batcher.full()), (Due::Now, stop));
        let draft = batcher.take(0);
        assert_eq!((watermarks(&draft), draft.ends(), draft.flushes.len()), (vec![("q", 6)], stop, usize::from(!stop)));
        let (answer, _answered) = oneshot::channel();
        batcher.push(Entry::Flush(answer)).unwrap();
        assert_eq!(batcher.due(0), Due::Now);
        assert!(batcher.take(0).batch.is_empty(), "nothing has changed since");
    }
}

#[test]
fn confirmations_are_written_at_once_and_marked() {
    let mut batcher = batcher();
    let confirmed = Confirmed { key: change("p", "e", &[]).key, number: 7 };
    batcher.push(Entry::Confirmed(confirmed.clone(), reply(1))).unwrap();
    assert_eq!(batcher.due(0), Due::Now);
    let draft = batcher.take(0);
    assert_eq!((draft.prunes, draft.catches_up, &draft.batch.confirmed), (true, false, &vec![confirmed]));
    assert_eq!((draft.batch.is_empty(), &draft.replies), (false, &vec![reply(1)]));
    batcher.recycle(draft);
    let mut resuming = change("p", "e", &[]);
    let waiting = Waiting { from: 1, reason: WaitReason::Resuming, attempts: Attempts::default(), alarm: None, since: 0 };
    resuming.patch.waiting = Some(Some(waiting));
    batcher.push(Entry::Change(resuming, reply(2))).unwrap();
    batcher.take(0);
    batcher.push(Entry::Change(change("p", "e", &[]), reply(3))).unwrap();
    let draft = batcher.take(0);
    assert_eq!((draft.prunes, draft.catches_up, draft.replies), (false, false, vec![reply(3)]), "used memory carries nothing over");
}

#[test]
fn a_draft_is_bounded_by_changes_and_by_bytes() {
    let mut batcher = batcher();
    for number in 0..COMMIT_CHANGES_MAX as u64 {
        assert!(!batcher.full());
        let one = change("p", "e", &[]);
        batcher
            .push(match number % 2 {
                0 => Entry::Change(one, reply(number)),
                _ => Entry::Confirmed(Confirmed { key: one.key.clone(), number }, reply(number)),
            })
            .unwrap();
    }
    assert!(batcher.full());
    batcher.take(0);
    assert!(!batcher.full());
    let mut big = change("p", "e", &[]);
    let value = Some(Bytes::from(vec![0; COMMIT_BYTES_MAX]));
    big.state.push(super::super::StateWrite { handler: "h".into(), key: "k".into(), value });
    batcher.push(Entry::Change(big, reply(0))).unwrap();
    assert!(batcher.full());
}

#[test]
fn what_was_read_before_a_restart_stays_the_highest() {
    let durable = Progress { watermark: 10, highest: 50, highest_time: 500, stream_time: 700 };
    let mut batcher = Batcher::new(vec![("p".into(), durable)]);
    batcher.push(opened(0, [11, 12])).unwrap();
    batcher.push(Entry::Close { pipeline: 0, stream_sequence: 11 }).unwrap();
    assert_eq!(batcher.take(0).progress, [(0, Progress { watermark: 11, ..durable })]);
    batcher.push(opened(0, [51])).unwrap();
    batcher.push(Entry::Stop).unwrap();
    assert_eq!(batcher.take(0).progress, [(0, Progress { watermark: 11, highest: 51, highest_time: 510, stream_time: 700 })]);
}

#[test]
fn a_record_takes_the_progress_of_its_commit() {
    let mut batcher = batcher();
    batcher.push(opened(0, [1])).unwrap();
    let record = PipelineRecord { generation: 4, progress: Progress { watermark: 99, ..Progress::default() }, ..PipelineRecord::default() };
    batcher.push(Entry::PipelineRecord { pipeline: 0, record: Box::new(record) }).unwrap();
    assert_eq!(batcher.due(0), Due::Now);
    let draft = batcher.take(0);
    let (name, record) = &draft.batch.records[0];
    assert_eq!((&**name, record.generation, record.progress.watermark, record.progress.highest), ("p", 4, 0, 1));
}

#[test]
fn unknown_pipelines_are_an_error() {
    let mut batcher = batcher();
    assert!(batcher.push(Entry::Close { pipeline: 2, stream_sequence: 1 }).is_err());
    assert!(batcher.push(opened(9, [1])).is_err());
    assert_eq!(batcher.push(Entry::Change(change("r", "e", &[1]), reply(1))), Err(UnknownPipeline("r".into())));
}

#[derive(Clone, Debug)]
enum Step {
    Open(u8),
    Change(prop::sample::Index),
    Silent,
    Close(prop::sample::Index),
    Take(u16),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        (1u8..5).prop_map(Step::Open),
        any::<prop::sample::Index>().prop_map(Step::Change),
        Just(Step::Silent),
        any::<prop::sample::Index>().prop_map(Step::Close),
        (0u16..700).prop_map(Step::Take),
    ];
    prop::collection::vec(step, 1..150)
}

proptest! {
    #[test]
    fn nothing_is_lost_doubled_reordered_or_counted_too_early(steps in steps()) {
        let mut batcher = Batcher::new(vec![("p".into(), Progress::default())]);
        let (mut highest, mut open, mut closed) = (0u64, Vec::<u64>::new(), BTreeSet::<u64>::new());
        let (mut pushed, mut written, mut now) = (0u64, 0u64, 0u64);
        let (mut last, mut last_value) = (None::<u64>, 0u64);
        for step in steps {
            match step {
                Step::Open(by) => {
                    highest += u64::from(by);
                    open.push(highest);
                    batcher.push(opened(0, [highest])).unwrap();
                }
                Step::Silent => {
                    batcher.push(Entry::Change(change("p", "e", &[]), reply(pushed))).unwrap();
                    pushed += 1;
                }
                Step::Change(which) | Step::Close(which) if open.is_empty() => { let _ = which; }
                Step::Change(which) => {
                    let sequence = open.swap_remove(which.index(open.len()));
                    closed.insert(sequence);
                    batcher.push(Entry::Change(change("p", "e", &[sequence]), reply(pushed))).unwrap();
                    pushed += 1;
                }
                Step::Close(which) => {
                    let sequence = open.swap_remove(which.index(open.len()));
                    closed.insert(sequence);
                    batcher.push(Entry::Close { pipeline: 0, stream_sequence: sequence }).unwrap();
                }
                Step::Take(later) => {
                    now += u64::from(later);
                    let value = open.iter().min().map_or(highest, |lowest| lowest - 1);
                    let due = batcher.due(now);
                    if pushed > written {
                        prop_assert_eq!(due, Due::Now);
                    } else if value == last_value {
                        prop_assert_eq!(due, Due::Never);
                    } else {
                        prop_assert_eq!(due, last.filter(|last| now < last + 1000).map_or(Due::Now, |last| Due::At(last + 1000)));
                    }
                    if due != Due::Now {
                        continue;
                    }
                    let draft = batcher.take(now);
                    prop_assert_eq!(draft.batch.changes.len(), draft.replies.len());
                    for reply in &draft.replies {
                        prop_assert_eq!(reply.number, written);
                        written += 1;
                    }
                    prop_assert_eq!(written, pushed);
                    if let Some((_, progress)) = draft.progress.first() {
                        prop_assert_eq!(progress.watermark, value);
                        prop_assert_eq!(progress.highest, highest);
                        prop_assert!(progress.watermark >= last_value);
                    } else {
                        prop_assert_eq!(value, last_value);
                    }
                    (last, last_value) = (Some(now), value);
                    batcher.recycle(draft);
                }
            }
        }
    }
}
