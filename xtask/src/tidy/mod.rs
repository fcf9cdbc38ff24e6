//! `cargo xtask tidy`: the rules of the house that no compiler checks.
//!
//! Each rule is a function from text to findings, tested on small strings; this file only feeds them the files that are, or would be,
//! committed. A finding fails the command, a remark does not.

mod cli;
mod config_keys;
mod files;
mod guarantees;
mod imports;
mod markdown;
mod metrics;
mod mutants;
mod source;
mod words;

use std::fmt;
use std::fs;

use anyhow::{Result, bail};

use crate::mutants::{PAGE as MUTANTS, names as mutant_names};
use crate::repo::Repo;
use source::Source;

#[derive(clap::Args, Default)]
pub(crate) struct Args {
    /// Write the generated page (docs/cli.md) anew instead of complaining that it is old
    #[arg(long)]
    bless: bool,
}

/// One broken rule.
#[derive(Debug, PartialEq, Eq)]
struct Finding {
    path: String,
    /// Counted from 1; 0 for the file as a whole.
    line: usize,
    what: String,
}

impl Finding {
    fn new(path: impl Into<String>, line: usize, what: impl Into<String>) -> Self {
        Self { path: path.into(), line, what: what.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.path, self.what),
            line => write!(f, "{}:{line}: {}", self.path, self.what),
        }
    }
}

/// Prints every finding; an error if there is one.
pub(crate) fn run(repo: &Repo, args: &Args) -> Result<()> {
    let sources = source::all(repo)?;
    let mut findings = Vec::new();

    files::check_places(sources.iter().map(|source| source.path.as_str()), &mut findings);
    let private = fs::read_to_string(repo.tools().join("private-words.txt")).unwrap_or_default();
    for source in &sources {
        words::check(source, private.lines().map(str::trim).filter(|word| !word.is_empty()), &mut findings);
        if source.is_rust() {
            imports::check(source, &mut findings);
            files::check_rust(source, &mut findings);
            if let Some(remark) = files::remark(source) {
                println!("note: {remark}");
            }
        }
    }
    compare(&sources, &mut findings);
    // A host that does not build is one more finding, not the end of the others.
    match cli::check(repo, args.bless) {
        Ok(found) => findings.extend(found),
        Err(error) => findings.push(Finding::new("host", 0, format!("its help cannot be read: {error:#}"))),
    }

    for finding in &findings {
        println!("{finding}");
    }
    if !findings.is_empty() {
        bail!("tidy: {} to put right", findings.len());
    }
    println!("tidy: {} files, nothing to put right", sources.len());
    Ok(())
}

/// The pages that must say what the code says.
fn compare(sources: &[Source], findings: &mut Vec<Finding>) {
    const EXAMPLE: &str = "deploy/seriatim.toml";
    const CONFIGURATION: &str = "docs/configuration.md";
    const METRICS_CODE: &str = "host/src/telemetry/metrics.rs";
    const METRICS: &str = "docs/metrics.md";
    const GUARANTEES: &str = "docs/guarantees.md";

    let mut text_of = |path: &str| {
        let found = sources.iter().find(|source| source.path == path).map(|source| source.text.as_str());
        if found.is_none() {
            findings.push(Finding::new(path, 0, "is not there"));
        }
        found
    };
    let configuration = text_of(EXAMPLE).zip(text_of(CONFIGURATION));
    let metrics = text_of(METRICS_CODE).zip(text_of(METRICS));
    let guarantees = text_of(GUARANTEES);
    let mutants = text_of(MUTANTS);
    if let Some((example, page)) = configuration {
        config_keys::check((EXAMPLE, example), (CONFIGURATION, page), findings);
    }
    if let Some((code, page)) = metrics {
        metrics::check((METRICS_CODE, code), (METRICS, page), findings);
    }
    if let Some(page) = guarantees {
        guarantees::check(GUARANTEES, page, sources, findings);
    }
    if let Some(page) = mutants {
        mutants::check(mutant_names(), (MUTANTS, page), findings);
    }
}
