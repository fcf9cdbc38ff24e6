//! `/api/v1/pipelines/{p}/entities`: what there is to know about entities.

use super::ProblemDetails;
use super::api::{Problems, Shared};
use super::extract::{ApiQuery, EntityPath, NoQuery, PipelinePath, after, bad, limit, quoted, text};
use crate::control::{EntityPage, EntityQuery, EntityReport, EntityState, HistoryPage, HistoryQuery, Sort, StateReport};
use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;

/// Which entities.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    /// Only those in these states, with commas between; without it all.
    #[param(value_type = Option<Vec<EntityState>>, style = Form, explode = false)]
    state: Option<String>,
    /// Only those that wait for this reason.
    #[param(min_length = 1, max_length = 256)]
    reason: Option<String>,
    /// Only those whose last failure was this handler's.
    #[param(min_length = 1, max_length = 256)]
    handler: Option<String>,
    /// Only those that have waited at least so many seconds.
    #[param(minimum = 0, format = "uint64")]
    older_than_seconds: Option<u64>,
    /// By name, longest waiting first, or furthest behind first.
    sort: Option<Sort>,
    /// Where the page before ended: its `next`.
    #[param(min_length = 1, max_length = 1024)]
    after: Option<String>,
    /// Entities in a page; 100 when nothing is said.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
}

/// Entities of a pipeline that are in memory, wait or are parked.
#[utoipa::path(get, path = "/api/v1/pipelines/{p}/entities", tag = "entities",
    params(("p" = String, Path, description = "The pipeline.", pattern = "^[a-z][a-z0-9-]{0,31}$"), ListQuery),
    responses((status = 200, body = EntityPage), Problems))]
pub(super) async fn list(
    State(shared): State<Shared>,
    PipelinePath(pipeline): PipelinePath,
    ApiQuery(query): ApiQuery<ListQuery>,
) -> Result<Json<EntityPage>, ProblemDetails> {
    let query = EntityQuery {
        pipeline,
        states: states(query.state.as_deref())?,
        reason: text("reason", query.reason)?,
        handler: text("handler", query.handler)?,
        older_than_seconds: query.older_than_seconds,
        sort: query.sort.unwrap_or_default(),
        after: after(query.after)?,
        limit: limit(query.limit)?,
    };
    Ok(Json(shared.ask(shared.control.entities(query)).await?))
}

fn states(text: Option<&str>) -> Result<Vec<EntityState>, ProblemDetails> {
    let words = text.into_iter().flat_map(|text| text.split(','));
    words
        .map(|word| match word {
            "live" => Ok(EntityState::Live),
            "waiting" => Ok(EntityState::Waiting),
            "parked" => Ok(EntityState::Parked),
            other => Err(bad(format!("state has {}; allowed: live, waiting, parked, with commas between", quoted(other)))),
        })
        .collect()
}

/// Everything about one entity. It begins with one plain sentence: what it does, or why it does not move.
#[utoipa::path(get, path = "/api/v1/pipelines/{p}/entities/{e}", tag = "entities",
    params(
        ("p" = String, Path, description = "The pipeline.", pattern = "^[a-z][a-z0-9-]{0,31}$"),
        ("e" = String, Path, description = "The entity, percent-encoded; at most 256 bytes of UTF-8 without control characters.", min_length = 1, max_length = 256),
    ),
    responses((status = 200, body = EntityReport), Problems))]
pub(super) async fn show(
    State(shared): State<Shared>,
    EntityPath(name): EntityPath,
    ApiQuery(NoQuery {}): ApiQuery<NoQuery>,
) -> Result<Json<EntityReport>, ProblemDetails> {
    Ok(Json(shared.ask(shared.control.entity(name)).await?))
}

/// Which part of a history.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct HistoryRange {
    /// From this stream sequence on; without it from the first.
    #[param(minimum = 0, format = "uint64")]
    from: Option<u64>,
    /// Events in a page; 100 when nothing is said.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
}

/// An entity's events, read again from the stream, each with its fate.
#[utoipa::path(get, path = "/api/v1/pipelines/{p}/entities/{e}/history", tag = "entities",
    params(
        ("p" = String, Path, description = "The pipeline.", pattern = "^[a-z][a-z0-9-]{0,31}$"),
        ("e" = String, Path, description = "The entity, percent-encoded.", min_length = 1, max_length = 256),
        HistoryRange,
    ),
    responses((status = 200, body = HistoryPage), Problems))]
pub(super) async fn history(
    State(shared): State<Shared>,
    EntityPath(name): EntityPath,
    ApiQuery(range): ApiQuery<HistoryRange>,
) -> Result<Json<HistoryPage>, ProblemDetails> {
    let query = HistoryQuery { name, from: range.from.unwrap_or(0), limit: limit(range.limit)? };
    Ok(Json(shared.ask(shared.control.history(query)).await?))
}

/// Whose state.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct StateQuery {
    /// Only of this handler.
    #[param(min_length = 1, max_length = 256)]
    handler: Option<String>,
}

/// What handlers keep for an entity, decoded where it is JSON or MessagePack.
#[utoipa::path(get, path = "/api/v1/pipelines/{p}/entities/{e}/state", tag = "entities",
    params(
        ("p" = String, Path, description = "The pipeline.", pattern = "^[a-z][a-z0-9-]{0,31}$"),
        ("e" = String, Path, description = "The entity, percent-encoded.", min_length = 1, max_length = 256),
        StateQuery,
    ),
    responses((status = 200, body = StateReport), Problems))]
pub(super) async fn state(
    State(shared): State<Shared>,
    EntityPath(name): EntityPath,
    ApiQuery(query): ApiQuery<StateQuery>,
) -> Result<Json<StateReport>, ProblemDetails> {
    let handler = text("handler", query.handler)?;
    Ok(Json(shared.ask(shared.control.state(name, handler)).await?))
}
