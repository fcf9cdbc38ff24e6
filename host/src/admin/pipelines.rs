//! `/api/v1/pipelines`, and `POST /api/v1/pipelines/{p}/breaker:close`.

use super::ProblemDetails;
use super::api::{Asking, ChangeProblems, Problems, Shared};
use super::audit::Audit;
use super::extract::{ApiJson, ApiQuery, NoQuery, PipelinePath, bad, quoted};
use crate::control::{Done, PipelineRow};
use axum::extract::State;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// All pipelines of the host.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PipelineList {
    /// In the order of the config.
    pipelines: Vec<PipelineRow>,
}

/// All pipelines: how far they are, how many entities wait or are parked, and whose circuit breaker is open.
#[utoipa::path(get, path = "/api/v1/pipelines", tag = "pipelines", responses((status = 200, body = PipelineList), Problems))]
pub(super) async fn list(
    State(shared): State<Shared>,
    ApiQuery(NoQuery {}): ApiQuery<NoQuery>,
) -> Result<Json<PipelineList>, ProblemDetails> {
    let pipelines = shared.ask(shared.control.pipelines()).await?;
    Ok(Json(PipelineList { pipelines }))
}

/// Longest name of a handler, bytes.
const NAME_MAX: usize = 32;

/// Which handler.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct BreakerBody {
    /// The handler that the breaker is open for: `breaker.handler` of what `GET /api/v1/pipelines` tells of the pipeline.
    #[schema(min_length = 1, max_length = 32)]
    handler: String,
}

/// Closes the circuit breaker of a pipeline: its handlers are called again. Repeating it is harmless.
#[utoipa::path(post, path = "/api/v1/pipelines/{p}/breaker:close", tag = "pipelines",
    params(("p" = String, Path, description = "The pipeline.", pattern = "^[a-z][a-z0-9-]{0,31}$")),
    request_body = BreakerBody, responses((status = 200, body = Done), Problems, ChangeProblems))]
pub(super) async fn close_breaker(
    State(shared): State<Shared>,
    Extension(who): Asking,
    PipelinePath(pipeline): PipelinePath,
    ApiQuery(NoQuery {}): ApiQuery<NoQuery>,
    ApiJson(BreakerBody { handler }): ApiJson<BreakerBody>,
) -> Result<Json<Done>, ProblemDetails> {
    if handler.is_empty() || handler.len() > NAME_MAX {
        return Err(bad(format!("handler is {}; a handler's name has 1 to {NAME_MAX} bytes", quoted(&handler))));
    }
    let audit = Audit { pipeline: pipeline.clone(), detail: format!("handler {handler:?}"), ..Audit::new(who, "close breaker") };
    Ok(Json(shared.change(audit, move |control| control.close_breaker(pipeline, handler)).await?))
}
