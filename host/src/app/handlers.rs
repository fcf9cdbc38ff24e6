//! Which component each handler begins with: what the config names, unless an operator had loaded another one since. All problems of all handlers in one run.

use super::Error;
use crate::config::{At, Component, Config, HandlerConfig, Isolation, Problem, Problems};
use crate::nats::connect::Connection;
use crate::plugins::Name;
use crate::plugins::deployer::{Refusal, made, version};
use crate::plugins::found::Found;
use crate::plugins::registry::{Begin, Entry, Registry, Version};
use crate::plugins::shelf::Shelf;
use crate::runtime::{self, Compiler, Engine, FILE_BYTES_MAX, Handler, Limits};
use std::sync::Arc;
use tokio::runtime::Handle;

/// Handlers that may run.
pub(super) struct Loaded {
    /// For each pipeline its handlers in order, each with the number of the last load whose migrations are confirmed.
    pub(super) handlers: Vec<Vec<(Handler, u64)>>,
    /// Where their components are kept.
    pub(super) shelf: Arc<Shelf>,
}

/// Whether what the config names can run here; nothing is kept. Objects are looked at only with a connection.
///
/// # Errors
/// Files that cannot be read, components that cannot run.
pub(super) async fn check(config: &Config, engine: &Engine, payload_max: usize, connection: Option<&Connection>) -> Result<(), Problems> {
    let mut problems = Problems::new(config.file.clone());
    let compiler = compiler(config);
    for handler in config.pipelines.iter().flat_map(|pipeline| &pipeline.handlers) {
        let component = &handler.component;
        let found = match (&component.value, connection) {
            (Component::File(path), _) => Found::in_file(path).await,
            (Component::Object(object), Some(connection)) => object.read(connection, FILE_BYTES_MAX).await.map(Found::Whole),
            (Component::Object(_), None) => continue,
        };
        let name = handler.name.value.as_str().into();
        let tried = found.map_err(|why| unreadable(component, &why)).and_then(|found| {
            let loaded = found.whole(&name).and_then(|bytes| load(engine, &compiler, &bytes, handler, payload_max, 0));
            loaded.map_err(|refused| unloadable(component, &refused))
        });
        problems.extend(tried.err());
    }
    problems.or_ok(())
}

/// What each handler begins with. New versions are kept and noted before this returns.
///
/// # Errors
/// As [`check`], or the shelf cannot be used.
pub(super) async fn start(config: &Config, engine: &Engine, payload_max: usize, connection: &Connection) -> Result<Loaded, Error> {
    let shelf = Arc::new(Shelf::open(config.store.path.value.join("plugins"), &names(config))?);
    let registry = shelf.registry();
    let mut problems = Problems::new(config.file.clone());
    let compiler = compiler(config);
    let starting = Starting { registry: &registry, shelf: &shelf, connection, engine, compiler: &compiler, payload_max };
    let (mut all, mut news) = (Vec::new(), Vec::new());
    for pipeline in &config.pipelines {
        let mut handlers = Vec::new();
        for handler in &pipeline.handlers {
            let name = Name { pipeline: pipeline.name.value.as_str().into(), handler: handler.name.value.as_str().into() };
            let confirmed = registry.entry(&name).map_or(0, |entry| entry.confirmed);
            match starting.handler(&name, handler).await {
                Ok(begun) => {
                    if let Some((version, bytes)) = begun.new {
                        news.push((name, version, bytes));
                    }
                    handlers.push((begun.handler, confirmed));
                }
                Err(problem) => problems.push(problem),
            }
        }
        all.push(handlers);
    }
    let handlers = problems.or_ok(all)?;
    for (name, version, bytes) in news {
        shelf.put(&version.digest, &bytes)?;
        shelf.change(|registry| registry.loaded(&name, version, true))?;
    }
    shelf.tidy();
    Ok(Loaded { handlers, shelf })
}

fn names(config: &Config) -> Vec<Name> {
    let of = |pipeline: &str, handler: &str| Name { pipeline: pipeline.into(), handler: handler.into() };
    let pipelines = config.pipelines.iter();
    pipelines.flat_map(|pipeline| pipeline.handlers.iter().map(|handler| of(&pipeline.name.value, &handler.name.value))).collect()
}

/// What a start begins handlers with.
struct Starting<'a> {
    registry: &'a Registry,
    shelf: &'a Shelf,
    connection: &'a Connection,
    engine: &'a Engine,
    compiler: &'a Compiler,
    payload_max: usize,
}

/// What a handler begins with.
struct Begun {
    handler: Handler,
    /// What is noted and kept of it, if it is what the config names and new.
    new: Option<(Version, Vec<u8>)>,
}

/// Which component a handler begins with.
enum Which {
    /// The one that ran before.
    Known(Version, Vec<u8>),
    /// What the config names: it is new, and has this digest.
    New(Found, String),
}

impl Starting<'_> {
    /// What the config names, if it is new and can run. What cannot is refused as in a running host: the version that ran last goes on, if there is one.
    async fn handler(&self, name: &Name, handler: &HandlerConfig) -> Result<Begun, Problem> {
        let component = &handler.component;
        let (found, digest) = match self.which(name, component).await? {
            Which::Known(version, bytes) => return self.known(name, handler, &version, &bytes),
            Which::New(found, digest) => (found, digest),
        };
        let loaded = found.whole(&name.handler).and_then(|bytes| Ok((self.load(&bytes, handler, self.shelf.next_load())?, bytes)));
        let refused = match loaded {
            Ok((loaded, bytes)) => {
                let new = Some((version(&loaded, &bytes, component.value.to_string()), bytes));
                return Ok(Begun { handler: loaded, new });
            }
            Err(refused) => refused,
        };
        let Some(running) = self.registry.running(name) else { return Err(unloadable(component, &refused)) };
        tracing::error!(pipeline = %name.pipeline, handler = %name.handler, component = digest, from = %component.value, "what the config names does not run, the component before goes on: {refused}");
        let kept = self.kept(running, component)?;
        if let Refusal::Step { .. } = refused {
            let noted = self.shelf.change(|registry| registry.refused(name, &digest));
            noted.map_err(|error| component.problem(format!("cannot be noted as refused: {error}")))?;
        }
        self.known(name, handler, running, &kept)
    }

    /// Tells that another component runs than the config names, and why.
    fn tell(&self, name: &Name, runs: &Version, named: &str) {
        let refused = self.registry.entry(name).is_some_and(|entry| entry.refused == named);
        let Name { pipeline, handler } = name;
        if refused {
            tracing::warn!(%pipeline, %handler, component = runs.digest, config = named, "what the config names was refused before and is not tried again until it changes, the component before goes on: bring it with `seriatim plugin load`");
        } else {
            tracing::info!(%pipeline, %handler, component = runs.digest, config = named, "another component than the config names runs: it was loaded by an operator, and the config's has not changed since");
        }
    }

    /// A version that ran before, with a number that is not lower than that of any that ran.
    fn known(&self, name: &Name, handler: &HandlerConfig, version: &Version, bytes: &[u8]) -> Result<Begun, Problem> {
        let number = self.registry.entry(name).map_or(version.load, Entry::number);
        let loaded = self.load(bytes, handler, number).map_err(|refused| unloadable(&handler.component, &refused))?;
        Ok(Begun { handler: loaded, new: None })
    }

    fn load(&self, bytes: &[u8], handler: &HandlerConfig, number: u64) -> Result<Handler, Refusal> {
        load(self.engine, self.compiler, bytes, handler, self.payload_max, number)
    }

    fn kept(&self, version: &Version, component: &At<Component>) -> Result<Vec<u8>, Problem> {
        let lost = |error| format!("{error}, or put component {} in the place that the config names", version.digest);
        self.shelf.get(&version.digest).map_err(|error| unreadable(component, &lost(error)))
    }

    async fn which(&self, name: &Name, component: &At<Component>) -> Result<Which, Problem> {
        match &component.value {
            Component::File(path) => {
                let found = Found::in_file(path).await.map_err(|why| unreadable(component, &why))?;
                let digest = found.digest();
                match (self.registry.begin(name, &digest), found) {
                    (Begin::Known(version), Found::Whole(bytes)) if version.digest == digest => Ok(Which::Known(version, bytes)),
                    (Begin::Known(version), _) => self.before(name, component, version, &digest),
                    (Begin::Config, found) => Ok(Which::New(found, digest)),
                }
            }
            Component::Object(object) => {
                let digest = match object.digest(self.connection).await {
                    Ok(digest) => digest,
                    Err(why) => return self.pinned(name, component, &why),
                };
                match self.registry.begin(name, &digest) {
                    Begin::Known(version) => self.before(name, component, version, &digest),
                    Begin::Config => match object.read(self.connection, FILE_BYTES_MAX).await {
                        Ok(bytes) => Ok(Which::New(Found::Whole(bytes), digest)),
                        Err(why) => self.pinned(name, component, &why),
                    },
                }
            }
        }
    }

    /// The version that ran before the restart, as it was kept. It need not be what the config names.
    fn before(&self, name: &Name, component: &At<Component>, version: Version, named: &str) -> Result<Which, Problem> {
        if version.digest != named {
            self.tell(name, &version, named);
        }
        let bytes = self.kept(&version, component)?;
        Ok(Which::Known(version, bytes))
    }

    /// What ran last runs on without the object.
    fn pinned(&self, name: &Name, component: &At<Component>, why: &str) -> Result<Which, Problem> {
        let running = self.registry.running(name).ok_or_else(|| unreadable(component, why))?;
        tracing::warn!(pipeline = %name.pipeline, handler = %name.handler, component = running.digest, "the component's object cannot be had, what ran last runs on: {why}");
        Ok(Which::Known(running.clone(), self.kept(running, component)?))
    }
}

fn unreadable(component: &At<Component>, why: &str) -> Problem {
    component.problem(format!("cannot be read: {why}"))
}

fn unloadable(component: &At<Component>, refused: &Refusal) -> Problem {
    component.problem(format!("cannot be loaded: {refused}"))
}

/// Who compiles, within the limits of the config.
pub(super) fn compiler(config: &Config) -> Compiler {
    Compiler::of_this_program(config.run.compile_time_max, config.run.compile_memory_max)
}

fn load(
    engine: &Engine,
    compiler: &Compiler,
    bytes: &[u8],
    handler: &HandlerConfig,
    payload_max: usize,
    number: u64,
) -> Result<Handler, Refusal> {
    let config = runtime::HandlerConfig { load: number, ..handler_config(handler, payload_max) };
    tokio::task::block_in_place(|| made(engine, bytes, config, Some(compiler), &Handle::current()))
}

/// What a handler is given besides its code.
pub(super) fn handler_config(handler: &HandlerConfig, payload_max: usize) -> runtime::HandlerConfig {
    runtime::HandlerConfig {
        name: handler.name.value.as_str().into(),
        config: handler.config.clone(),
        outputs: handler.outputs.iter().map(|output| output.value.clone()).collect(),
        isolation: match handler.isolation {
            Isolation::Run => runtime::Isolation::Run,
            Isolation::Event => runtime::Isolation::Event,
            Isolation::Shared => runtime::Isolation::Shared,
        },
        limits: Limits {
            memory_max: handler.memory_max,
            time_max: handler.time_max,
            state_max: handler.state_max,
            state_value_max: handler.state_value_max,
            state_keys_max: handler.state_keys_max,
            outputs_max: handler.outputs_max,
            output_bytes_max: handler.output_bytes_max,
            log_lines_max: handler.log_lines_max,
            payload_max,
            ..Limits::default()
        },
        load: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    /// The limits that the SDK's test kit starts with are those of a handler whose config names none, on a broker with the `max_payload` that
    /// nats-server has unless told otherwise.
    #[test]
    fn a_config_without_limits_gives_the_default_limits() {
        let text = r#"
            [pipelines.flights]
            stream = "FLIGHTS"
            subjects = ["flights.>"]
            event.entity = "subject:2"
            [[pipelines.flights.handlers]]
            name = "echo"
            component = "echo.wasm"
        "#;
        let config = Config::parse(text, "seriatim.toml", Path::new(".")).unwrap();
        let given = handler_config(&config.pipelines[0].handlers[0], 1 << 20);
        assert_eq!(given.limits, Limits::default());
        assert_eq!((given.config.len(), given.outputs.len()), (0, 0));
    }
}
