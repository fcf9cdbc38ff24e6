//! Objects of a JetStream object store (NATS ADR-20), named as the config names components: `object:BUCKET/NAME`.

use super::connect::Connection;
use crate::object::Object;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use std::time::Duration;
use tokio::io::AsyncReadExt as _;

/// How long the broker may take for a question.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long it may take for a whole object.
const PATIENCE_WHOLE: Duration = Duration::from_secs(120);

/// What the broker tells of an object without handing it over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// SHA-256 of what it holds, in hex.
    pub digest: String,
    /// How much that is.
    pub bytes: u64,
}

impl Object {
    /// The digest of what the object holds now, as the broker has it.
    ///
    /// # Errors
    /// In words.
    pub async fn digest(&self, connection: &Connection) -> Result<String, String> {
        Ok(self.about(connection).await?.digest)
    }

    /// What the broker tells of what the object holds now.
    ///
    /// # Errors
    /// In words.
    pub async fn about(&self, connection: &Connection) -> Result<About, String> {
        let asked = async {
            let store = self.store(connection).await?;
            let info = store.info(&self.name).await.map_err(|error| format!("{self}: {error}"))?;
            if info.deleted {
                return Err(format!("{self}: the object is deleted"));
            }
            let digest = info.digest.as_deref().and_then(|digest| digest.strip_prefix("SHA-256="));
            let digest = digest.and_then(|digest| URL_SAFE.decode(digest).ok());
            let digest = digest.map(hex::encode).ok_or_else(|| format!("{self}: the broker tells no SHA-256 of it"))?;
            Ok(About { digest, bytes: info.size as u64 })
        };
        tokio::time::timeout(PATIENCE, asked).await.map_err(|_| format!("{self}: the broker did not answer within {PATIENCE:?}"))?
    }

    /// What it holds: at most `max` bytes.
    ///
    /// # Errors
    /// In words; also when it is larger, which the broker usually tells before anything is read.
    pub async fn read(&self, connection: &Connection, max: usize) -> Result<Vec<u8>, String> {
        let read = async {
            let store = self.store(connection).await?;
            let object = store.get(&self.name).await.map_err(|error| format!("{self}: {error}"))?;
            if object.info.size > max {
                return Err(format!("{self}: has {} bytes; the most is {max}", object.info.size));
            }
            let mut bytes = Vec::new();
            let limit = u64::try_from(max).unwrap_or(u64::MAX).saturating_add(1);
            object.take(limit).read_to_end(&mut bytes).await.map_err(|error| format!("{self}: {error}"))?;
            if bytes.len() > max {
                return Err(format!("{self}: has more than {max} bytes"));
            }
            Ok(bytes)
        };
        tokio::time::timeout(PATIENCE_WHOLE, read).await.map_err(|_| format!("{self}: not read within {PATIENCE_WHOLE:?}"))?
    }

    async fn store(&self, connection: &Connection) -> Result<async_nats::jetstream::object_store::ObjectStore, String> {
        let context = async_nats::jetstream::new(connection.client());
        context.get_object_store(&self.bucket).await.map_err(|error| format!("{self}: bucket {:?}: {error}", self.bucket))
    }
}
