//! The log: what level, and in which form. A person at a terminal gets lines, everything else JSON, one object for each line; both on standard
//! error, so that standard output stays for what commands print.

use std::io::IsTerminal as _;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::{LevelFilter, ParseError};

/// What is logged when nothing is said: ours from INFO, other crates' from WARN.
pub const DEFAULT_FILTER: &str = "warn,seriatim=info";

/// The form of the lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// [`Form::Human`] on a terminal, [`Form::Json`] otherwise.
    #[default]
    Auto,
    /// For reading.
    Human,
    /// For machines.
    Json,
}

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The filter is not one.
    #[error(
        "not a log level or filter: {text:?}: {source}; give error, warn, info, debug or trace, or parts such as seriatim=debug,async_nats=warn"
    )]
    Filter {
        /// What was given.
        text: String,
        /// What is wrong with it.
        source: ParseError,
    },
    /// Something logs already.
    #[error("the log cannot be started: {0}")]
    Installed(Box<dyn std::error::Error + Send + Sync>),
}

/// Starts the log of this process. `filter` is a level, which is then ours (other crates' stay at WARN and above), or a list of
/// `target=level` with commas between.
///
/// # Errors
/// When the filter cannot be understood, or something logs already.
pub fn init(filter: &str, form: Form) -> Result<(), Error> {
    let filter = parse(filter)?;
    let terminal = std::io::stderr().is_terminal();
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let human = match form {
        Form::Auto => terminal,
        Form::Human => true,
        Form::Json => false,
    };
    if human {
        builder.with_ansi(terminal).with_target(false).try_init().map_err(Error::Installed)
    } else {
        builder.json().flatten_event(true).with_current_span(false).with_span_list(false).try_init().map_err(Error::Installed)
    }
}

fn parse(text: &str) -> Result<EnvFilter, Error> {
    let directives = match text.parse::<LevelFilter>() {
        Ok(ours) => format!("{},seriatim={ours}", ours.min(LevelFilter::WARN)),
        Err(_) => text.to_owned(),
    };
    EnvFilter::builder().parse(directives).map_err(|source| Error::Filter { text: text.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_ours_and_a_filter_is_taken_as_it_stands() {
        assert_eq!(parse("debug").expect("a level").to_string(), "seriatim=debug,warn");
        assert_eq!(parse("ERROR").expect("a level").to_string(), "seriatim=error,error");
        assert_eq!(parse("off").expect("a level").to_string(), "seriatim=off,off");
        assert_eq!(parse("async_nats=trace,info").expect("a filter").to_string(), "async_nats=trace,info");
        assert_eq!(parse(DEFAULT_FILTER).expect("a filter").to_string(), "seriatim=info,warn");
        let error = parse("seriatim=loud").expect_err("no level");
        assert!(error.to_string().starts_with("not a log level or filter: \"seriatim=loud\": "), "{error}");
    }
}
