//! One HTTP request at a time, for programs that ask, wait and end: `contract-test` and `canary`.
//!
//! ```text
//!   run ─► within (a time) ─► Server::ask ─┬─ TCP ────────────────────┬─► HTTP/1.1 ─► Response, all of it,
//!                                          ├─ TCP ─► TLS, by `tls` ───┤               up to a length
//!                                          └─ a socket of this host ──┘
//!                             tls: the certificates of one file, and no others, say who is there
//! ```
//!
//! Every request has a connection of its own, which ends with it. A time and a length are the caller's to say: there is
//! no default that would wait or read for ever. What an answer means is the caller's to say too; an error is only what
//! kept the answer from coming.
//!
//! It never repeats a request, follows no redirection, takes no proxy from the environment, and never trusts in a
//! certificate that it was not given. It is not the middleware's way to Perl, which keeps connections, pins certificates
//! and has to know whether a request was sent: that is `service::middleware`.

mod server;
mod tls;

pub use hyper::body::Bytes;
pub use hyper::{Method, Request, Response, StatusCode, Uri, header};
pub use server::Server;
pub use tls::{Tls, Unusable};

use std::time::Duration;

use host::{Error, IoContext, Result};

/// Carries it out, in this thread.
///
/// # Errors
/// Those of `work`; the kernel has no file descriptor left.
pub fn run<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.doing(|| "cannot set up the event loop")?.block_on(work)
}

/// Waits for `work`, but no longer than `patience`.
///
/// # Errors
/// Those of `work`; `whom` has not answered in time.
pub async fn within<T>(patience: Duration, whom: &str, work: impl Future<Output = Result<T>>) -> Result<T> {
    let done = tokio::time::timeout(patience, work).await;
    done.map_err(|_| Error::new(format!("{whom} has not answered for {} s", patience.as_secs())))?
}
