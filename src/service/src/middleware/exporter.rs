//! `/metrics`, `/health`, `/ready` for monitoring: plain HTTP, nothing that changes anything.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};

use super::answer::{Body, full, refusal};
use super::proxy::Proxy;

/// Scrapers at a time.
const CONNECTIONS: usize = 16;

/// A connection may last for as long: a scraper that keeps it connects anew.
const LIFE: Duration = Duration::from_secs(120);

/// For the head of a request.
const HEAD_TIME: Duration = Duration::from_secs(10);

/// Serves until told to stop.
pub(crate) async fn serve(listener: TcpListener, proxy: Arc<Proxy>, mut stop: watch::Receiver<bool>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let next = async { (places.clone().acquire_owned().await, listener.accept().await) };
        let (place, accepted) = tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            next = next => next,
        };
        let Ok((stream, _)) = accepted else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let proxy = proxy.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request: Request<Incoming>| {
                let proxy = proxy.clone();
                async move { Ok::<_, Infallible>(answer(&proxy, &request).await) }
            });
            let served = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_TIME)
                .max_buf_size(16 * 1024)
                .serve_connection(TokioIo::new(stream), service);
            let _ = tokio::time::timeout(LIFE, served).await;
            drop(place);
        });
    }
}

async fn answer(proxy: &Proxy, request: &Request<Incoming>) -> Response<Body> {
    if request.method() != Method::GET {
        return refusal(StatusCode::METHOD_NOT_ALLOWED, "there is GET only", json!({}));
    }
    match request.uri().path() {
        "/metrics" => {
            let mut answer = Response::new(full(proxy.metrics()));
            let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
            answer.headers_mut().insert(CONTENT_TYPE, kind);
            answer
        }
        "/health" => proxy.health().await,
        "/ready" => proxy.ready(),
        _ => refusal(StatusCode::NOT_FOUND, "there are /metrics, /health and /ready", json!({})),
    }
}
