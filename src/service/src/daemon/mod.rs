//! Proxmox's network API on the socket: `/api2/json/nodes/{node}/network`, `/cluster/sdn`, and what became of a
//! write.
//!
//! ```text
//!   request ─► asked: path, parameters ─► ledger: one fate for each operation ─► network::serve, in its own thread
//! ```
//!
//! Who calls is known by the socket's mode alone: root and root's group. The middleware in front asks Perl who its
//! callers are. What `pve-network-touched` says is what the middleware falls back by:
//!
//! | header of an answer | meaning |
//! |---|---|
//! | `pve-network-touched: nothing` | proven: no file was changed; Perl may be asked instead |
//! | `pve-network-touched: refused` | no file was changed, and this is the answer, as Perl would give it |
//! | `pve-network-touched: done` | what was asked for is in the files, durably |
//! | none | nobody can tell from the answer; `GET /operations/{id}` may |

mod asked;
mod ledger;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Path, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use network::Node;
use network::answer::{Served, Touched};
use network::fate::{self, Fate};
use network::reload::is_id;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use asked::Asked;
use ledger::Ledger;

/// Names an operation, in a request and in its answer.
pub const OPERATION: &str = "pve-network-operation";
/// What an answer says of the files.
pub const TOUCHED: &str = "pve-network-touched";

/// Requests that are worked on at once, each in a thread; more wait, for at most [`WAIT`].
pub(crate) const WORKERS: usize = 8;
/// How long a request waits for one of them.
const WAIT: Duration = Duration::from_secs(5);
/// Bytes of a body. Proxmox's own limit is far above what any of these calls needs.
const BODY: usize = 64 * 1024;

/// What all requests share.
#[derive(Debug)]
struct Daemon {
    node: Node,
    ledger: Ledger,
    workers: Arc<Semaphore>,
}

/// The API's routes. Ends of operations that a killed daemon left open are written first.
pub(crate) fn routes(node: Node) -> Router {
    let daemon = Daemon { node, ledger: Ledger::default(), workers: Arc::new(Semaphore::new(WORKERS)) };
    Router::new()
        .route("/api2/json/{*path}", any(api))
        .route("/operations/{id}", get(fate))
        .route("/operations/{id}/fence", post(fence))
        .with_state(Arc::new(daemon))
}

/// Writes how operations ended that a killed daemon left open.
pub(crate) fn settle(node: &Node) {
    match fate::settle(&node.store) {
        Ok(0) => {}
        Ok(count) => {
            tracing::warn!("{count} operations of a daemon that was killed are settled by what the files hold")
        }
        Err(error) => tracing::warn!("operations of an earlier daemon are not settled: {error}"),
    }
}

async fn api(State(daemon): State<Arc<Daemon>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let operation = match head.headers.get(OPERATION).map(|id| id.to_str()) {
        None => history::new_id(&daemon.node.store),
        Some(Ok(id)) if is_id(id) => id.to_owned(),
        Some(_) => return refusal(StatusCode::BAD_REQUEST, "the operation's id is 1 to 64 letters, digits and '-'"),
    };
    let Ok(body) = to_bytes(body, BODY).await else {
        return refusal(StatusCode::PAYLOAD_TOO_LARGE, &format!("the body has more than {BODY} bytes, or ended early"));
    };
    let kind = head.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let asked = match Asked::of(head.method.as_str(), &head.uri, kind, &body) {
        Ok(asked) => asked,
        Err(why) => return refusal(StatusCode::BAD_REQUEST, &why),
    };
    let Ok(Ok(place)) = tokio::time::timeout(WAIT, daemon.workers.clone().acquire_owned()).await else {
        let mut answer = refusal(StatusCode::SERVICE_UNAVAILABLE, "busy: other requests are being worked on");
        answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        return answer;
    };
    if !asked.is_read() && !daemon.ledger.begin(&operation) {
        // Not said to have touched nothing: the first one by this id may have.
        let body = json!({"data": null, "message": format!("operation {operation} was begun or fenced before\n")});
        return answer(StatusCode::CONFLICT, body, None, &operation);
    }
    // In a thread of its own: it goes on when the caller goes away, and is seen to end by its operation.
    let (worker, id) = (daemon.clone(), operation.clone());
    let worked = tokio::task::spawn_blocking(move || {
        let _place = place;
        let _running = asked.is_write().then(|| worker.ledger.running(&id));
        asked.answer(&worker.node, &id)
    });
    match worked.await {
        Ok(Served { status, body, touched }) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            answer(status, body, Some(touched), &operation)
        }
        Err(_) => {
            let body = json!({"data": null, "message": "the daemon failed in the middle of the request\n"});
            answer(StatusCode::INTERNAL_SERVER_ERROR, body, None, &operation)
        }
    }
}

fn answer(status: StatusCode, body: Value, touched: Option<Touched>, operation: &str) -> Response {
    let kind = [(header::CONTENT_TYPE, "application/json;charset=UTF-8"), (header::CACHE_CONTROL, "no-store")];
    let mut response = (status, kind, Body::from(body.to_string())).into_response();
    let touched = match touched {
        Some(Touched::Nothing) => Some("nothing"),
        Some(Touched::Refused) => Some("refused"),
        Some(Touched::Done) => Some("done"),
        Some(Touched::Unknown) | None => None,
    };
    if let Some(touched) = touched {
        response.headers_mut().insert(TOUCHED, HeaderValue::from_static(touched));
    }
    if let Ok(id) = HeaderValue::from_str(operation) {
        response.headers_mut().insert(OPERATION, id);
    }
    response
}

/// Before anything was begun.
fn refusal(status: StatusCode, why: &str) -> Response {
    let mut response = answer(status, json!({"data": null, "message": format!("{why}\n")}), Some(Touched::Nothing), "");
    response.headers_mut().remove(OPERATION);
    response
}

async fn fate(State(daemon): State<Arc<Daemon>>, Path(id): Path<String>) -> Response {
    tell(daemon, id, false).await
}

async fn fence(State(daemon): State<Arc<Daemon>>, Path(id): Path<String>) -> Response {
    tell(daemon, id, true).await
}

/// What became of an operation; fenced, it can't begin any more.
async fn tell(daemon: Arc<Daemon>, id: String, fence: bool) -> Response {
    if !is_id(&id) {
        return refusal(StatusCode::BAD_REQUEST, "an operation's id is 1 to 64 letters, digits and '-'");
    }
    let worked = tokio::task::spawn_blocking(move || {
        let running = if fence { daemon.ledger.fence(&id) } else { daemon.ledger.is_running(&id) };
        if running {
            return Ok((id, "running", Vec::new()));
        }
        let store = &daemon.node.store;
        let (state, paths) = match fate::settled_fate(store, &id)? {
            Fate::NeverBegun => ("never-begun", Vec::new()),
            // Of another program of ours, which may be at work.
            Fate::Open(paths) => ("running", paths.into_keys().collect()),
            Fate::Done(paths) => ("done", paths),
            Fate::RolledBack(paths) => ("rolled-back", paths),
            Fate::Failed(paths) => ("failed", paths),
        };
        Ok::<_, host::Error>((id, state, paths))
    });
    match worked.await {
        Ok(Ok((id, state, paths))) => {
            let changed: Vec<String> = paths.iter().map(ToString::to_string).collect();
            let schema_version = crate::health::SCHEMA_VERSION;
            let body = json!({"schema_version": schema_version, "id": id, "state": state, "changed": changed});
            answer(StatusCode::OK, body, None, &id)
        }
        Ok(Err(error)) => answer(StatusCode::SERVICE_UNAVAILABLE, json!({"message": format!("{error}\n")}), None, ""),
        Err(_) => answer(StatusCode::INTERNAL_SERVER_ERROR, json!({"message": "the daemon failed\n"}), None, ""),
    }
}
