//! Which component each handler begins with: what the config names, unless an operator had loaded another one since. All problems of all handlers in one run.

use super::Error;
use crate::config::{At, Component, Config, HandlerConfig, Isolation, Problem, Problems};
use crate::nats::connect::Connection;
use crate::plugins::deployer::{made, version};
use crate::plugins::registry::{Begin, Registry, Version};
use crate::plugins::shelf::Shelf;
use crate::plugins::{Name, digest};
use crate::runtime::{self, Engine, FILE_BYTES_MAX, Handler, Limits};
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
    for handler in config.pipelines.iter().flat_map(|pipeline| &pipeline.handlers) {
        let bytes = match (&handler.component.value, connection) {
            (Component::File(path), _) => read(path, &handler.component),
            (Component::Object(object), Some(connection)) => {
                object.read(connection, FILE_BYTES_MAX).await.map_err(|why| handler.component.problem(format!("cannot be read: {why}")))
            }
            (Component::Object(_), None) => continue,
        };
        let tried = bytes.and_then(|bytes| load(engine, &bytes, handler, payload_max, 0));
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
    let (mut all, mut news) = (Vec::new(), Vec::new());
    for pipeline in &config.pipelines {
        let mut handlers = Vec::new();
        for handler in &pipeline.handlers {
            let name = Name { pipeline: pipeline.name.value.as_str().into(), handler: handler.name.value.as_str().into() };
            let confirmed = registry.entry(&name).map_or(0, |entry| entry.confirmed);
            let begun = async {
                let (begin, bytes) = begin(&name, &handler.component, &registry, &shelf, connection).await?;
                let number = if let Begin::Known(version) = &begin { version.load } else { shelf.next_load() };
                let loaded = load(engine, &bytes, handler, payload_max, number)?;
                Ok::<_, Problem>((begin, bytes, loaded))
            };
            match begun.await {
                Ok((begin, bytes, loaded)) => {
                    if begin == Begin::Config {
                        news.push((name, version(&loaded, &bytes, handler.component.value.to_string()), bytes));
                    } else if registry.entry(&name).is_some_and(crate::plugins::registry::Entry::overridden) {
                        tracing::info!(pipeline = pipeline.name.value, handler = %loaded.name(), component = %loaded.digest(), "another component than the config names runs: it was loaded by an operator, and the config's has not changed since");
                    }
                    handlers.push((loaded, confirmed));
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

/// What a handler begins with, and its bytes.
async fn begin(
    name: &Name,
    component: &At<Component>,
    registry: &Registry,
    shelf: &Shelf,
    connection: &Connection,
) -> Result<(Begin, Vec<u8>), Problem> {
    let problem = |why: String| component.problem(format!("cannot be read: {why}"));
    let kept = |version: &Version| shelf.get(&version.digest).map_err(|error| problem(error.to_string()));
    let (digest, bytes) = match &component.value {
        Component::File(path) => {
            let bytes = read(path, component)?;
            (digest(&bytes), Some(bytes))
        }
        Component::Object(object) => match object.digest(connection).await {
            Ok(digest) => (digest, None),
            // Pinned: what ran last runs on without the object.
            Err(why) => {
                let running = registry.entry(name).and_then(|entry| entry.running()).ok_or_else(|| problem(why.clone()))?;
                tracing::warn!(pipeline = %name.pipeline, handler = %name.handler, component = running.digest, "the component's object cannot be asked for, what ran last runs on: {why}");
                return Ok((Begin::Known(running.clone()), kept(running)?));
            }
        },
    };
    match (registry.begin(name, &digest), bytes) {
        (Begin::Known(version), Some(bytes)) if version.digest == digest => Ok((Begin::Known(version), bytes)),
        (Begin::Known(version), _) => {
            let bytes = kept(&version)?;
            Ok((Begin::Known(version), bytes))
        }
        (Begin::Config, Some(bytes)) => Ok((Begin::Config, bytes)),
        (Begin::Config, None) => match &component.value {
            Component::Object(object) => Ok((Begin::Config, object.read(connection, FILE_BYTES_MAX).await.map_err(problem)?)),
            Component::File(path) => Ok((Begin::Config, read(path, component)?)),
        },
    }
}

fn read(path: &std::path::Path, component: &At<Component>) -> Result<Vec<u8>, Problem> {
    std::fs::read(path).map_err(|error| component.problem(format!("cannot be read: {error}")))
}

fn load(engine: &Engine, bytes: &[u8], handler: &HandlerConfig, payload_max: usize, number: u64) -> Result<Handler, Problem> {
    let config = runtime::HandlerConfig { load: number, ..handler_config(handler, payload_max) };
    let made = tokio::task::block_in_place(|| made(engine, bytes, config, None, &Handle::current()));
    made.map_err(|refusal| handler.component.problem(format!("cannot be loaded: {refusal}")))
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
