//! The name of an object in a JetStream object store, as a config gives it: `object:BUCKET/NAME`. What it holds is read by `nats/object.rs`.

use std::fmt;
use std::str::FromStr;

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
