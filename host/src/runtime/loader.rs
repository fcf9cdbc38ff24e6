//! From a file's bytes to a handler: bounds size and structure, tells modules from components, refuses imports we do not serve by name and more memory than
//! there is, wraps modules, compiles (or takes the compiled form from the cache) and links. What costs least comes first: nothing is compiled that can be
//! refused before. Everything that can be wrong with a component is found here, before any event.

use super::apart::Fault;
use super::bindings::HandlerIndices;
use super::engine::Engine;
use super::imports::Data;
use super::lifecycle::Lifecycle;
use super::structure::{self, Unfit};
use super::{Compiler, Failure, HandlerConfig, Instance, Isolation, Limits, cache, preview1, wrap};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};
use wasmparser::{ComponentTypeRef, Encoding, ExternalKind, Parser, Payload, TypeBounds};
use wasmtime::component::{Component, InstancePre};

/// Bytes of a component file: compiling takes time and memory in proportion, and no limit of a call bounds it.
pub const FILE_BYTES_MAX: usize = 128 << 20;

/// Where the names of our interfaces begin.
const OURS: &str = "seriatim:handler/";

/// Our interfaces, all of version 0.1.
const INTERFACES: [&str; 6] = ["types", "state", "output", "log", "config", "delivery"];

/// What our world's export is called in a core module: as ever, and with the mark of newer toolchains.
const EXPORTS: [&str; 2] = ["handle", "cm32p2||handle"];

/// Interfaces of WASI 0.2 that are served.
const WASI: [&str; 24] = [
    "cli/environment",
    "cli/exit",
    "cli/stdin",
    "cli/stdout",
    "cli/stderr",
    "cli/terminal-input",
    "cli/terminal-output",
    "cli/terminal-stdin",
    "cli/terminal-stdout",
    "cli/terminal-stderr",
    "clocks/monotonic-clock",
    "clocks/wall-clock",
    "filesystem/preopens",
    "filesystem/types",
    "io/error",
    "io/poll",
    "io/streams",
    "random/insecure",
    "random/insecure-seed",
    "random/random",
    "sockets/instance-network",
    "sockets/ip-name-lookup",
    "sockets/network",
    "sockets/tcp",
];

/// Interfaces of WASI 0.2 that are served, continued: sockets that cannot be made.
const WASI_SOCKETS: [&str; 3] = ["sockets/tcp-create-socket", "sockets/udp", "sockets/udp-create-socket"];

/// Why a file is not a handler we can run.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// Bigger than we compile.
    #[error("handler `{handler}`: the file has {bytes} bytes; the most is {max}")]
    TooBig {
        /// The handler.
        handler: Arc<str>,
        /// Bytes of the file.
        bytes: usize,
        /// The bound.
        max: usize,
    },
    /// Neither a module nor a component, or broken.
    #[error("handler `{handler}`: not a WebAssembly module or component: {why}")]
    NotWasm {
        /// The handler.
        handler: Arc<str>,
        /// What the parser says.
        why: String,
    },
    /// A core module that does not say which world it is for, and does not look as if it were for ours.
    #[error(
        "handler `{handler}`: a core module without a component type section that does not export `handle`: build it with bindings for the world \
         `seriatim:handler/handler` (in Rust: the crate seriatim-guest and its `export!`), or give a component"
    )]
    NoWorld {
        /// The handler.
        handler: Arc<str>,
    },
    /// A core module that imports WASI preview 1 functions nobody serves.
    #[error(
        "handler `{handler}`: imports functions of WASI preview 1 that the host does not have: {names}; those of `wasi_snapshot_preview1` are \
         served"
    )]
    Preview1 {
        /// The handler.
        handler: Arc<str>,
        /// What it imports.
        names: String,
    },
    /// Imports that nobody serves.
    #[error("handler `{handler}`: imports that the host does not have: {names}")]
    Imports {
        /// The handler.
        handler: Arc<str>,
        /// Their names.
        names: String,
    },
    /// Larger in some way than we compile.
    #[error("handler `{handler}`: {why}")]
    Structure {
        /// The handler.
        handler: Arc<str>,
        /// In which.
        why: String,
    },
    /// The module could not be wrapped.
    #[error("handler `{handler}`: the module does not make a component: {why}")]
    Wrap {
        /// The handler.
        handler: Arc<str>,
        /// What is wrong.
        why: String,
    },
    /// The component does not compile.
    #[error("handler `{handler}`: does not compile: {why}")]
    Compile {
        /// The handler.
        handler: Arc<str>,
        /// What the compiler says.
        why: String,
    },
    /// It could not be found out whether the component compiles.
    #[error("handler `{handler}`: {why}; it is not the component's fault")]
    NotCompiled {
        /// The handler.
        handler: Arc<str>,
        /// What stood in the way.
        why: String,
    },
    /// Imports or the export have other types than `wit/` says.
    #[error("handler `{handler}`: does not fit the world `seriatim:handler/handler@0.1.0`: {why}")]
    World {
        /// The handler.
        handler: Arc<str>,
        /// The difference.
        why: String,
    },
    /// `memory-max` above what the pool was made for.
    #[error("handler `{handler}`: memory-max is {asked} bytes; the most is {max}")]
    MemoryMax {
        /// The handler.
        handler: Arc<str>,
        /// What is configured.
        asked: usize,
        /// The bound.
        max: usize,
    },
    /// It starts with more memory than it may have.
    #[error("handler `{handler}`: starts with {needs} bytes of memory, more than memory-max = {max}")]
    NeedsMemory {
        /// The handler.
        handler: Arc<str>,
        /// What it starts with.
        needs: u64,
        /// What it may have.
        max: usize,
    },
}

impl LoadError {
    /// The step that refused it, in one word.
    #[must_use]
    pub fn step(&self) -> &'static str {
        match self {
            Self::TooBig { .. } => "size",
            Self::NotWasm { .. } | Self::NoWorld { .. } | Self::Wrap { .. } | Self::Structure { .. } => "structure",
            Self::Preview1 { .. } | Self::Imports { .. } => "imports",
            Self::MemoryMax { .. } | Self::NeedsMemory { .. } => "resources",
            Self::Compile { .. } | Self::NotCompiled { .. } => "compile",
            Self::World { .. } => "world",
        }
    }
}

/// One compiled component with its config, ready to be instantiated. Cheap to clone.
#[derive(Clone)]
pub struct Handler {
    pub(super) inner: Arc<Inner>,
}

/// What all clones and all instances share.
pub(super) struct Inner {
    pub(super) name: Arc<str>,
    pub(super) config: BTreeMap<String, String>,
    pub(super) outputs: Vec<String>,
    pub(super) isolation: Isolation,
    pub(super) limits: Limits,
    pub(super) digest: Arc<str>,
    pub(super) load: u64,
    pub(super) pre: InstancePre<Data>,
    pub(super) indices: HandlerIndices,
    pub(super) lifecycle: Option<Lifecycle>,
    /// Told by the component when it was tried.
    pub(super) state_version: OnceLock<u32>,
}

impl std::fmt::Debug for Handler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handler").field("name", &self.inner.name).field("digest", &self.inner.digest).finish_non_exhaustive()
    }
}

impl Handler {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.inner.name
    }

    /// SHA-256 of the file as it was given, in hex.
    #[must_use]
    pub fn digest(&self) -> &Arc<str> {
        &self.inner.digest
    }

    /// The number of the load that brought this component.
    #[must_use]
    pub fn load(&self) -> u64 {
        self.inner.load
    }

    /// Which events may share an instance.
    #[must_use]
    pub fn isolation(&self) -> Isolation {
        self.inner.isolation
    }

    /// Its config table.
    #[must_use]
    pub fn config(&self) -> &BTreeMap<String, String> {
        &self.inner.config
    }

    /// Its bounds.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.inner.limits
    }

    /// The version of the state that it reads and writes; 0 without the interface `lifecycle`, and until it was tried.
    #[must_use]
    pub fn state_version(&self) -> u32 {
        self.inner.state_version.get().copied().unwrap_or(0)
    }

    /// Makes one instance under the limits of a call, as every event will, and asks it for the version of its state.
    ///
    /// # Errors
    /// The component's start code fails, or its interface `lifecycle` does.
    pub async fn try_out(&self) -> Result<(), Failure> {
        let mut instance = self.instantiate().await?;
        if self.inner.lifecycle.is_some() {
            let version = instance.state_version().await?;
            self.inner.state_version.get_or_init(|| version);
        }
        Ok(())
    }

    /// Makes an instance.
    ///
    /// # Errors
    /// A [`Failure`] of kind `Host` when there is no room for one; of another kind when the component's own start code fails.
    pub async fn instantiate(&self) -> Result<Instance, Failure> {
        Instance::new(self.inner.clone()).await
    }
}

impl Engine {
    /// Makes a handler of a file: a component, or a core module made for our world. Compiles, so it takes milliseconds to seconds:
    /// not for a shard's thread.
    ///
    /// # Errors
    /// [`LoadError`] says what is wrong with the file or its limits.
    pub fn load(&self, bytes: &[u8], config: HandlerConfig) -> Result<Handler, LoadError> {
        self.load_with(bytes, config, None)
    }

    /// The same; what has to be compiled is compiled by this compiler, within its limits, if one is given.
    ///
    /// # Errors
    /// As [`Engine::load`]; and where the compiler's limits are reached.
    pub fn load_with(&self, bytes: &[u8], config: HandlerConfig, compiler: Option<&Compiler>) -> Result<Handler, LoadError> {
        let HandlerConfig { name, config, outputs, isolation, limits, load } = config;
        let handler = || name.clone();
        if bytes.len() > FILE_BYTES_MAX {
            return Err(LoadError::TooBig { handler: handler(), bytes: bytes.len(), max: FILE_BYTES_MAX });
        }
        if !bytes.starts_with(b"\0asm") {
            return Err(LoadError::NotWasm { handler: handler(), why: "it does not begin with \\0asm".to_owned() });
        }
        let broken = |error: wasmparser::BinaryReaderError| LoadError::NotWasm { handler: handler(), why: error.to_string() };
        let memory = structure::check(bytes).map_err(|unfit| match unfit {
            Unfit::Broken(error) => broken(error),
            Unfit::TooLarge(why) => LoadError::Structure { handler: handler(), why },
        })?;
        let found = inspect(bytes).map_err(broken)?;
        let wasi = found.check(&name)?;
        if limits.memory_max > self.shared.memory_ceiling {
            return Err(LoadError::MemoryMax { handler: handler(), asked: limits.memory_max, max: self.shared.memory_ceiling });
        }
        let room = |needs: u64| {
            let fits = usize::try_from(needs).is_ok_and(|needs| needs <= limits.memory_max);
            if fits { Ok(()) } else { Err(LoadError::NeedsMemory { handler: handler(), needs, max: limits.memory_max }) }
        };
        room(memory)?;
        let digest = hex::encode(Sha256::digest(bytes));
        let component = self.compile(bytes, &found, &digest, &name, compiler)?;
        // Again by what was compiled, which for a module is more than the file.
        if let Some(pages) = component.resources_required().and_then(|needs| needs.max_initial_memory_size) {
            room(pages.saturating_mul(1 << 16))?;
        }
        let linker = if wasi { &self.shared.wasi } else { &self.shared.plain };
        let world = |error| LoadError::World { handler: handler(), why: format!("{error:#}") };
        let pre = linker.instantiate_pre(&component).map_err(world)?;
        let indices = HandlerIndices::new(&pre).map_err(world)?;
        let lifecycle = Lifecycle::of(&pre).map_err(world)?;
        let (digest, state_version) = (digest.into(), OnceLock::new());
        Ok(Handler {
            inner: Arc::new(Inner { name, config, outputs, isolation, limits, digest, load, pre, indices, lifecycle, state_version }),
        })
    }

    fn compile(
        &self,
        bytes: &[u8],
        found: &Found,
        digest: &str,
        name: &Arc<str>,
        compiler: Option<&Compiler>,
    ) -> Result<Component, LoadError> {
        let engine = &self.shared.engine;
        if let Some(component) = self.shared.cache.as_ref().and_then(|cache| cache.load(engine, digest)) {
            return Ok(component);
        }
        let bytes = if found.core {
            let kind = wrap::Kind { typed: found.typed, preview1: !found.preview1.is_empty() };
            wrap::component(bytes, kind)
                .map_err(|error| LoadError::Wrap { handler: name.clone(), why: seriatim_contract::one_line(&error, 2048) })?
                .into()
        } else {
            std::borrow::Cow::Borrowed(bytes)
        };
        let fault = |why: String| LoadError::Compile { handler: name.clone(), why };
        let Some(compiler) = compiler else {
            let component = Component::from_binary(engine, &bytes).map_err(|error| fault(format!("{error:#}")))?;
            if let Some(cache) = &self.shared.cache {
                cache.store(digest, &component);
            }
            return Ok(component);
        };
        let compiled = compiler.compile(&bytes).map_err(|error| match error {
            Fault::Component(why) => fault(why),
            Fault::Machine(why) => LoadError::NotCompiled { handler: name.clone(), why },
        })?;
        let component = cache::deserialize(engine, &compiled).map_err(|error| fault(format!("{error:#}")))?;
        if let Some(cache) = &self.shared.cache {
            cache.keep(digest, &compiled);
        }
        Ok(component)
    }
}

/// What a file says about itself.
struct Found {
    core: bool,
    /// Whether a core module carries a component type section.
    typed: bool,
    /// Whether a core module exports a function `handle`, as our world's export is called there.
    handles: bool,
    /// Functions of WASI preview 1 that a core module imports.
    preview1: BTreeSet<String>,
    /// Interfaces (of a component) or modules (of a core module) it imports from.
    imports: BTreeSet<String>,
}

/// Reads the outermost level of a module or component.
fn inspect(bytes: &[u8]) -> Result<Found, wasmparser::BinaryReaderError> {
    let mut found = Found { core: true, typed: false, handles: false, preview1: BTreeSet::new(), imports: BTreeSet::new() };
    let mut depth = 0_usize;
    for payload in Parser::new(0).parse_all(bytes) {
        match payload? {
            Payload::Version { encoding, .. } if depth == 0 => found.core = encoding == Encoding::Module,
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth = depth.saturating_add(1),
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ImportSection(imports) if depth == 0 => {
                for import in imports.into_imports() {
                    let import = import?;
                    if import.module == preview1::MODULE {
                        found.preview1.insert(import.name.to_owned());
                    } else {
                        found.imports.insert(import.module.to_owned());
                    }
                }
            }
            Payload::ExportSection(exports) if depth == 0 => {
                for export in exports {
                    let export = export?;
                    found.handles |= export.kind == ExternalKind::Func && EXPORTS.contains(&export.name);
                }
            }
            Payload::ComponentImportSection(imports) if depth == 0 => {
                for import in imports {
                    let import = import?;
                    // A type that is imported as equal to another is only a name for it.
                    if !matches!(import.ty, ComponentTypeRef::Type(TypeBounds::Eq(_))) {
                        found.imports.insert(import.name.name.to_owned());
                    }
                }
            }
            Payload::CustomSection(section) if depth == 0 => found.typed |= section.name().starts_with("component-type"),
            _ => {}
        }
    }
    Ok(found)
}

impl Found {
    /// Whether it imports WASI; an error if it is not for our world, or imports anything we do not serve.
    fn check(&self, handler: &Arc<str>) -> Result<bool, LoadError> {
        const NAMES_MAX: usize = 20;
        let names = |names: &[&str]| {
            let more = names.len().saturating_sub(NAMES_MAX);
            let mut text = names.iter().take(NAMES_MAX).copied().collect::<Vec<_>>().join(", ");
            if more > 0 {
                text.push_str(&format!(" and {more} more"));
            }
            seriatim_contract::one_line(&text, 2048)
        };
        if self.core && !self.typed && !self.handles {
            return Err(LoadError::NoWorld { handler: handler.clone() });
        }
        let others: Vec<&str> = self.imports.iter().map(String::as_str).filter(|name| !served(name)).collect();
        if !others.is_empty() {
            return Err(LoadError::Imports { handler: handler.clone(), names: names(&others) });
        }
        let unknown: Vec<&str> = self.preview1.iter().map(String::as_str).filter(|name| !preview1::serves(name)).collect();
        if !unknown.is_empty() {
            return Err(LoadError::Preview1 { handler: handler.clone(), names: names(&unknown) });
        }
        Ok(self.imports.iter().any(|name| name.starts_with("wasi:")))
    }
}

/// Whether the host has this interface: ours at 0.1, WASI at 0.2.
fn served(import: &str) -> bool {
    // Newer toolchains mark the names of core imports with the ABI.
    let import = import.strip_prefix("cm32p2|").unwrap_or(import);
    let Some((interface, version)) = import.split_once('@') else {
        return false;
    };
    match (interface.strip_prefix(OURS), interface.strip_prefix("wasi:")) {
        (Some(name), _) => INTERFACES.contains(&name) && version.starts_with("0.1"),
        (_, Some(name)) => (WASI.contains(&name) || WASI_SOCKETS.contains(&name)) && version.starts_with("0.2"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::served;

    #[test]
    fn imports_are_known_by_name_and_version() {
        for name in
            ["seriatim:handler/state@0.1.0", "seriatim:handler/types@0.1.7", "cm32p2|seriatim:handler/log@0.1", "wasi:cli/exit@0.2.6"]
        {
            assert!(served(name), "{name}");
        }
        for name in [
            "seriatim:handler/state",
            "seriatim:handler/state@0.2.0",
            "seriatim:handler/network@0.1.0",
            "wasi:http/types@0.2.0",
            "wasi:cli/exit@0.3.0",
            "wasi_snapshot_preview1",
            "env",
            "",
            "seriatim:handler/state@1.0.0",
        ] {
            assert!(!served(name), "{name}");
        }
    }
}
