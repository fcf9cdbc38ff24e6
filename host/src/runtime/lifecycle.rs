//! The optional interface `lifecycle`: in which version a component keeps its state, and how it takes over what an older version left.

use super::imports::Data;
use super::instance::{classify, panicked};
use super::{Failure, FailureKind, Instance, State};
use bytes::Bytes;
use futures_util::FutureExt as _;
use seriatim_contract::{STATE_KEY_BYTES_MAX, one_line};
use std::panic::AssertUnwindSafe;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{ComponentExportIndex, ComponentNamedList, ComponentType, InstancePre, Lift, Lower};
use wasmtime::error::Context as _;

/// The interface's name, up to its patch version.
const NAME: &str = "seriatim:handler/lifecycle@0.1.";

/// The functions as `wit/` has them, for whoever is told that a component has others.
const STATE_VERSION: &str = "func() -> u32";
const MIGRATE: &str = "func(from: u32, state: list<entry>) -> result<list<entry>, string>";

/// The same as types of ours: those that are checked at load are those that are called with.
type StateVersion = (u32,);
type MigrateFrom = (u32, Vec<Entry>);
type Migrated = (Result<Vec<Entry>, String>,);

/// Where a component has the functions. Their types are right.
pub(super) struct Lifecycle {
    state_version: ComponentExportIndex,
    migrate: ComponentExportIndex,
}

#[derive(ComponentType, Lift, Lower)]
#[component(record)]
struct Entry {
    key: String,
    value: Vec<u8>,
}

impl Lifecycle {
    /// The interface, if the component exports it.
    ///
    /// # Errors
    /// A function is missing or has other types: found now, and not by the first entity that has to be migrated.
    pub(super) fn of(pre: &InstancePre<Data>) -> wasmtime::Result<Option<Self>> {
        let component = pre.component();
        let exports = component.component_type();
        let Some(name) = exports.exports(component.engine()).map(|(name, _)| name.to_owned()).find(|name| name.starts_with(NAME)) else {
            return Ok(None);
        };
        let interface = component.get_export_index(None, &name);
        let interface = interface.ok_or_else(|| wasmtime::format_err!("its export `{name}` cannot be found"))?;
        Ok(Some(Self {
            state_version: function::<(), StateVersion>(pre, &interface, "state-version", STATE_VERSION)?,
            migrate: function::<MigrateFrom, Migrated>(pre, &interface, "migrate", MIGRATE)?,
        }))
    }
}

/// Where the interface has this function, which takes and answers what it should.
fn function<P, R>(
    pre: &InstancePre<Data>,
    interface: &ComponentExportIndex,
    name: &str,
    signature: &str,
) -> wasmtime::Result<ComponentExportIndex>
where
    P: ComponentNamedList + Lower,
    R: ComponentNamedList + Lift,
{
    match pre.component().get_export(Some(interface), name) {
        Some((ComponentItem::ComponentFunc(found), index)) => {
            // As the generated bindings check `handle`.
            let right = found.typecheck::<P, R>(&pre.instance_type());
            right.with_context(|| format!("`lifecycle.{name}` is not `{signature}`"))?;
            Ok(index)
        }
        _ => Err(wasmtime::format_err!("its interface `lifecycle` has no function `{name}: {signature}`")),
    }
}

impl Instance {
    /// The version of the state that the component reads and writes.
    ///
    /// # Errors
    /// It is 0, or the call failed.
    pub(super) async fn state_version(&mut self) -> Result<u32, Failure> {
        let handler = self.store.data().handler.clone();
        let function = handler.lifecycle.as_ref().map(|lifecycle| lifecycle.state_version);
        let (version,): StateVersion = self.ask("state-version", function, ()).await?;
        if version == 0 {
            return Err(Failure::new(FailureKind::Migration, "lifecycle.state-version told 0; versions begin with 1"));
        }
        Ok(version)
    }

    /// The state in this component's version. The instance has served nobody yet, or this entity.
    ///
    /// # Errors
    /// A [`Failure`] of kind `Migration` with the component's own words, or with what went wrong.
    pub async fn migrate(&mut self, from: u32, state: &State) -> Result<State, Failure> {
        let refused = |text: String| Failure::new(FailureKind::Migration, text);
        let entries: Vec<_> = state.iter().map(|(key, value)| Entry { key: key.clone(), value: value.to_vec() }).collect();
        let handler = self.store.data().handler.clone();
        let function = handler.lifecycle.as_ref().map(|lifecycle| lifecycle.migrate);
        let parameters: MigrateFrom = (from, entries);
        let (answer,): Migrated = self.ask("migrate", function, parameters).await?;
        let entries = answer.map_err(|why| refused(format!("the component could not migrate the state from version {from}: {why}")))?;
        let limits = &handler.limits;
        let mut migrated = State::new();
        let mut bytes = 0_usize;
        for Entry { key, value } in entries {
            if key.len() > STATE_KEY_BYTES_MAX || value.len() > limits.state_value_max {
                let key = one_line(&key, 64);
                return Err(refused(format!("the migrated state has a key or value past its limit (state-value-max) at key {key:?}")));
            }
            bytes = bytes.saturating_add(key.len()).saturating_add(value.len());
            migrated.insert(key, Bytes::from(value));
        }
        if bytes > limits.state_max || migrated.len() > limits.state_keys_max {
            return Err(refused(format!(
                "the migrated state has {} keys and {bytes} bytes; more than state-keys-max or state-max",
                migrated.len()
            )));
        }
        Ok(migrated)
    }

    /// Calls one of the functions, under the limits of a call.
    async fn ask<P, R>(&mut self, name: &str, function: Option<ComponentExportIndex>, parameters: P) -> Result<R, Failure>
    where
        P: ComponentNamedList + Lower + Send + Sync + 'static,
        R: ComponentNamedList + Lift + Send + Sync + 'static,
    {
        let wrong = |error: &wasmtime::Error| Failure::new(FailureKind::Migration, format!("lifecycle.{name}: {error:#}"));
        let index = function
            .ok_or_else(|| Failure::new(FailureKind::Migration, format!("the component has no interface lifecycle, and so no {name}")))?;
        self.usable = false;
        self.store.data_mut().begin_alone();
        self.store.set_epoch_deadline(1);
        let raw = self.raw;
        let function = raw.get_typed_func::<P, R>(&mut self.store, &index).map_err(|error| wrong(&error))?;
        let called = AssertUnwindSafe(function.call_async(&mut self.store, parameters)).catch_unwind().await;
        let data = self.store.data_mut();
        data.finish_stdio();
        match called {
            Ok(Ok(answer)) => {
                self.usable = true;
                Ok(answer)
            }
            Ok(Err(error)) => {
                let failure = classify(data, &error);
                let kind = if failure.kind == FailureKind::Host { FailureKind::Host } else { FailureKind::Migration };
                Err(Failure { message: one_line(&format!("lifecycle.{name}: {failure}"), 1024), kind, ..failure })
            }
            Err(_) => Err(Failure { kind: FailureKind::Migration, ..panicked() }),
        }
    }
}
