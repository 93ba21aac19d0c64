//! From start to stop: the daemon, and what both services have in common.

use std::fmt::Display;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use axum::Router;
use host::{Error, IoContext, Result};
use network::Node;
use sd_notify::NotifyState;
use tokio::net::UnixListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::MissedTickBehavior;

use crate::health::Reporter;
use crate::options::{DAEMON, Identity, Settings};
use crate::{daemon, log, server, socket};

/// How long requests under way may take to finish once we are told to stop. The units' own
/// `TimeoutStopSec=` is longer.
const DRAIN: Duration = Duration::from_secs(3);

/// Threads that may wait for `/etc/pve`; `health` has one reader at a time.
const READERS: usize = 1;

/// Further ones of the daemon: its workers, who tells what became of an operation, and settling.
const WORKERS: usize = daemon::WORKERS + 4;

/// Runs one of the two services until it is told to stop; prints its error, if any.
pub fn main(identity: Identity) -> ExitCode {
    let settings = identity.settings(&identity.command().get_matches());
    let blocking = READERS + if settings.identity == DAEMON { WORKERS } else { 0 };
    on_socket(&identity, &settings.socket, blocking, |listener| serve(&settings, listener))
}

/// Serves on the socket at `path` until `serve` comes to its end, and removes the socket; prints the error, if any. At
/// most so many threads are `blocking`, waiting for a disk.
pub(crate) fn on_socket<S>(
    identity: &Identity,
    path: &Path,
    blocking: usize,
    serve: impl FnOnce(std::os::unix::net::UnixListener) -> S,
) -> ExitCode
where
    S: Future<Output = Result<()>>,
{
    log::to_stderr();
    let run = || {
        // Before the runtime exists: binding changes the umask, which all threads share.
        let (listener, bound) = socket::bind(path)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .max_blocking_threads(blocking)
            .build()
            .doing(|| "cannot set up the event loop")?;
        let served = runtime.block_on(serve(listener));
        // A reader stuck in /etc/pve must not keep us from ending.
        runtime.shutdown_background();
        let removed = bound.remove();
        served.and(removed)
    };
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{}: {error}", identity.program);
            ExitCode::from(error.kind().exit_code())
        }
    }
}

async fn serve(settings: &Settings, listener: std::os::unix::net::UnixListener) -> Result<()> {
    let stop = told_to_stop()?;
    let listener =
        UnixListener::from_std(listener).doing(|| format!("cannot listen on {}", settings.socket.display()))?;

    let mut routes = Router::new();
    if settings.identity == DAEMON {
        let node = Node::at(&settings.root)?;
        let early = node.clone();
        // Before the first request, but not before systemd: somebody may hold the lock.
        tokio::task::spawn_blocking(move || daemon::settle(&early));
        routes = daemon::routes(node);
    }
    let reporter = Reporter::new(settings.identity, settings.root.clone());
    let health = reporter.report().await;
    tracing::info!(
        "{} {} serves {} on node {}, phase {}",
        settings.identity.service,
        env!("CARGO_PKG_VERSION"),
        settings.socket.display(),
        health.node.as_deref().unwrap_or("(unknown)"),
        health.phase,
    );
    ready(settings.socket.display())?;
    let connections = server::accept_until(&listener, routes.merge(server::routes(reporter)), stop).await;
    notify(&[NotifyState::Stopping])?;
    drop(listener);
    if !connections.drain(DRAIN).await {
        tracing::warn!("requests were still under way after {} s", DRAIN.as_secs());
    }
    Ok(())
}

/// Waits until somebody ends us, and says how. Whoever does so is heard from now on, waited for or not.
pub(crate) fn told_to_stop() -> Result<impl Future<Output = &'static str>> {
    let watch = |kind| signal(kind).doing(|| "cannot watch for signals");
    let mut terminate = watch(SignalKind::terminate())?;
    let mut interrupt = watch(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        }
    })
}

/// Tells systemd that `place` is served, and from then on that we live.
pub(crate) fn ready(place: impl Display) -> Result<()> {
    notify(&[NotifyState::Ready, NotifyState::Status(&format!("serving {place}"))])?;
    if let Some(patience) = sd_notify::watchdog_enabled() {
        tokio::spawn(keep_alive(patience));
    }
    Ok(())
}

/// Tells systemd's watchdog that we live, twice in each span that it allows (sd_notify(3)). It runs on
/// the very thread that serves, so that one which hangs is silent and is started anew. A reader that
/// waits for `/etc/pve` has a thread of its own and is no reason for that.
async fn keep_alive(patience: Duration) {
    let mut ticks = tokio::time::interval(patience / 2);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        // If it can't be told, systemd ends us, and that is what the watchdog is for.
        let _ = notify(&[NotifyState::Watchdog]);
    }
}

/// Tells systemd; without `NOTIFY_SOCKET` nobody waits for it and nothing happens.
pub(crate) fn notify(state: &[NotifyState<'_>]) -> Result<()> {
    sd_notify::notify(state).map_err(|error| Error::io("cannot notify systemd", error))
}
