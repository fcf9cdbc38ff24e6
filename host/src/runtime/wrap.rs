//! Makes a component of a core module. One that does not say which world it is for (Go and AssemblyScript write no component type section) is
//! given ours, from the same `wit/` the host is built from; one that imports WASI preview 1 gets the closed adapter linked in. What comes of
//! a file depends on its bytes alone. Raise `WRAPPING` in `cache.rs` when it changes.

use super::preview1;
use std::borrow::Cow;
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// The package that bindings are made from.
const WIT: &str = include_str!("../../../wit/handler.wit");

/// What the loader saw in the module.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kind {
    /// It carries a component type section.
    pub(super) typed: bool,
    /// It imports WASI preview 1.
    pub(super) preview1: bool,
}

/// The component, or why there is none.
pub(super) fn component(module: &[u8], kind: Kind) -> Result<Vec<u8>, String> {
    let module = if kind.typed { Cow::Borrowed(module) } else { Cow::Owned(typed(module)?) };
    let mut encoder = ComponentEncoder::default().validate(true).module(&module).map_err(|error| format!("{error:#}"))?;
    if kind.preview1 {
        encoder = encoder.adapter(preview1::MODULE, preview1::adapter()).map_err(|error| format!("{error:#}"))?;
    }
    encoder.encode().map_err(|error| format!("{error:#}"))
}

/// The module with the section that says it is for our world.
fn typed(module: &[u8]) -> Result<Vec<u8>, String> {
    let mut resolve = Resolve::default();
    let mut module = module.to_vec();
    resolve
        .push_source("handler.wit", WIT)
        .and_then(|package| resolve.select_world(&[package], Some("handler")))
        .and_then(|world| embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8))
        .map_err(|error| format!("{error:#}"))?;
    Ok(module)
}
