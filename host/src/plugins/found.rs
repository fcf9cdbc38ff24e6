//! What is found where the config names a component: read into memory, unless it is too large for one.

use super::deployer::Refusal;
use super::digest;
use crate::runtime::{FILE_BYTES_MAX, LoadError};
use sha2::{Digest as _, Sha256};
use std::path::Path;
use std::sync::Arc;
use tokio::io::AsyncReadExt as _;

/// Bytes of a file that is too large for memory that are read at once.
pub(super) const CHUNK: usize = 256 << 10;

/// See the module.
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    /// All of it.
    Whole(Vec<u8>),
    /// More than a component may have: only counted, and known by its digest.
    TooLarge {
        /// How much it is.
        bytes: u64,
        /// SHA-256, in hex.
        digest: String,
    },
}

impl Found {
    /// Reads a file.
    ///
    /// # Errors
    /// In words: it is not there, is no file, or changes while it is read.
    pub async fn in_file(path: &Path) -> Result<Self, String> {
        read(path, FILE_BYTES_MAX as u64).await
    }

    /// SHA-256 of it, in hex.
    #[must_use]
    pub fn digest(&self) -> String {
        match self {
            Self::Whole(bytes) => digest(bytes),
            Self::TooLarge { digest, .. } => digest.clone(),
        }
    }

    /// Its bytes.
    ///
    /// # Errors
    /// The refusal of what is too large.
    pub fn whole(self, handler: &Arc<str>) -> Result<Vec<u8>, Refusal> {
        match self {
            Self::Whole(bytes) => Ok(bytes),
            Self::TooLarge { bytes, .. } => {
                let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
                Err(LoadError::TooBig { handler: handler.clone(), bytes, max: FILE_BYTES_MAX }.into())
            }
        }
    }
}

/// Reads a file into memory if it has at most so many bytes.
pub(super) async fn read(path: &Path, max: u64) -> Result<Found, String> {
    let text = |error: std::io::Error| error.to_string();
    if !tokio::fs::metadata(path).await.map_err(text)?.is_file() {
        return Err("it is no file".to_owned());
    }
    let mut file = tokio::fs::File::open(path).await.map_err(text)?;
    if file.metadata().await.map_err(text)?.len() <= max {
        let mut whole = Vec::new();
        file.take(max.saturating_add(1)).read_to_end(&mut whole).await.map_err(text)?;
        return if whole.len() as u64 <= max { Ok(Found::Whole(whole)) } else { Err("it grows while it is read".to_owned()) };
    }
    let (mut hasher, mut bytes, mut chunk) = (Sha256::new(), 0_u64, Vec::with_capacity(CHUNK));
    while file.read_buf(&mut chunk).await.map_err(text)? > 0 {
        hasher.update(&chunk);
        bytes = bytes.saturating_add(chunk.len() as u64);
        chunk.clear();
    }
    if bytes > max {
        Ok(Found::TooLarge { bytes, digest: hex::encode(hasher.finalize()) })
    } else {
        Err("it shrinks while it is read".to_owned())
    }
}
