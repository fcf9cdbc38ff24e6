//! `seriatim compile-component`: not for people. The host starts it to have a component compiled, and ends it when it takes too long.

use crate::runtime::compile_here;
use std::process::ExitCode;

/// Arguments of `compile-component`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Processor time that it may take, in seconds.
    #[arg(long, value_name = "N")]
    seconds_max: u64,
    /// Address space that it may have, in bytes.
    #[arg(long, value_name = "N")]
    memory_max: u64,
}

/// Exit code 0 with the compiled form of standard input on standard output; else 1 with the reason on standard error. Before anything else is started.
pub(super) fn main(args: &Args) -> ExitCode {
    match compile_here(args.seconds_max, args.memory_max) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}
