//! What the handler remembers of the event's entity, by key. Typed values are JSON unless another [`Codec`] is named; the `_bytes` functions
//! pass bytes through. A write past one of the handler's state limits ends the call with the failure `too-large`.

use crate::{Codec, Failure, Json, host};
use serde::{Serialize, de::DeserializeOwned};

/// The value under a key, or none.
///
/// # Errors
/// [`Failure::Reject`] if what is stored is not a `T`.
pub fn get<T: DeserializeOwned>(key: &str) -> Result<Option<T>, Failure> {
    get_as::<Json, T>(key)
}

/// Puts a value under a key.
///
/// # Errors
/// [`Failure::Reject`] for a value that JSON cannot express.
pub fn set<T: Serialize + ?Sized>(key: &str, value: &T) -> Result<(), Failure> {
    set_as::<Json, T>(key, value)
}

/// The value under a key in the given format, or none.
///
/// # Errors
/// [`Failure::Reject`] if what is stored is not a `T`.
pub fn get_as<C: Codec, T: DeserializeOwned>(key: &str) -> Result<Option<T>, Failure> {
    get_bytes(key).map(|bytes| C::decode(&bytes).map_err(|failure| failure.about(&format!("state `{key}`")))).transpose()
}

/// Puts a value under a key in the given format.
///
/// # Errors
/// [`Failure::Reject`] for a value the format cannot express.
pub fn set_as<C: Codec, T: Serialize + ?Sized>(key: &str, value: &T) -> Result<(), Failure> {
    let bytes = C::encode(value).map_err(|failure| failure.about(&format!("state `{key}`")))?;
    set_bytes(key, &bytes);
    Ok(())
}

/// The bytes under a key, or none.
#[must_use]
pub fn get_bytes(key: &str) -> Option<Vec<u8>> {
    host::state_get(key)
}

/// Puts bytes under a key.
pub fn set_bytes(key: &str, value: &[u8]) {
    host::state_set(key, value);
}

/// Removes a key, if it is there.
pub fn delete(key: &str) {
    host::state_delete(key);
}

/// Keys that begin with `prefix`, ascending, at most `max`; with `after`, only those that follow it.
#[must_use]
pub fn keys(prefix: &str, after: Option<&str>, max: u32) -> Vec<String> {
    host::state_keys(prefix, after, max)
}
