//! What the benchmark measures the host with. `work` in its config says what it does with an event: `nothing`; `state`, which counts the entity's
//! events in a value of 32 bytes; or `output`, which does that and sends the payload on to `<to>.<entity>`.

use seriatim_guest::{Event, Failure, Handler, Output, config, export, state, subject_token};

/// The handler.
#[derive(Debug)]
pub struct Bench;

/// Of the state's value: digits that a person can read, and as many bytes as a small state has.
const DIGITS: usize = 32;

/// One more, digit by digit: what is measured is the host, not formatting.
fn count() -> Result<(), Failure> {
    let mut digits = match state::get_bytes("count") {
        None => vec![b'0'; DIGITS],
        Some(digits) => digits,
    };
    if digits.len() != DIGITS || !digits.iter().all(u8::is_ascii_digit) {
        return Err(Failure::reject(format!("the state's `count` is not a number of {DIGITS} digits")));
    }
    for digit in digits.iter_mut().rev() {
        if *digit < b'9' {
            *digit += 1;
            break;
        }
        *digit = b'0';
    }
    state::set_bytes("count", &digits);
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
