//! WASI preview 1 for core modules that import it (Go, C with stdio, `wasm32-wasip1`): the closed adapter of `preview1.wat`, made into a module
//! once. It is linked into the component that is made of the module; the host itself serves nothing of it.

use std::collections::BTreeSet;
use std::sync::LazyLock;
use wasmparser::{Parser, Payload};

/// The name by which core modules import it.
pub(super) const MODULE: &str = "wasi_snapshot_preview1";

/// The adapter, and what it exports.
struct Adapter {
    bytes: Vec<u8>,
    functions: BTreeSet<String>,
}

/// The text is part of the program and a test holds it to be right: where it were not, nothing would be served.
static ADAPTER: LazyLock<Adapter> = LazyLock::new(|| {
    let bytes = wat::parse_str(include_str!("preview1.wat")).unwrap_or_default();
    let functions = exports(&bytes).unwrap_or_default();
    Adapter { bytes, functions }
});

/// The adapter as a core module.
pub(super) fn adapter() -> &'static [u8] {
    &ADAPTER.bytes
}

/// Whether the adapter has this function.
pub(super) fn serves(function: &str) -> bool {
    ADAPTER.functions.contains(function)
}

fn exports(module: &[u8]) -> wasmparser::Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for payload in Parser::new(0).parse_all(module) {
        if let Payload::ExportSection(exports) = payload? {
            for export in exports {
                names.insert(export?.name.to_owned());
            }
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_function_of_the_preview_is_served() {
        // 46 of the snapshot and the extension of wasmtime's adapter.
        assert_eq!(ADAPTER.functions.len(), 47, "{:?}", ADAPTER.functions);
        for name in ["fd_write", "clock_time_get", "path_open", "poll_oneoff", "sock_accept", "adapter_monotonic_clock_set_paused"] {
            assert!(serves(name), "{name}");
        }
        assert!(!serves("fd_fly") && !serves(""));
        let imports: Vec<_> = Parser::new(0)
            .parse_all(adapter())
            .filter_map(|payload| match payload.unwrap() {
                Payload::ImportSection(imports) => Some(imports.into_imports().map(|import| import.unwrap().name).collect::<Vec<_>>()),
                _ => None,
            })
            .flatten()
            .collect();
        assert_eq!(imports, ["memory"], "closed: it calls nobody");
    }
}
