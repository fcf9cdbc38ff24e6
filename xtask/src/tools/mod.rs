//! What a test run needs beside a Rust toolchain, Python and pip: found where it is, installed where it is not.
//!
//! Whether something is there is decided by looking at the thing itself, never by a note that it was installed. A second run finds
//! everything and touches neither network nor disk. What can go into the checkout's own ignored folder goes there.

mod debian;
pub(crate) mod hadolint;
mod nats;
pub(crate) mod pip;
pub(crate) mod promtool;
pub(crate) mod schemathesis;
mod version;
mod wasm;

use std::path::PathBuf;

use anyhow::Result;

use crate::repo::Repo;
pub(crate) use wasm::{CORE_TARGET, WASI_TARGET, Wasm};

/// Everything found or installed.
pub(crate) struct Tools {
    /// A nats-server that is new enough.
    pub(crate) nats_server: PathBuf,
    /// How guests are compiled.
    pub(crate) wasm: Wasm,
}

impl Tools {
    /// One line on each tool.
    pub(crate) fn describe(&self) {
        println!("nats-server: {}", self.nats_server.display());
        println!("{}: {}", wasm::CORE_TARGET, self.wasm.origin());
        println!("{}: {}", wasm::WASI_TARGET, if self.wasm.has_wasi() { "the toolchain's own" } else { "not here: its guest is skipped" });
    }
}

/// Finds every tool, and installs what is missing.
pub(crate) fn ensure(repo: &Repo) -> Result<Tools> {
    let _lock = repo.lock("tools")?;
    Ok(Tools { nats_server: nats::ensure(repo)?, wasm: wasm::ensure(repo)? })
}
