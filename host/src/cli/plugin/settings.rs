//! What a handler is given that would stand in the config: its table, its subjects, its limits.

use crate::cli::output;
use crate::runtime::{HandlerConfig, Isolation, Limits};
use clap::ValueEnum;
use seriatim_contract::check_outputs_pattern;
use std::path::Path;
use std::time::Duration;

/// Arguments that stand for the handler's table of the config.
#[derive(Debug, Default, clap::Args)]
pub(super) struct HandlerArgs {
    /// A value of the handler's `config`; repeated for several.
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = pair)]
    set: Vec<(String, String)>,
    /// Subjects it may emit to, such as totals.*; several with commas, or repeated. Without it any.
    #[arg(long, value_name = "PATTERN", value_delimiter = ',', value_parser = pattern)]
    outputs: Vec<String>,
    /// Bytes of memory that an instance may have, such as 64MiB.
    #[arg(long, value_name = "SIZE", value_parser = size)]
    memory_max: Option<usize>,
    /// How long one call may run, such as 1s.
    #[arg(long, value_name = "DURATION", value_parser = output::duration)]
    time_max: Option<Duration>,
}

impl HandlerArgs {
    /// The handler of this file, with what is not said taken from `limits`.
    pub(super) fn config(&self, file: &Path, isolation: Isolation, limits: Limits) -> HandlerConfig {
        let name = file.file_stem().map_or_else(|| "handler".into(), |name| name.to_string_lossy().into_owned());
        HandlerConfig {
            name: name.into(),
            config: self.set.iter().cloned().collect(),
            outputs: if self.outputs.is_empty() { vec![">".to_owned()] } else { self.outputs.clone() },
            isolation,
            limits: Limits {
                memory_max: self.memory_max.unwrap_or(limits.memory_max),
                time_max: self.time_max.unwrap_or(limits.time_max),
                ..limits
            },
            load: 0,
        }
    }
}

/// An isolation, as it is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum IsolationWord {
    /// One instance serves a run of one entity's events.
    #[default]
    Run,
    /// Every event gets a fresh instance.
    Event,
    /// One instance serves events of different entities.
    Shared,
}

impl From<IsolationWord> for Isolation {
    fn from(word: IsolationWord) -> Self {
        match word {
            IsolationWord::Run => Self::Run,
            IsolationWord::Event => Self::Event,
            IsolationWord::Shared => Self::Shared,
        }
    }
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("write KEY=VALUE, such as threshold=30".to_owned()),
    }
}

fn pattern(text: &str) -> Result<String, String> {
    check_outputs_pattern(text).map(|()| text.to_owned())
}

fn size(text: &str) -> Result<usize, String> {
    let size = text.parse::<bytesize::ByteSize>().map_err(|_| "write a size such as 64MiB".to_owned())?;
    usize::try_from(size.0).ok().filter(|size| *size > 0).ok_or_else(|| "it is 0, or more than this machine can address".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_checked_before_anything_is_done() {
        assert_eq!(pair("a=b=c"), Ok(("a".into(), "b=c".into())));
        assert!(pair("a").is_err() && pair("=b").is_err());
        assert!(pattern("totals.*").is_ok() && pattern("a..b").is_err());
        assert_eq!(size("64MiB"), Ok(64 << 20));
        assert!(size("much").is_err() && size("0").is_err());
    }

    #[test]
    fn what_is_not_said_is_the_default() {
        let config = HandlerArgs::default().config(Path::new("a/totals.wasm"), Isolation::Event, Limits::default());
        assert_eq!((&*config.name, config.outputs.as_slice(), config.limits), ("totals", &[">".to_owned()][..], Limits::default()));
        let said = HandlerArgs { memory_max: Some(5), outputs: vec!["a".into()], ..HandlerArgs::default() };
        let config = said.config(Path::new("/"), Isolation::Run, Limits::default());
        assert_eq!((&*config.name, config.outputs.as_slice(), config.limits.memory_max), ("handler", &["a".to_owned()][..], 5));
    }
}
