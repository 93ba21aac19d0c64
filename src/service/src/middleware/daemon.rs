//! Rust, over the daemon's Unix socket: a connection for each request, so that one that breaks is that
//! request's alone; and what became of a write whose answer was lost.
//!
//! A daemon that lives is asked to *fence* the operation: from then on it refuses to begin it, so its
//! "never begun" is a proof. A dead one can't begin anything: a request dies with the process that had
//! received it, as the daemon that is started in its place never saw it. That it is dead the kernel says,
//! by a pidfd taken before anything was sent; the journal then says whether it had begun.

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use history::Store;
use history::journal::{Event, Outcome};
use http_body_util::{BodyExt, Limited};
use hyper::header::{CONTENT_TYPE, HOST, HeaderMap, HeaderValue};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use migration::flow::{Attempt, Cause, Fate, Touched, proven};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde::Deserialize;
use tokio::net::UnixStream;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout, timeout_at};

use super::answer::{Body, OPERATION, TOUCHED, full};

/// Requests to the daemon at a time; further ones wait for a moment.
const PLACES: usize = 32;

/// For a place, and for a connection: a socket on this machine accepts at once or never.
const CONNECT: Duration = Duration::from_secs(1);

/// Bytes of an answer. A list of 2000 interfaces has about 600 KB.
const LARGEST: usize = 16 << 20;

/// Between two questions about a write that is under way.
const PAUSE: Duration = Duration::from_millis(100);

/// One question about a write; a daemon that hangs is asked again.
const QUESTION: Duration = Duration::from_secs(2);

/// A request for the daemon.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub method: Method,
    /// Path and query.
    pub target: String,
    pub content_type: Option<HeaderValue>,
    pub body: Bytes,
    /// The operation's id.
    pub id: String,
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// The process on the other side.
#[derive(Debug)]
pub(crate) struct Process {
    pid: i32,
    handle: OwnedFd,
}

impl Process {
    /// Whether it is certainly gone.
    fn is_dead(&self) -> bool {
        let mut fds = [PollFd::new(&self.handle, PollFlags::IN)];
        poll(&mut fds, Some(&Timespec::default())).is_ok_and(|n| n > 0)
    }
}

/// The way to it.
pub(crate) struct Daemon {
    socket: PathBuf,
    store: Store,
    places: Semaphore,
}

impl Daemon {
    pub(crate) fn new(socket: PathBuf, store: Store) -> Self {
        Self { socket, store, places: Semaphore::new(PLACES) }
    }

    /// Asks, and says what came of it; the process is known once there was a connection.
    pub(crate) async fn ask(&self, asked: &Asked, patience: Duration) -> (Attempt, Option<Answer>, Option<Process>) {
        let Ok(Ok(_place)) = timeout(CONNECT, self.places.acquire()).await else {
            return (Attempt::NotSent(Cause::Overload), None, None);
        };
        let (stream, process) = match self.connect().await {
            Ok(connected) => connected,
            Err(cause) => return (Attempt::NotSent(cause), None, None),
        };
        match timeout(patience, exchange(stream, asked)).await {
            Err(_) => (Attempt::Lost(Cause::Timeout), None, process),
            Ok(Err(cause)) => (Attempt::Lost(cause), None, process),
            Ok(Ok(answer)) => {
                let touched = touched(&answer.headers);
                (Attempt::Answered { status: answer.status, touched }, Some(answer), process)
            }
        }
    }

    async fn connect(&self) -> Result<(UnixStream, Option<Process>), Cause> {
        let stream = match timeout(CONNECT, UnixStream::connect(&self.socket)).await {
            Err(_) => return Err(Cause::Overload),
            // A full backlog: it lives, and does not come to accepting.
            Ok(Err(error)) if error.kind() == std::io::ErrorKind::WouldBlock => return Err(Cause::Overload),
            Ok(Err(_)) => return Err(Cause::Refused),
            Ok(Ok(stream)) => stream,
        };
        let pid = stream.peer_cred().ok().and_then(|peer| peer.pid());
        let process = pid.and_then(|pid| {
            let handle = pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty()).ok()?;
            Some(Process { pid, handle })
        });
        Ok((stream, process))
    }

    /// What is known of an operation, for a person who asks: nothing is fenced.
    pub(crate) async fn state(&self, id: &str) -> (Fate, Vec<String>) {
        match self.question(Method::GET, &format!("/operations/{id}")).await {
            Ok((fate, changed, _)) => (fate, changed),
            Err(Cause::Refused) => match self.recorded(id).await {
                // Nobody fenced it, and somebody may be about to begin it.
                (Fate::NeverBegun, changed) => (Fate::Unknown, changed),
                known => known,
            },
            Err(_) => (Fate::Unknown, Vec::new()),
        }
    }

    /// Fences an operation that was sent to `process`, and says what became of it, and of which files.
    pub(crate) async fn fence(&self, id: &str, process: Option<&Process>, patience: Duration) -> (Fate, Vec<String>) {
        let until = Instant::now() + patience;
        let target = format!("/operations/{id}/fence");
        let dead = || process.is_some_and(Process::is_dead);
        let mut last = (Fate::Unknown, Vec::new());
        loop {
            match timeout_at(until, self.question(Method::POST, &target)).await {
                Err(_) => return last,
                Ok(Ok((fate, changed, answered_by))) => {
                    let same = matches!((process, &answered_by), (Some(a), Some(b)) if a.pid == b.pid);
                    let fate = proven(fate, same, dead());
                    last = (fate, changed);
                    if fate != Fate::Running && fate != Fate::Unknown {
                        return last;
                    }
                }
                Ok(Err(_)) if dead() => return self.recorded(id).await,
                Ok(Err(_)) => {}
            }
            if Instant::now() + PAUSE >= until {
                return last;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn question(&self, method: Method, target: &str) -> Result<(Fate, Vec<String>, Option<Process>), Cause> {
        #[derive(Deserialize)]
        struct Told {
            state: String,
            #[serde(default)]
            changed: Vec<String>,
        }
        let (stream, process) = self.connect().await?;
        let asked =
            Asked { method, target: target.to_owned(), content_type: None, body: Bytes::new(), id: String::new() };
        let answer = timeout(QUESTION, exchange(stream, &asked)).await.map_err(|_| Cause::Timeout)??;
        let told: Told = serde_json::from_slice(&answer.body).map_err(|_| Cause::Garbled)?;
        match answer.status {
            200 => Ok((Fate::from_name(&told.state), told.changed, process)),
            _ => Err(Cause::ServerError),
        }
    }

    /// What the journal says of an operation of a daemon that is dead.
    async fn recorded(&self, id: &str) -> (Fate, Vec<String>) {
        let (store, id) = (self.store.clone(), id.to_owned());
        let read = tokio::task::spawn_blocking(move || recorded(&store, &id));
        read.await.unwrap_or((Fate::Unknown, Vec::new()))
    }
}

/// Reads the journal, holding the lock that every writer holds.
fn recorded(store: &Store, id: &str) -> (Fate, Vec<String>) {
    let unknown = (Fate::Unknown, Vec::new());
    let Ok(_lock) = store.lock(QUESTION) else { return unknown };
    let (mut begun, mut ended) = (None, None);
    let read = store.journal().each(&mut |event| match event {
        // An id that is begun again is open again, as the daemon itself would say.
        Event::Begin { id: found, paths, .. } if found == id => (begun, ended) = (Some(paths), None),
        Event::End { id: found, outcome, .. } if found == id => ended = Some(outcome),
        _ => {}
    });
    let Ok(Some(damaged)) = read else { return unknown };
    let Some(paths) = begun else {
        // A line that can't be read may be the one that is looked for.
        return if damaged == 0 { (Fate::NeverBegun, Vec::new()) } else { unknown };
    };
    let fate = match ended {
        Some(Outcome::Done) => Fate::Done,
        Some(Outcome::Failed) => Fate::Failed,
        Some(Outcome::RolledBack) => Fate::RolledBack,
        None => Fate::Unknown,
    };
    (fate, paths.keys().map(ToString::to_string).collect())
}

async fn exchange(stream: UnixStream, asked: &Asked) -> Result<Answer, Cause> {
    let broken = |error: hyper::Error| if error.is_parse() { Cause::Garbled } else { Cause::Reset };
    let (mut sender, connection) =
        hyper::client::conn::http1::Builder::new().handshake(TokioIo::new(stream)).await.map_err(broken)?;
    // It ends with the request: dropping the sender closes it.
    tokio::spawn(async move {
        let _ = connection.await;
    });
    let mut request: Request<Body> = Request::new(full(asked.body.clone()));
    *request.method_mut() = asked.method.clone();
    *request.uri_mut() = asked.target.parse().map_err(|_| Cause::Garbled)?;
    let headers = request.headers_mut();
    headers.insert(HOST, HeaderValue::from_static("localhost"));
    if let Some(kind) = &asked.content_type {
        headers.insert(CONTENT_TYPE, kind.clone());
    }
    if let Ok(id) = HeaderValue::from_str(&asked.id)
        && !asked.id.is_empty()
    {
        headers.insert(OPERATION, id);
    }
    let answer = sender.send_request(request).await.map_err(broken)?;
    let (parts, body) = answer.into_parts();
    // Whole or not at all: a body that breaks off half-way is no answer.
    let body = Limited::new(body, LARGEST)
        .collect()
        .await
        .map_err(|error| if error.is::<http_body_util::LengthLimitError>() { Cause::Garbled } else { Cause::Reset })?;
    Ok(Answer { status: parts.status.as_u16(), headers: parts.headers, body: body.to_bytes() })
}

fn touched(headers: &HeaderMap) -> Touched {
    match headers.get(TOUCHED).map(HeaderValue::as_bytes) {
        Some(b"nothing") => Touched::Nothing,
        Some(b"refused") => Touched::Refused,
        Some(b"done") => Touched::Done,
        _ => Touched::Silent,
    }
}
