//! `/api/v1/plugins`: which components the handlers run; load, roll back, confirm.

use super::ProblemDetails;
use super::api::{Asking, ChangeProblems, Problems, Shared};
use super::audit::Audit;
use super::extract::{ApiJson, ApiQuery, NoQuery, bad, quoted};
use crate::control::{COMPONENT_BYTES_MAX, Done, Fault, PluginDone, PluginRow};
use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Components that are received at the same time; each may fill memory with its bytes.
pub(super) const UPLOADS_MAX: usize = 2;
/// The kinds of body that a component may be. The document names the second, which every client can make.
const KINDS: [&str; 2] = ["application/wasm", "application/octet-stream"];
/// Longest text that says where a component came from, bytes.
const FROM_MAX: usize = 256;
/// Longest digest, characters.
const DIGEST_MAX: usize = 64;

/// All handlers and what they run.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PluginList {
    /// In the order of the config.
    plugins: Vec<PluginRow>,
}

/// Which component each handler runs, and which are kept for a rollback.
#[utoipa::path(get, path = "/api/v1/plugins", tag = "plugins", responses((status = 200, body = PluginList), Problems))]
pub(super) async fn list(
    State(shared): State<Shared>,
    ApiQuery(NoQuery {}): ApiQuery<NoQuery>,
) -> Result<Json<PluginList>, ProblemDetails> {
    Ok(Json(PluginList { plugins: shared.ask(shared.control.plugins()).await? }))
}

/// Which handler gets the component.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct LoadQuery {
    /// The pipeline.
    #[param(pattern = "^[a-z][a-z0-9-]{0,31}$")]
    pipeline: String,
    /// The handler.
    #[param(pattern = "^[a-z][a-z0-9-]{0,31}$")]
    handler: String,
    /// Where it comes from, for people: the name of a file.
    #[param(max_length = 256)]
    from: Option<String>,
}

/// Loads a component, the body: it handles the next event of each entity when this is answered. It lasts until what the config names changes.
#[utoipa::path(post, path = "/api/v1/plugins:load", tag = "plugins", params(LoadQuery),
    request_body(content = inline(String), content_type = "application/octet-stream", description = "A component, or a core module made for our world."),
    responses((status = 200, body = PluginDone), Problems, ChangeProblems))]
pub(super) async fn load(
    State(shared): State<Shared>,
    Extension(who): Asking,
    ApiQuery(query): ApiQuery<LoadQuery>,
    request: Request,
) -> Result<Json<PluginDone>, ProblemDetails> {
    let LoadQuery { pipeline, handler, from } = query;
    let from = from.unwrap_or_else(|| "the admin API".to_owned());
    if from.len() > FROM_MAX {
        return Err(bad(format!("from has {} bytes; at most {FROM_MAX}", from.len())));
    }
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if !KINDS.iter().any(|known| kind.eq_ignore_ascii_case(known)) {
        return Err(ProblemDetails::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "Unsupported media type")
            .detail(format!("the body must be a component and say so: Content-Type: {}", KINDS.join(" or "))));
    }
    let _place = shared
        .uploads
        .try_acquire()
        .map_err(|_| Fault::Unavailable(format!("{UPLOADS_MAX} components are being received already; try again when they have been")))?;
    let body = to_bytes(request.into_body(), COMPONENT_BYTES_MAX).await.map_err(|error| {
        ProblemDetails::new(StatusCode::PAYLOAD_TOO_LARGE, "Too large")
            .detail(format!("the component could not be received whole (the most is {COMPONENT_BYTES_MAX} bytes): {error}"))
    })?;
    let component = Vec::from(body);
    let detail = format!("handler {}, {} bytes from {}", quoted(&handler), component.len(), quoted(&from));
    let audit = Audit { pipeline: pipeline.clone(), detail, ..Audit::new(who, "load component") };
    let from = seriatim_contract::one_line(&from, FROM_MAX);
    Ok(Json(shared.change(audit, move |control| control.load_plugin(pipeline, handler, component, from)).await?))
}

/// Which handler goes back, and to what.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RollbackBody {
    /// The pipeline.
    #[schema(min_length = 1, max_length = 32)]
    pipeline: String,
    /// The handler.
    #[schema(min_length = 1, max_length = 32)]
    handler: String,
    /// The digest of a kept component, or how it begins; without it, the one before.
    #[schema(min_length = 1, max_length = 64)]
    to: Option<String>,
}

/// Has a handler run a component again that it ran before.
#[utoipa::path(post, path = "/api/v1/plugins:rollback", tag = "plugins", request_body = RollbackBody,
    responses((status = 200, body = PluginDone), Problems, ChangeProblems))]
pub(super) async fn rollback(
    State(shared): State<Shared>,
    Extension(who): Asking,
    ApiQuery(NoQuery {}): ApiQuery<NoQuery>,
    ApiJson(RollbackBody { pipeline, handler, to }): ApiJson<RollbackBody>,
) -> Result<Json<PluginDone>, ProblemDetails> {
    if let Some(to) = to.as_ref().filter(|to| to.is_empty() || to.len() > DIGEST_MAX) {
        return Err(bad(format!("to is {}; it must be a digest, or how one begins", quoted(to))));
    }
    let detail = format!("handler {}, to {}", quoted(&handler), to.as_deref().map_or("the one before".to_owned(), quoted));
    let audit = Audit { pipeline: pipeline.clone(), detail, ..Audit::new(who, "roll back component") };
    Ok(Json(shared.change(audit, move |control| control.rollback_plugin(pipeline, handler, to)).await?))
}

/// Which handler.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ConfirmBody {
    /// The pipeline.
    #[schema(min_length = 1, max_length = 32)]
    pipeline: String,
    /// The handler.
    #[schema(min_length = 1, max_length = 32)]
    handler: String,
}

/// Lets go of what state was before its migrations: they cannot be taken back any more. Repeating it is harmless.
#[utoipa::path(post, path = "/api/v1/plugins:confirm", tag = "plugins", request_body = ConfirmBody,
    responses((status = 200, body = Done), Problems, ChangeProblems))]
pub(super) async fn confirm(
    State(shared): State<Shared>,
    Extension(who): Asking,
    ApiQuery(NoQuery {}): ApiQuery<NoQuery>,
    ApiJson(ConfirmBody { pipeline, handler }): ApiJson<ConfirmBody>,
) -> Result<Json<Done>, ProblemDetails> {
    let audit =
        Audit { pipeline: pipeline.clone(), detail: format!("handler {}", quoted(&handler)), ..Audit::new(who, "confirm migrations") };
    Ok(Json(shared.change(audit, move |control| control.confirm_plugin(pipeline, handler)).await?))
}
