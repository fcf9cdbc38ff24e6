//! Brings components into running pipelines: compiles in a process of its own, tries, keeps, swaps; rolls back, confirms, and tells what there is. Loads come
//! one at a time, and rollbacks in a line of their own: whoever wants the version before back does not wait until another has compiled.

use super::registry::{Entry, Registry, Version};
use super::shelf::{Shelf, ShelfError};
use super::{Name, digest};
use crate::pipeline::Pipeline;
use crate::runtime::{Compiler, Engine, FailureKind, Handler, HandlerConfig, LoadError};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit, oneshot};

/// Loads that wait for the one under way, and rollbacks that do; each may hold a whole component in memory.
const WAITING_MAX: usize = 4;
/// How long one waits for the one under way before the one who asked is told to come again.
const TURN_MAX: Duration = Duration::from_secs(120);
/// The lowest priority: compiling takes only what nobody else wants.
const NICE: i32 = 19;

/// A handler that components can be brought to.
#[derive(Debug)]
pub struct Target {
    /// Its name.
    pub name: Name,
    /// Its place in the pipeline.
    pub place: usize,
    /// The pipeline.
    pub pipeline: Arc<Pipeline>,
    /// What it is given besides its code.
    pub config: HandlerConfig,
}

/// Why a component does not run.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// No such handler.
    #[error("this host has no handler {0}")]
    Unknown(String),
    /// It failed a step.
    #[error("the component was refused at the step `{step}`: {why}")]
    Step {
        /// Which.
        step: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// Nothing to go back to.
    #[error("{0}")]
    Rollback(String),
    /// Not now.
    #[error("{0}")]
    Busy(String),
    /// It could not be kept.
    #[error("the component was refused at the step `keep`: {0}")]
    Keep(#[from] ShelfError),
}

impl From<LoadError> for Refusal {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::NotCompiled { .. } => Self::Busy(error.to_string()),
            error => Self::Step { step: error.step(), why: error.to_string() },
        }
    }
}

/// What a load or rollback did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deployed {
    /// Another component runs than before.
    pub changed: bool,
    /// What runs.
    pub version: Version,
}

/// A line of those who bring components: one at a time, and few that wait.
#[derive(Debug)]
struct Line {
    what: &'static str,
    one: Arc<Semaphore>,
    waiting: Semaphore,
}

impl Line {
    fn new(what: &'static str) -> Self {
        Self { what, one: Arc::new(Semaphore::new(1)), waiting: Semaphore::new(WAITING_MAX) }
    }

    async fn turn(&self) -> Result<OwnedSemaphorePermit, Refusal> {
        let what = self.what;
        let busy = |why: String| Refusal::Busy(format!("{why}; try again when the {what} under way has ended"));
        let _place = self.waiting.try_acquire().map_err(|_| busy(format!("{WAITING_MAX} {what}s of components wait already")))?;
        let turn = tokio::time::timeout(TURN_MAX, self.one.clone().acquire_owned()).await;
        turn.map_err(|_| busy(format!("another {what} takes longer than {TURN_MAX:?}")))?
            .map_err(|_| busy("the host is stopping".to_owned()))
    }
}

/// How much of the machine a component may take on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Haste {
    /// What nobody else wants.
    Background,
    /// As much as anybody: what runs does harm, and somebody wants it away.
    Now,
}

/// See the module.
#[derive(Debug)]
pub struct Deployer {
    shelf: Arc<Shelf>,
    engine: Engine,
    compiler: Compiler,
    targets: Vec<Target>,
    loads: Line,
    rollbacks: Line,
    /// What is noted and what runs are changed together by one at a time.
    settling: Semaphore,
}

impl Deployer {
    /// For these handlers.
    #[must_use]
    pub fn new(shelf: Arc<Shelf>, engine: Engine, compiler: Compiler, targets: Vec<Target>) -> Self {
        let (loads, rollbacks) = (Line::new("load"), Line::new("rollback"));
        Self { shelf, engine, compiler, targets, loads, rollbacks, settling: Semaphore::new(1) }
    }

    /// Its handlers.
    #[must_use]
    pub fn targets(&self) -> &[Target] {
        &self.targets
    }

    /// What is known of each.
    #[must_use]
    pub fn list(&self) -> Vec<(Name, Entry)> {
        let registry = self.shelf.registry();
        let entry = |target: &Target| registry.entry(&target.name).cloned().unwrap_or_default();
        self.targets.iter().map(|target| (target.name.clone(), entry(target))).collect()
    }

    /// What the registry says.
    #[must_use]
    pub fn registry(&self) -> Registry {
        self.shelf.registry()
    }

    fn target(&self, name: &Name) -> Result<&Target, Refusal> {
        self.targets.iter().find(|target| target.name == *name).ok_or_else(|| Refusal::Unknown(name.to_string()))
    }

    /// Takes a component through all steps; it handles the next event of each entity when this returns. `from` is for people; `config`: it is what the config
    /// names.
    ///
    /// # Errors
    /// A step refuses it, or too many loads wait. What runs goes on then.
    pub async fn load(&self, name: &Name, bytes: Vec<u8>, from: String, config: bool) -> Result<Deployed, Refusal> {
        let target = self.target(name)?;
        let turn = self.loads.turn().await?;
        let digest = digest(&bytes);
        let running = self.shelf.registry().running(name).cloned();
        if let Some(version) = running.filter(|version| version.digest == digest && !config) {
            return Ok(Deployed { changed: false, version });
        }
        let load = self.shelf.next_load();
        let (bytes, handler, _turn) = self.made(target, Arc::new(bytes), load, Haste::Background, turn).await?;
        let version = version(&handler, &bytes, from);
        let _settling = self.settling().await?;
        if self.number(name) > load {
            return Err(Refusal::Busy(
                "the handler was rolled back while this component compiled; load it again if it is still wanted".to_owned(),
            ));
        }
        let (shelf, kept, owner) = (self.shelf.clone(), version.clone(), name.clone());
        self.blocking(move || {
            shelf.put(&kept.digest, &bytes)?;
            shelf.change(|registry| registry.loaded(&owner, kept, config))?;
            shelf.tidy();
            Ok(())
        })
        .await?;
        target.pipeline.handlers.replace(target.place, handler);
        tracing::info!(pipeline = %name.pipeline, handler = %name.handler, component = version.digest, load, from = version.from, "handler loaded: it handles the next event of each entity");
        Ok(Deployed { changed: true, version })
    }

    /// Goes back to the version before, or to the kept one whose digest begins with `to`.
    ///
    /// # Errors
    /// There is none, or it cannot be loaded any more. What runs goes on then.
    pub async fn rollback(&self, name: &Name, to: Option<&str>) -> Result<Deployed, Refusal> {
        let target = self.target(name)?;
        let turn = self.rollbacks.turn().await?;
        let registry = self.shelf.registry();
        let version = registry.target(name, to).map_err(Refusal::Rollback)?;
        if registry.entry(name).is_some_and(|entry| entry.current == version.load) {
            return Ok(Deployed { changed: false, version });
        }
        let (shelf, digest) = (self.shelf.clone(), version.digest.clone());
        let bytes = self.blocking(move || shelf.get(&digest)).await?;
        let began = self.shelf.next_load();
        let (_, handler, _turn) = self.made(target, Arc::new(bytes), began, Haste::Now, turn).await?;
        let (shelf, owner, load) = (self.shelf.clone(), name.clone(), version.load);
        let _settling = self.settling().await?;
        // A load that came between has made another version the one before.
        let current = self.number(name) < began;
        if !current || !self.blocking(move || shelf.change(|registry| registry.rolled_back(&owner, load, began))).await? {
            return Err(Refusal::Rollback(format!(
                "another component was loaded for {name} meanwhile; see `seriatim plugin list --versions`, and roll back again"
            )));
        }
        target.pipeline.handlers.replace(target.place, handler);
        tracing::warn!(pipeline = %name.pipeline, handler = %name.handler, component = version.digest, load, "handler rolled back: this component handles the next event of each entity");
        Ok(Deployed { changed: true, version })
    }

    /// Migrations of state so far stay: what it was before is let go of, entity by entity, with the next event of each.
    ///
    /// # Errors
    /// No such handler, or the disk.
    pub async fn confirm(&self, name: &Name) -> Result<bool, Refusal> {
        let target = self.target(name)?;
        let (shelf, owner) = (self.shelf.clone(), name.clone());
        let _settling = self.settling().await?;
        let Some(load) = self.blocking(move || shelf.change(|registry| registry.confirm(&owner))).await? else { return Ok(false) };
        let changed = target.pipeline.handlers.confirmed(target.place) < load;
        target.pipeline.handlers.confirm(target.place, load);
        Ok(changed)
    }

    /// What the config names was refused: it is not tried again, also not after a restart, until it changes.
    ///
    /// # Errors
    /// The disk.
    pub async fn refused(&self, name: &Name, digest: String) -> Result<(), Refusal> {
        let (shelf, owner) = (self.shelf.clone(), name.clone());
        let _settling = self.settling().await?;
        self.blocking(move || shelf.change(|registry| registry.refused(&owner, &digest))).await
    }

    /// The number with which what the handler runs began.
    fn number(&self, name: &Name) -> u64 {
        self.shelf.registry().entry(name).map_or(0, Entry::number)
    }

    async fn settling(&self) -> Result<SemaphorePermit<'_>, Refusal> {
        self.settling.acquire().await.map_err(|_| Refusal::Busy("the host is stopping".to_owned()))
    }

    /// Has it compiled, and tries it, on a thread of its own; both are bounded. Whether or not somebody still waits, it keeps its turn until it has ended, and
    /// then hands it back, so that what follows (kept, noted, swapped) is one load's at a time, too.
    async fn made(
        &self,
        target: &Target,
        bytes: Arc<Vec<u8>>,
        load: u64,
        haste: Haste,
        turn: OwnedSemaphorePermit,
    ) -> Result<(Arc<Vec<u8>>, Handler, OwnedSemaphorePermit), Refusal> {
        let (engine, config) = (self.engine.clone(), HandlerConfig { load, ..target.config.clone() });
        let (answer, answered) = oneshot::channel();
        let runtime = tokio::runtime::Handle::current();
        let (compiled, compiler) = (bytes.clone(), self.compiler.clone());
        let started = std::thread::Builder::new().name("compile".to_owned()).spawn(move || {
            if haste == Haste::Background {
                background();
            }
            let made = made(&engine, &compiled, config, Some(&compiler), &runtime);
            // Nobody waits any more: the turn goes with the answer.
            drop(answer.send((made, turn)));
        });
        started.map_err(|error| Refusal::Busy(format!("no thread to compile on: {error}")))?;
        let broken = |_| Refusal::Step { step: "compile", why: "the thread broke off; the log says why".to_owned() };
        let (made, turn) = answered.await.map_err(broken)?;
        Ok((bytes, made?, turn))
    }

    async fn blocking<T: Send + 'static>(&self, work: impl FnOnce() -> Result<T, ShelfError> + Send + 'static) -> Result<T, Refusal> {
        match tokio::task::spawn_blocking(work).await {
            Ok(done) => Ok(done?),
            Err(error) => Err(Refusal::Busy(format!("the host is stopping: {error}"))),
        }
    }
}

/// All steps that need no running host. `compiler`: who compiles; without one this thread does.
///
/// # Errors
/// The step that refused it.
pub fn made(
    engine: &Engine,
    bytes: &[u8],
    config: HandlerConfig,
    compiler: Option<&Compiler>,
    runtime: &tokio::runtime::Handle,
) -> Result<Handler, Refusal> {
    let handler = engine.load_with(bytes, config, compiler)?;
    runtime.block_on(handler.try_out()).map_err(|failure| match failure.kind {
        // No room for an instance at the moment, say: the component is not to blame.
        FailureKind::Host => Refusal::Busy(format!("the component could not be tried: {failure}")),
        _ => Refusal::Step { step: "smoke", why: failure.to_string() },
    })?;
    Ok(handler)
}

/// What is noted of a handler that was made of these bytes just now.
#[must_use]
pub fn version(handler: &Handler, bytes: &[u8], from: String) -> Version {
    let at = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX));
    Version {
        load: handler.load(),
        digest: handler.digest().to_string(),
        bytes: bytes.len() as u64,
        state_version: handler.state_version(),
        at,
        from,
    }
}

/// Gives way to everything else that runs here: the priority of this thread, and of the process that it starts.
fn background() {
    if let Err(error) = rustix::process::setpriority_process(Some(rustix::thread::gettid()), NICE) {
        tracing::debug!("compiling runs with the priority of everything else: {error}");
    }
}
