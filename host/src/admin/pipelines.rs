//! `/api/v1/pipelines`.

use super::ProblemDetails;
use super::api::{Problems, Shared};
use super::extract::{ApiQuery, NoQuery};
use crate::control::PipelineRow;
use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

/// All pipelines of the host.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PipelineList {
    /// In the order of the config.
    pipelines: Vec<PipelineRow>,
}

/// All pipelines: how far they are, and how many entities wait or are parked.
#[utoipa::path(get, path = "/api/v1/pipelines", tag = "pipelines", responses((status = 200, body = PipelineList), Problems))]
pub(super) async fn list(
    State(shared): State<Shared>,
    ApiQuery(NoQuery {}): ApiQuery<NoQuery>,
) -> Result<Json<PipelineList>, ProblemDetails> {
    let pipelines = shared.ask(shared.control.pipelines()).await?;
    Ok(Json(PipelineList { pipelines }))
}
