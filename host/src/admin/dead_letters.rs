//! `/api/v1/dead-letters`: what was given up, and how it is given again or deleted. A dead letter is named by its sequence in the dead-letter stream.

use super::ProblemDetails;
use super::api::{Asking, ChangeProblems, Problems, Shared};
use super::audit::Audit;
use super::extract::{ApiJson, ApiQuery, DeadLetterPath, NoQuery, bad, entity_name, limit, text};
use crate::control::{DeadLetterPage, DeadLetterQuery, DeadLetterReport, PurgeDone, Redrive, RedriveDone};
use axum::extract::State;
use axum::{Extension, Json};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

/// Largest body of a redrive, bytes: a payload of 8 MiB (the most that NATS advises) in base64, and room.
pub(super) const REDRIVE_BODY_MAX: usize = 12 << 20;

/// Which dead letters.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    /// Of this pipeline.
    #[param(min_length = 1, max_length = 256)]
    pipeline: Option<String>,
    /// For this reason.
    #[param(min_length = 1, max_length = 256)]
    reason: Option<String>,
    /// Of this entity.
    #[param(min_length = 1, max_length = 256)]
    entity: Option<String>,
    /// Failed in this handler.
    #[param(min_length = 1, max_length = 256)]
    handler: Option<String>,
    /// Written at or after this time, in milliseconds since 1970.
    #[param(minimum = 0, format = "uint64")]
    since: Option<u64>,
    /// Written before this time, in milliseconds since 1970.
    #[param(minimum = 0, format = "uint64")]
    until: Option<u64>,
    /// From this sequence of the dead-letter stream on; a page's `next`.
    #[param(minimum = 0, format = "uint64")]
    from: Option<u64>,
    /// Dead letters in a page; 100 when nothing is said.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
}

/// Dead letters, oldest first.
#[utoipa::path(get, path = "/api/v1/dead-letters", tag = "dead letters", params(ListQuery),
    responses((status = 200, body = DeadLetterPage), Problems))]
pub(super) async fn list(
    State(shared): State<Shared>,
    ApiQuery(query): ApiQuery<ListQuery>,
) -> Result<Json<DeadLetterPage>, ProblemDetails> {
    let limit = limit(query.limit)?;
    let chosen = Chosen {
        pipeline: query.pipeline,
        reason: query.reason,
        entity: query.entity,
        handler: query.handler,
        since: query.since,
        until: query.until,
    };
    let query = DeadLetterQuery { from: query.from.unwrap_or(0), limit, ..chosen.query()? };
    Ok(Json(shared.ask(shared.control.dead_letters(query)).await?))
}

/// One dead letter with headers and payload.
#[utoipa::path(get, path = "/api/v1/dead-letters/{n}", tag = "dead letters",
    params(("n" = u64, Path, description = "Its sequence in the dead-letter stream.", minimum = 1)),
    responses((status = 200, body = DeadLetterReport), Problems))]
pub(super) async fn show(
    State(shared): State<Shared>,
    DeadLetterPath(number): DeadLetterPath,
    ApiQuery(NoQuery {}): ApiQuery<NoQuery>,
) -> Result<Json<DeadLetterReport>, ProblemDetails> {
    Ok(Json(shared.ask(shared.control.dead_letter(number)).await?))
}

/// How an event is given again.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RedriveBody {
    /// Although events of the entity were applied since: the handler sees `delivery.late() = true`.
    #[serde(default)]
    out_of_order: bool,
    /// Another payload, base64.
    #[schema(
        content_encoding = "base64",
        pattern = "^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/][AQgw]==|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=)?$"
    )]
    payload: Option<String>,
}

/// Gives a dead letter's event to its entity again, once, however often it is asked for.
#[utoipa::path(post, path = "/api/v1/dead-letters/{n}/redrive", tag = "dead letters",
    params(("n" = u64, Path, description = "Its sequence in the dead-letter stream.", minimum = 1)),
    request_body(content = Option<RedriveBody>), responses((status = 200, body = RedriveDone), Problems, ChangeProblems))]
pub(super) async fn redrive(
    State(shared): State<Shared>,
    Extension(who): Asking,
    DeadLetterPath(number): DeadLetterPath,
    ApiQuery(NoQuery {}): ApiQuery<NoQuery>,
    ApiJson(body): ApiJson<RedriveBody>,
) -> Result<Json<RedriveDone>, ProblemDetails> {
    let mut detail = if body.out_of_order { "out of order".to_owned() } else { String::new() };
    if let Some(payload) = &body.payload {
        let bytes = STANDARD.decode(payload).map_err(|error| bad(format!("payload is not base64: {error}")))?;
        let and = if detail.is_empty() { "" } else { ", " };
        detail.push_str(&format!("{and}another payload, {} bytes", bytes.len()));
    }
    let redrive = Redrive { out_of_order: body.out_of_order, payload: body.payload };
    let audit = Audit { dead_letter: Some(number), detail, ..Audit::new(who, "redrive") };
    Ok(Json(shared.change(audit, move |control| control.redrive(number, redrive)).await?))
}

/// Which dead letters are deleted: all that match everything that is said. Nothing said is refused, unless `all` is.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PurgeBody {
    /// Of this pipeline.
    #[schema(min_length = 1, max_length = 256)]
    pipeline: Option<String>,
    /// For this reason.
    #[schema(min_length = 1, max_length = 256)]
    reason: Option<String>,
    /// Of this entity.
    #[schema(min_length = 1, max_length = 256)]
    entity: Option<String>,
    /// Failed in this handler.
    #[schema(min_length = 1, max_length = 256)]
    handler: Option<String>,
    /// Written at or after this time, in milliseconds since 1970.
    #[schema(minimum = 0, format = "uint64")]
    since: Option<u64>,
    /// Written before this time, in milliseconds since 1970.
    #[schema(minimum = 0, format = "uint64")]
    until: Option<u64>,
    /// From this stream sequence (of the dead-letter stream) on: the `next` of the answer before.
    #[serde(default)]
    #[schema(minimum = 0, format = "uint64")]
    from: u64,
    /// All there are; needed where nothing else is said.
    #[serde(default)]
    all: bool,
    /// Delete nothing, only count.
    #[serde(default)]
    dry_run: bool,
}

/// Deletes dead letters for good.
#[utoipa::path(post, path = "/api/v1/dead-letters:purge", tag = "dead letters", request_body = PurgeBody,
    responses((status = 200, body = PurgeDone), Problems, ChangeProblems))]
pub(super) async fn purge(
    State(shared): State<Shared>,
    Extension(who): Asking,
    ApiQuery(NoQuery {}): ApiQuery<NoQuery>,
    ApiJson(body): ApiJson<PurgeBody>,
) -> Result<Json<PurgeDone>, ProblemDetails> {
    let (all, dry_run) = (body.all, body.dry_run);
    let chosen = Chosen {
        pipeline: body.pipeline,
        reason: body.reason,
        entity: body.entity,
        handler: body.handler,
        since: body.since,
        until: body.until,
    };
    if !all && chosen == Chosen::default() {
        return Err(bad("nothing says which dead letters: give pipeline, reason, entity, handler, since or until, or \"all\": true"));
    }
    let detail = format!("reason {:?}, handler {:?}, since {:?}, until {:?}", chosen.reason, chosen.handler, chosen.since, chosen.until);
    let query = DeadLetterQuery { from: body.from, ..chosen.query()? };
    if dry_run {
        return Ok(Json(shared.ask(shared.control.purge(query, true)).await?));
    }
    let pipeline = query.pipeline.clone().unwrap_or_default();
    let entity = query.entity.clone().unwrap_or_default();
    let audit = Audit { pipeline, entity, detail, ..Audit::new(who, "purge") };
    Ok(Json(shared.change(audit, move |control| control.purge(query, false)).await?))
}

/// What list and purge have in common.
#[derive(Default, PartialEq, Eq)]
struct Chosen {
    pipeline: Option<String>,
    reason: Option<String>,
    entity: Option<String>,
    handler: Option<String>,
    since: Option<u64>,
    until: Option<u64>,
}

impl Chosen {
    fn query(self) -> Result<DeadLetterQuery, ProblemDetails> {
        if let Some(entity) = &self.entity {
            entity_name(entity).map_err(|reason| bad(format!("entity: {reason}")))?;
        }
        if let (Some(since), Some(until)) = (self.since, self.until)
            && since >= until
        {
            return Err(bad(format!("since ({since}) is not before until ({until}): nothing can match")));
        }
        Ok(DeadLetterQuery {
            pipeline: text("pipeline", self.pipeline)?,
            reason: text("reason", self.reason)?,
            entity: self.entity,
            handler: text("handler", self.handler)?,
            since: self.since,
            until: self.until,
            from: 0,
            limit: 0,
        })
    }
}
