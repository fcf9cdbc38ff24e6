//! `POST /api/v1/pipelines/{p}/entities/{e}/park|resume|skip` and `DELETE …/{e}`: changes of one entity. They name the place they mean; another is 409.

use super::ProblemDetails;
use super::api::{Asking, ChangeProblems, Problems, Shared};
use super::audit::Audit;
use super::extract::{ApiJson, ApiQuery, EntityPath, NoQuery, PlaceBody};
use crate::control::{Done, EntityName, Place, Word};
use axum::extract::State;
use axum::{Extension, Json};
use serde::Deserialize;
use utoipa::ToSchema;

type Answered = Result<Json<Done>, ProblemDetails>;

/// Nothing more to say.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

/// Lets nothing of the entity be delivered until an operator says so.
#[utoipa::path(post, path = "/api/v1/pipelines/{p}/entities/{e}/park", tag = "changes of one",
    params(
        ("p" = String, Path, description = "The pipeline.", pattern = "^[a-z][a-z0-9-]{0,31}$"),
        ("e" = String, Path, description = "The entity, percent-encoded.", min_length = 1, max_length = 256),
    ),
    request_body(content = Option<Nothing>), responses((status = 200, body = Done), Problems, ChangeProblems))]
pub(super) async fn park(
    State(shared): State<Shared>,
    who: Asking,
    EntityPath(name): EntityPath,
    ApiQuery(NoQuery {}): ApiQuery<NoQuery>,
    ApiJson(Nothing {}): ApiJson<Nothing>,
) -> Answered {
    change(&shared, who, "park", name, Word::Park, None).await
}

/// Tries again what the entity is at.
#[utoipa::path(post, path = "/api/v1/pipelines/{p}/entities/{e}/resume", tag = "changes of one",
    params(
        ("p" = String, Path, description = "The pipeline.", pattern = "^[a-z][a-z0-9-]{0,31}$"),
        ("e" = String, Path, description = "The entity, percent-encoded.", min_length = 1, max_length = 256),
    ),
    request_body = PlaceBody, responses((status = 200, body = Done), Problems, ChangeProblems))]
pub(super) async fn resume(
    State(shared): State<Shared>,
    who: Asking,
    EntityPath(name): EntityPath,
    ApiQuery(NoQuery {}): ApiQuery<NoQuery>,
    ApiJson(place): ApiJson<PlaceBody>,
) -> Answered {
    let place = Some(Place::from(place));
    change(&shared, who, "resume", name, Word::Resume { place }, place).await
}

/// Gives up what the entity is at, the event or what is missing, and goes on.
#[utoipa::path(post, path = "/api/v1/pipelines/{p}/entities/{e}/skip", tag = "changes of one",
    params(
        ("p" = String, Path, description = "The pipeline.", pattern = "^[a-z][a-z0-9-]{0,31}$"),
        ("e" = String, Path, description = "The entity, percent-encoded.", min_length = 1, max_length = 256),
    ),
    request_body = PlaceBody, responses((status = 200, body = Done), Problems, ChangeProblems))]
pub(super) async fn skip(
    State(shared): State<Shared>,
    who: Asking,
    EntityPath(name): EntityPath,
    ApiQuery(NoQuery {}): ApiQuery<NoQuery>,
    ApiJson(place): ApiJson<PlaceBody>,
) -> Answered {
    let place = Some(Place::from(place));
    change(&shared, who, "skip", name, Word::Skip { place }, place).await
}

/// Erases state and ids of the entity. Refused while something is owed.
#[utoipa::path(delete, path = "/api/v1/pipelines/{p}/entities/{e}", tag = "changes of one",
    params(
        ("p" = String, Path, description = "The pipeline.", pattern = "^[a-z][a-z0-9-]{0,31}$"),
        ("e" = String, Path, description = "The entity, percent-encoded.", min_length = 1, max_length = 256),
    ),
    responses((status = 200, body = Done), Problems, ChangeProblems))]
pub(super) async fn forget(
    State(shared): State<Shared>,
    Extension(who): Asking,
    EntityPath(name): EntityPath,
    ApiQuery(NoQuery {}): ApiQuery<NoQuery>,
) -> Answered {
    let audit = Audit { pipeline: name.pipeline.clone(), entity: name.entity.clone(), ..Audit::new(who, "forget") };
    Ok(Json(shared.change(audit, move |control| control.forget(name)).await?))
}

async fn change(
    shared: &Shared,
    Extension(who): Asking,
    action: &'static str,
    name: EntityName,
    word: Word,
    place: Option<Place>,
) -> Answered {
    let audit = Audit { pipeline: name.pipeline.clone(), entity: name.entity.clone(), place, ..Audit::new(who, action) };
    Ok(Json(shared.change(audit, move |control| control.operate(name, word)).await?))
}
