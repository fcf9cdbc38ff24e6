//! Components in a JetStream object store (NATS ADR-20): `component = "object:BUCKET/NAME"`.

use crate::nats::connect::Connection;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;
use tokio::io::AsyncReadExt as _;

/// How long the broker may take for a question.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long it may take for a whole component.
const PATIENCE_WHOLE: Duration = Duration::from_secs(120);

/// Which object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// The bucket.
    pub bucket: String,
    /// The object's name in it; may contain `/`.
    pub name: String,
}

impl FromStr for Object {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "an object is named object:BUCKET/NAME".to_owned();
        let (bucket, name) = text.strip_prefix("object:").and_then(|rest| rest.split_once('/')).ok_or_else(wrong)?;
        let good = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if bucket.is_empty() || !bucket.chars().all(good) {
            return Err(format!("{bucket:?} is no bucket's name: letters, digits, - and _ are allowed ({})", wrong()));
        }
        if name.is_empty() || name.chars().any(char::is_control) {
            return Err(wrong());
        }
        Ok(Self { bucket: bucket.to_owned(), name: name.to_owned() })
    }
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "object:{}/{}", self.bucket, self.name)
    }
}

impl Object {
    /// The digest of what the object holds now, as the broker has it.
    ///
    /// # Errors
    /// In words.
    pub async fn digest(&self, connection: &Connection) -> Result<String, String> {
        let asked = async {
            let store = self.store(connection).await?;
            let info = store.info(&self.name).await.map_err(|error| format!("{self}: {error}"))?;
            if info.deleted {
                return Err(format!("{self}: the object is deleted"));
            }
            let digest = info.digest.as_deref().and_then(|digest| digest.strip_prefix("SHA-256="));
            let digest = digest.and_then(|digest| URL_SAFE.decode(digest).ok());
            digest.map(hex::encode).ok_or_else(|| format!("{self}: the broker tells no SHA-256 of it"))
        };
        tokio::time::timeout(PATIENCE, asked).await.map_err(|_| format!("{self}: the broker did not answer within {PATIENCE:?}"))?
    }

    /// What it holds.
    ///
    /// # Errors
    /// In words; also when it is larger than a component may be.
    pub async fn read(&self, connection: &Connection) -> Result<Vec<u8>, String> {
        let max = crate::runtime::FILE_BYTES_MAX;
        let read = async {
            let store = self.store(connection).await?;
            let object = store.get(&self.name).await.map_err(|error| format!("{self}: {error}"))?;
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

#[cfg(test)]
mod tests {
    use super::Object;

    #[test]
    fn objects_are_named_by_bucket_and_name() {
        let object: Object = "object:PLUGINS/flights/rotation.wasm".parse().unwrap();
        assert_eq!((object.bucket.as_str(), object.name.as_str()), ("PLUGINS", "flights/rotation.wasm"));
        assert_eq!(object.to_string(), "object:PLUGINS/flights/rotation.wasm");
        for bad in ["object:", "object:/x", "object:a", "object:a/", "object:a.b/x", "PLUGINS/x", "object:a/\n"] {
            assert!(bad.parse::<Object>().unwrap_err().contains("object:BUCKET/NAME"), "{bad}");
        }
    }
}
