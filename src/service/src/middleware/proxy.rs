//! One request, from its head to its answer.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue, UPGRADE};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use migration::decision::{self, Answered};
use migration::flow::{Attempt, Cause, Next, Touched, after_attempt, after_fence};
use migration::route::{Format, for_daemon, form_value};
use migration::{Backend, Route, Standing, Target, choose, route};
use network::reload::is_id;
use rustls::ServerConfig;
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::sync::Semaphore;

use super::access::{Access, Peer};
use super::answer::{BACKEND, Body, Idle, NoBody, OPERATION, collect, full, json_answer, refusal, strip};
use super::daemon::{Answer, Asked, Daemon};
use super::heads::{forwarded, framing, gateway, is_form, path_and_query, relayed};
use super::ledger::{Entry, Ledger};
use super::options::Times;
use super::perl::Perl;
use super::tls;
use super::watch::{Seen, Watch};
use crate::busy::Busy;
use crate::health::Reporter;

/// Bytes of a body for the network API. The largest that Proxmox's form makes are a few KB.
const BODY: usize = 64 * 1024;

/// Requests under way at a time; further ones are told to come again.
const PLACES: usize = 256;

/// How long Perl may take for what is not the network's: an upload is answered after it was worked on.
const PATIENCE: Duration = Duration::from_secs(600);

/// A body that passes through may rest for as long.
const REST: Duration = Duration::from_secs(60);

/// Where a request came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Door {
    /// The Unix socket or loopback: besides Proxmox's API there is our own.
    Local,
    /// In the place of pveproxy: what is not Proxmox's is not there.
    Front,
}

/// What front mode shows, and what was made of it; none if it could not be used and none was before it.
type Shown = (Arc<tls::Identity>, Option<Arc<ServerConfig>>);

/// Everything that answering takes.
pub(crate) struct Proxy {
    pub watch: Watch,
    pub daemon: Daemon,
    pub perl: Perl,
    pub access: Access,
    pub ledger: Arc<Ledger>,
    pub reporter: Arc<Reporter>,
    pub times: Times,
    pub busy: Busy,
    pub places: Arc<Semaphore>,
    pub front: Mutex<Option<Shown>>,
}

/// One request of the network API.
struct Job {
    id: String,
    began: Instant,
    method: Method,
    target: Target,
    path_and_query: String,
    headers: HeaderMap,
    body: Bytes,
    peer: Peer,
    seen: Arc<Seen>,
    standing: Standing,
}

/// What came of it, for the client and for the books.
struct Outcome {
    answer: Response<Body>,
    backend: Answered,
    fallback: Option<Cause>,
    reason: &'static str,
    unknown: bool,
}

impl Outcome {
    fn ours(answer: Response<Body>, reason: &'static str) -> Self {
        Self { answer, backend: Answered::None, fallback: None, reason, unknown: false }
    }
}

/// What a request is for. A target without a leading slash (`*`, a whole URL, host and port) is refused by the router.
fn target(request: &Request<Incoming>) -> String {
    let uri = request.uri();
    match (uri.authority(), uri.path_and_query()) {
        (None, Some(target)) => target.as_str().to_owned(),
        _ => uri.to_string(),
    }
}

impl Proxy {
    /// How many requests may be under way.
    pub(crate) fn places() -> Arc<Semaphore> {
        Arc::new(Semaphore::new(PLACES))
    }

    /// Answers one request.
    pub(crate) async fn handle(self: Arc<Self>, request: Request<Incoming>, door: Door, peer: Peer) -> Response<Body> {
        let busy = self.busy.begin();
        let Ok(place) = self.places.clone().try_acquire_owned() else {
            return self.crowded(&request);
        };
        let answer = self.answer(request, door, peer).await;
        drop((busy, place));
        answer
    }

    async fn answer(self: Arc<Self>, request: Request<Incoming>, door: Door, peer: Peer) -> Response<Body> {
        let began = Instant::now();
        if let Err(why) = framing(request.headers()) {
            return self.refused(request.method(), began, why);
        }
        if door == Door::Local
            && let Some(answer) = self.own(&request, peer).await
        {
            return answer;
        }
        let seen = self.watch.seen();
        match route(request.method().as_str(), &target(&request), &seen.node) {
            Route::Refused(why) => self.refused(request.method(), began, why),
            Route::Perl => self.pass(request, peer).await,
            Route::Network(target) => self.network(request, target, peer, seen, began).await,
        }
    }

    /// Nobody answers it; of the network's API that counts as any other answer that did not come.
    fn crowded(&self, request: &Request<Incoming>) -> Response<Body> {
        let method = request.method().as_str();
        if let Route::Network(asked) = route(method, &target(request), &self.watch.seen().node) {
            let entry = Entry {
                method: decision::method(method),
                operation: Some(asked.operation),
                phase: self.ledger.standing().phase,
                backend: Answered::None,
                fallback: None,
                reason: "crowded",
                status: 503,
                unknown: false,
            };
            self.ledger.note(&self.ledger.new_id(), Instant::now(), entry);
        }
        refusal(StatusCode::SERVICE_UNAVAILABLE, "too many requests are under way; try again", json!({}))
    }

    fn refused(&self, method: &Method, began: Instant, why: &'static str) -> Response<Body> {
        let entry = Entry {
            method: decision::method(method.as_str()),
            operation: None,
            phase: self.ledger.standing().phase,
            backend: Answered::None,
            fallback: None,
            reason: "refused",
            status: 400,
            unknown: false,
        };
        self.ledger.note(&self.ledger.new_id(), began, entry);
        let mut answer = refusal(StatusCode::BAD_REQUEST, why, json!({}));
        // What follows on this connection may not be what it seems.
        answer.headers_mut().insert(hyper::header::CONNECTION, HeaderValue::from_static("close"));
        answer
    }

    /// `/health`, `/ready`, `/operations/{id}`; `None` for what is Proxmox's.
    async fn own(&self, request: &Request<Incoming>, peer: Peer) -> Option<Response<Body>> {
        let path = request.uri().path();
        let id = path.strip_prefix("/operations/").filter(|id| is_id(id));
        if !matches!(path, "/health" | "/ready") && id.is_none() {
            return None;
        }
        if request.method() != Method::GET {
            let mut answer = refusal(StatusCode::METHOD_NOT_ALLOWED, "there is GET only", json!({}));
            answer.headers_mut().insert(hyper::header::ALLOW, HeaderValue::from_static("GET"));
            return Some(answer);
        }
        let Some(id) = id else {
            return Some(if path == "/health" { self.health().await } else { self.ready() });
        };
        let operation = migration::Operation::Get;
        if self.access.check(&self.perl, &self.watch.seen(), peer, request.headers(), operation).await.is_err() {
            return Some(refusal(StatusCode::FORBIDDEN, "this needs Sys.Audit on the node", json!({})));
        }
        let (fate, changed) = self.daemon.state(id).await;
        let body = json!({
            "schema_version": crate::health::SCHEMA_VERSION, "id": id, "state": fate.as_str(), "changed": changed,
        });
        Some(json_answer(StatusCode::OK, &body))
    }

    /// The state of this moment, in the form that both services share.
    pub(crate) async fn health(&self) -> Response<Body> {
        let health = self.reporter.report().await;
        let mut answer = json_answer(StatusCode::OK, &serde_json::to_value(health).unwrap_or_default());
        answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        answer
    }

    /// Whether requests are routed by a phase that is known.
    pub(crate) fn ready(&self) -> Response<Body> {
        let seen = self.watch.seen();
        let ready = seen.is_fresh();
        let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        let phase = self.ledger.standing().phase;
        json_answer(
            status,
            &json!({ "schema_version": crate::health::SCHEMA_VERSION, "ready": ready, "node": seen.node, "phase": phase }),
        )
    }

    /// What `/metrics` serves.
    pub(crate) fn metrics(&self) -> Vec<u8> {
        self.ledger.metrics.text(self.ledger.standing().phase, self.watch.seen().is_fresh())
    }

    /// The TLS configuration of front mode; made anew when the certificate has changed.
    pub(crate) fn front_config(&self) -> Option<Arc<ServerConfig>> {
        let identity = self.watch.seen().identity.clone()?;
        let mut front = self.front.lock().unwrap_or_else(PoisonError::into_inner);
        match &*front {
            Some((known, config)) if *known == identity => config.clone(),
            before => {
                let made = identity.server();
                if let Err(why) = &made {
                    tracing::warn!("{why}; the certificate before it stays in use, if there was one");
                }
                let config = made.ok().or_else(|| before.as_ref().and_then(|(_, config)| config.clone()));
                *front = Some((identity, config.clone()));
                config
            }
        }
    }

    /// What is not the network's: a stream in both directions, upgrades included.
    async fn pass(&self, mut request: Request<Incoming>, peer: Peer) -> Response<Body> {
        let client = request.headers().contains_key(UPGRADE).then(|| hyper::upgrade::on(&mut request));
        let (mut parts, body) = request.into_parts();
        forwarded(&mut parts.headers, peer);
        parts.uri = path_and_query(&parts.uri);
        let request = Request::from_parts(parts, Idle::new(body, REST).boxed());
        let (answer, status) = match self.perl.send(request, PATIENCE).await {
            Ok(mut answer) => {
                if answer.status() == StatusCode::SWITCHING_PROTOCOLS
                    && let Some(client) = client
                {
                    let server = hyper::upgrade::on(&mut answer);
                    tokio::spawn(async move {
                        if let (Ok(client), Ok(server)) = tokio::join!(client, server) {
                            let (mut client, mut server) = (TokioIo::new(client), TokioIo::new(server));
                            // It ends when either side does.
                            let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
                            // Said to both in TLS's own words, also when one of them broke off.
                            let _ = tokio::join!(client.shutdown(), server.shutdown());
                        }
                    });
                    let (parts, _) = answer.into_parts();
                    (Response::from_parts(parts, full(Bytes::new())), 101)
                } else {
                    let status = answer.status().as_u16();
                    (relayed(answer), status)
                }
            }
            Err(why) => {
                let status = gateway(why);
                (refusal(status, &why.to_string(), json!({})), status.as_u16())
            }
        };
        self.ledger.metrics.answered(Answered::Perl, super::metrics::OTHER, status, false);
        answer
    }

    /// A request of the network API.
    async fn network(
        self: Arc<Self>,
        request: Request<Incoming>,
        target: Target,
        peer: Peer,
        seen: Arc<Seen>,
        began: Instant,
    ) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let standing = self.ledger.standing();
        let write = target.operation.is_write();
        let limit = if write { BODY } else { 0 };
        let mut job = Job {
            id: self.ledger.new_id(),
            began,
            method: parts.method,
            target,
            path_and_query: parts.uri.path_and_query().map_or("/", |p| p.as_str()).to_owned(),
            headers: parts.headers,
            body: Bytes::new(),
            peer,
            seen,
            standing,
        };
        match collect(body, limit, self.times.body).await {
            Ok(body) => job.body = body,
            Err(why) => {
                let (status, words) = match why {
                    NoBody::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "the body is too large for a network request"),
                    NoBody::TooSlow => (StatusCode::REQUEST_TIMEOUT, "the body did not come in time"),
                    NoBody::Broken => (StatusCode::BAD_REQUEST, "the body broke off"),
                };
                let outcome = Outcome::ours(refusal(status, words, json!({})), "body");
                return self.close(&job, outcome);
            }
        }
        if !write {
            let outcome = self.carry_out(&job).await;
            return self.close(&job, outcome);
        }
        // A task of its own: a client that goes away stops nothing half-way, and the end waits for it.
        let proxy = self.clone();
        let task = tokio::spawn(async move {
            let busy = proxy.busy.begin();
            let outcome = proxy.carry_out(&job).await;
            let answer = proxy.close(&job, outcome);
            drop(busy);
            answer
        });
        task.await.unwrap_or_else(|_| {
            refusal(StatusCode::INTERNAL_SERVER_ERROR, "the middleware failed at this request", json!({}))
        })
    }

    /// Books it, and names backend and operation to the client.
    fn close(&self, job: &Job, outcome: Outcome) -> Response<Body> {
        let entry = Entry {
            method: decision::method(job.method.as_str()),
            operation: Some(job.target.operation),
            phase: job.standing.phase,
            backend: outcome.backend,
            fallback: outcome.fallback,
            reason: outcome.reason,
            status: outcome.answer.status().as_u16(),
            unknown: outcome.unknown,
        };
        self.ledger.note(&job.id, job.began, entry);
        let mut answer = outcome.answer;
        answer.headers_mut().insert(BACKEND, HeaderValue::from_static(outcome.backend.as_str()));
        if let Ok(id) = HeaderValue::from_str(&job.id) {
            answer.headers_mut().insert(OPERATION, id);
        }
        answer
    }

    async fn carry_out(&self, job: &Job) -> Outcome {
        if !is_form(&job.headers, &job.body) {
            // JSON, which Proxmox takes as well.
            return self.ask_perl(job, None, "unusual-body").await;
        }
        let kind = if job.target.operation.asks_for_type() { form_value(&job.body, "type") } else { None };
        if let Backend::Perl(why) = choose(&job.target, kind, &job.standing) {
            return self.ask_perl(job, None, why).await;
        }
        let allowed = self.access.check(&self.perl, &job.seen, job.peer, &job.headers, job.target.operation).await;
        if let Err(why) = allowed {
            return self.ask_perl(job, None, why).await;
        }
        self.ask_rust(job).await
    }

    async fn ask_rust(&self, job: &Job) -> Outcome {
        let write = job.target.operation.is_write();
        let asked = Asked {
            method: job.method.clone(),
            target: for_daemon(&job.path_and_query),
            content_type: job.headers.get(CONTENT_TYPE).cloned(),
            body: job.body.clone(),
            id: if write { job.id.clone() } else { String::new() },
        };
        let patience = if write { self.times.write } else { self.times.read };
        let (attempt, answer, process) = self.daemon.ask(&asked, patience).await;
        let mut next = after_attempt(write, attempt, job.standing.fallback);
        let mut found = None;
        if let Next::Fence(cause) = next {
            let (fate, changed) = self.daemon.fence(&job.id, process.as_ref(), self.times.fence).await;
            next = after_fence(cause, fate, job.standing.fallback);
            found = Some((fate, changed));
        }
        match next {
            Next::PassOn => match answer {
                Some(answer) => passed_on(answer, attempt, job.target.format),
                // An attempt that was answered has its answer.
                None => Outcome::ours(refusal(StatusCode::BAD_GATEWAY, "the daemon gave no answer", json!({})), "lost"),
            },
            Next::Perl(cause) => {
                self.ledger.failed(job.standing.phase, cause, &job.id);
                self.ask_perl(job, Some(cause), cause.as_str()).await
            }
            Next::Fail(cause) => {
                self.ledger.failed(job.standing.phase, cause, &job.id);
                let words = format!(
                    "Rust could not answer ({}), and Perl is not asked, since fallback_enabled is off; \
                     nothing was changed",
                    cause.as_str()
                );
                let answer = refusal(StatusCode::SERVICE_UNAVAILABLE, &words, json!({ "operation": job.id }));
                Outcome::ours(answer, cause.as_str())
            }
            Next::Fence(cause) | Next::Unknown(cause) => {
                self.ledger.uncertain(job.standing.phase, cause, &job.id);
                let (fate, changed) = found.unwrap_or((migration::flow::Fate::Unknown, Vec::new()));
                let words = format!(
                    "outcome unknown ({}): look before you repeat it; 'GET /operations/{}' on the middleware's \
                     socket tells what became of it",
                    cause.as_str(),
                    job.id
                );
                let more = json!({ "operation": job.id, "state": fate.as_str(), "changed": changed });
                let answer = refusal(StatusCode::GATEWAY_TIMEOUT, &words, more);
                Outcome { unknown: true, ..Outcome::ours(answer, cause.as_str()) }
            }
        }
    }

    /// Perl answers: by right, or in Rust's stead.
    async fn ask_perl(&self, job: &Job, instead: Option<Cause>, reason: &'static str) -> Outcome {
        let bare = !job.headers.contains_key("cookie") && !job.headers.contains_key("authorization");
        if bare && let Some(cause) = instead {
            // root on the Unix socket, whom Rust would have answered without.
            let words = format!(
                "Rust could not answer ({}), nothing was changed, and Perl asks for a ticket or a token, which this \
                 request has not",
                cause.as_str()
            );
            let answer = refusal(StatusCode::SERVICE_UNAVAILABLE, &words, json!({ "operation": job.id }));
            return Outcome::ours(answer, cause.as_str());
        }
        let mut request = Request::new(full(job.body.clone()));
        *request.method_mut() = job.method.clone();
        *request.headers_mut() = job.headers.clone();
        // It has the length of what came, however it was framed.
        request.headers_mut().remove(CONTENT_LENGTH);
        forwarded(request.headers_mut(), job.peer);
        if let Ok(uri) = job.path_and_query.parse() {
            *request.uri_mut() = uri;
        }
        match self.perl.send(request, self.perl.patience()).await {
            Ok(answer) => {
                Outcome { answer: relayed(answer), backend: Answered::Perl, fallback: instead, reason, unknown: false }
            }
            Err(why) => {
                let answer = refusal(gateway(why), &why.to_string(), json!({ "operation": job.id }));
                Outcome { answer, backend: Answered::None, fallback: None, reason: why.as_str(), unknown: false }
            }
        }
    }
}

fn passed_on(mut answer: Answer, attempt: Attempt, format: Format) -> Outcome {
    if format == Format::Extjs
        && let Some(body) = migration::format::extjs(answer.status, &answer.body)
    {
        answer.status = 200;
        answer.body = body.into();
    }
    let mut response = Response::new(full(answer.body));
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::BAD_GATEWAY);
    *response.headers_mut() = answer.headers;
    strip(response.headers_mut());
    response.headers_mut().remove(CONTENT_LENGTH);
    let reason = match attempt {
        Attempt::Answered { touched: Touched::Done, .. } => "done",
        _ => "answered",
    };
    Outcome { answer: response, backend: Answered::Rust, fallback: None, reason, unknown: false }
}
