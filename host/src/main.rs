//! The `seriatim` binary: everything is in the library.

use std::process::ExitCode;

/// Events are made on one thread and end on another, which the system's allocator does not like (docs/performance.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // A page of 2 MiB is cleared for the first byte of it that is used, and stays for the last (docs/performance.md). Where it cannot be, it is not.
    #[cfg(target_os = "linux")]
    rustix::thread::disable_transparent_huge_pages(true).ok();
    seriatim::cli::main()
}
