//! Who may ask. Host and Origin are checked first, so that no web page can ask in the name of somebody's browser (DNS rebinding, cross-site requests);
//! then the token, where there are tokens; then its role.

use super::audit::{self, Who};
use super::tokens::{Role, Tokens};
use super::{ProblemDetails, extract::quoted, page};
use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// What a client may say of itself where no token says more. Never taken for proved.
pub const OPERATOR_HEADER: &str = "seriatim-operator";
/// Longest of it that is kept, characters.
const OPERATOR_MAX: usize = 64;

/// What is checked.
pub(super) struct Guard {
    loopback: bool,
    tokens: Option<Tokens>,
    scheme: &'static str,
    hosts: Vec<String>,
}

impl Guard {
    /// For a listener at `address`; `hosts` are further names it may be asked by, in lower case.
    pub(super) fn new(address: SocketAddr, tokens: Option<Tokens>, tls: bool, hosts: Vec<String>) -> Self {
        Self { loopback: address.ip().is_loopback(), tokens, scheme: if tls { "https" } else { "http" }, hosts }
    }

    fn admit(&self, request: &Request) -> Result<Who, Box<Refusal>> {
        let authority = authority(request).map_err(|reason| Refusal::of(forbidden(reason)))?;
        if !self.is_own(authority.host()) {
            let reason = format!("the host {} is not this one; add it to admin.hosts if it is", quoted(authority.host()));
            return Err(Refusal::of(forbidden(reason)));
        }
        self.check_origin(request.headers(), &authority).map_err(|reason| Refusal::of(forbidden(reason)))?;
        if page::is_part(request.uri().path()) {
            return Ok(Who { name: operator(request.headers()), verified: false });
        }
        let Some(tokens) = &self.tokens else {
            return Ok(Who { name: operator(request.headers()), verified: false });
        };
        let token = bearer(request.headers()).ok_or_else(|| Refusal::of(unauthorized("a token is needed: Authorization: Bearer TOKEN")))?;
        let (name, role) = tokens.find(token).ok_or_else(|| Refusal::of(unauthorized("this token is not known here")))?;
        let who = Who { name, verified: true };
        if role < Role::Operate && !matches!(*request.method(), Method::GET | Method::HEAD) {
            let problem = forbidden(format!("the token of {} may read; this needs the role operate", quoted(&who.name)));
            return Err(Box::new(Refusal { problem, who: Some(who) }));
        }
        Ok(who)
    }

    /// Whether this is a name of ours. An address cannot be rebound; a name can, unless it is one that we know.
    fn is_own(&self, host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(&host);
        match bare.parse::<IpAddr>() {
            Ok(ip) => !self.loopback || ip.is_loopback() || self.hosts.contains(&host),
            Err(_) => host == "localhost" || self.hosts.contains(&host),
        }
    }

    fn check_origin(&self, headers: &HeaderMap, authority: &Authority) -> Result<(), String> {
        for origin in headers.get_all(header::ORIGIN) {
            let text = String::from_utf8_lossy(origin.as_bytes());
            let own =
                text.split_once("://").is_some_and(|(scheme, rest)| scheme == self.scheme && rest.eq_ignore_ascii_case(authority.as_str()));
            if !own {
                return Err(format!("the origin {} is another site", quoted(&text)));
            }
        }
        Ok(())
    }
}

/// Why a request is not let in.
struct Refusal {
    problem: ProblemDetails,
    /// Known, but not allowed.
    who: Option<Who>,
}

impl Refusal {
    fn of(problem: ProblemDetails) -> Box<Self> {
        Box::new(Self { problem, who: None })
    }
}

/// Lets a request through, with who asks, or answers it.
pub(super) async fn check(State(guard): State<Arc<Guard>>, mut request: Request, next: Next) -> Response {
    let mut response = match guard.admit(&request) {
        Ok(who) => {
            request.extensions_mut().insert(who);
            next.run(request).await
        }
        Err(refusal) => {
            if let Some(who) = &refusal.who {
                let reason = refusal.problem.detail.as_deref().unwrap_or_default();
                audit::denied(who, request.method().as_str(), request.uri().path(), reason);
            }
            refusal.problem.into_response()
        }
    };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if response.status() == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"seriatim\""));
    }
    response
}

fn forbidden(reason: impl Into<String>) -> ProblemDetails {
    ProblemDetails::new(StatusCode::FORBIDDEN, "Forbidden").detail(reason)
}

fn unauthorized(reason: &str) -> ProblemDetails {
    ProblemDetails::new(StatusCode::UNAUTHORIZED, "Unauthorized").detail(reason)
}

/// The host that was asked: of the request line when it is there, else the one Host.
fn authority(request: &Request) -> Result<Authority, String> {
    if let Some(authority) = request.uri().authority() {
        return Ok(authority.clone());
    }
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return Err("exactly one Host is needed".to_owned());
    };
    let text = String::from_utf8_lossy(host.as_bytes());
    text.parse().map_err(|_| format!("the Host {} is none", quoted(&text)))
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut all = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(one), None) = (all.next(), all.next()) else { return None };
    let (scheme, token) = one.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn operator(headers: &HeaderMap) -> Arc<str> {
    let said = headers.get(OPERATOR_HEADER).map(|name| String::from_utf8_lossy(name.as_bytes()).into_owned());
    let name: String = said.unwrap_or_default().chars().filter(|c| !c.is_control()).take(OPERATOR_MAX).collect();
    if name.is_empty() { "unknown".into() } else { name.into() }
}
