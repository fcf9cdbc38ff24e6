//! The admin API on `[admin] listen`: what operators ask and do, over [`Control`]. Reads have a time-out; changes go on to their end, and into the
//! audit log, whether or not the one who asked still listens.
//!
//! Every route is registered together with its entry in the OpenAPI document, which `/api/v1/openapi.json` serves.

use super::access::{self, Guard};
use super::audit::{Audit, Who};
use super::extract::{ApiQuery, NoQuery};
use super::listener::Bounded;
use super::tls::Secured;
use super::tokens::{TokenFileError, Tokens};
use super::{ProblemDetails, dead_letters, entities, many, operate, page, pipelines, plugins, tls};
use crate::config::AdminConfig;
use crate::control::{Answer, Control, EntityState, Fault, Sort};
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::{Json, Router, middleware};
use futures_util::FutureExt as _;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Connections at a time; further ones wait.
const CONNECTIONS_MAX: usize = 64;
/// A connection's longest life. A change that takes longer goes on without its listener.
const CONNECTION_LIFE: Duration = Duration::from_secs(600);
/// How long an answer may take that changes nothing.
const READ_MAX: Duration = Duration::from_secs(60);
/// Changes under way at a time, those included that nobody waits for any more.
const CHANGES_MAX: usize = 64;
/// Largest body, bytes.
pub(super) const BODY_MAX: usize = 4 << 20;
/// How long answers under way may take when the host stops.
const STOP: Duration = Duration::from_secs(1);

/// Why the API is not served.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// The listener failed.
    #[error("the admin API on {address} failed: {source}")]
    Io {
        /// Where.
        address: SocketAddr,
        /// How.
        source: io::Error,
    },
    /// Everybody could change everything.
    #[error("the admin API does not listen on {0}: any address but a loopback one needs admin.token-file and admin.tls")]
    Open(SocketAddr),
    /// The token file is none.
    #[error(transparent)]
    Tokens(#[from] TokenFileError),
    /// The certificate or its key cannot be used.
    #[error(transparent)]
    Tls(#[from] tls::TlsError),
}

/// Who may ask, and how.
#[derive(Clone, Default)]
pub struct Settings {
    tokens: Option<Tokens>,
    tls: Option<TlsAcceptor>,
    hosts: Vec<String>,
}

impl Settings {
    /// Reads the files that `[admin]` names.
    ///
    /// # Errors
    /// [`ApiError::Tokens`] and [`ApiError::Tls`] when a file cannot be read or is not what it should be.
    pub fn load(config: &AdminConfig) -> Result<Self, ApiError> {
        let tokens = config.token_file.as_ref().map(|file| Tokens::load(file)).transpose()?;
        let tls = config.tls.as_ref().map(|files| tls::acceptor(&files.cert_file, &files.key_file)).transpose()?;
        let hosts = config.hosts.iter().map(|host| host.value.to_ascii_lowercase()).collect();
        Ok(Self { tokens, tls, hosts })
    }

    #[cfg(test)]
    pub(super) fn of(tokens: Option<Tokens>, tls: Option<TlsAcceptor>, hosts: &[&str]) -> Self {
        Self { tokens, tls, hosts: hosts.iter().map(|host| (*host).to_owned()).collect() }
    }
}

/// Answers until `stop` is done, then lets what is under way come to its end.
///
/// # Errors
/// [`ApiError::Open`] when anybody on the network could ask; [`ApiError::Io`] when the listener fails for good.
pub async fn serve(
    listener: TcpListener,
    control: Arc<dyn Control>,
    settings: Settings,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<(), ApiError> {
    let unknown = SocketAddr::from(([0, 0, 0, 0], 0));
    let address = listener.local_addr().map_err(|source| ApiError::Io { address: unknown, source })?;
    if !address.ip().is_loopback() && (settings.tokens.is_none() || settings.tls.is_none()) {
        return Err(ApiError::Open(address));
    }
    let (stopping, stopped) = tokio::sync::oneshot::channel::<()>();
    let signal = async move {
        stop.await;
        drop(stopping);
    };
    let guard = Guard::new(address, settings.tokens, settings.tls.is_some(), settings.hosts);
    let app = router(Shared::new(control), guard);
    let listener = Secured::new(Bounded::new(listener, CONNECTIONS_MAX, CONNECTION_LIFE), settings.tls);
    let server = axum::serve(listener, app).with_graceful_shutdown(signal);
    let too_long = async {
        // The sender is only ever dropped: an error is the signal.
        drop(stopped.await);
        tokio::time::sleep(STOP).await;
    };
    tokio::select! {
        result = server.into_future() => result.map_err(|source| ApiError::Io { address, source }),
        () = too_long => Ok(()),
    }
}

/// What every resource has.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) control: Arc<dyn Control>,
    changes: Arc<Semaphore>,
    pub(super) uploads: Arc<Semaphore>,
    document: Arc<utoipa::openapi::OpenApi>,
}

impl Shared {
    fn new(control: Arc<dyn Control>) -> Self {
        let (changes, uploads) = (Arc::new(Semaphore::new(CHANGES_MAX)), Arc::new(Semaphore::new(plugins::UPLOADS_MAX)));
        Self { control, changes, uploads, document: Arc::new(document()) }
    }

    /// The answer of something that changes nothing, within [`READ_MAX`].
    pub(super) async fn ask<T>(&self, answer: Answer<'_, T>) -> Result<T, ProblemDetails> {
        match tokio::time::timeout(READ_MAX, answer).await {
            Ok(answer) => Ok(answer?),
            Err(_) => Err(Fault::Unavailable(format!("no answer within {} s; ask for less, or later", READ_MAX.as_secs())).into()),
        }
    }

    /// Has something changed, to its end, and writes down how it ended.
    pub(super) async fn change<T, F>(&self, audit: Audit, change: F) -> Result<T, ProblemDetails>
    where
        T: super::audit::Told + Send + 'static,
        F: for<'a> FnOnce(&'a dyn Control) -> Answer<'a, T> + Send + 'static,
    {
        let Ok(place) = Arc::clone(&self.changes).try_acquire_owned() else {
            let fault = Fault::Unavailable(format!("{CHANGES_MAX} changes are under way; try again when some have ended"));
            audit.refused(&fault);
            return Err(fault.into());
        };
        let control = Arc::clone(&self.control);
        let task = tokio::spawn(async move {
            let _place = place;
            let ended = AssertUnwindSafe(async { change(&*control).await }).catch_unwind().await;
            match &ended {
                Ok(Ok(done)) => audit.done(done),
                Ok(Err(fault)) => audit.refused(fault),
                Err(_) => audit.broke(),
            }
            ended
        });
        match task.await {
            Ok(Ok(answer)) => Ok(answer?),
            Ok(Err(_)) | Err(_) => Err(ProblemDetails::new(StatusCode::INTERNAL_SERVER_ERROR, "Internal error")
                .detail("the change broke off; whether it was made is seen by asking for the entity again")),
        }
    }
}

/// The errors that any route may answer, in the document.
#[derive(utoipa::IntoResponses)]
#[allow(dead_code, reason = "only its description is used")]
pub(super) enum Problems {
    /// Something in the path, the query or the body makes no sense.
    #[response(status = 400, content_type = "application/problem+json")]
    Bad(ProblemDetails),
    /// No token, or none that is known.
    #[response(status = 401, content_type = "application/problem+json")]
    Unauthorized(ProblemDetails),
    /// The token's role does not allow it, or Host or Origin are foreign.
    #[response(status = 403, content_type = "application/problem+json")]
    Forbidden(ProblemDetails),
    /// No such pipeline, entity, handler or dead letter.
    #[response(status = 404, content_type = "application/problem+json")]
    NotFound(ProblemDetails),
    /// Something else went wrong.
    #[response(status = 500, content_type = "application/problem+json")]
    Internal(ProblemDetails),
    /// The host cannot do it now.
    #[response(status = 503, content_type = "application/problem+json")]
    Unavailable(ProblemDetails),
}

/// The errors that only changes answer, in the document.
#[derive(utoipa::IntoResponses)]
#[allow(dead_code, reason = "only its description is used")]
pub(super) enum ChangeProblems {
    /// The entity stands elsewhere (`head` says where), or owes something.
    #[response(status = 409, content_type = "application/problem+json")]
    Conflict(ProblemDetails),
    /// The body is too large.
    #[response(status = 413, content_type = "application/problem+json")]
    TooLarge(ProblemDetails),
    /// The body is not said to be JSON.
    #[response(status = 415, content_type = "application/problem+json")]
    NotJson(ProblemDetails),
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Seriatim admin API",
        description = "Why an entity does not move, and what to do about it. Every error is an RFC 9457 problem. Times are milliseconds since 1970."
    ),
    components(schemas(ProblemDetails, EntityState, Sort)),
    modifiers(&Bearer),
    security((), ("token" = []))
)]
struct Document;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("A token of admin.token-file; not needed where none is configured. Changes need the role operate."));
        document.components.get_or_insert_default().add_security_scheme("token", SecurityScheme::Http(scheme.build()));
    }
}

fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(openapi))
        .routes(routes!(pipelines::list))
        .routes(routes!(pipelines::close_breaker))
        .routes(routes!(entities::list))
        .routes(routes!(many::park))
        .routes(routes!(many::resume))
        .routes(routes!(many::skip))
        .routes(routes!(entities::show, operate::forget))
        .routes(routes!(entities::history))
        .routes(routes!(entities::state))
        .routes(routes!(operate::park))
        .routes(routes!(operate::resume))
        .routes(routes!(operate::skip))
        .routes(routes!(plugins::list))
        .routes(routes!(plugins::load))
        .routes(routes!(plugins::rollback))
        .routes(routes!(plugins::confirm))
        .routes(routes!(dead_letters::list))
        .routes(routes!(dead_letters::purge))
        .routes(routes!(dead_letters::show))
        .merge(OpenApiRouter::new().routes(routes!(dead_letters::redrive)).layer(DefaultBodyLimit::max(dead_letters::REDRIVE_BODY_MAX)))
}

/// The document of every route.
pub(super) fn document() -> utoipa::openapi::OpenApi {
    routes().split_for_parts().1
}

fn router(shared: Shared, guard: Guard) -> Router {
    let (router, _) = routes().split_for_parts();
    router
        .merge(page::router())
        .fallback(|| async {
            ProblemDetails::new(StatusCode::NOT_FOUND, "Not found").detail("no such resource; /api/v1/openapi.json lists what there is")
        })
        .method_not_allowed_fallback(|| async {
            ProblemDetails::new(StatusCode::METHOD_NOT_ALLOWED, "Method not allowed")
                .detail("the header Allow lists the methods of this resource")
        })
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .layer(middleware::from_fn_with_state(Arc::new(guard), access::check))
        .with_state(shared)
}

/// This document.
#[utoipa::path(get, path = "/api/v1/openapi.json", tag = "document", responses((status = 200, description = "The OpenAPI document.", body = Object), Problems))]
async fn openapi(
    State(shared): State<Shared>,
    ApiQuery(NoQuery {}): ApiQuery<NoQuery>,
) -> Result<Json<utoipa::openapi::OpenApi>, ProblemDetails> {
    Ok(Json((*shared.document).clone()))
}

/// Who asks: put into every request by [`access::check`].
pub(super) type Asking = axum::Extension<Who>;
