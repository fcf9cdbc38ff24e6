//! The composition root: builds every part from the config, wires them, and takes them down in order. It decides nothing about events.
//!
//! Start-up and recovery are the same path: open the store, claim the pipelines at the broker, check that streams and config still mean what the
//! positions were made with, wake what is owed, read on from the watermark.

pub mod decide;
mod handlers;
mod io;
mod run;
mod start;
mod status;
mod stopped;

pub use decide::Refused;
pub use run::run;
pub use stopped::histories;

use crate::config::{Config, NatsAuth, NatsConfig, Problems};
use crate::nats::auth::Credentials;
use crate::nats::connect::{ConnectOptions, Connection, Tls};

/// What an operator accepts or insists on for this start.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    /// Take the pipelines over from another store (design G6).
    pub take_over: bool,
    /// Pipelines whose stream was recreated or restored, and is accepted as it is.
    pub accept_stream: Vec<String>,
    /// Pipelines whose changed meaning is accepted.
    pub accept_meaning: Vec<String>,
    /// Pipelines that the store knows and the config no longer has.
    pub forget_pipeline: Vec<String>,
}

/// Why the host ended other than by a stop.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The config or a file it names.
    #[error("{0}")]
    Config(#[from] Problems),
    /// A handler that cannot run here.
    #[error("{0}")]
    Runtime(#[from] crate::runtime::Error),
    /// The store.
    #[error("{0}")]
    Store(#[from] crate::store::Error),
    /// Where components are kept.
    #[error("{0}")]
    Shelf(#[from] crate::plugins::shelf::ShelfError),
    /// The broker refuses for good.
    #[error("{0}")]
    Connect(#[from] crate::nats::connect::ConnectError),
    /// The broker's answer about a stream.
    #[error("pipeline {pipeline}: {error}")]
    Stream {
        /// The pipeline.
        pipeline: String,
        /// The answer.
        error: crate::nats::api::ApiError,
    },
    /// A pipeline may not start.
    #[error("{0}")]
    Refused(#[from] Refused),
    /// Another store has the pipeline.
    #[error("{0}")]
    Claim(#[from] crate::nats::bucket::ClaimError),
    /// Something that the broker does not permit this user.
    #[error("{error}; {denied}")]
    Denied {
        /// What it kept from being done.
        error: Box<Error>,
        /// What is not permitted, and what to do.
        denied: String,
    },
    /// No place for dead letters.
    #[error("{0}")]
    DeadLetters(#[from] crate::sink::dead_letter_stream::DeadLetterStreamError),
    /// The store knows a pipeline that the config has not.
    #[error(
        "the store has a pipeline {pipeline} that the config does not name (renamed?): its entities would be left behind. Put it back, or accept that with --forget-pipeline {pipeline}"
    )]
    Forgotten {
        /// The pipeline.
        pipeline: String,
    },
    /// An address cannot be listened on.
    #[error(
        "telemetry.listen: cannot listen on {address}: {error} (does another host run with this config, or another program use the port?)"
    )]
    Listen {
        /// The address.
        address: std::net::SocketAddr,
        /// Why not.
        error: std::io::Error,
    },
    /// The admin API's address cannot be listened on.
    #[error("admin.listen: cannot listen on {address}: {error} (does another host run with this config, or another program use the port?)")]
    ListenAdmin {
        /// The address.
        address: std::net::SocketAddr,
        /// Why not.
        error: std::io::Error,
    },
    /// The files of `[admin]`.
    #[error("{0}")]
    Admin(#[from] crate::admin::api::ApiError),
    /// A thread cannot be started.
    #[error("cannot start a thread: {0}")]
    Thread(std::io::Error),
    /// The host stopped itself.
    #[error("stopped, because what went wrong leaves no safe way to go on: {0}. A restart recovers from the store")]
    Poisoned(String),
}

impl Error {
    /// The process's exit code (design §5.4).
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_) => 78,
            Self::Runtime(_)
            | Self::Store(_)
            | Self::Shelf(_)
            | Self::Connect(_)
            | Self::Stream { .. }
            | Self::Refused(_)
            | Self::Claim(_)
            | Self::DeadLetters(_)
            | Self::Denied { .. }
            | Self::Forgotten { .. }
            | Self::Listen { .. }
            | Self::ListenAdmin { .. }
            | Self::Admin(_)
            | Self::Thread(_)
            | Self::Poisoned(_) => 1,
        }
    }
}

/// How to connect, under a name that the broker's monitoring shows.
#[must_use]
pub fn connect_options(config: &NatsConfig, name: &str) -> ConnectOptions {
    let auth = match &config.auth {
        NatsAuth::None => Credentials::None,
        NatsAuth::Credentials(file) => Credentials::CredentialsFile(file.value.clone()),
        NatsAuth::Nkey(file) => Credentials::NkeyFile(file.value.clone()),
        NatsAuth::Password { user, file } => Credentials::UserPasswordFile { user: user.clone(), file: file.value.clone() },
        NatsAuth::Token(file) => Credentials::TokenFile(file.value.clone()),
    };
    let tls = config.tls.as_ref().map_or_else(Tls::default, |tls| Tls {
        ca_file: tls.ca_file.as_ref().map(|file| file.value.clone()),
        cert_file: tls.identity.as_ref().map(|(certificate, _)| certificate.value.clone()),
        key_file: tls.identity.as_ref().map(|(_, key)| key.value.clone()),
        required: tls.required,
    });
    let servers = config.servers.iter().map(|server| server.value.clone()).collect();
    ConnectOptions { servers, auth, tls, name: name.to_owned() }
}

/// The hosts's name to the broker, per kind of connection.
fn connection_name(config: &Config, what: &str) -> String {
    let pipelines: Vec<_> = config.pipelines.iter().map(|pipeline| pipeline.name.value.as_str()).collect();
    format!("seriatim {what} ({})", pipelines.join(", "))
}

/// Whether every handler can run here; nothing is started. Objects of an object store are looked at only with a connection.
///
/// # Errors
/// All problems of all handlers, or no engine.
pub async fn check_handlers(config: &Config, payload_max: usize, connection: Option<&Connection>) -> Result<(), Error> {
    let engine = run::engine(config, false)?;
    Ok(handlers::check(config, &engine, payload_max, connection).await?)
}
