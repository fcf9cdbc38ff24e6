//! The smallest handler: sends each payload to `<config to>.<subject_token(entity)>` with the headers `Echo-Sequence` (the event's sequence)
//! and `Echo-Count` (how many events of this entity the handler has handled). Tests and benchmarks run on it: if every event is applied
//! once and in order, the two numbers are always equal.

use seriatim_guest::{Event, Failure, Handler, Output, config, export, state, subject_token};

/// The handler.
#[derive(Debug)]
pub struct Echo;

impl Handler for Echo {
    fn handle(event: Event) -> Result<(), Failure> {
        let to = config("to").ok_or_else(|| Failure::retry("the handler's config has no `to`"))?;
        let count = state::get::<u64>("count")?.unwrap_or(0) + 1;
        state::set("count", &count)?;
        Output::to(format!("{to}.{}", subject_token(&event.entity)))
            .header("Echo-Sequence", event.sequence)
            .header("Echo-Count", count)
            .bytes(event.payload)
            .emit();
        Ok(())
    }
}

export!(Echo);
