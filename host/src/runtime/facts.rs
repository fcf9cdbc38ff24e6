//! What a file and its compiled component say about themselves, for people who want to look at a handler before they deploy it. Nothing here runs it.

use super::loader::Handler;
use wasmparser::Parser;

/// What kind of file a handler is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A core module, which the host makes a component of.
    Module,
    /// A component.
    Component,
}

impl Form {
    /// By the file's first bytes; `None`: it is neither.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Option<Self> {
        if Parser::is_core_wasm(bytes) {
            Some(Self::Module)
        } else if Parser::is_component(bytes) {
            Some(Self::Component)
        } else {
            None
        }
    }

    /// In words.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Module => "core module",
            Self::Component => "component",
        }
    }
}

/// What a loaded component says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// What it imports, by name, in ascending order.
    pub imports: Vec<String>,
    /// What it exports, by name, in ascending order.
    pub exports: Vec<String>,
    /// Bytes of its compiled form; `None`: it cannot be written down.
    pub compiled_bytes: Option<usize>,
}

impl Handler {
    /// What the component says about itself.
    #[must_use]
    pub fn facts(&self) -> Facts {
        let pre = &self.inner.pre;
        let (component, engine) = (pre.component(), pre.engine());
        let kind = component.component_type();
        let mut imports: Vec<String> = kind.imports(engine).map(|(name, _)| name.to_owned()).collect();
        let mut exports: Vec<String> = kind.exports(engine).map(|(name, _)| name.to_owned()).collect();
        imports.sort();
        exports.sort();
        Facts { imports, exports, compiled_bytes: component.serialize().ok().map(|bytes| bytes.len()) }
    }
}
