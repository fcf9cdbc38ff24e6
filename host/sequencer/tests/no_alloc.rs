//! In-order steps do not allocate once the sequencer is warm (its ring of ids and its queue have grown to their bounds).

#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use seriatim_sequencer::{Arrival, Effect, Input, Now, Place, Policy, Sequencer};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: every call goes to the system allocator unchanged; counting touches a thread-local cell without a destructor and never allocates.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// Hands in a burst of in-order events, answers everything, and returns how many were applied.
fn burst(sequencer: &mut Sequencer<u64>, from: u64, count: u64, effects: &mut Vec<Effect<u64>>) -> u64 {
    let (now, mut applied) = (Now::default(), 0);
    let mut drain = |sequencer: &mut Sequencer<u64>, effects: &mut Vec<Effect<u64>>| {
        while let Some(effect) = effects.pop() {
            match effect {
                Effect::Deliver { .. } => sequencer.step(now, Input::Applied, effects),
                Effect::Commit(change) => {
                    applied += u64::from(change.applied.is_some());
                    sequencer.step(now, Input::Committed, effects);
                }
                other => panic!("not in order: {other:?}"),
            }
        }
    };
    for sequence in from..from + count {
        let place = Place { epoch: 0, sequence };
        let arrival =
            Arrival { ticket: sequence, place, stream_sequence: sequence, id: sequence, payload: sequence, time: sequence, bytes: 100 };
        sequencer.step(now, Input::Arrived(arrival), effects);
        // A few stay in the queue behind the running one.
        if sequence % 4 == 0 {
            drain(sequencer, effects);
        }
    }
    drain(sequencer, effects);
    applied
}

#[test]
fn in_order_steps_do_not_allocate_after_warm_up() {
    let mut sequencer = Sequencer::new(Arc::new(Policy::default()), 0);
    let mut effects = Vec::with_capacity(64);
    assert_eq!(burst(&mut sequencer, 1, 1_000, &mut effects), 1_000);
    let before = ALLOCATIONS.with(Cell::get);
    let applied = burst(&mut sequencer, 1_001, 10_000, &mut effects);
    let allocations = ALLOCATIONS.with(Cell::get) - before;
    assert_eq!((applied, allocations), (10_000, 0));
}
