//! What the benchmark measures the host with. `work` in its config says what it does with an event: `nothing`; `state`, which counts the entity's
//! events in a value of 32 bytes; or `output`, which does that and sends the payload on to `<to>.<entity>`.

use seriatim_guest::{Event, Failure, Handler, Output, config, export, state, subject_token};

/// The handler.
#[derive(Debug)]
pub struct Bench;

/// Digits that a person can read in the host's state, and as many bytes as a small state has.
fn count() -> Result<(), Failure> {
    let before = match state::get_bytes("count") {
        None => 0,
        Some(bytes) => {
            let text = std::str::from_utf8(&bytes).map_err(|error| Failure::reject(error.to_string()))?;
            text.parse::<u64>().map_err(|error| Failure::reject(error.to_string()))?
        }
    };
    state::set_bytes("count", format!("{:032}", before + 1).as_bytes());
    Ok(())
}

impl Handler for Bench {
    fn handle(event: Event) -> Result<(), Failure> {
        match config("work").as_deref() {
            Some("nothing") => Ok(()),
            Some("state") => count(),
            Some("output") => {
                count()?;
                let to = config("to").ok_or_else(|| Failure::retry("the handler's config has no `to`"))?;
                Output::to(format!("{to}.{}", subject_token(&event.entity))).bytes(event.payload).emit();
                Ok(())
            }
            _ => Err(Failure::retry("the handler's config says no `work`: `nothing`, `state` or `output`")),
        }
    }
}

export!(Bench);
