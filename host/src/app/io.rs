//! Threads for connections: each has a runtime of its own for one connection and those who work with it. The client library's task and its readers or
//! senders then wake each other without a system call and without moving between threads, which saves a third of the client's time when nothing else runs.

use super::Error;
use crate::nats::connect::{ConnectOptions, Connection, connect};
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

/// One such thread. It ends, with everything that runs on it, when this is dropped.
pub(super) struct Io {
    handle: Handle,
    _stop: oneshot::Sender<()>,
}

impl Io {
    /// Starts a thread of this name.
    ///
    /// # Errors
    /// The system gives no thread.
    pub(super) fn start(name: &str) -> Result<Self, Error> {
        let runtime = Builder::new_current_thread().enable_all().build().map_err(Error::Thread)?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        let run = move || {
            // Never sent: it ends when the other half is dropped.
            runtime.block_on(stopped).ok();
            // Whatever still waits on it is not waited for.
            runtime.shutdown_background();
        };
        std::thread::Builder::new().name(name.to_owned()).spawn(run).map_err(Error::Thread)?;
        Ok(Self { handle, _stop: stop })
    }

    /// For who works with the connection.
    pub(super) fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Connects, trying for ever; the connection's own task runs here.
    ///
    /// # Errors
    /// What no waiting can heal.
    pub(super) async fn connect(&self, options: ConnectOptions) -> Result<Connection, Error> {
        match self.handle.spawn(connect(options)).await {
            Ok(connected) => Ok(connected?),
            Err(error) => Err(Error::Poisoned(format!("connecting to the broker ended early: {error}"))),
        }
    }
}
