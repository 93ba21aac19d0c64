//! Who may connect, how often, and how it ends: the Unix socket, loopback, and the front.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;

use super::access::Peer;
use super::answer::Body;
use super::proxy::{Door, Proxy};

/// Connections at a time and listener; further ones wait in the kernel's backlog. A browser keeps six.
const CONNECTIONS: usize = 512;

/// Bytes of one request's head: twice what pveproxy takes.
const HEAD: usize = 16 * 1024;

/// Header fields of one request, as pveproxy takes.
const FIELDS: usize = 64;

/// From the start of a connection, or the last answer on it, to the end of the next request's head.
const HEAD_TIME: Duration = Duration::from_secs(10);

/// For a TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Rest after a failed accept: without it, running out of file descriptors would burn a core.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A place where callers come in.
pub(crate) enum Listener {
    Unix(UnixListener),
    Loopback(TcpListener),
    Front(TcpListener),
}

/// Accepts until told to stop, then lets connections finish what they are at.
pub(crate) async fn serve(listener: Listener, proxy: Arc<Proxy>, mut stop: watch::Receiver<bool>) {
    let open = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let next = async {
            let place = places.clone().acquire_owned().await;
            (place, accept(&listener, &proxy).await)
        };
        let (place, accepted) = tokio::select! {
            _ = stop.wait_for(|stop| *stop) => break,
            next = next => next,
        };
        match accepted {
            Ok(connection) => {
                // It ends by itself: with its client, with a time-out, or gracefully.
                let served = connection(open.watcher());
                tokio::spawn(async move {
                    served.await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!("cannot accept a connection: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    open.shutdown().await;
}

type Watcher = hyper_util::server::graceful::Watcher;
type Serving = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;
type Connection = Box<dyn FnOnce(Watcher) -> Serving + Send>;

async fn accept(listener: &Listener, proxy: &Arc<Proxy>) -> std::io::Result<Connection> {
    let proxy = proxy.clone();
    match listener {
        Listener::Unix(listener) => {
            let (stream, _) = listener.accept().await?;
            let root = stream.peer_cred().is_ok_and(|peer| peer.uid() == 0);
            let peer = if root { Peer::Root } else { Peer::Other(None) };
            Ok(Box::new(move |watcher| Box::pin(connection(stream, proxy, Door::Local, peer, watcher))))
        }
        Listener::Loopback(listener) => {
            let (stream, address) = listener.accept().await?;
            let _ = stream.set_nodelay(true);
            let peer = Peer::Other(Some(address.ip()));
            Ok(Box::new(move |watcher| Box::pin(connection(stream, proxy, Door::Local, peer, watcher))))
        }
        Listener::Front(listener) => {
            let (stream, address) = listener.accept().await?;
            let _ = stream.set_nodelay(true);
            let peer = Peer::Other(Some(address.ip()));
            Ok(Box::new(move |watcher| {
                Box::pin(async move {
                    // None while there is no certificate that can be used: said where it was read.
                    let Some(config) = proxy.front_config() else { return };
                    let handshake = TlsAcceptor::from(config).accept(stream);
                    if let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE, handshake).await {
                        connection(stream, proxy, Door::Front, peer, watcher).await;
                    }
                })
            }))
        }
    }
}

async fn connection<S>(stream: S, proxy: Arc<Proxy>, door: Door, peer: Peer, watcher: Watcher)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request: Request<Incoming>| {
        let proxy = proxy.clone();
        async move { Ok::<Response<Body>, Infallible>(proxy.handle(request, door, peer).await) }
    });
    let mut builder = Builder::new(TokioExecutor::new()).http1_only();
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIME).max_headers(FIELDS).max_buf_size(HEAD);
    let served = builder.serve_connection_with_upgrades(TokioIo::new(stream), service).into_owned();
    // Broken requests and clients that go away are theirs, not ours, to report.
    let _ = watcher.watch(served).await;
}
