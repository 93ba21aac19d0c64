//! Perl's stand-in: pveproxy as the middleware knows it, over https with a certificate authority of the
//! test. Order of keys and lists is random, as Perl's hashes are; it fails on demand.
#![allow(dead_code, clippy::unwrap_used, reason = "the rig of tests, of which each file uses its own part")]

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// A caller who may do everything, one who may only look, one who may nothing.
pub const GOOD: &str = "PVEAPIToken=root@pam!good=7e3f9e0c-PLANTED-SECRET";
pub const READER: &str = "PVEAPIToken=reader@pve!r=11111111-PLANTED-SECRET";
pub const NOBODY: &str = "PVEAPIToken=nobody@pve!n=00000000-PLANTED-SECRET";
/// A browser's ticket, and its token against cross-site requests, for the key below.
pub const TICKET: &str = "PVEAuthCookie=PVE:root@pam:65A1B2C3::PLANTED-SECRET";
pub const WWW_KEY: &str = "the cluster's key\n";

/// A certificate and its key, as PEM.
#[derive(Clone)]
pub struct Pair {
    pub certificate: String,
    pub key: String,
}

/// A certificate authority.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub fn pem(&self) -> String {
        self.0.pem()
    }

    pub fn sign(&self, name: &str) -> Pair {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &self.0).unwrap();
        Pair { certificate: certificate.pem(), key: key.serialize_pem() }
    }
}

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Came {
    pub method: String,
    pub target: String,
    pub headers: HashMap<String, String>,
    pub body: Vec<u8>,
}

#[derive(Default)]
pub struct State {
    /// `ok`, `500`, `reset`, `slow`
    pub how: String,
    pub came: Vec<Came>,
    /// What it answers where asked for a path behind `/api2/json`, in turns.
    pub answers: HashMap<String, Vec<serde_json::Value>>,
}

pub struct Perl {
    pub address: std::net::SocketAddr,
    pub state: Arc<Mutex<State>>,
}

impl Perl {
    /// Listens with this certificate; in a thread that ends with the test.
    pub fn start(pair: &Pair) -> Self {
        let certificates = CertificateDer::pem_slice_iter(pair.certificate.as_bytes()).map(Result::unwrap).collect();
        let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap();
        let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(certificates, key)
            .unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State { how: "ok".to_owned(), ..State::default() }));
        let shared = state.clone();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(accept(listener, TlsAcceptor::from(Arc::new(config)), shared));
        });
        Self { address, state }
    }

    pub fn behave(&self, how: &str) {
        self.state.lock().unwrap().how = how.to_owned();
    }

    /// From now on it answers so, one after the other and again.
    pub fn says(&self, path: &str, answers: Vec<serde_json::Value>) {
        self.state.lock().unwrap().answers.insert(format!("/api2/json{path}"), answers);
    }

    /// Requests that came, without the questions about permissions.
    pub fn came(&self) -> Vec<Came> {
        let state = self.state.lock().unwrap();
        state.came.iter().filter(|c| !c.target.contains("/access/permissions")).cloned().collect()
    }

    pub fn permission_questions(&self) -> usize {
        self.state.lock().unwrap().came.iter().filter(|c| c.target.contains("/access/permissions")).count()
    }
}

async fn accept(listener: std::net::TcpListener, tls: TlsAcceptor, state: Arc<Mutex<State>>) {
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let (tls, state) = (tls.clone(), state.clone());
        tokio::spawn(async move {
            let Ok(stream) = tls.accept(stream).await else { return };
            let service = service_fn(move |request| answer(request, state.clone()));
            let builder = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new()).http1_only();
            let _ = builder.serve_connection_with_upgrades(TokioIo::new(stream), service).await;
        });
    }
}

async fn answer(
    mut request: Request<Incoming>,
    state: Arc<Mutex<State>>,
) -> Result<Response<Full<Bytes>>, std::io::Error> {
    let upgrade = request.headers().contains_key("upgrade").then(|| hyper::upgrade::on(&mut request));
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map_err(std::io::Error::other)?.to_bytes();
    let target = parts.uri.path_and_query().unwrap().to_string();
    let header = |name: &str| parts.headers.get(name).map(|v| v.to_str().unwrap().to_owned());
    let how = {
        let mut state = state.lock().unwrap();
        let headers =
            parts.headers.iter().map(|(n, v)| (n.to_string(), String::from_utf8_lossy(v.as_bytes()).into_owned()));
        state.came.push(Came {
            method: parts.method.to_string(),
            target: target.clone(),
            headers: headers.collect(),
            body: body.to_vec(),
        });
        state.how.clone()
    };
    let who = header("authorization").or_else(|| header("cookie")).unwrap_or_default();
    let json = |status: u16, body: String| {
        let answer = Response::builder().status(status).header("content-type", "application/json;charset=UTF-8");
        Ok(answer.body(Full::new(Bytes::from(body))).unwrap())
    };
    if who.is_empty() && target.starts_with("/api2/") {
        return json(401, r#"{"data":null,"message":"No ticket"}"#.to_owned());
    }
    if let Some(path) = target.strip_prefix("/api2/json/access/permissions?path=") {
        let all = ["\"Sys.Audit\":1", "\"Sys.Modify\":1", "\"SDN.Audit\":1", "\"SDN.Allocate\":1"];
        let granted = match who.as_str() {
            GOOD | TICKET => all.to_vec(),
            READER => vec![all[0], all[2]],
            _ => return json(200, r#"{"data":{}}"#.to_owned()),
        };
        return json(200, format!(r#"{{"data":{{"{path}":{{{}}}}}}}"#, shuffled(granted).join(",")));
    }
    match how.as_str() {
        "500" => return json(500, r#"{"data":null,"message":"perl died"}"#.to_owned()),
        "reset" => return Err(std::io::Error::other("as asked")),
        "slow" => tokio::time::sleep(Duration::from_secs(60)).await,
        _ => {}
    }
    if let Some(upgrade) = upgrade {
        tokio::spawn(async move {
            let mut stream = TokioIo::new(upgrade.await.unwrap());
            let mut buffer = [0; 1024];
            while let Ok(length @ 1..) = stream.read(&mut buffer).await {
                let said = buffer[..length].to_ascii_uppercase();
                if stream.write_all(&said).await.is_err() {
                    return;
                }
            }
        });
        let answer = Response::builder().status(101).header("upgrade", "websocket").header("connection", "upgrade");
        return Ok(answer.header("sec-websocket-protocol", "binary").body(Full::default()).unwrap());
    }
    let mut held = state.lock().unwrap();
    if let Some(answers) = held.answers.get_mut(&target).filter(|answers| !answers.is_empty()) {
        answers.rotate_left(1);
        return json(200, answers[answers.len() - 1].to_string());
    }
    drop(held);
    if target.starts_with("/api2/json/nodes/pve1/network") && parts.method == "GET" {
        let list = shuffled(vec![r#"{"iface":"eno1","by":"perl"}"#, r#"{"by":"perl","iface":"vmbr0"}"#]).join(",");
        return json(200, format!(r#"{{"data":[{list}]}}"#));
    }
    json(200, format!(r#"{{"data":null,"by":"perl","bytes":{}}}"#, body.len()))
}

/// In the order of a hash with a seed of its own.
fn shuffled(items: Vec<&str>) -> Vec<&str> {
    items.into_iter().map(|item| (item, ())).collect::<HashMap<_, _>>().into_keys().collect()
}
