//! The `seriatim` binary: everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    seriatim::cli::main()
}
