//! Proxmox's Perl, at `perl_api_base_url`: connections are kept, certificates checked, nothing repeated.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body as _, Incoming};
use hyper::{Method, Request, Response, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use super::answer::{Body, full, strip};
use super::tls::Trust;
use super::watch::{Seen, Watch};

/// For a connection on this machine or within the cluster.
const CONNECT: Duration = Duration::from_secs(3);

/// Connections that are kept for the next read, and for how long: pveproxy hangs up after 5 s.
const KEPT: usize = 16;
const KEPT_FOR: Duration = Duration::from_secs(3);

type Https = Client<HttpsConnector<HttpConnector>, Body>;

/// Why Perl did not answer. No word of a request is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoAnswer {
    /// There was no connection: nothing was sent.
    Unreachable,
    /// Its certificate is not the cluster's.
    Untrusted,
    /// It took too long.
    Timeout,
    /// The connection broke.
    Broken,
}

impl NoAnswer {
    /// Its name in the log.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            NoAnswer::Unreachable => "perl-unreachable",
            NoAnswer::Untrusted => "perl-untrusted",
            NoAnswer::Timeout => "perl-timeout",
            NoAnswer::Broken => "perl-reset",
        }
    }
}

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NoAnswer::Unreachable => "Perl's API can't be reached; see systemctl status pveproxy",
            NoAnswer::Untrusted => {
                "Perl's API shows a certificate that neither the cluster's CA signed nor \
                 /etc/pve/local/pveproxy-ssl.pem holds; nothing was sent"
            }
            NoAnswer::Timeout => "Perl's API did not answer in time",
            NoAnswer::Broken => "Perl's API broke off",
        })
    }
}

/// Two ways to it. What changes anything gets a connection of its own: on a kept one, the other side
/// may be hanging up at this very moment, and then nobody could say whether it was received.
#[derive(Clone)]
struct Ways {
    kept: Https,
    fresh: Https,
}

/// The way to it.
pub(crate) struct Perl {
    watch: Watch,
    ways: Mutex<Option<(Arc<Trust>, Ways)>>,
}

impl Perl {
    pub(crate) fn new(watch: Watch) -> Self {
        Self { watch, ways: Mutex::default() }
    }

    /// Sends a request whose URI is path and query only.
    pub(crate) async fn send(
        &self,
        mut request: Request<Body>,
        patience: Duration,
    ) -> Result<Response<Incoming>, NoAnswer> {
        let seen = self.watch.seen();
        let path = request.uri().path_and_query().map_or("/", |p| p.as_str());
        let base = seen.migration.perl_api_base_url.trim_end_matches('/');
        *request.uri_mut() = format!("{base}{path}").parse::<Uri>().map_err(|_| NoAnswer::Unreachable)?;
        let upgrade = request.headers().get(hyper::header::UPGRADE).cloned();
        strip(request.headers_mut());
        if let Some(upgrade) = upgrade {
            request.headers_mut().insert(hyper::header::UPGRADE, upgrade);
            let connection = hyper::header::HeaderValue::from_static("upgrade");
            request.headers_mut().insert(hyper::header::CONNECTION, connection);
        }
        let ways = self.ways(&seen).ok_or(NoAnswer::Untrusted)?;
        let read = matches!(*request.method(), Method::GET | Method::HEAD);
        let again = (read && request.body().is_end_stream()).then(|| copy(&request));
        let sent = async {
            match if read { &ways.kept } else { &ways.fresh }.request(request).await {
                Ok(answer) => Ok(answer),
                // A read without a body may be repeated, on a connection that nobody hangs up.
                Err(error) if !error.is_connect() => match again {
                    Some(again) => ways.fresh.request(again).await,
                    None => Err(error),
                },
                Err(error) => Err(error),
            }
        };
        match tokio::time::timeout(patience, sent).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(why(&error)),
            Err(_) => Err(NoAnswer::Timeout),
        }
    }

    /// How long Perl may take for the network API.
    pub(crate) fn patience(&self) -> Duration {
        Duration::from_secs(self.watch.seen().migration.perl_api_timeout.into())
    }

    /// The clients; new ones when what they trust in has changed.
    fn ways(&self, seen: &Seen) -> Option<Ways> {
        let mut held = self.ways.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((trust, ways)) = &*held
            && *trust == seen.trust
        {
            return Some(ways.clone());
        }
        let config = seen.trust.client().inspect_err(|e| tracing::warn!("cannot set up TLS: {e}")).ok()?;
        let ways = Ways { kept: client(config.clone(), KEPT), fresh: client(config, 0) };
        *held = Some((seen.trust.clone(), ways.clone()));
        Some(ways)
    }
}

fn client(config: rustls::ClientConfig, kept: usize) -> Https {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_connect_timeout(Some(CONNECT));
    tcp.set_nodelay(true);
    let https = HttpsConnectorBuilder::new().with_tls_config(config).https_or_http().enable_http1();
    Client::builder(TokioExecutor::new())
        .pool_max_idle_per_host(kept)
        .pool_idle_timeout(KEPT_FOR)
        .pool_timer(TokioTimer::new())
        // On by default. A request that was sent may have been carried out.
        .retry_canceled_requests(false)
        .build(https.wrap_connector(tcp))
}

/// The same request once more; it has no body.
fn copy(request: &Request<Body>) -> Request<Body> {
    let mut copy = Request::new(full(Bytes::new()));
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    copy
}

fn why(error: &hyper_util::client::legacy::Error) -> NoAnswer {
    if !error.is_connect() {
        return NoAnswer::Broken;
    }
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if error.is::<rustls::Error>() {
            return NoAnswer::Untrusted;
        }
        // An io::Error that wraps another error names as its source that one's source, not that one.
        cause = match error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    NoAnswer::Unreachable
}
