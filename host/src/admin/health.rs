//! `/healthz`, `/readyz` and `/metrics` on `[telemetry] listen`: read-only, without login. What they answer comes from a [`HealthSource`].
//!
//! 503 tells the reasons as plain text, one per line, or as problem details when the client asks for JSON.

use super::ProblemDetails;
use super::listener::Bounded;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;

/// Connections at a time; further ones wait.
const CONNECTIONS_MAX: usize = 64;
/// A connection's longest life: scrapers connect again.
const CONNECTION_LIFE: Duration = Duration::from_secs(60);
/// How long answers under way may take when the host stops.
const STOP: Duration = Duration::from_secs(1);

/// What the host knows of its own state. Answers at once.
pub trait HealthSource: Send + Sync + 'static {
    /// Whether the process can go on.
    ///
    /// # Errors
    /// Why not: it is poisoned and a restart is the cure.
    fn health(&self) -> Result<(), String>;

    /// Whether it does its work.
    ///
    /// # Errors
    /// Each reason why not: a connection, a stopped pipeline, a full outbox.
    fn ready(&self) -> Result<(), Vec<String>>;

    /// All metrics in the Prometheus text format.
    ///
    /// # Errors
    /// In words, when they cannot be written.
    fn metrics(&self) -> Result<String, String>;
}

/// Answers until `shutdown` is done, then lets what is under way come to its end.
///
/// # Errors
/// When the listener fails for good.
pub async fn serve(
    listener: TcpListener,
    source: Arc<dyn HealthSource>,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let (stopping, stopped) = tokio::sync::oneshot::channel::<()>();
    let signal = async move {
        shutdown.await;
        drop(stopping);
    };
    let listener = Bounded::new(listener, CONNECTIONS_MAX, CONNECTION_LIFE);
    let server = axum::serve(listener, router(source)).with_graceful_shutdown(signal);
    let too_long = async {
        // The sender is only ever dropped: an error is the signal.
        drop(stopped.await);
        tokio::time::sleep(STOP).await;
    };
    tokio::select! {
        result = server.into_future() => result,
        () = too_long => Ok(()),
    }
}

fn router(source: Arc<dyn HealthSource>) -> Router {
    Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .fallback(|| async { ProblemDetails::new(StatusCode::NOT_FOUND, "Not found").detail("here are /healthz, /readyz and /metrics") })
        .method_not_allowed_fallback(|| async {
            ProblemDetails::new(StatusCode::METHOD_NOT_ALLOWED, "Method not allowed").detail("only GET and HEAD")
        })
        .with_state(source)
}

async fn healthz(State(source): State<Arc<dyn HealthSource>>, headers: HeaderMap) -> Response {
    answer(source.health().map_err(|reason| vec![reason]), "Not healthy", &headers)
}

async fn readyz(State(source): State<Arc<dyn HealthSource>>, headers: HeaderMap) -> Response {
    answer(source.ready(), "Not ready", &headers)
}

async fn metrics(State(source): State<Arc<dyn HealthSource>>) -> Response {
    match source.metrics() {
        Ok(text) => ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("the metrics cannot be written: {error}\n")).into_response(),
    }
}

fn answer(state: Result<(), Vec<String>>, title: &str, headers: &HeaderMap) -> Response {
    let Err(reasons) = state else { return "ok\n".into_response() };
    let status = StatusCode::SERVICE_UNAVAILABLE;
    let wants_json = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).is_some_and(|accept| accept.contains("json"));
    if wants_json {
        return ProblemDetails::new(status, title).reasons(reasons).into_response();
    }
    let mut text = String::new();
    for reason in reasons {
        // A reason is one line, whatever it quotes.
        text.extend(reason.chars().map(|c| if c.is_control() { ' ' } else { c }));
        text.push('\n');
    }
    (status, text).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::SocketAddr;
    use std::sync::Mutex;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;
    use tokio::sync::oneshot;
    use tokio::task::JoinHandle;

    #[derive(Default)]
    struct Told {
        health: Mutex<Option<String>>,
        ready: Mutex<Vec<String>>,
    }

    impl HealthSource for Told {
        fn health(&self) -> Result<(), String> {
            self.health.lock().unwrap().clone().map_or(Ok(()), Err)
        }

        fn ready(&self) -> Result<(), Vec<String>> {
            let reasons = self.ready.lock().unwrap().clone();
            if reasons.is_empty() { Ok(()) } else { Err(reasons) }
        }

        fn metrics(&self) -> Result<String, String> {
            Ok("seriatim_build_info{version=\"1\"} 1\n".to_owned())
        }
    }

    async fn start(told: Arc<Told>) -> (SocketAddr, oneshot::Sender<()>, JoinHandle<io::Result<()>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(serve(listener, told, async { drop(stopped.await) }));
        (address, stop, task)
    }

    async fn ask(address: SocketAddr, request: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(format!("{request}\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn health_readiness_and_metrics_are_told() {
        let told = Arc::new(Told::default());
        let (address, stop, task) = start(Arc::clone(&told)).await;
        for path in ["/healthz", "/readyz"] {
            let answer = ask(address, &format!("GET {path} HTTP/1.1")).await;
            assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\nok\n"), "{answer}");
        }
        let answer = ask(address, "GET /metrics HTTP/1.1").await;
        assert!(answer.contains("text/plain; version=0.0.4") && answer.ends_with("seriatim_build_info{version=\"1\"} 1\n"), "{answer}");

        *told.health.lock().unwrap() = Some("a commit failed".to_owned());
        *told.ready.lock().unwrap() = vec!["pipeline a: stopped\r\nX: y".to_owned(), "no connection".to_owned()];
        let answer = ask(address, "GET /healthz HTTP/1.1").await;
        assert!(answer.starts_with("HTTP/1.1 503 ") && answer.ends_with("\r\n\r\na commit failed\n"), "{answer}");
        let answer = ask(address, "GET /readyz HTTP/1.1").await;
        assert!(answer.starts_with("HTTP/1.1 503 ") && answer.ends_with("\r\n\r\npipeline a: stopped  X: y\nno connection\n"), "{answer}");
        let answer = ask(address, "GET /readyz HTTP/1.1\r\nAccept: application/json").await;
        assert!(answer.contains("content-type: application/problem+json\r\n"), "{answer}");
        assert!(
            answer.ends_with(r#"{"status":503,"title":"Not ready","reasons":["pipeline a: stopped\r\nX: y","no connection"]}"#),
            "{answer}"
        );

        let answer = ask(address, "GET /other HTTP/1.1").await;
        assert!(answer.starts_with("HTTP/1.1 404 ") && answer.contains("application/problem+json"), "{answer}");
        let answer = ask(address, "POST /healthz HTTP/1.1").await;
        assert!(answer.starts_with("HTTP/1.1 405 ") && answer.contains("\"status\":405"), "{answer}");
        drop(stop);
        task.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_connection_left_open_does_not_hold_up_the_stop() {
        let (address, stop, task) = start(Arc::default()).await;
        let mut half = TcpStream::connect(address).await.unwrap();
        half.write_all(b"GET /healthz HT").await.unwrap();
        ask(address, "GET /healthz HTTP/1.1").await;
        drop(stop);
        tokio::time::timeout(Duration::from_secs(30), task).await.expect("it stops").unwrap().unwrap();
    }

    #[tokio::test]
    async fn connections_are_bounded_and_end_by_themselves() {
        let inner = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = inner.local_addr().unwrap();
        let listener = Bounded::new(inner, 1, Duration::from_millis(100));
        let server = tokio::spawn(axum::serve(listener, router(Arc::<Told>::default())).into_future());
        let mut idle = TcpStream::connect(address).await.unwrap();
        idle.write_all(b"GET /healthz HT").await.unwrap();
        let answer = ask(address, "GET /healthz HTTP/1.1").await;
        assert!(answer.ends_with("ok\n"), "{answer}");
        let mut rest = Vec::new();
        drop(idle.read_to_end(&mut rest).await);
        assert!(!rest.starts_with(b"HTTP/1.1 200"));
        server.abort();
    }
}
