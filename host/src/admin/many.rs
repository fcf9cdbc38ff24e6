//! `POST /api/v1/pipelines/{p}/entities:park|resume|skip`: the same for many, named one by one or by what they have in common.

use super::ProblemDetails;
use super::api::{Asking, ChangeProblems, Problems, Shared};
use super::audit::Audit;
use super::extract::{ApiJson, ApiQuery, NoQuery, PipelinePath, bad, entity_name, text};
use crate::control::{BulkDone, BulkFilter, EntityState, Word};
use axum::extract::State;
use axum::{Extension, Json};
use serde::Deserialize;
use utoipa::ToSchema;

/// Most entities that one request names.
const NAMED_MAX: usize = 10_000;

type Answered = Result<Json<BulkDone>, ProblemDetails>;

/// Which of many: all that match everything that is said. Nothing said is refused, unless `all` is.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ManyBody {
    /// Just these.
    #[schema(min_items = 1, max_items = 10_000)]
    entities: Option<Vec<String>>,
    /// Only those in one of these states. Without it and a reason, resume and skip mean those that are parked.
    #[schema(min_items = 1, max_items = 3)]
    states: Option<Vec<EntityState>>,
    /// Only those that wait for this reason.
    #[schema(min_length = 1, max_length = 256)]
    reason: Option<String>,
    /// Only those whose last failure was this handler's.
    #[schema(min_length = 1, max_length = 256)]
    handler: Option<String>,
    /// Only those that have waited at least so many seconds.
    #[schema(minimum = 0, format = "uint64")]
    older_than_seconds: Option<u64>,
    /// All of the pipeline; needed where nothing else is said.
    #[serde(default)]
    all: bool,
    /// Do nothing, only say whom it would meet.
    #[serde(default)]
    dry_run: bool,
}

impl ManyBody {
    fn filter(self) -> Result<BulkFilter, ProblemDetails> {
        let said = self.entities.is_some() || self.states.is_some() || self.reason.is_some();
        if !said && self.handler.is_none() && self.older_than_seconds.is_none() && !self.all {
            return Err(bad("nothing says which entities: give entities, states, reason, handler or older_than_seconds, or \"all\": true"));
        }
        if self.states.as_ref().is_some_and(Vec::is_empty) {
            return Err(bad("states is empty: it means nobody; leave it out to choose by the rest"));
        }
        let entities = match self.entities {
            None => Vec::new(),
            Some(names) if names.is_empty() => return Err(bad("entities is empty: it names nobody; leave it out to choose by the rest")),
            Some(names) if names.len() > NAMED_MAX => {
                return Err(bad(format!("entities has {} names; at most {NAMED_MAX} in one request", names.len())));
            }
            Some(names) => names,
        };
        for (index, name) in entities.iter().enumerate() {
            entity_name(name).map_err(|reason| bad(format!("entities, number {}: {reason}", index + 1)))?;
        }
        Ok(BulkFilter {
            entities,
            states: self.states.unwrap_or_default(),
            reason: text("reason", self.reason)?,
            handler: text("handler", self.handler)?,
            older_than_seconds: self.older_than_seconds,
        })
    }
}

/// Parks many entities.
#[utoipa::path(post, path = "/api/v1/pipelines/{p}/entities:park", tag = "changes of many",
    params(("p" = String, Path, description = "The pipeline.", pattern = "^[a-z][a-z0-9-]{0,31}$")),
    request_body = ManyBody, responses((status = 200, body = BulkDone), Problems, ChangeProblems))]
pub(super) async fn park(
    State(shared): State<Shared>,
    who: Asking,
    PipelinePath(pipeline): PipelinePath,
    ApiQuery(NoQuery {}): ApiQuery<NoQuery>,
    ApiJson(body): ApiJson<ManyBody>,
) -> Answered {
    change(&shared, who, "park many", pipeline, Word::Park, body).await
}

/// Resumes many entities, each wherever it is.
#[utoipa::path(post, path = "/api/v1/pipelines/{p}/entities:resume", tag = "changes of many",
    params(("p" = String, Path, description = "The pipeline.", pattern = "^[a-z][a-z0-9-]{0,31}$")),
    request_body = ManyBody, responses((status = 200, body = BulkDone), Problems, ChangeProblems))]
pub(super) async fn resume(
    State(shared): State<Shared>,
    who: Asking,
    PipelinePath(pipeline): PipelinePath,
    ApiQuery(NoQuery {}): ApiQuery<NoQuery>,
    ApiJson(body): ApiJson<ManyBody>,
) -> Answered {
    change(&shared, who, "resume many", pipeline, Word::Resume { place: None }, body).await
}

/// Skips what many entities are at, each wherever it is.
#[utoipa::path(post, path = "/api/v1/pipelines/{p}/entities:skip", tag = "changes of many",
    params(("p" = String, Path, description = "The pipeline.", pattern = "^[a-z][a-z0-9-]{0,31}$")),
    request_body = ManyBody, responses((status = 200, body = BulkDone), Problems, ChangeProblems))]
pub(super) async fn skip(
    State(shared): State<Shared>,
    who: Asking,
    PipelinePath(pipeline): PipelinePath,
    ApiQuery(NoQuery {}): ApiQuery<NoQuery>,
    ApiJson(body): ApiJson<ManyBody>,
) -> Answered {
    change(&shared, who, "skip many", pipeline, Word::Skip { place: None }, body).await
}

async fn change(shared: &Shared, Extension(who): Asking, action: &'static str, pipeline: String, word: Word, body: ManyBody) -> Answered {
    let dry_run = body.dry_run;
    let filter = body.filter()?;
    if dry_run {
        return Ok(Json(shared.ask(shared.control.operate_many(pipeline, word, filter, true)).await?));
    }
    let detail = format!(
        "{} named, states {:?}, reason {:?}, handler {:?}, older than {:?} s",
        filter.entities.len(),
        filter.states,
        filter.reason,
        filter.handler,
        filter.older_than_seconds
    );
    let audit = Audit { pipeline: pipeline.clone(), detail, ..Audit::new(who, action) };
    Ok(Json(shared.change(audit, move |control| control.operate_many(pipeline, word, filter, false)).await?))
}
