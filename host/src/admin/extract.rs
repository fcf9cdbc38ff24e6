//! What comes in with a request, checked: path, query and body. Whatever is wrong with it is answered by problem details that name the part, what
//! stands there and what may stand there.

use super::ProblemDetails;
use crate::control::{EntityName, Place};
use crate::source::decode::check_entity;
use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Query, RawPathParams, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};
use utoipa::ToSchema;

/// Entries of a page when nothing is said.
pub(super) const PAGE: usize = 100;
/// Most entries of a page.
pub(super) const PAGE_MAX: usize = 1_000;
/// Longest text of a filter, in bytes.
const TEXT_MAX: usize = 256;
/// Longest `after`, in bytes.
const AFTER_MAX: usize = 1_024;
/// How much of an offending value an answer quotes, characters.
const QUOTE_MAX: usize = 64;

/// A request that makes no sense.
pub(super) fn bad(detail: impl Into<String>) -> ProblemDetails {
    ProblemDetails::new(StatusCode::BAD_REQUEST, "Bad request").detail(detail)
}

/// A pipeline that a path names.
pub(super) struct PipelinePath(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for PipelinePath {
    type Rejection = ProblemDetails;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        Ok(Self(pipeline_name(&parameter(parts, state, "p").await?)?))
    }
}

/// An entity that a path names.
pub(super) struct EntityPath(pub(super) EntityName);

impl<S: Send + Sync> FromRequestParts<S> for EntityPath {
    type Rejection = ProblemDetails;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        let pipeline = pipeline_name(&parameter(parts, state, "p").await?)?;
        let entity = parameter(parts, state, "e").await?;
        entity_name(&entity).map_err(|reason| bad(format!("the entity in the path: {reason}")))?;
        Ok(Self(EntityName { pipeline, entity }))
    }
}

/// A dead letter that a path names.
pub(super) struct DeadLetterPath(pub(super) u64);

impl<S: Send + Sync> FromRequestParts<S> for DeadLetterPath {
    type Rejection = ProblemDetails;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        let text = parameter(parts, state, "n").await?;
        // Digits only: what `parse` takes beyond them ("+5") would be a second name of one resource.
        let number = text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten();
        match number {
            Some(number) if number > 0 => Ok(Self(number)),
            _ => Err(bad(format!(
                "the dead letter in the path is {}; it must be its stream sequence, a whole number from 1 to {}",
                quoted(&text),
                u64::MAX
            ))),
        }
    }
}

/// One percent-decoded part of the path.
async fn parameter<S: Send + Sync>(parts: &mut Parts, state: &S, name: &str) -> Result<String, ProblemDetails> {
    let all = RawPathParams::from_request_parts(parts, state).await;
    let all = all.map_err(|error| bad(format!("the path: {}", error.body_text())))?;
    let found = all.iter().find(|(key, _)| *key == name).map(|(_, value)| value.to_owned());
    found.ok_or_else(|| ProblemDetails::new(StatusCode::INTERNAL_SERVER_ERROR, "Internal error").detail(format!("the route has no {name}")))
}

fn pipeline_name(text: &str) -> Result<String, ProblemDetails> {
    let mut bytes = text.bytes();
    let begins = bytes.next().is_some_and(|byte| byte.is_ascii_lowercase());
    if begins && text.len() <= 32 && bytes.all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-') {
        return Ok(text.to_owned());
    }
    // No pipeline can have that name, so this one does not exist.
    Err(ProblemDetails::new(StatusCode::NOT_FOUND, "Not found").detail(format!("no pipeline {}", quoted(text))))
}

/// What an entity may be called; in words, why this is none.
pub(super) fn entity_name(text: &str) -> Result<(), String> {
    check_entity(text).map_err(|error| format!("{}: {error}", quoted(text)))
}

/// A text of the one who asks, short and in one line.
pub(super) fn quoted(text: &str) -> String {
    let short: String = text.chars().take(QUOTE_MAX).collect();
    let more = if short.len() < text.len() { "…" } else { "" };
    format!("{short:?}{more}")
}

/// The query. Unknown and repeated parameters are errors: a filter with a typing error must not match everything.
pub(super) struct ApiQuery<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for ApiQuery<T> {
    type Rejection = ProblemDetails;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        match Query::from_request_parts(parts, state).await {
            Ok(Query(query)) => Ok(Self(query)),
            Err(error) => Err(bad(format!("the query: {}", error.body_text().trim_start_matches("Failed to deserialize query string: ")))),
        }
    }
}

/// A query with nothing in it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NoQuery {}

/// A body of JSON. An empty one stands for `{}`, where everything may be left out.
pub(super) struct ApiJson<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for ApiJson<T> {
    type Rejection = ProblemDetails;

    async fn from_request(request: Request, state: &S) -> Result<Self, Self::Rejection> {
        let is_json = is_json(request.headers());
        let bytes = Bytes::from_request(request, state).await.map_err(|error| {
            let title = if error.status() == StatusCode::PAYLOAD_TOO_LARGE { "Too large" } else { "Bad request" };
            ProblemDetails::new(error.status(), title).detail(format!("the body: {}", error.body_text()))
        })?;
        if bytes.is_empty() {
            return parsed(b"{}");
        }
        if !is_json {
            return Err(ProblemDetails::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "Unsupported media type")
                .detail("the body must be JSON and say so: Content-Type: application/json"));
        }
        parsed(&bytes)
    }
}

fn parsed<T: DeserializeOwned>(bytes: &[u8]) -> Result<ApiJson<T>, ProblemDetails> {
    serde_json::from_slice(bytes).map(ApiJson).map_err(|error| bad(format!("the body: {error}")))
}

fn is_json(headers: &HeaderMap) -> bool {
    let Some(kind) = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()) else { return false };
    let kind = kind.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/json")
}

/// Entries of a page, as asked for.
pub(super) fn limit(asked: Option<usize>) -> Result<usize, ProblemDetails> {
    match asked {
        None => Ok(PAGE),
        Some(limit @ 1..=PAGE_MAX) => Ok(limit),
        Some(limit) => Err(bad(format!("limit is {limit}; it must be 1 to {PAGE_MAX}"))),
    }
}

/// A text of a filter.
pub(super) fn text(name: &str, text: Option<String>) -> Result<Option<String>, ProblemDetails> {
    within(name, text, TEXT_MAX)
}

/// Where a page before ended.
pub(super) fn after(text: Option<String>) -> Result<Option<String>, ProblemDetails> {
    within("after", text, AFTER_MAX)
}

fn within(name: &str, text: Option<String>, bytes_max: usize) -> Result<Option<String>, ProblemDetails> {
    match &text {
        Some(it) if it.is_empty() => Err(bad(format!("{name} is empty; leave it out to mean every"))),
        Some(it) if it.len() > bytes_max => Err(bad(format!("{name} has {} bytes; at most {bytes_max}", it.len()))),
        _ => Ok(text),
    }
}

/// The place that a mutation means.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PlaceBody {
    /// The epoch; 0 where the producer numbers none.
    #[serde(default, deserialize_with = "epoch")]
    #[schema(minimum = 0, format = "uint64")]
    pub(super) epoch: u64,
    /// The sequence that the entity is at: `head` of what `GET` tells of it.
    #[serde(deserialize_with = "sequence")]
    #[schema(minimum = 1, format = "uint64")]
    pub(super) sequence: u64,
}

impl From<PlaceBody> for Place {
    fn from(body: PlaceBody) -> Self {
        Self { epoch: body.epoch, sequence: body.sequence }
    }
}

fn epoch<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    whole(deserializer, "epoch", 0)
}

fn sequence<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    whole(deserializer, "sequence", 1)
}

fn whole<'de, D: Deserializer<'de>>(deserializer: D, name: &str, least: u64) -> Result<u64, D::Error> {
    let value = serde_json::Value::deserialize(deserializer)?;
    let number = value.as_u64().filter(|number| *number >= least);
    number.ok_or_else(|| D::Error::custom(format!("{name} is {}; it must be a whole number from {least} to {}", shown(&value), u64::MAX)))
}

fn shown(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::String(text) => quoted(text),
        serde_json::Value::Array(_) => "a list".to_owned(),
        serde_json::Value::Object(_) => "an object".to_owned(),
        other => other.to_string(),
    }
}
