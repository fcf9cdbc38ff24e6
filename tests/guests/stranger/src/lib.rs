//! Imports a function that no host has. It must be refused when it is loaded, and the refusal must name the import.

use seriatim_guest::{Event, Failure, Handler, export};

#[link(wasm_import_module = "stranger:network/sockets@0.1.0")]
unsafe extern "C" {
    fn connect() -> u32;
}

struct Stranger;

impl Handler for Stranger {
    fn handle(_event: Event) -> Result<(), Failure> {
        // SAFETY: never called: no host serves it.
        if unsafe { connect() } == 0 { Ok(()) } else { Err(Failure::reject("connected")) }
    }
}

export!(Stranger);
