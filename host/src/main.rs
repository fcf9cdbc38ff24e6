//! The `seriatim` binary: everything is in the library.

use std::process::ExitCode;

/// Events are made on one thread and end on another, which the system's allocator does not like (docs/performance.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    seriatim::cli::main()
}
