//! One connection to the broker that never gives up: connects with back-off, reconnects for ever, reads secrets again each
//! time and says so in one line per change of state. Reading and publishing use a connection each (call [`connect`] twice).
//!
//! [`Connection::generation`] rises with every connect, so whoever depends on what a broken connection carried (pulls,
//! confirmations) can tell. The client library's own task can die of a header it cannot represent; the connection then
//! makes a new client on its own.

use crate::nats::auth::{Credentials, CredentialsError};
use async_nats::{Client, ConnectErrorKind, Event, ServerInfo};
use backon::{BackoffBuilder, ExponentialBuilder};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// Oldest server we work with: older ones silently ignore what we ask for.
pub const SERVER_MIN: (u64, u64, u64) = (2, 11, 0);
/// Oldest server without known faults that matter to us.
pub const SERVER_RECOMMENDED: (u64, u64, u64) = (2, 14, 4);
/// Messages one subscription can hold in the client; prefetch stays below it.
pub const SUBSCRIPTION_CAPACITY: usize = 65_536;

const DELAY_MIN: Duration = Duration::from_millis(100);
const DELAY_MAX: Duration = Duration::from_secs(5);
/// Whatever is not permitted is tried again at least this often (a time-out and a delay of 5 s each, and room): a complaint that is older is settled.
const DENIED_FRESH: Duration = Duration::from_secs(15);

/// Where and as whom to connect (`[nats]`).
#[derive(Clone, Debug, Default)]
pub struct ConnectOptions {
    /// Server URLs.
    pub servers: Vec<String>,
    /// Who we are.
    pub auth: Credentials,
    /// Encryption.
    pub tls: Tls,
    /// Name shown by the server's monitoring.
    pub name: String,
}

/// `[nats] tls`.
#[derive(Clone, Debug, Default)]
pub struct Tls {
    /// Certificates to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// Client certificate.
    pub cert_file: Option<PathBuf>,
    /// Its key.
    pub key_file: Option<PathBuf>,
    /// Refuse a connection without TLS.
    pub required: bool,
}

/// Why there is no connection and trying on would not help (or, from [`connect_once`], why the one attempt failed).
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// A server URL that cannot be read.
    #[error("nats.servers: {0} is not a server address (like nats://127.0.0.1:4222)")]
    Address(String),
    /// The options name no server.
    #[error("nats.servers is empty: name at least one server")]
    NoServers,
    /// A certificate without its key, or the other way round.
    #[error("nats.tls: cert-file and key-file go together")]
    CertificatePair,
    /// The server is too old.
    #[error("nats-server {found} at {servers} is too old: {}.{}.{} or newer is needed (older ones silently ignore settings that no-loss depends on)", SERVER_MIN.0, SERVER_MIN.1, SERVER_MIN.2)]
    TooOld {
        /// Its version.
        found: String,
        /// Where.
        servers: String,
    },
    /// A secret file cannot be used.
    #[error("nats: {0}")]
    Credentials(#[from] CredentialsError),
    /// No connection.
    #[error("cannot connect to {servers}: {detail}")]
    Failed {
        /// Where.
        servers: String,
        /// Why not.
        detail: String,
    },
}

/// A connection. Clones are the same connection.
#[derive(Clone)]
pub struct Connection {
    inner: Arc<Inner>,
}

struct Inner {
    options: ConnectOptions,
    client: RwLock<Client>,
    shared: Arc<Shared>,
}

/// What the client's event callback may touch.
struct Shared {
    label: String,
    generation: watch::Sender<u64>,
    dead: watch::Sender<bool>,
    trouble: Mutex<Option<String>>,
    denied: Mutex<Option<(String, Instant)>>,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("name", &self.inner.options.name).field("generation", &self.generation()).finish()
    }
}

impl Connection {
    /// The client as it is now; take it anew for every use, it may be replaced.
    pub fn client(&self) -> Client {
        self.inner.client.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What the server said of itself at the last connect.
    pub fn info(&self) -> ServerInfo {
        self.client().server_info()
    }

    /// Rises with every connect.
    pub fn generation(&self) -> u64 {
        *self.inner.shared.generation.borrow()
    }

    /// Wakes when [`Connection::generation`] rises.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.inner.shared.generation.subscribe()
    }

    /// Whether the connection is up at the moment.
    pub fn is_connected(&self) -> bool {
        !*self.inner.shared.dead.borrow() && self.client().connection_state() == async_nats::connection::State::Connected
    }

    /// Largest message (headers and payload) that the server takes.
    pub fn max_payload(&self) -> usize {
        self.client().max_payload()
    }

    /// The last thing the server complained about since the last connect (permissions, limits): a hint for messages.
    pub fn trouble(&self) -> Option<String> {
        self.inner.shared.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The last thing that the server did not permit us, in its words, and how long ago it said so.
    pub fn refusal(&self) -> Option<(String, Duration)> {
        let denied = self.inner.shared.denied.lock().unwrap_or_else(PoisonError::into_inner);
        denied.as_ref().map(|(text, since)| (text.clone(), since.elapsed()))
    }

    /// What the server does not permit us, and what to do about it: its last such complaint, while it is fresh. A request that is not permitted is not
    /// answered, so a time-out alone does not tell.
    pub fn denied(&self) -> Option<String> {
        let denied = self.inner.shared.denied.lock().unwrap_or_else(PoisonError::into_inner);
        let (text, _) = denied.as_ref().filter(|(_, since)| since.elapsed() < DENIED_FRESH)?;
        Some(format!(
            "the broker refuses ({text}): give this user the permissions that deploy/nats-permissions.conf lists, for these streams and subjects"
        ))
    }
}

/// Connects, trying for ever; only what no waiting can heal is an error.
pub async fn connect(options: ConnectOptions) -> Result<Connection, ConnectError> {
    let mut delays = delays();
    let mut said = String::new();
    loop {
        match connect_once(options.clone()).await {
            Err(ConnectError::Failed { servers, detail }) => say_once(&mut said, &options, &servers, detail),
            Err(ConnectError::Credentials(error)) => say_once(&mut said, &options, &options.servers.join(","), error.to_string()),
            done => return done,
        }
        tokio::time::sleep(delays.next().unwrap_or(DELAY_MAX)).await;
    }
}

fn say_once(said: &mut String, options: &ConnectOptions, servers: &str, detail: String) {
    if *said != detail {
        tracing::warn!(connection = %options.name, servers, reason = %detail, "cannot connect to the broker; trying on");
        *said = detail;
    }
}

/// One attempt (for `seriatim check`).
pub async fn connect_once(options: ConnectOptions) -> Result<Connection, ConnectError> {
    let shared = Arc::new(Shared {
        label: options.name.clone(),
        generation: watch::Sender::new(0),
        dead: watch::Sender::new(false),
        trouble: Mutex::new(None),
        denied: Mutex::new(None),
    });
    let mut connected = shared.generation.subscribe();
    let client = open(&options, &shared).await?;
    // The library reports the first connect a moment later; whoever starts on this connection must not take that for a reconnect.
    if tokio::time::timeout(DELAY_MAX, connected.wait_for(|generation| *generation > 0)).await.is_err() {
        tracing::debug!(connection = %options.name, "the client did not report its first connect");
    }
    check_version(&options, &client.server_info())?;
    let connection = Connection { inner: Arc::new(Inner { options, client: RwLock::new(client), shared }) };
    tokio::spawn(revive(Arc::downgrade(&connection.inner), connection.inner.shared.dead.subscribe()));
    Ok(connection)
}

/// Opens one client of the library.
async fn open(options: &ConnectOptions, shared: &Arc<Shared>) -> Result<Client, ConnectError> {
    let addresses = addresses(options)?;
    // Told apart here, because the library hides why an auth callback failed.
    options.auth.answer(b"").await?;
    let credentials = options.auth.clone();
    let mut nats = async_nats::ConnectOptions::with_auth_callback(move |nonce| {
        let credentials = credentials.clone();
        async move { credentials.answer(&nonce).await.map_err(async_nats::AuthError::new) }
    })
    .name(&options.name)
    .require_tls(options.tls.required)
    .max_reconnects(None)
    .retain_servers_order()
    .subscription_capacity(SUBSCRIPTION_CAPACITY)
    .client_capacity(1024)
    .ping_interval(Duration::from_secs(10))
    .reconnect_delay_callback(reconnect_delay)
    .event_callback({
        let events = Events { shared: Arc::clone(shared) };
        move |event| {
            events.on(event);
            std::future::ready(())
        }
    });
    if let Some(path) = &options.tls.ca_file {
        nats = nats.add_root_certificates(path.clone());
    }
    match (&options.tls.cert_file, &options.tls.key_file) {
        (Some(cert), Some(key)) => nats = nats.add_client_certificate(cert.clone(), key.clone()),
        (None, None) => {}
        _ => return Err(ConnectError::CertificatePair),
    }
    nats.connect(addresses).await.map_err(|error| ConnectError::Failed {
        servers: options.servers.join(","),
        detail: match error.kind() {
            ConnectErrorKind::AuthorizationViolation => "the server refused our credentials".to_owned(),
            _ => {
                let text = error.to_string();
                match std::error::Error::source(&error).map(ToString::to_string) {
                    // Some kinds say their cause already.
                    Some(source) if !text.contains(&source) => format!("{text}: {source}"),
                    _ => text,
                }
            }
        },
    })
}

fn addresses(options: &ConnectOptions) -> Result<Vec<async_nats::ServerAddr>, ConnectError> {
    if options.servers.is_empty() {
        return Err(ConnectError::NoServers);
    }
    options.servers.iter().map(|server| server.parse().map_err(|_| ConnectError::Address(server.clone()))).collect()
}

fn check_version(options: &ConnectOptions, info: &ServerInfo) -> Result<(), ConnectError> {
    let version = parse_version(&info.version);
    if version < SERVER_MIN {
        return Err(ConnectError::TooOld { found: info.version.clone(), servers: options.servers.join(",") });
    }
    if version < SERVER_RECOMMENDED {
        tracing::warn!(connection = %options.name, version = %info.version, "nats-server older than 2.14.4: known faults in replicated streams; please update");
    }
    tracing::info!(connection = %options.name, server = %info.server_name, version = %info.version, "connected to the broker");
    Ok(())
}

/// `major.minor.patch`, whatever follows; what cannot be read counts as 0.
fn parse_version(text: &str) -> (u64, u64, u64) {
    let mut numbers = text.trim_start_matches('v').splitn(3, '.').map(|part| {
        part.bytes().take_while(u8::is_ascii_digit).fold(0u64, |n, digit| n.saturating_mul(10).saturating_add(u64::from(digit - b'0')))
    });
    let mut next = || numbers.next().unwrap_or(0);
    (next(), next(), next())
}

/// Makes a new client when the library's task has died.
async fn revive(inner: std::sync::Weak<Inner>, mut dead: watch::Receiver<bool>) {
    while dead.wait_for(|dead| *dead).await.is_ok() {
        let mut delays = delays();
        loop {
            let Some(inner) = inner.upgrade() else { return };
            tracing::error!(connection = %inner.shared.label, "the broker client ended unexpectedly; connecting anew");
            match open(&inner.options, &inner.shared).await {
                Ok(client) => {
                    *inner.client.write().unwrap_or_else(PoisonError::into_inner) = client;
                    inner.shared.dead.send_replace(false);
                    inner.shared.generation.send_modify(|generation| *generation += 1);
                    break;
                }
                Err(error) => tracing::warn!(connection = %inner.shared.label, reason = %error, "cannot connect to the broker; trying on"),
            }
            drop(inner);
            tokio::time::sleep(delays.next().unwrap_or(DELAY_MAX)).await;
        }
    }
}

fn delays() -> impl Iterator<Item = Duration> {
    ExponentialBuilder::new().with_min_delay(DELAY_MIN).with_max_delay(DELAY_MAX).without_max_times().with_jitter().build()
}

/// The library asks with the number of the attempt, so the same curve is computed from it.
fn reconnect_delay(attempts: usize) -> Duration {
    match u32::try_from(attempts).unwrap_or(u32::MAX) {
        0 | 1 => Duration::ZERO,
        n => DELAY_MIN.saturating_mul(2u32.saturating_pow(n.saturating_sub(2).min(16))).min(DELAY_MAX),
    }
}

/// Lives inside the client's event callback; its end is the end of the client.
struct Events {
    shared: Arc<Shared>,
}

impl Events {
    fn on(&self, event: Event) {
        let connection = &self.shared.label;
        match event {
            Event::Connected => {
                let first = *self.shared.generation.borrow() == 0;
                self.set_trouble(None);
                self.shared.generation.send_modify(|generation| *generation += 1);
                if !first {
                    tracing::info!(connection = %connection, "connected to the broker again");
                }
            }
            Event::Disconnected => tracing::warn!(connection = %connection, "connection to the broker lost; reconnecting"),
            Event::LameDuckMode => tracing::info!(connection = %connection, "the server is about to shut down; will move to another"),
            Event::SlowConsumer(_) => {
                tracing::warn!(connection = %connection, "the client dropped a message: a subscription was full (it will be read again)")
            }
            Event::ServerError(error) => self.complain(error.to_string()),
            Event::ClientError(error) => self.complain(error.to_string()),
            Event::Draining | Event::Closed => {}
        }
    }

    /// One line per new complaint, not per attempt.
    fn complain(&self, text: String) {
        if text.contains("Permissions Violation") {
            *self.shared.denied.lock().unwrap_or_else(PoisonError::into_inner) = Some((text.clone(), Instant::now()));
        }
        let before = self.set_trouble(Some(text.clone()));
        if before.as_deref() != Some(&text) {
            tracing::warn!(connection = %self.shared.label, reason = %text, "the broker connection reports a problem");
        }
    }

    fn set_trouble(&self, text: Option<String>) -> Option<String> {
        std::mem::replace(&mut *self.shared.trouble.lock().unwrap_or_else(PoisonError::into_inner), text)
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        self.shared.dead.send_replace(true);
        self.shared.generation.send_modify(|generation| *generation += 1);
    }
}

#[cfg(test)]
mod tests;
