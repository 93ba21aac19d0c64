//! Asks Perl what a caller may do, and remembers a yes for a moment.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use host::{Clock, files};
use http_body_util::{BodyExt, Limited};
use hyper::header::{AUTHORIZATION, COOKIE, HeaderMap, HeaderValue};
use hyper::{Method, Request};
use migration::Operation;
use migration::access::{Credential, Need, credential, csrf_is_good, grants, needs};

use super::answer::full;
use super::perl::Perl;
use super::watch::Seen;

/// How long a yes holds. A caller whose permission is taken away may be answered for as long.
const HOLDS: Duration = Duration::from_secs(10);

/// How many are remembered at most.
const REMEMBERED: usize = 1024;

/// For Perl to say what a caller may do.
const PATIENCE: Duration = Duration::from_secs(5);

/// Its answer is a few hundred bytes.
const LARGEST: usize = 256 * 1024;

/// Who is on the other side, as the kernel says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Peer {
    /// root, over the Unix socket: root@pam, unless it shows something else.
    Root,
    /// Anybody else; the address of one who came over the network.
    Other(Option<std::net::IpAddr>),
}

/// What is remembered: digests, when they were learnt, and nothing that a ticket could be made of.
#[derive(Default)]
pub(crate) struct Access {
    granted: Mutex<HashMap<String, Instant>>,
}

impl Access {
    /// Whether Rust may answer; else why Perl has to.
    pub(crate) async fn check(
        &self,
        perl: &Perl,
        seen: &Seen,
        peer: Peer,
        headers: &HeaderMap,
        operation: Operation,
    ) -> Result<(), &'static str> {
        let values = |name| headers.get_all(name).iter().map(HeaderValue::as_bytes).collect::<Vec<_>>();
        match credential(&values(COOKIE), &values(AUTHORIZATION)) {
            Credential::None if peer == Peer::Root => return Ok(()),
            Credential::None => return Err("no-credential"),
            Credential::Unclear => return Err("unclear-credential"),
            Credential::Token => {}
            Credential::Ticket(user) if operation.is_write() => {
                let token = headers.get("csrfpreventiontoken").and_then(|value| value.to_str().ok());
                let good = seen
                    .www_key
                    .as_deref()
                    .zip(token)
                    .is_some_and(|(key, token)| csrf_is_good(key, &user, token, Clock::System.now().seconds()));
                if !good {
                    return Err("csrf");
                }
            }
            Credential::Ticket(_) => {}
        }
        for need in needs(operation, &seen.node) {
            if !self.granted(perl, headers, &need).await {
                return Err("access");
            }
        }
        Ok(())
    }

    async fn granted(&self, perl: &Perl, headers: &HeaderMap, need: &Need) -> bool {
        let key = key(headers, need);
        {
            let mut granted = self.granted.lock().unwrap_or_else(PoisonError::into_inner);
            granted.retain(|_, since| since.elapsed() < HOLDS);
            if granted.contains_key(&key) {
                return true;
            }
        }
        let mut request = Request::new(full(Bytes::new()));
        *request.method_mut() = Method::GET;
        let Ok(uri) = format!("/api2/json/access/permissions?path={}", need.path).parse() else { return false };
        *request.uri_mut() = uri;
        for name in [COOKIE, AUTHORIZATION] {
            if let Some(value) = headers.get(&name) {
                request.headers_mut().insert(name, value.clone());
            }
        }
        let Ok(answer) = perl.send(request, PATIENCE).await else { return false };
        if answer.status() != 200 {
            return false;
        }
        let body = tokio::time::timeout(PATIENCE, Limited::new(answer.into_body(), LARGEST).collect()).await;
        let Ok(Ok(body)) = body else { return false };
        let yes = grants(&body.to_bytes(), need);
        let mut granted = self.granted.lock().unwrap_or_else(PoisonError::into_inner);
        if yes && granted.len() < REMEMBERED {
            granted.insert(key, Instant::now());
        }
        yes
    }
}

/// A digest of what was shown and what is needed.
fn key(headers: &HeaderMap, need: &Need) -> String {
    let mut all = Vec::new();
    for part in [
        headers.get(COOKIE).map_or(&b""[..], HeaderValue::as_bytes),
        headers.get(AUTHORIZATION).map_or(&b""[..], HeaderValue::as_bytes),
        need.path.as_bytes(),
        need.any.join(",").as_bytes(),
    ] {
        // Lengths first, so that nothing can run into the next part.
        all.extend_from_slice(&(part.len() as u64).to_le_bytes());
        all.extend_from_slice(part);
    }
    files::sha256(&all)
}
