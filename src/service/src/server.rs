//! HTTP/1.1 on the socket: who may connect how often, how much they may send, and how it ends.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{Method, StatusCode, Uri, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;

use crate::busy::Busy;
use crate::health::{Reporter, SCHEMA_VERSION};

/// Connections at a time; further ones wait in the kernel's backlog.
const CONNECTIONS: usize = 64;

/// Bytes of one request's head (hyper's least possible buffer is 8 KiB).
const HEAD: usize = 16 * 1024;

/// Header fields of one request.
const FIELDS: usize = 64;

/// From the start of a connection, or the last answer on it, to the end of the next request's head.
const HEAD_TIME: Duration = Duration::from_secs(10);

/// Bytes that a request may announce as its body.
const BODY: u64 = 64 * 1024;

/// Rest after a failed accept: without it, running out of file descriptors would burn a core.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Time at the end for answers that are made but not yet written.
const FLUSH: Duration = Duration::from_millis(100);

/// Every answer of the service.
pub(crate) fn routes(reporter: Arc<Reporter>) -> Router {
    Router::new()
        .route("/health", get(health))
        .fallback(unknown)
        .method_not_allowed_fallback(other_method)
        .layer(middleware::from_fn(bounded))
        .with_state(reporter)
}

async fn health(State(reporter): State<Arc<Reporter>>) -> Response {
    ([(header::CACHE_CONTROL, "no-store")], Json(reporter.report().await)).into_response()
}

async fn unknown(uri: Uri) -> Response {
    refusal(StatusCode::NOT_FOUND, format!("no such resource: {}; there is GET /health", uri.path()))
}

async fn other_method(method: Method, uri: Uri) -> Response {
    refusal(StatusCode::METHOD_NOT_ALLOWED, format!("{method} is not possible on {}; there is GET", uri.path()))
}

/// Refuses a body by its announced size. None is read by any route of this version, so one that
/// comes in chunks is cut off by hyper, which closes the connection rather than drain it.
async fn bounded(request: Request, next: Next) -> Response {
    let length = request.headers().get(header::CONTENT_LENGTH);
    let length = length.and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
    match length {
        Some(bytes) if bytes > BODY => {
            refusal(StatusCode::PAYLOAD_TOO_LARGE, format!("a body of {bytes} bytes is too large; the limit is {BODY}"))
        }
        _ => next.run(request).await,
    }
}

fn refusal(status: StatusCode, error: String) -> Response {
    #[derive(serde::Serialize)]
    struct Refusal {
        schema_version: u32,
        error: String,
    }
    let body = Refusal { schema_version: SCHEMA_VERSION, error };
    (status, Json(body)).into_response()
}

/// The connections that are still open after accepting has ended.
pub(crate) struct Connections {
    open: GracefulShutdown,
    busy: Busy,
}

impl Connections {
    /// Lets requests that are being answered finish, for at most `limit`; whether all did. A
    /// connection on which there is none is not waited for.
    pub(crate) async fn drain(self, limit: Duration) -> bool {
        let quiet = async {
            self.busy.none().await;
            tokio::time::sleep(FLUSH).await;
        };
        let drained = async {
            tokio::select! {
                () = self.open.shutdown() => {}
                () = quiet => {}
            }
        };
        tokio::time::timeout(limit, drained).await.is_ok()
    }
}

/// Serves every connection in a task of its own until `stop` is ready.
pub(crate) async fn accept_until<T>(
    listener: &UnixListener,
    routes: Router,
    stop: impl Future<Output = T>,
) -> Connections
where
    T: std::fmt::Display,
{
    let open = GracefulShutdown::new();
    let busy = Busy::new();
    let counted = busy.clone();
    let routes = routes.layer(middleware::from_fn(move |request: Request, next: Next| {
        let guard = counted.begin();
        async move {
            let answer = next.run(request).await;
            drop(guard);
            answer
        }
    }));
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    tokio::pin!(stop);
    loop {
        let next = async {
            let place = places.clone().acquire_owned().await;
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            why = &mut stop => {
                tracing::info!("stopping: {why}");
                return Connections { open, busy };
            }
            accepted = next => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                let served = open.watch(connection(stream, routes.clone()));
                tokio::spawn(async move {
                    // Broken requests and clients that go away are theirs, not ours, to report.
                    let _ = served.await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!("cannot accept a connection: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

type Connection = http1::Connection<TokioIo<UnixStream>, TowerToHyperService<Router>>;

fn connection(stream: UnixStream, routes: Router) -> Connection {
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_headers(FIELDS)
        .max_buf_size(HEAD)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(routes))
}
