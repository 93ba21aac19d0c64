//! One request: a GET, to Perl's https or to the Rust daemon's socket; a write, to a daemon's socket alone.

use std::path::Path;
use std::time::{Duration, Instant};

use client::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use client::{Bytes, Method, Request, Response, Server, StatusCode, Tls, Unusable, Uri};
use host::{Error, IoContext, Result};

use crate::compare::Answer;

/// An answer that takes longer is none.
const PATIENCE: Duration = Duration::from_secs(30);
/// Bytes of an answer.
const BODY: usize = 16 << 20;
/// What Proxmox's API lies below.
const BASE: &str = "/api2/json";

/// Who is asked.
pub(crate) struct Side {
    server: Server,
    /// Perl's; the daemon's socket is for those who may.
    authorization: Option<HeaderValue>,
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
        let way = "on a node 'pvecm updatecerts' makes them; --ca names another file";
        let tls = Tls::trusting(ca, Unusable::Refused).map_err(|e| e.way_out(way))?;
        let port = uri.port_u16().unwrap_or(8006);
        let name = format!("https://{}:{port}", host.trim_matches(['[', ']']));
        let server = Server::at(name, host, port, Some(tls));
        Ok(Self { server, authorization: token.map(authorization).transpose()? })
    }

    /// The daemon that answers at `socket`.
    pub(crate) fn rust(socket: &Path) -> Self {
        Self { server: Server::socket(socket), authorization: None }
    }

    /// Asks for `path`, which begins behind `/api2/json`.
    ///
    /// # Errors
    /// It can't be reached, its certificate is not the cluster's, or it does not answer in time.
    pub(crate) async fn ask(&self, path: &str) -> Result<Reply> {
        let mut request = Request::get(format!("{BASE}{path}"))
            .body(Bytes::new())
            .map_err(|e| Error::new(format!("{path} is no path: {e}")))?;
        if let Some(value) = &self.authorization {
            request.headers_mut().insert(AUTHORIZATION, value.clone());
        }
        replied(&self.server, request).await
    }
}

/// Asks the daemon at `socket` for a write. `path` begins behind `/api2/json`; the parameters are a form, if there are any.
///
/// # Errors
/// It can't be reached, or does not answer in time.
pub(crate) async fn write(socket: &Path, method: &str, path: &str, form: String) -> Result<Reply> {
    let method = Method::from_bytes(method.as_bytes()).map_err(|e| Error::new(format!("{method}: {e}")))?;
    let mut request = Request::builder().method(method).uri(format!("{BASE}{path}"));
    if !form.is_empty() {
        request = request.header(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
    }
    let request = request.body(Bytes::from(form)).map_err(|e| Error::new(format!("{path} is no path: {e}")))?;
    replied(&Server::socket(socket), request).await
}

/// Waits for an answer, but not for ever.
async fn replied(server: &Server, request: Request<Bytes>) -> Result<Reply> {
    let begin = Instant::now();
    let response = client::within(PATIENCE, server.name(), server.ask(request, BODY)).await?;
    Ok(reply(&response, begin.elapsed()))
}

fn reply(response: &Response<Bytes>, took: Duration) -> Reply {
    let status = response.status();
    let nothing = response.headers().get("pve-network-touched").is_some_and(|value| value == "nothing");
    let parsed = serde_json::from_slice(response.body());
    let odd = parsed.as_ref().err().map(|e: &serde_json::Error| format!("the body is no JSON: {e}"));
    let answer = Answer { status: status.as_u16(), body: parsed.unwrap_or_default() };
    Reply { answer, odd, left: status == StatusCode::NOT_IMPLEMENTED && nothing, took }
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
