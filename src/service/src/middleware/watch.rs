//! What the disk says, once a second: node, phase, settings, keys and certificates.
//!
//! `/etc/pve` is a FUSE mount on which other nodes' changes raise no event, and which may hang: so it is
//! polled, by a thread of its own. While it hangs, what is known ages; from a certain age on nothing is
//! known, and everything is Perl's.

use std::sync::Arc;
use std::time::{Duration, Instant};

use host::cluster::State;
use host::{Cluster, Root, files};
use migration::Standing;
use phase::{Effective, Migration, Phase, Said, effective, read_migration};
use tokio::sync::watch;

use super::tls;

const MIGRATION: &str = "/etc/pve/network/migration.toml";
const CEILING: &str = "/var/lib/pve-network-rs/ceiling";

/// The key behind Proxmox's CSRF tokens.
const WWW_KEY: &str = "/etc/pve/pve-www.key";

/// How often.
const PERIOD: Duration = Duration::from_secs(1);

/// What is older counts as not known.
const STALE: Duration = Duration::from_secs(10);

/// What was read at one moment.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    /// When.
    at: Instant,
    /// This node's name.
    pub node: String,
    /// Phase, feature, fallback.
    standing: Standing,
    /// `migration.toml`; defaults where there is none that can be read.
    pub migration: Migration,
    /// The content of `/etc/pve/pve-www.key`.
    pub www_key: Option<Vec<u8>>,
    /// What Perl's certificate is checked against.
    pub trust: Arc<tls::Trust>,
    /// What front mode shows.
    pub identity: Option<Arc<tls::Identity>>,
}

impl Seen {
    /// Reads everything anew. May block as long as `/etc/pve` does.
    fn read(root: &Root, front: bool) -> Self {
        let node = host::node_name(root);
        let mounted = Cluster::new(root, &node).state() != State::Unmounted;
        let (migration, said) = match mounted.then(|| read_migration(&root.path(MIGRATION))) {
            None => (Migration::default(), Said::Unavailable),
            Some(Ok(Some(migration))) => {
                let phase = migration.node_phase(&node);
                (migration, Said::Phase(phase))
            }
            Some(Ok(None)) => (Migration::default(), Said::Absent),
            Some(Err(error)) => (Migration::default(), Said::Broken(error.to_string())),
        };
        let Effective { phase, .. } = effective(said, phase::read_ceiling(&root.path(CEILING)));
        let standing =
            Standing { phase, rust_daemon: migration.features.rust_daemon, fallback: migration.fallback_enabled };
        Self {
            at: Instant::now(),
            node,
            standing,
            migration,
            www_key: files::read_plain(&root.path(WWW_KEY), 64 * 1024).ok().flatten(),
            trust: Arc::new(tls::Trust::read(root)),
            identity: front.then(|| tls::Identity::read(root).map(Arc::new)).flatten(),
        }
    }

    /// What holds now.
    pub(crate) fn standing(&self) -> Standing {
        if self.is_fresh() { self.standing } else { Standing { phase: Phase::PerlOnly, ..self.standing } }
    }

    /// Whether it is young enough to go by.
    pub(crate) fn is_fresh(&self) -> bool {
        self.at.elapsed() < STALE
    }
}

/// Keeps reading.
#[derive(Debug, Clone)]
pub(crate) struct Watch {
    seen: watch::Receiver<Arc<Seen>>,
    again: std::sync::mpsc::SyncSender<()>,
}

impl Watch {
    /// Reads once, and starts the thread that goes on.
    pub(crate) fn start(root: &Root, front: bool) -> std::io::Result<Self> {
        let (sender, seen) = watch::channel(Arc::new(Seen::read(root, front)));
        let (again, wait) = std::sync::mpsc::sync_channel(1);
        let root = root.clone();
        std::thread::Builder::new().name("watch".to_owned()).spawn(move || {
            // Either a period is over or somebody knows of a change; once nobody listens it ends.
            while wait.recv_timeout(PERIOD) != Err(std::sync::mpsc::RecvTimeoutError::Disconnected) {
                if sender.send(Arc::new(Seen::read(&root, front))).is_err() {
                    break;
                }
            }
        })?;
        Ok(Self { seen, again })
    }

    /// What is known now.
    pub(crate) fn seen(&self) -> Arc<Seen> {
        self.seen.borrow().clone()
    }

    /// Has it read at once: the phase was changed.
    pub(crate) fn read_now(&self) {
        // Full: it is about to read anyway.
        let _ = self.again.try_send(());
    }
}
