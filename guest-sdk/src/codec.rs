//! How values become bytes and back. What is written is the same for the same value: maps are written with their keys in order, whatever
//! order the map itself keeps. Used by state, payloads and outputs; knows none of them.

use crate::Failure;
use serde::{Serialize, de::DeserializeOwned};

/// A way to write values as bytes.
pub trait Codec {
    /// The value as bytes, maps sorted by key.
    ///
    /// # Errors
    /// [`Failure::Reject`] for a value the format cannot express.
    fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, Failure>;

    /// The value in the bytes.
    ///
    /// # Errors
    /// [`Failure::Reject`] if the bytes do not hold such a value: trying again would not help.
    fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Failure>;
}

/// JSON. Objects are written with their names in order.
#[derive(Clone, Copy, Debug)]
pub struct Json;

impl Codec for Json {
    fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, Failure> {
        // By way of a `Value`, whose objects are sorted.
        serde_json::to_value(value)
            .and_then(|value| serde_json::to_vec(&value))
            .map_err(|error| Failure::Reject(format!("cannot be written as JSON: {error}")))
    }

    fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Failure> {
        serde_json::from_slice(bytes).map_err(|error| Failure::Reject(format!("is not the expected JSON: {error}")))
    }
}

/// MessagePack. Structs are written as maps with their field names, maps with their keys in order of their encoded bytes.
#[cfg(feature = "msgpack")]
#[derive(Clone, Copy, Debug)]
pub struct MessagePack;

#[cfg(feature = "msgpack")]
impl Codec for MessagePack {
    fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, Failure> {
        let refused = |error: &dyn std::fmt::Display| Failure::Reject(format!("cannot be written as MessagePack: {error}"));
        let unsorted = rmp_serde::to_vec_named(value).map_err(|error| refused(&error))?;
        let mut tree = rmpv::decode::read_value(&mut unsorted.as_slice()).map_err(|error| refused(&error))?;
        sort(&mut tree);
        written(&tree).map_err(|error| refused(&error))
    }

    fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Failure> {
        rmp_serde::from_slice(bytes).map_err(|error| Failure::Reject(format!("is not the expected MessagePack: {error}")))
    }
}

#[cfg(feature = "msgpack")]
fn written(tree: &rmpv::Value) -> Result<Vec<u8>, rmpv::encode::Error> {
    let mut bytes = Vec::new();
    rmpv::encode::write_value(&mut bytes, tree)?;
    Ok(bytes)
}

#[cfg(feature = "msgpack")]
fn sort(tree: &mut rmpv::Value) {
    match tree {
        rmpv::Value::Array(items) => items.iter_mut().for_each(sort),
        rmpv::Value::Map(entries) => {
            for (key, value) in entries.iter_mut() {
                sort(key);
                sort(value);
            }
            entries.sort_by_cached_key(|(key, _)| written(key).unwrap_or_default());
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;
    use std::collections::{BTreeMap, HashMap};

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Stop {
        name: String,
        at: u64,
        tags: HashMap<String, u32>,
    }

    fn stop(order: &[u32]) -> Stop {
        Stop { name: "Reykjavík".into(), at: u64::MAX, tags: order.iter().map(|n| (format!("tag-{n}"), *n)).collect() }
    }

    #[test]
    fn json_comes_back_and_its_maps_are_sorted() {
        let bytes = Json::encode(&stop(&[3, 1, 2])).unwrap();
        assert_eq!(Json::decode::<Stop>(&bytes).unwrap(), stop(&[1, 2, 3]));
        assert_eq!(bytes, Json::encode(&stop(&[2, 3, 1])).unwrap());
        assert_eq!(
            String::from_utf8(bytes).unwrap(),
            r#"{"at":18446744073709551615,"name":"Reykjavík","tags":{"tag-1":1,"tag-2":2,"tag-3":3}}"#
        );
    }

    #[test]
    fn undecodable_bytes_are_rejected_not_retried() {
        assert!(matches!(Json::decode::<Stop>(b"{\"name\":"), Err(Failure::Reject(_))));
        assert!(matches!(Json::encode(&BTreeMap::from([((1, 2), 3)])), Err(Failure::Reject(_))));
    }

    #[cfg(feature = "msgpack")]
    #[test]
    fn messagepack_comes_back_and_its_maps_are_sorted() {
        let bytes = MessagePack::encode(&stop(&(0..200).collect::<Vec<_>>())).unwrap();
        assert_eq!(bytes, MessagePack::encode(&stop(&(0..200).rev().collect::<Vec<_>>())).unwrap());
        assert_eq!(MessagePack::decode::<Stop>(&bytes).unwrap(), stop(&(0..200).collect::<Vec<_>>()));
        assert!(matches!(MessagePack::decode::<Stop>(&[0xc1]), Err(Failure::Reject(_))));
    }
}
