//! How a command reaches a host: over its admin API, or read-only by a stopped host's folder. Either is a [`Control`], so commands do not know which.

mod remote;

#[cfg(test)]
mod tests;

pub(super) use remote::Remote;

use super::health::reachable;
use crate::app;
use crate::config::{Config, Problems};
use crate::control::{BrokerLetters, Control, Fault, PipelineRow, Stopped};
use crate::nats::connect::connect_once;
use seriatim_sequencer::Policy;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

/// Which host.
#[derive(Debug, Default, clap::Args)]
pub(super) struct HostArgs {
    /// The host's admin API, such as http://127.0.0.1:9465; without it, [admin] of the config file.
    #[arg(long, value_name = "URL")]
    host: Option<String>,
    /// File with the token to send: just the token, or a token file of the host. Without --host, admin.token-file of the config file.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// PEM file of a certificate authority to trust besides the system's, for https.
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Print JSON, as the API gives it.
    #[arg(long)]
    pub(super) json: bool,
}

impl HostArgs {
    /// The running host.
    pub(super) fn open(&self, config: &Path) -> Result<Arc<dyn Control>, Failure> {
        Ok(Arc::new(match &self.host {
            Some(url) => Remote::new(url, self.token_file.as_deref(), self.ca_file.as_deref())?,
            None => {
                let admin = Config::load(config).map_err(Failure::Config)?.admin;
                let (scheme, name) = match &admin.tls {
                    Some(_) => ("https", admin.hosts.first().map(|host| host.value.clone())),
                    None => ("http", None),
                };
                let address = reachable(admin.listen.value);
                let url = match name {
                    Some(name) => format!("{scheme}://{name}:{}", address.port()),
                    None => format!("{scheme}://{address}"),
                };
                let token_file = self.token_file.as_deref().or(admin.token_file.as_ref().map(|file| file.value.as_path()));
                let ca_file = self.ca_file.as_deref().or(admin.tls.as_ref().map(|tls| tls.cert_file.value.as_path()));
                Remote::new(&url, token_file, ca_file)?
            }
        }))
    }
}

/// Which host, running or stopped.
#[derive(Debug, Default, clap::Args)]
pub(super) struct AnyHostArgs {
    #[command(flatten)]
    pub(super) running: HostArgs,
    /// Folder of a stopped host's store ([store] path), to look into without changing it.
    #[arg(long, value_name = "FOLDER", conflicts_with_all = ["host", "token_file", "ca_file"])]
    store: Option<PathBuf>,
}

impl AnyHostArgs {
    /// The running host, or the folder together with the streams that the config names.
    pub(super) async fn open_with_streams(&self, config: &Path) -> Result<Arc<dyn Control>, Failure> {
        let Some(folder) = &self.store else { return self.running.open(config) };
        let settings = Config::load(config).map_err(Failure::Config)?;
        let stopped = folder_of(folder, config)?;
        let connection = connect_once(app::connect_options(&settings.nats, "seriatim entity history")).await;
        let connection = connection.map_err(|error| Failure::Failed(format!("an entity's events are in its stream: {error}")))?;
        let streams = BrokerLetters::new(connection, app::histories(&settings, stopped.records()));
        Ok(Arc::new(stopped.with_streams(Arc::new(streams))))
    }

    /// The running host, or the folder.
    pub(super) fn open(&self, config: &Path) -> Result<Arc<dyn Control>, Failure> {
        match &self.store {
            None => self.running.open(config),
            Some(folder) => Ok(Arc::new(folder_of(folder, config)?)),
        }
    }
}

/// The one place that opens a stopped host's folder.
fn folder_of(folder: &Path, config: &Path) -> Result<Stopped, Failure> {
    let opened = tokio::task::block_in_place(|| Stopped::open(folder, policies(config)));
    opened.map_err(|error| Failure::Failed(format!("--store {}: {error}", folder.display())))
}

/// What the config says that a host would do: without it (the folder may come from another machine) sentences say less of the future.
fn policies(config: &Path) -> Vec<(String, Arc<Policy>)> {
    let Ok(config) = Config::load(config) else { return Vec::new() };
    config.pipelines.iter().map(|pipeline| (pipeline.name.value.clone(), Arc::new(pipeline.policy(&config.run)))).collect()
}

/// Which pipeline.
#[derive(Debug, Default, clap::Args)]
pub(super) struct PipelineArg {
    /// The pipeline; not needed where the host has one only.
    #[arg(long, value_name = "NAME")]
    pipeline: Option<String>,
}

impl PipelineArg {
    /// The one that is named, or the only one.
    pub(super) async fn name(&self, control: &dyn Control) -> Result<String, Failure> {
        if let Some(name) = &self.pipeline {
            return Ok(name.clone());
        }
        let mut all: Vec<PipelineRow> = control.pipelines().await?;
        match (all.pop(), all.is_empty()) {
            (Some(only), true) => Ok(only.name),
            (None, _) => Err(Failure::Failed("the host has no pipeline".to_owned())),
            (Some(last), false) => {
                let names: Vec<_> = all.iter().chain([&last]).map(|row| row.name.as_str()).collect();
                Err(Failure::Usage(format!("the host has several pipelines; say which: --pipeline {}", names.join("|"))))
            }
        }
    }
}

/// Why a command is not done.
#[derive(Debug)]
pub(super) enum Failure {
    /// The arguments make no sense together.
    Usage(String),
    /// The config is bad.
    Config(Problems),
    /// It did not work.
    Failed(String),
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Self::Failed(match fault {
            Fault::Conflict { detail, head: Some(head) } => format!("{detail}; it is at {}", super::output::place(&head)),
            other => other.to_string(),
        })
    }
}

/// Prints what a command has to say, and gives its exit code.
pub(super) fn end(result: Result<Said, Failure>) -> ExitCode {
    match result {
        Ok(said) => {
            if !said.note.is_empty() {
                eprintln!("{}", said.note);
            }
            let printed = said.print();
            match printed {
                Ok(()) if said.failed => ExitCode::FAILURE,
                Ok(()) => ExitCode::SUCCESS,
                // Who reads it has seen enough.
                Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
                Err(error) => {
                    eprintln!("cannot write to standard output: {error}");
                    ExitCode::FAILURE
                }
            }
        }
        Err(Failure::Usage(text)) => {
            eprintln!("{text}");
            ExitCode::from(2)
        }
        Err(Failure::Config(problems)) => {
            eprintln!("{problems}\nname the host with --host URL, or a config file with --config FILE");
            ExitCode::from(78)
        }
        Err(Failure::Failed(text)) => {
            eprintln!("{text}");
            ExitCode::FAILURE
        }
    }
}

/// What a command has to say.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Said {
    /// For standard output.
    pub(super) text: String,
    /// For standard error: what does not belong to the answer.
    pub(super) note: String,
    /// Some of it did not work.
    pub(super) failed: bool,
}

impl Said {
    /// Just this.
    pub(super) fn of(text: String) -> Self {
        Self { text, ..Self::default() }
    }

    fn print(&self) -> std::io::Result<()> {
        use std::io::Write as _;
        let mut out = std::io::stdout().lock();
        out.write_all(self.text.as_bytes())?;
        if !self.text.is_empty() && !self.text.ends_with('\n') {
            out.write_all(b"\n")?;
        }
        out.flush()
    }
}
