//! The HTTP side of the host, one file per resource. The only place that knows axum. Asks the rest of the host through small traits and decides
//! nothing: [`health`] on `[telemetry] listen`, [`api`] on `[admin] listen`.
//!
//! The API: `api.rs` serves it; `pipelines.rs`, `entities.rs`, `operate.rs`, `many.rs` and `dead_letters.rs` are its resources, `page/` what a person sees of them; `extract.rs` reads what
//! comes in; `access.rs` and `tokens.rs` say who may ask; `audit.rs` writes down who changed what; `tls.rs` encrypts.

mod access;
pub mod api;
mod audit;
mod dead_letters;
mod entities;
mod extract;
pub mod health;
mod listener;
mod many;
mod operate;
mod page;
mod pipelines;
mod plugins;
mod tls;
mod tokens;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use crate::control::{Fault, Place};
use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

pub use access::OPERATOR_HEADER;
pub use tokens::{Role, TOKEN_BYTES_MIN, TokenFileError, own_token};

/// The media type of [`ProblemDetails`].
pub const PROBLEM_JSON: &str = "application/problem+json";

/// An error as a body (RFC 9457).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct ProblemDetails {
    /// The HTTP status again.
    pub status: u16,
    /// What is wrong, the same for every occurrence.
    pub title: String,
    /// What is wrong this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// One entry for each reason, where there can be several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<String>,
    /// Where the entity stands, when what was named is another place (409).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head: Option<Place>,
}

impl ProblemDetails {
    /// A problem with this status and title.
    #[must_use]
    pub fn new(status: StatusCode, title: impl Into<String>) -> Self {
        Self { status: status.as_u16(), title: title.into(), detail: None, reasons: Vec::new(), head: None }
    }

    /// The same with what is wrong this time.
    #[must_use]
    pub fn detail(self, detail: impl Into<String>) -> Self {
        Self { detail: Some(detail.into()), ..self }
    }

    /// The same with reasons.
    #[must_use]
    pub fn reasons(self, reasons: Vec<String>) -> Self {
        Self { reasons, ..self }
    }
}

impl IntoResponse for ProblemDetails {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(self)).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        response
    }
}

impl From<Fault> for ProblemDetails {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Unknown(detail) => Self::new(StatusCode::NOT_FOUND, "Not found").detail(detail),
            Fault::Bad(detail) => Self::new(StatusCode::BAD_REQUEST, "Bad request").detail(detail),
            Fault::Conflict { detail, head } => Self { head, ..Self::new(StatusCode::CONFLICT, "Conflict").detail(detail) },
            Fault::Unavailable(detail) => Self::new(StatusCode::SERVICE_UNAVAILABLE, "Not now").detail(detail),
        }
    }
}
