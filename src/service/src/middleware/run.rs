//! From start to stop.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use history::{Store, restore};
use host::{Error, IoContext, Kind, Result};
use network::Node;
use sd_notify::NotifyState;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::watch as channel;

use super::access::Access;
use super::daemon::Daemon;
use super::ledger::Ledger;
use super::listen::{self, Listener};
use super::log::Log;
use super::metrics::Metrics;
use super::options::{MIDDLEWARE, Options, cli};
use super::perl::Perl;
use super::proxy::Proxy;
use super::watch::Watch;
use super::{exporter, journal, keys};
use crate::busy::Busy;
use crate::health::Reporter;
use crate::options::DAEMON;
use crate::run::{notify, on_socket, ready, told_to_stop};

/// How long requests under way may take to finish once we are told to stop. The unit's own
/// `TimeoutStopSec=` is longer.
const DRAIN: Duration = Duration::from_secs(8);

/// Time for answers that are made but not yet written.
const FLUSH: Duration = Duration::from_millis(100);

/// How long the exporter waits for what the journal says of the past.
const FIRST: Duration = Duration::from_secs(10);

/// Threads for what may block: `/health`'s reader, the journal, the breaker, names of hosts.
const BLOCKING: usize = 4;

/// Where decisions are logged.
const LOG: &str = "/var/log/pve-network/migration.log";

/// Runs the middleware until it is told to stop; prints its error, if any.
pub fn main() -> ExitCode {
    let options = Options::of(&cli().get_matches());
    on_socket(&MIDDLEWARE, &options.common.socket, BLOCKING, |listener| serve(&options, listener))
}

async fn serve(options: &Options, socket: std::os::unix::net::UnixListener) -> Result<()> {
    let told = told_to_stop()?;
    let place = options.common.socket.display();
    let socket = UnixListener::from_std(socket).doing(|| format!("cannot listen on {place}"))?;
    let loopback = bind(options.listen, "--listen").await?;
    let metrics = bind(options.metrics, "--metrics").await?;
    let front = match options.front {
        Some(address) => Some(bind(address, "--front").await?),
        None => None,
    };
    let at = |listener: &TcpListener| listener.local_addr().map_or_else(|_| "?".to_owned(), |a| a.to_string());
    let mut places = format!("{place}, {} and metrics on {}", at(&loopback), at(&metrics));
    if let Some(front) = &front {
        places += &format!(", and stands before pveproxy on {}", at(front));
    }

    let proxy = Arc::new(proxy(options)?);
    let health = proxy.reporter.report().await;
    tracing::info!(
        "{} {} serves {places} on node {}, phase {}",
        MIDDLEWARE.service,
        env!("CARGO_PKG_VERSION"),
        health.node.as_deref().unwrap_or("(unknown)"),
        health.phase,
    );
    if front.is_some() && proxy.front_config().is_none() {
        tracing::warn!(
            "there is no certificate in /etc/pve/local yet: until there is, nobody can connect to the front"
        );
    }
    ready(place)?;

    let (stop, stopped) = channel::channel(false);
    let (first, known) = tokio::sync::oneshot::channel();
    tokio::spawn(follow_keys(proxy.clone()));
    tokio::spawn(follow_journal(proxy.clone(), Node::at(&options.common.root)?.store, first));
    let (exported, ending) = (proxy.clone(), stopped.clone());
    tokio::spawn(async move {
        // A first scrape before the journal was read would make all of its past look like today's.
        let _ = tokio::time::timeout(FIRST, known).await;
        exporter::serve(metrics, exported, ending).await;
    });
    let doors = [Some(Listener::Unix(socket)), Some(Listener::Loopback(loopback)), front.map(Listener::Front)];
    let doors: Vec<_> = doors
        .into_iter()
        .flatten()
        .map(|door| tokio::spawn(listen::serve(door, proxy.clone(), stopped.clone())))
        .collect();
    tracing::info!("stopping: {}", told.await);
    notify(&[NotifyState::Stopping])?;
    let _ = stop.send(true);
    let drained = async {
        let idle = async {
            proxy.busy.none().await;
            tokio::time::sleep(FLUSH).await;
        };
        let closed = async {
            for door in doors {
                let _ = door.await;
            }
            proxy.busy.none().await;
        };
        tokio::select! {
            () = idle => {}
            () = closed => {}
        }
    };
    if tokio::time::timeout(DRAIN, drained).await.is_err() {
        tracing::warn!("requests were still under way after {} s", DRAIN.as_secs());
    }
    proxy.ledger.end();
    Ok(())
}

async fn bind(address: SocketAddr, option: &str) -> Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| {
        let taken = error.kind() == std::io::ErrorKind::AddrInUse;
        let error = Error::io(format!("cannot listen on {address}"), error);
        if taken {
            let port = address.port();
            error
                .with_kind(Kind::Refused)
                .way_out(format!("`ss -ltnp sport = :{port}` names who does; {option} takes another address or port"))
        } else {
            error.way_out(format!("{option} takes another address"))
        }
    })
}

fn proxy(options: &Options) -> Result<Proxy> {
    let root = &options.common.root;
    let Node { store, switch } = Node::at(root)?;
    let thread = || "cannot start a thread";
    let watch = Watch::start(root, options.front.is_some()).doing(thread)?;
    let metrics = Metrics::new().map_err(|e| Error::new(format!("cannot set up metrics: {e}")))?;
    let log = Log::start(root.path(LOG), metrics.dropped.clone()).doing(thread)?;
    Ok(Proxy {
        daemon: Daemon::new(root.path(DAEMON.socket), store.clone()),
        perl: Perl::new(watch.clone()),
        access: Access::default(),
        ledger: Arc::new(Ledger::new(store, switch, watch.clone(), metrics, log)),
        reporter: Reporter::new(MIDDLEWARE, root.clone()),
        times: options.times,
        busy: Busy::new(),
        places: Proxy::places(),
        front: Mutex::new(None),
        watch,
    })
}

/// Asks for the keys' end, at once and four times a day. By a program of its own: reading OpenPGP is nothing for who serves
/// requests.
async fn follow_keys(proxy: Arc<Proxy>) {
    loop {
        let metrics = proxy.ledger.metrics.clone();
        let asked = tokio::task::spawn_blocking(move || metrics.keys_end(keys::end()));
        if asked.await.is_err() {
            return;
        }
        tokio::time::sleep(keys::PERIOD).await;
    }
}

async fn follow_journal(proxy: Arc<Proxy>, store: Store, first: tokio::sync::oneshot::Sender<()>) {
    let mut first = Some(first);
    let mut reader = journal::Reader::new(store.journal().path());
    loop {
        let (metrics, store) = (proxy.ledger.metrics.clone(), store.clone());
        let read = tokio::task::spawn_blocking(move || {
            // What can't be read now may be readable the next time; the journal's own readers say so.
            let _ = reader.read(|backend, took| metrics.applied(backend, took));
            let waiting = restore::waiting(&store).ok();
            metrics.pending(waiting.map(|parts| parts.iter().map(|part| part.paths.len()).sum()));
            reader
        });
        match read.await {
            Ok(same) => reader = same,
            Err(_) => return,
        }
        // Whoever waited may have gone.
        let _ = first.take().map(|first| first.send(()));
        tokio::time::sleep(journal::PERIOD).await;
    }
}
