//! The life of a handler's component: loaded, tried, kept, swapped in between two events, rolled back. What a component goes through, in this order:
//! size, structure, imports by name, memory, compiling, the types of our world, a smoke test under the limits of a call, and only then it is kept on
//! disk and handles events. One that fails a step is refused with the step and the reason, and the one that runs goes on.
//!
//! `registry.rs` decides which component a handler runs (pure), `shelf.rs` keeps files and registry, `deployer.rs` does it, `follow.rs` looks at the
//! configured files and objects, `found.rs` reads them.

pub mod deployer;
pub mod follow;
pub mod found;
pub mod registry;
pub mod shelf;

use std::sync::Arc;

/// A handler of a pipeline.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name {
    /// The pipeline.
    pub pipeline: Arc<str>,
    /// The handler.
    pub handler: Arc<str>,
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.pipeline, self.handler)
    }
}

/// SHA-256 in hex.
#[must_use]
pub fn digest(bytes: &[u8]) -> String {
    use sha2::Digest as _;
    hex::encode(sha2::Sha256::digest(bytes))
}
