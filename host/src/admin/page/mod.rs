//! `GET /`: the page for people. Three fixed files without data; their script asks the API as any client does, with the token that the person gives it.

use axum::Router;
use axum::http::header;
use axum::routing::get;

/// Each file: its path, its type, its content.
const FILES: [(&str, &str, &str); 3] = [
    ("/", "text/html; charset=utf-8", include_str!("index.html")),
    ("/page.css", "text/css; charset=utf-8", include_str!("page.css")),
    ("/page.js", "text/javascript; charset=utf-8", include_str!("page.js")),
];

/// Nothing but our own files is run or shown, and nobody shows us inside another page.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'";

/// True for what is served to everybody whose Host is ours: a browser cannot send a token before there is a page that asks for it.
pub(super) fn is_part(path: &str) -> bool {
    FILES.iter().any(|(own, _, _)| *own == path)
}

/// The files' routes. They are no part of the API, so they do not stand in its document.
pub(super) fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    FILES.into_iter().fold(Router::new(), |router, (path, kind, content)| {
        let headers = [(header::CONTENT_TYPE, kind), (header::CONTENT_SECURITY_POLICY, POLICY), (header::REFERRER_POLICY, "no-referrer")];
        router.route(path, get(move || async move { (headers, content) }))
    })
}
