//! pveproxy as the middleware knows it, over https. Order of keys and lists is random; it fails on demand.

use std::collections::HashMap;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

use crate::Pair;
use crate::network::{Network, shuffled};

/// A caller who may do everything.
pub const GOOD: &str = "PVEAPIToken=root@pam!good=7e3f9e0c-PLANTED-SECRET";
/// One who may only look.
pub const READER: &str = "PVEAPIToken=reader@pve!r=11111111-PLANTED-SECRET";
/// One who may nothing.
pub const NOBODY: &str = "PVEAPIToken=nobody@pve!n=00000000-PLANTED-SECRET";
/// A browser's ticket.
pub const TICKET: &str = "PVEAuthCookie=PVE:root@pam:65A1B2C3::PLANTED-SECRET";
/// As in `/etc/pve/pve-www.key`.
pub const WWW_KEY: &str = "the cluster's key\n";

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Came {
    /// Its method.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// By their names in small letters.
    pub headers: HashMap<String, String>,
    /// All of it.
    pub body: Vec<u8>,
}

/// How it answers, and what came.
#[derive(Default)]
pub struct State {
    /// `500`, `reset`, `slow`; anything else is as it should be.
    pub how: String,
    /// Requests, in the order in which they came.
    pub came: Vec<Came>,
    /// What it answers where asked for a path behind `/api2/json`, in turns.
    pub answers: HashMap<String, Vec<serde_json::Value>>,
    /// The node whose network it knows; without one it makes up a list.
    pub network: Option<Network>,
    /// Further tokens with their privileges, a file that is read at each request.
    pub tokens: Option<PathBuf>,
    /// Does not keep what came.
    pub forgetful: bool,
}

/// It, in a thread of this process.
pub struct Perl {
    /// Where it listens.
    pub address: SocketAddr,
    /// How it answers, and what came.
    pub state: Arc<Mutex<State>>,
}

impl Perl {
    /// Listens with this certificate; in a thread that ends with the test.
    pub fn start(pair: &Pair) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State::default()));
        let (shared, pair) = (state.clone(), pair.clone());
        std::thread::spawn(move || serve(listener, &pair, shared));
        Self { address, state }
    }

    /// From now on it fails so: `500`, `reset`, `slow`; `ok`: no longer.
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

    /// How often it was asked about permissions.
    pub fn permission_questions(&self) -> usize {
        self.state.lock().unwrap().came.iter().filter(|c| c.target.contains("/access/permissions")).count()
    }
}

/// Listens with this certificate until the process ends.
pub(crate) fn listen(listener: TcpListener, pair: &Pair, state: State) {
    serve(listener, pair, Arc::new(Mutex::new(state)));
}

fn serve(listener: TcpListener, pair: &Pair, state: Arc<Mutex<State>>) {
    let certificates = CertificateDer::pem_slice_iter(pair.certificate.as_bytes()).map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(certificates, key)
        .unwrap();
    listener.set_nonblocking(true).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(accept(listener, TlsAcceptor::from(Arc::new(config)), state));
}

async fn accept(listener: TcpListener, tls: TlsAcceptor, state: Arc<Mutex<State>>) {
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
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
    let (how, network, tokens) = {
        let mut state = state.lock().unwrap();
        if !state.forgetful {
            let text = |v: &hyper::header::HeaderValue| String::from_utf8_lossy(v.as_bytes()).into_owned();
            state.came.push(Came {
                method: parts.method.to_string(),
                target: target.clone(),
                headers: parts.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect(),
                body: body.to_vec(),
            });
        }
        (state.how.clone(), state.network.clone(), state.tokens.clone())
    };
    let ticket = |cookies: String| {
        let mut all = cookies.split(';').map(str::trim);
        all.find(|cookie| cookie.starts_with("PVEAuthCookie=")).map(str::to_owned)
    };
    let who = header("authorization").or_else(|| header("cookie").and_then(ticket)).unwrap_or_default();
    let json = |status: u16, body: String| {
        let answer = Response::builder().status(status).header("content-type", "application/json;charset=UTF-8");
        Ok(answer.body(Full::new(Bytes::from(body))).unwrap())
    };
    let granted = privileges(&who, tokens.as_deref());
    if target.starts_with("/api2/") && (who.is_empty() || granted.is_none()) {
        let why = if who.is_empty() { "No ticket" } else { "invalid token value!" };
        return json(401, json!({"data": null, "message": why}).to_string());
    }
    if let Some(path) = target.strip_prefix("/api2/json/access/permissions?path=") {
        let granted = granted.unwrap_or_default();
        let all = granted.into_iter().map(|privilege| (privilege, 1.into())).collect::<serde_json::Map<_, _>>();
        let body = if all.is_empty() { json!({"data": {}}) } else { json!({"data": {path: all}}) };
        return json(200, shuffled(&body));
    }
    match how.as_str() {
        "500" => return json(500, r#"{"data":null,"message":"perl died"}"#.to_owned()),
        "reset" => return Err(std::io::Error::other("as asked")),
        "slow" => tokio::time::sleep(Duration::from_secs(60)).await,
        _ => {}
    }
    if let Some(upgrade) = upgrade {
        let mut answer = Response::builder().status(101).header("upgrade", "websocket").header("connection", "upgrade");
        answer = answer.header("sec-websocket-protocol", "binary");
        if header("sec-websocket-version").as_deref() == Some("13") {
            let key = header("sec-websocket-key").unwrap_or_default();
            answer = answer.header("sec-websocket-accept", derive_accept_key(key.as_bytes()));
            tokio::spawn(echo_messages(upgrade));
        } else {
            tokio::spawn(echo_bytes(upgrade));
        }
        return Ok(answer.body(Full::default()).unwrap());
    }
    let mut held = state.lock().unwrap();
    if let Some(answers) = held.answers.get_mut(&target).filter(|answers| !answers.is_empty()) {
        answers.rotate_left(1);
        return json(200, answers[answers.len() - 1].to_string());
    }
    drop(held);
    if parts.method == "GET" {
        if let Some((status, body)) = target.strip_prefix("/api2/json").zip(network).and_then(|(t, n)| n.answer(t)) {
            return json(status, shuffled(&body));
        }
        if target.starts_with("/api2/json/nodes/pve1/network") {
            let list = json!({"data": [{"iface": "eno1", "by": "perl"}, {"iface": "vmbr0", "by": "perl"}]});
            return json(200, shuffled(&list));
        }
    }
    json(200, format!(r#"{{"data":null,"by":"perl","bytes":{}}}"#, body.len()))
}

/// What a caller may do everywhere; none if nobody knows him.
fn privileges(who: &str, tokens: Option<&std::path::Path>) -> Option<Vec<String>> {
    let words = |list: &str| list.split(',').filter(|word| !word.is_empty()).map(str::to_owned).collect();
    match who {
        GOOD | TICKET => return Some(words("Sys.Audit,Sys.Modify,SDN.Audit,SDN.Allocate")),
        READER => return Some(words("Sys.Audit,SDN.Audit")),
        // Without a file of tokens everybody is somebody, with no privilege.
        _ if tokens.is_none() => return Some(Vec::new()),
        _ => {}
    }
    let token = who.strip_prefix("PVEAPIToken=")?;
    let known = std::fs::read_to_string(tokens?).ok()?;
    known
        .lines()
        .filter_map(|line| line.split_once(' '))
        .find(|(known, _)| *known == token)
        .map(|(_, list)| words(list))
}

/// What comes, in capitals.
async fn echo_bytes(upgrade: hyper::upgrade::OnUpgrade) {
    let Ok(upgraded) = upgrade.await else { return };
    let mut stream = TokioIo::new(upgraded);
    let mut buffer = [0; 1024];
    while let Ok(length @ 1..) = stream.read(&mut buffer).await {
        let said = buffer[..length].to_ascii_uppercase();
        if stream.write_all(&said).await.is_err() {
            return;
        }
    }
}

/// Each message of a websocket (RFC 6455), as it came.
async fn echo_messages(upgrade: hyper::upgrade::OnUpgrade) {
    let Ok(upgraded) = upgrade.await else { return };
    let mut socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, None).await;
    while let Some(Ok(message)) = socket.next().await {
        let echo = matches!(message, Message::Text(_) | Message::Binary(_));
        if echo && socket.send(message).await.is_err() {
            return;
        }
    }
}
