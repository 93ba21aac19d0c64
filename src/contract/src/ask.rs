//! One request: a GET, to Perl's https or to the Rust daemon's socket; a write, to a daemon's socket alone.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use host::{Error, IoContext, Result};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue};
use hyper::{Method, Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;

use crate::compare::Answer;

/// An answer that takes longer is none.
const PATIENCE: Duration = Duration::from_secs(30);
/// Bytes of an answer.
const BODY: usize = 16 << 20;
/// What Proxmox's API lies below.
const BASE: &str = "/api2/json";

/// Who is asked.
pub(crate) enum Side {
    /// Proxmox's own API.
    Perl {
        /// The name that its certificate has to be for.
        host: String,
        port: u16,
        connector: TlsConnector,
        authorization: Option<HeaderValue>,
    },
    /// The daemon.
    Rust(PathBuf),
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Reply {
    pub answer: Answer,
    /// Why the body is no answer of Proxmox's, if it is none.
    pub odd: Option<String>,
    /// Rust said that it leaves this to Perl.
    pub left: bool,
    pub took: Duration,
}

impl Side {
    /// Proxmox's API at `url`, whose certificate `ca` has signed.
    ///
    /// # Errors
    /// The address is no https URL, or a file can't be used.
    pub(crate) fn perl(url: &str, ca: &Path, token: Option<&Path>) -> Result<Self> {
        let uri: Uri = url.parse().map_err(|e| Error::new(format!("{url} is no address: {e}")))?;
        let plain = uri.scheme_str() == Some("https") && matches!(uri.path(), "" | "/" | BASE | "/api2/json/");
        let (Some(host), true) = (uri.host(), plain) else {
            return Err(Error::of(host::Kind::Usage, format!("{url} is not of the form https://NODE:8006")));
        };
        let doing = || format!("cannot read the certificates in {}", ca.display());
        let mut roots = rustls::RootCertStore::empty();
        let way = "on a node 'pvecm updatecerts' makes them; --ca names another file";
        let pem = std::fs::read(ca).doing(doing).map_err(|e| e.way_out(way))?;
        for certificate in CertificateDer::pem_slice_iter(&pem) {
            let certificate = certificate.map_err(|e| Error::new(format!("{}: {e}", doing())))?;
            roots.add(certificate).map_err(|e| Error::new(format!("{}: {e}", doing())))?;
        }
        if roots.is_empty() {
            return Err(Error::new(format!("{}: there is none", doing())));
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|e| Error::new(format!("cannot set up TLS: {e}")))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self::Perl {
            host: host.trim_matches(['[', ']']).to_owned(),
            port: uri.port_u16().unwrap_or(8006),
            connector: TlsConnector::from(Arc::new(config)),
            authorization: token.map(authorization).transpose()?,
        })
    }

    /// Asks for `path`, which begins behind `/api2/json`.
    ///
    /// # Errors
    /// It can't be reached, its certificate is not the cluster's, or it does not answer in time.
    pub(crate) async fn ask(&self, path: &str) -> Result<Reply> {
        replied(&self.name(), self.once(path)).await
    }

    fn name(&self) -> String {
        match self {
            Self::Perl { host, port, .. } => format!("https://{host}:{port}"),
            Self::Rust(socket) => socket.display().to_string(),
        }
    }

    async fn once(&self, path: &str) -> Result<(StatusCode, bool, Bytes)> {
        let mut request = Request::get(format!("{BASE}{path}"))
            .body(Full::<Bytes>::default())
            .map_err(|e| Error::new(format!("{path} is no path: {e}")))?;
        let reach = || format!("cannot reach {}", self.name());
        match self {
            Self::Rust(socket) => {
                request.headers_mut().insert(HOST, HeaderValue::from_static("localhost"));
                talk(UnixStream::connect(socket).await.doing(reach)?, request, &self.name()).await
            }
            Self::Perl { host, port, connector, authorization } => {
                let authority = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
                if let Ok(value) = HeaderValue::from_str(&authority) {
                    request.headers_mut().insert(HOST, value);
                }
                if let Some(value) = authorization {
                    request.headers_mut().insert(AUTHORIZATION, value.clone());
                }
                let name = ServerName::try_from(host.clone()).map_err(|e| Error::new(format!("{host}: {e}")))?;
                let stream = TcpStream::connect((host.as_str(), *port)).await.doing(reach)?;
                let stream = connector.connect(name, stream).await.doing(reach)?;
                talk(stream, request, &self.name()).await
            }
        }
    }
}

/// Asks the daemon at `socket` for a write. `path` begins behind `/api2/json`; the parameters are a form, if there are any.
///
/// # Errors
/// It can't be reached, or does not answer in time.
pub(crate) async fn write(socket: &Path, method: &str, path: &str, form: String) -> Result<Reply> {
    let name = socket.display().to_string();
    let method = Method::from_bytes(method.as_bytes()).map_err(|e| Error::new(format!("{method}: {e}")))?;
    let mut request = Request::builder().method(method).uri(format!("{BASE}{path}"));
    request = request.header(HOST, HeaderValue::from_static("localhost"));
    if !form.is_empty() {
        request = request.header(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
    }
    let request = request.body(Full::from(form)).map_err(|e| Error::new(format!("{path} is no path: {e}")))?;
    let once = async {
        let stream = UnixStream::connect(socket).await.doing(|| format!("cannot reach {name}"))?;
        talk(stream, request, &name).await
    };
    replied(&name, once).await
}

/// Waits for an answer, but not for ever.
async fn replied(whom: &str, once: impl Future<Output = Result<(StatusCode, bool, Bytes)>>) -> Result<Reply> {
    let begin = Instant::now();
    let asked = tokio::time::timeout(PATIENCE, once).await;
    let late = |_| Error::new(format!("{whom} has not answered for {} s", PATIENCE.as_secs()));
    let (status, left, body) = asked.map_err(late)??;
    let took = begin.elapsed();
    let parsed = serde_json::from_slice(&body);
    let odd = parsed.as_ref().err().map(|e: &serde_json::Error| format!("the body is no JSON: {e}"));
    let answer = Answer { status: status.as_u16(), body: parsed.unwrap_or_default() };
    Ok(Reply { answer, odd, left, took })
}

async fn talk<S>(stream: S, request: Request<Full<Bytes>>, whom: &str) -> Result<(StatusCode, bool, Bytes)>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let failed = |e: &dyn std::fmt::Display| Error::new(format!("{whom} broke off: {e}"));
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|e| failed(&e))?;
    let connection = tokio::spawn(connection);
    let response = sender.send_request(request).await.map_err(|e| failed(&e))?;
    let status = response.status();
    let nothing = response.headers().get("pve-network-touched").is_some_and(|value| value == "nothing");
    let body = Limited::new(response.into_body(), BODY).collect().await.map_err(|e| failed(&e))?.to_bytes();
    connection.abort();
    Ok((status, status == StatusCode::NOT_IMPLEMENTED && nothing, body))
}

/// `USER@REALM!NAME=SECRET` from a file that others can't read.
fn authorization(file: &Path) -> Result<HeaderValue> {
    use std::os::unix::fs::PermissionsExt;
    let doing = || format!("cannot read the token in {}", file.display());
    let mode = std::fs::metadata(file).doing(doing)?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(Error::of(host::Kind::Refused, format!("{} can be read by others", file.display()))
            .way_out(format!("chmod 600 {}", file.display())));
    }
    let text = std::fs::read_to_string(file).doing(doing)?;
    let token = text.trim();
    let form = token.split_once('!').is_some_and(|(user, rest)| user.contains('@') && rest.contains('='));
    let value = HeaderValue::from_str(&format!("PVEAPIToken={token}")).ok().filter(|_| form);
    let mut value = value.ok_or_else(|| Error::new(format!("{}: not of the form USER@REALM!NAME=SECRET", doing())))?;
    value.set_sensitive(true);
    Ok(value)
}
