//! A handler that remembers what it must not: see ../../README.md.

use seriatim_guest::{Event, Failure, Handler, Output, debug, export, info, state};
use std::hint::black_box;
use std::sync::{Mutex, PoisonError};

static REMEMBERED: Mutex<Vec<u8>> = Mutex::new(Vec::new());

/// The handler.
#[derive(Debug)]
pub struct Canary;

/// Reaches the limit that the event's type names.
fn overdo(kind: &str) {
    match kind {
        "spin" => loop {
            black_box(0);
        },
        "grow" => {
            let mut kept = Vec::new();
            loop {
                kept.push(black_box(vec![1_u8; 1 << 20]));
            }
        }
        "fill" => {
            for key in 0_u64.. {
                state::set_bytes(&format!("k{key}"), &[0; 1000]);
            }
        }
        "chatter" => loop {
            info!("and on");
        },
        _ => {}
    }
}

impl Handler for Canary {
    fn handle(event: Event) -> Result<(), Failure> {
        overdo(&event.kind);
        let mut remembered = REMEMBERED.lock().unwrap_or_else(PoisonError::into_inner);
        Output::to("out.globals").bytes(remembered.clone()).emit();
        remembered.extend_from_slice(&event.payload);
        state::delete("nothing");
        debug!("remembered");
        Ok(())
    }
}

export!(Canary);
