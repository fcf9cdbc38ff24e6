//! `seriatim plugin list|load|rollback|confirm`, of a running host.

use super::super::door::{Failure, HostArgs, Said};
use super::super::output::{at, json, line, table};
use crate::control::{Control, PluginDone, PluginRow};
use crate::runtime::FILE_BYTES_MAX;
use std::path::{Path, PathBuf};

/// Characters of a digest that a table shows.
const DIGEST: usize = 12;
/// Most of a source that a table shows, characters.
const FROM_MAX: usize = 60;

/// Which handler.
#[derive(Debug, Default, clap::Args)]
pub(in crate::cli) struct HandlerArgs {
    /// The handler; not needed where the host has one only.
    #[arg(long, value_name = "NAME")]
    handler: Option<String>,
    /// Its pipeline; not needed where one pipeline only has that handler.
    #[arg(long, value_name = "NAME")]
    pipeline: Option<String>,
    #[command(flatten)]
    host: HostArgs,
}

/// `plugin list`.
#[derive(Debug, Default, clap::Args)]
pub(in crate::cli) struct List {
    /// Show the kept components, too.
    #[arg(long)]
    versions: bool,
    #[command(flatten)]
    host: HostArgs,
}

/// `plugin load`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Load {
    /// File of the component, or core module made for our world.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    handler: HandlerArgs,
}

/// `plugin rollback`.
#[derive(Debug, Default, clap::Args)]
pub(in crate::cli) struct Rollback {
    /// A kept component by its digest, or how that begins.
    #[arg(long, value_name = "DIGEST")]
    to: Option<String>,
    #[command(flatten)]
    handler: HandlerArgs,
}

/// `plugin confirm`.
#[derive(Debug, Default, clap::Args)]
pub(in crate::cli) struct Confirm {
    #[command(flatten)]
    handler: HandlerArgs,
}

pub(super) async fn list(config: &Path, args: &List) -> Result<Said, Failure> {
    listed(&*args.host.open(config)?, args).await
}

async fn listed(control: &dyn Control, args: &List) -> Result<Said, Failure> {
    let rows = control.plugins().await?;
    if args.host.json {
        return Ok(Said::of(json(&rows)?));
    }
    if args.versions {
        let titles = ["PIPELINE", "HANDLER", "LOAD", "COMPONENT", "LOADED", "BYTES", "STATE", "RUNS", "FROM"];
        let of = |row: &PluginRow| {
            let version = |version: &crate::control::PluginVersion| {
                let runs = if version.load == row.load { "yes" } else { "" };
                let (load, bytes, state) = (version.load.to_string(), version.bytes.to_string(), version.state_version.to_string());
                let (pipeline, handler) = (row.pipeline.clone(), row.handler.clone());
                let from = line(&version.from, FROM_MAX);
                vec![pipeline, handler, load, short(&version.component), at(version.at), bytes, state, runs.to_owned(), from]
            };
            row.versions.iter().map(version).collect::<Vec<_>>()
        };
        return Ok(Said::of(table(&titles, rows.iter().flat_map(of))));
    }
    let titles = ["PIPELINE", "HANDLER", "COMPONENT", "LOAD", "STATE", "ISOLATION", "NOTE"];
    let of = |row: &PluginRow| {
        let note = match (&row.refused, row.overridden) {
            (Some(refused), _) => format!("the config's {} was refused", short(refused)),
            (None, true) => "not what the config names".to_owned(),
            (None, false) => String::new(),
        };
        let (load, state) = (row.load.to_string(), row.state_version.to_string());
        vec![row.pipeline.clone(), row.handler.clone(), short(&row.component), load, state, row.isolation.clone(), note]
    };
    Ok(Said::of(table(&titles, rows.iter().map(of))))
}

pub(super) async fn load(config: &Path, args: &Load) -> Result<Said, Failure> {
    let path = &args.file;
    let unreadable = |why: String| Failure::Failed(format!("{}: cannot be read: {why}", path.display()));
    let bytes = std::fs::metadata(path).map_err(|error| unreadable(error.to_string()))?.len();
    if bytes > FILE_BYTES_MAX as u64 {
        return Err(unreadable(format!("it has {bytes} bytes; the most is {FILE_BYTES_MAX}")));
    }
    let component = std::fs::read(path).map_err(|error| unreadable(error.to_string()))?;
    loaded(&*args.handler.host.open(config)?, args, component).await
}

async fn loaded(control: &dyn Control, args: &Load, component: Vec<u8>) -> Result<Said, Failure> {
    let (pipeline, handler) = args.handler.names(control).await?;
    let from = args.file.display().to_string();
    let done = control.load_plugin(pipeline.clone(), handler.clone(), component, from).await?;
    said(&args.handler, &done, &format!("{pipeline}/{handler}"))
}

pub(super) async fn rollback(config: &Path, args: &Rollback) -> Result<Said, Failure> {
    rolled_back(&*args.handler.host.open(config)?, args).await
}

async fn rolled_back(control: &dyn Control, args: &Rollback) -> Result<Said, Failure> {
    let (pipeline, handler) = args.handler.names(control).await?;
    let done = control.rollback_plugin(pipeline.clone(), handler.clone(), args.to.clone()).await?;
    said(&args.handler, &done, &format!("{pipeline}/{handler}"))
}

fn said(args: &HandlerArgs, done: &PluginDone, name: &str) -> Result<Said, Failure> {
    if args.host.json {
        return Ok(Said::of(json(done)?));
    }
    let PluginDone { component, load, .. } = done;
    Ok(Said::of(if done.changed {
        format!("{name} runs component {component} (load {load}) from the next event of each entity on")
    } else {
        format!("{name} runs component {component} (load {load}) already")
    }))
}

pub(super) async fn confirm(config: &Path, args: &Confirm) -> Result<Said, Failure> {
    confirmed(&*args.handler.host.open(config)?, args).await
}

async fn confirmed(control: &dyn Control, args: &Confirm) -> Result<Said, Failure> {
    let (pipeline, handler) = args.handler.names(control).await?;
    let done = control.confirm_plugin(pipeline.clone(), handler.clone()).await?;
    if args.handler.host.json {
        return Ok(Said::of(json(&done)?));
    }
    Ok(Said::of(format!(
        "migrations of {pipeline}/{handler} so far stay: what state was before them is let go of with the next event of each entity"
    )))
}

impl HandlerArgs {
    /// The handler that is named, or the only one: its pipeline and itself.
    async fn names(&self, control: &dyn Control) -> Result<(String, String), Failure> {
        let rows = control.plugins().await?;
        let fits = |row: &&PluginRow| {
            self.handler.as_ref().is_none_or(|name| row.handler == *name) && self.pipeline.as_ref().is_none_or(|name| row.pipeline == *name)
        };
        let mut fitting = rows.iter().filter(fits);
        match (fitting.next(), fitting.next()) {
            (Some(only), None) => Ok((only.pipeline.clone(), only.handler.clone())),
            (first, _) => {
                let names: Vec<_> = rows.iter().map(|row| format!("--pipeline {} --handler {}", row.pipeline, row.handler)).collect();
                let what = if first.is_some() { "several handlers fit" } else { "no handler fits" };
                Err(Failure::Usage(format!("{what}; there are: {}", names.join(", "))))
            }
        }
    }
}

fn short(digest: &str) -> String {
    digest.chars().take(DIGEST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::testing::Memory;

    #[tokio::test]
    async fn what_runs_and_what_is_kept_is_listed() {
        let host = Memory::with(&[]);
        let text = listed(&*host, &List::default()).await.unwrap().text;
        assert!(text.contains("000000000000") && text.contains("not what the config names"), "{text}");
        let text = listed(&*host, &List { versions: true, ..List::default() }).await.unwrap().text;
        assert!(text.contains("2013-01-01T00:00:00Z") && text.contains("42000") && !text.contains('\u{1b}'), "{text:?}");
    }

    #[tokio::test]
    async fn the_only_handler_needs_no_name_and_a_wrong_one_is_told() {
        let host = Memory::with(&[]);
        let load = |handler: Option<&str>| Load {
            file: "new.wasm".into(),
            handler: HandlerArgs { handler: handler.map(str::to_owned), ..HandlerArgs::default() },
        };
        let text = loaded(&*host, &load(None), vec![0]).await.unwrap().text;
        assert!(text.contains("flights/rotation runs component") && text.contains("load 3"), "{text}");
        let Err(Failure::Usage(text)) = loaded(&*host, &load(Some("other")), vec![0]).await else { panic!("loaded") };
        assert!(text.contains("--pipeline flights --handler rotation"), "{text}");
        let Err(Failure::Failed(text)) = loaded(&*host, &load(None), Vec::new()).await else { panic!("loaded") };
        assert!(text.contains("step `structure`"), "{text}");
        let rollback = Rollback { to: Some("ff".to_owned()), ..Rollback::default() };
        let Err(Failure::Failed(text)) = rolled_back(&*host, &rollback).await else { panic!("rolled back") };
        assert!(text.contains("no kept version"), "{text}");
        assert!(confirmed(&*host, &Confirm::default()).await.unwrap().text.contains("so far stay"));
        let asked = host.asked();
        assert_eq!(asked, ["load 1 bytes from new.wasm into rotation", "confirm rotation"]);
    }
}
