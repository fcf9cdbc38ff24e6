//! A running host, asked over its admin API.

use super::Failure;
use crate::admin;
use crate::control::{
    Answer, BulkDone, BulkFilter, Control, DeadLetterPage, DeadLetterQuery, DeadLetterReport, Done, EntityName, EntityPage, EntityQuery,
    EntityReport, EntityState, Fault, HistoryPage, HistoryQuery, PipelineRow, Place, PluginDone, PluginRow, PurgeDone, Redrive,
    RedriveDone, Sort, StateReport, Word,
};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio_rustls::rustls::crypto::ring;
use ureq::http::{Method, Request, Uri};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};

/// A host that does not take a connection within this time is gone.
const CONNECT: Duration = Duration::from_secs(5);
/// The longest that an answer may take: as long as the host keeps a connection.
const ANSWER: Duration = Duration::from_secs(600);
/// Largest answer, bytes: a payload of 64 MiB (the most that NATS takes) in base64, and room.
const ANSWER_MAX: u64 = 96 << 20;

/// See the module.
#[derive(Clone)]
pub(in super::super) struct Remote(Arc<Inner>);

struct Inner {
    agent: ureq::Agent,
    base: String,
    token: Option<String>,
    operator: String,
}

/// What may stand in an answer that is none.
#[derive(Default, Deserialize)]
struct Problem {
    #[serde(default)]
    title: String,
    detail: Option<String>,
    head: Option<Place>,
}

#[derive(Deserialize)]
struct Pipelines {
    pipelines: Vec<PipelineRow>,
}

#[derive(Deserialize)]
struct Plugins {
    plugins: Vec<PluginRow>,
}

impl Remote {
    /// The host at `url`; asks nothing yet.
    pub(in super::super) fn new(url: &str, token_file: Option<&Path>, ca_file: Option<&Path>) -> Result<Self, Failure> {
        let base = url.trim_end_matches('/').to_owned();
        let not_a_url = || Failure::Usage(format!("--host {url}: not a URL of a host, such as http://127.0.0.1:9465"));
        let uri: Uri = base.parse().map_err(|_| not_a_url())?;
        let (Some(scheme), Some(host), true) = (uri.scheme_str(), uri.host(), uri.path().trim_matches('/').is_empty()) else {
            return Err(not_a_url());
        };
        let token = token_file.map(admin::own_token).transpose().map_err(|error| Failure::Failed(error.to_string()))?;
        let tls = match scheme {
            "https" => Some(trust(ca_file)?),
            "http" if token.is_some() && !is_loopback(host) => {
                return Err(Failure::Usage(format!("--host {url}: a token is not sent without encryption; use https")));
            }
            "http" => None,
            _ => return Err(not_a_url()),
        };
        let mut config = ureq::Agent::config_builder()
            .timeout_connect(Some(CONNECT))
            .timeout_global(Some(ANSWER))
            .max_redirects(0)
            // A refusal comes with its reason; and what is asked is this very host, whatever the environment says of proxies.
            .http_status_as_error(false)
            .proxy(None);
        if let Some(tls) = tls {
            config = config.tls_config(tls);
        }
        let operator = whoami::username().unwrap_or_default().chars().filter(char::is_ascii_graphic).collect();
        Ok(Self(Arc::new(Inner { agent: config.build().into(), base, token, operator })))
    }

    fn get<'a, T: DeserializeOwned + Send + 'static>(&self, path: String, query: Vec<(&'static str, Option<String>)>) -> Answer<'a, T> {
        self.send(Method::GET, with_query(path, query), None)
    }

    fn post<'a, T: DeserializeOwned + Send + 'static>(&self, path: String, body: Value) -> Answer<'a, T> {
        self.send(Method::POST, path, Some(body))
    }

    fn send<'a, T: DeserializeOwned + Send + 'static>(&self, method: Method, path: String, body: Option<Value>) -> Answer<'a, T> {
        self.send_bytes(method, path, body.map(|body| ("application/json", body.to_string().into_bytes())))
    }

    fn send_bytes<'a, T: DeserializeOwned + Send + 'static>(
        &self,
        method: Method,
        path: String,
        body: Option<(&'static str, Vec<u8>)>,
    ) -> Answer<'a, T> {
        let inner = Arc::clone(&self.0);
        Box::pin(async move {
            let asked = tokio::task::spawn_blocking(move || inner.ask(&method, &path, body)).await;
            asked.unwrap_or_else(|error| Err(Fault::Unavailable(format!("the request broke off: {error}"))))
        })
    }
}

impl Inner {
    fn ask<T: DeserializeOwned>(&self, method: &Method, path: &str, body: Option<(&'static str, Vec<u8>)>) -> Result<T, Fault> {
        let url = format!("{}{path}", self.base);
        let mut request = Request::builder().method(method).uri(&url).header(admin::OPERATOR_HEADER, &self.operator);
        if let Some(token) = &self.token {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        if let Some((kind, _)) = body {
            request = request.header("Content-Type", kind);
        }
        let request =
            request.body(body.map(|(_, bytes)| bytes).unwrap_or_default()).map_err(|error| Fault::Bad(format!("{url}: {error}")))?;
        let answer = self.agent.run(request);
        let changes = if *method == Method::GET { "" } else { "; whether it was done is seen by asking again: repeating is harmless" };
        let mut answer = answer
            .map_err(|error| Fault::Unavailable(format!("{url}: {error}; is the host running, and does it listen there?{changes}")))?;
        let status = answer.status();
        let bytes = answer.body_mut().with_config().limit(ANSWER_MAX).read_to_vec();
        let bytes = bytes.map_err(|error| Fault::Unavailable(format!("{url}: the answer cannot be read: {error}{changes}")))?;
        if status.is_success() {
            return serde_json::from_slice(&bytes).map_err(|error| {
                Fault::Unavailable(format!("{url}: the answer is not understood ({error}); are host and command of one release?"))
            });
        }
        let problem: Problem = serde_json::from_slice(&bytes).unwrap_or_default();
        let detail = problem.detail.unwrap_or(problem.title);
        Err(match status.as_u16() {
            404 if !detail.is_empty() => Fault::Unknown(detail),
            400 => Fault::Bad(detail),
            409 => Fault::Conflict { detail, head: problem.head },
            401 => Fault::Unavailable(format!("{url}: {detail}; give it with --token-file FILE")),
            _ => Fault::Unavailable(format!("{url}: {status}: {detail}")),
        })
    }
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || bare.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// The system's authorities and those of the file.
fn trust(ca_file: Option<&Path>) -> Result<TlsConfig, Failure> {
    let system = rustls_native_certs::load_native_certs();
    let mut roots: Vec<Certificate<'static>> = system.certs.iter().map(|der| Certificate::from_der(der).to_owned()).collect();
    if let Some(path) = ca_file {
        let fault = |reason: String| Failure::Failed(format!("the certificate file {} cannot be used: {reason}", path.display()));
        let pem = std::fs::read(path).map_err(|error| fault(error.to_string()))?;
        let before = roots.len();
        for item in parse_pem(&pem) {
            if let PemItem::Certificate(certificate) = item.map_err(|error| fault(error.to_string()))? {
                roots.push(certificate);
            }
        }
        if roots.len() == before {
            return Err(fault("it has no certificate (PEM)".to_owned()));
        }
    }
    let provider = Arc::new(ring::default_provider());
    Ok(TlsConfig::builder().unversioned_rustls_crypto_provider(provider).root_certs(RootCerts::new_with_certs(&roots)).build())
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

fn with_query(path: String, query: Vec<(&'static str, Option<String>)>) -> String {
    let given: Vec<_> = query.into_iter().filter_map(|(name, value)| Some(format!("{name}={}", encoded(&value?)))).collect();
    if given.is_empty() { path } else { format!("{path}?{}", given.join("&")) }
}

fn entities_path(pipeline: &str) -> String {
    format!("/api/v1/pipelines/{}/entities", encoded(pipeline))
}

fn entity_path(name: &EntityName) -> String {
    format!("{}/{}", entities_path(&name.pipeline), encoded(&name.entity))
}

/// 0 is for the host to choose.
fn unless_zero(number: u64) -> Option<String> {
    (number > 0).then(|| number.to_string())
}

const fn state_word(state: EntityState) -> &'static str {
    match state {
        EntityState::Live => "live",
        EntityState::Waiting => "waiting",
        EntityState::Parked => "parked",
    }
}

const fn word_path(word: &Word) -> (&'static str, Option<Place>) {
    match *word {
        Word::Park => ("park", None),
        Word::Resume { place } => ("resume", place),
        Word::Skip { place } => ("skip", place),
    }
}

/// An object of what is given.
fn object(entries: Vec<(&str, Option<Value>)>) -> Map<String, Value> {
    entries.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

impl Control for Remote {
    fn pipelines(&self) -> Answer<'_, Vec<PipelineRow>> {
        let asked = self.get::<Pipelines>("/api/v1/pipelines".to_owned(), Vec::new());
        Box::pin(async move { Ok(asked.await?.pipelines) })
    }

    fn entities(&self, query: EntityQuery) -> Answer<'_, EntityPage> {
        let states: Vec<_> = query.states.iter().map(|state| state_word(*state)).collect();
        let sort = match query.sort {
            Sort::Name => "name",
            Sort::Age => "age",
            Sort::Backlog => "backlog",
        };
        let asked = vec![
            ("state", (!states.is_empty()).then(|| states.join(","))),
            ("reason", query.reason),
            ("handler", query.handler),
            ("older_than_seconds", query.older_than_seconds.map(|seconds| seconds.to_string())),
            ("sort", Some(sort.to_owned())),
            ("after", query.after),
            ("limit", unless_zero(query.limit as u64)),
        ];
        self.get(entities_path(&query.pipeline), asked)
    }

    fn entity(&self, name: EntityName) -> Answer<'_, EntityReport> {
        self.get(entity_path(&name), Vec::new())
    }

    fn history(&self, query: HistoryQuery) -> Answer<'_, HistoryPage> {
        let asked = vec![("from", unless_zero(query.from)), ("limit", unless_zero(query.limit as u64))];
        self.get(format!("{}/history", entity_path(&query.name)), asked)
    }

    fn state(&self, name: EntityName, handler: Option<String>) -> Answer<'_, StateReport> {
        self.get(format!("{}/state", entity_path(&name)), vec![("handler", handler)])
    }

    fn operate(&self, name: EntityName, word: Word) -> Answer<'_, Done> {
        let (path, place) = word_path(&word);
        let body = place.map_or(json!({}), |place| json!({ "epoch": place.epoch, "sequence": place.sequence }));
        self.post(format!("{}/{path}", entity_path(&name)), body)
    }

    fn operate_many(&self, pipeline: String, word: Word, filter: BulkFilter, dry_run: bool) -> Answer<'_, BulkDone> {
        // An empty filter means all, and the API wants that to be said.
        let all = filter == BulkFilter::default();
        let body = object(vec![
            ("entities", (!filter.entities.is_empty()).then(|| json!(filter.entities))),
            ("states", (!filter.states.is_empty()).then(|| json!(filter.states))),
            ("reason", filter.reason.map(Value::from)),
            ("handler", filter.handler.map(Value::from)),
            ("older_than_seconds", filter.older_than_seconds.map(Value::from)),
            ("all", Some(json!(all))),
            ("dry_run", Some(json!(dry_run))),
        ]);
        self.post(format!("{}:{}", entities_path(&pipeline), word_path(&word).0), Value::Object(body))
    }

    fn close_breaker(&self, pipeline: String, handler: String) -> Answer<'_, Done> {
        self.post(format!("/api/v1/pipelines/{}/breaker:close", encoded(&pipeline)), json!({ "handler": handler }))
    }

    fn plugins(&self) -> Answer<'_, Vec<PluginRow>> {
        let asked = self.get::<Plugins>("/api/v1/plugins".to_owned(), Vec::new());
        Box::pin(async move { Ok(asked.await?.plugins) })
    }

    fn load_plugin(&self, pipeline: String, handler: String, component: Vec<u8>, from: String) -> Answer<'_, PluginDone> {
        let asked = vec![("pipeline", Some(pipeline)), ("handler", Some(handler)), ("from", Some(from))];
        self.send_bytes(Method::POST, with_query("/api/v1/plugins:load".to_owned(), asked), Some(("application/wasm", component)))
    }

    fn rollback_plugin(&self, pipeline: String, handler: String, to: Option<String>) -> Answer<'_, PluginDone> {
        let body = object(vec![("pipeline", Some(json!(pipeline))), ("handler", Some(json!(handler))), ("to", to.map(Value::from))]);
        self.post("/api/v1/plugins:rollback".to_owned(), Value::Object(body))
    }

    fn confirm_plugin(&self, pipeline: String, handler: String) -> Answer<'_, Done> {
        self.post("/api/v1/plugins:confirm".to_owned(), json!({ "pipeline": pipeline, "handler": handler }))
    }

    fn forget(&self, name: EntityName) -> Answer<'_, Done> {
        self.send(Method::DELETE, entity_path(&name), None)
    }

    fn dead_letters(&self, query: DeadLetterQuery) -> Answer<'_, DeadLetterPage> {
        let asked = vec![
            ("pipeline", query.pipeline),
            ("reason", query.reason),
            ("entity", query.entity),
            ("handler", query.handler),
            ("since", query.since.map(|time| time.to_string())),
            ("until", query.until.map(|time| time.to_string())),
            ("from", unless_zero(query.from)),
            ("limit", unless_zero(query.limit as u64)),
        ];
        self.get("/api/v1/dead-letters".to_owned(), asked)
    }

    fn dead_letter(&self, stream_sequence: u64) -> Answer<'_, DeadLetterReport> {
        self.get(format!("/api/v1/dead-letters/{stream_sequence}"), Vec::new())
    }

    fn redrive(&self, stream_sequence: u64, redrive: Redrive) -> Answer<'_, RedriveDone> {
        let body = object(vec![("out_of_order", Some(json!(redrive.out_of_order))), ("payload", redrive.payload.map(Value::from))]);
        self.post(format!("/api/v1/dead-letters/{stream_sequence}/redrive"), Value::Object(body))
    }

    fn purge(&self, query: DeadLetterQuery, dry_run: bool) -> Answer<'_, PurgeDone> {
        let all = DeadLetterQuery { from: 0, ..query.clone() } == DeadLetterQuery::default();
        let body = object(vec![
            ("pipeline", query.pipeline.map(Value::from)),
            ("reason", query.reason.map(Value::from)),
            ("entity", query.entity.map(Value::from)),
            ("handler", query.handler.map(Value::from)),
            ("since", query.since.map(Value::from)),
            ("until", query.until.map(Value::from)),
            ("from", Some(json!(query.from))),
            ("all", Some(json!(all))),
            ("dry_run", Some(json!(dry_run))),
        ]);
        self.post("/api/v1/dead-letters:purge".to_owned(), Value::Object(body))
    }
}
