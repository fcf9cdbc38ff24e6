//! The HTTP side of the host, one file per resource. The only place that knows axum. Asks the rest of the host through small traits and decides
//! nothing. In this release: [`health`].

pub mod health;
mod listener;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// An error as a body (RFC 9457).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
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
}

impl ProblemDetails {
    /// A problem with this status and title.
    #[must_use]
    pub fn new(status: StatusCode, title: impl Into<String>) -> Self {
        Self { status: status.as_u16(), title: title.into(), detail: None, reasons: Vec::new() }
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
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        response
    }
}
