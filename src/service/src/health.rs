//! What `GET /health` says.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use host::Root;
use phase::Phase;
use serde::Serialize;
use tokio::sync::Semaphore;

use crate::options::Identity;
use crate::standing::Standing;

/// Version of the JSON that the services answer with; it grows when a field changes its meaning or goes.
pub const SCHEMA_VERSION: u32 = 1;

/// How long `/etc/pve` may take to be read before the answer goes out without it.
const PATIENCE: Duration = Duration::from_secs(2);

/// The answer to `GET /health`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Health {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// The unit's name without `.service`.
    pub service: &'static str,
    /// The program's version.
    pub version: &'static str,
    /// The node's name; none while `/etc/pve` does not answer.
    pub node: Option<String>,
    /// The phase in effect: the lower of the next two, `perl-only` if in doubt.
    pub phase: Phase,
    /// What the cluster's file says for this node; none if there is no file, or it can't be used.
    pub cluster_phase: Option<Phase>,
    /// What this node may at most do; none if that is not recorded, or can't be read.
    pub ceiling: Option<Phase>,
    /// What stands in the way of a higher phase and is not an operator's decision: one line each.
    pub problems: Vec<String>,
}

/// Reads phase and node anew for every answer.
#[derive(Debug)]
pub(crate) struct Reporter {
    identity: Identity,
    root: Root,
    /// One reader at a time: while pmxcfs hangs, each would take a thread with it.
    reading: Arc<Semaphore>,
    /// The problems that the journal knows of already.
    told: Mutex<Vec<String>>,
}

impl Reporter {
    pub(crate) fn new(identity: Identity, root: Root) -> Arc<Self> {
        Arc::new(Self { identity, root, reading: Arc::new(Semaphore::new(1)), told: Mutex::default() })
    }

    /// The state of this moment. Problems are logged when they change, so that a broken
    /// `migration.toml` is loud without flooding the journal.
    pub(crate) async fn report(&self) -> Health {
        let standing = match tokio::time::timeout(PATIENCE, self.read()).await {
            Ok(standing) => standing,
            Err(_) => Standing::unknown(format!(
                "cannot read this node's phase: /etc/pve has not answered for {} s; see systemctl status pve-cluster",
                PATIENCE.as_secs()
            )),
        };
        self.tell(&standing.problems);
        Health {
            schema_version: SCHEMA_VERSION,
            service: self.identity.service,
            version: env!("CARGO_PKG_VERSION"),
            node: standing.node,
            phase: standing.phase,
            cluster_phase: standing.cluster_phase,
            ceiling: standing.ceiling,
            problems: standing.problems,
        }
    }

    async fn read(&self) -> Standing {
        let turn = self.reading.clone().acquire_owned().await;
        let root = self.root.clone();
        let reading = tokio::task::spawn_blocking(move || {
            // Held by the thread, not by the one who waits for it and may give up.
            let _turn = turn;
            Standing::read(&root)
        });
        reading.await.unwrap_or_else(|error| Standing::unknown(format!("cannot read this node's phase: {error}")))
    }

    fn tell(&self, problems: &[String]) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        for problem in problems.iter().filter(|p| !told.contains(p)) {
            tracing::warn!("{problem}");
        }
        if problems.is_empty() && !told.is_empty() {
            tracing::info!("the phase can be read again");
        }
        *told = problems.to_vec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DAEMON;

    #[tokio::test(start_paused = true)]
    async fn an_answer_goes_out_while_the_cluster_file_system_hangs() {
        let dir = tempfile::tempdir().unwrap();
        let reporter = Reporter::new(DAEMON, Root::at(dir.path()));
        let _hung = reporter.reading.clone().acquire_owned().await.unwrap();
        let health = reporter.report().await;
        assert_eq!(health.phase, Phase::PerlOnly);
        assert_eq!(health.node, None);
        assert!(health.problems[0].contains("has not answered"), "{:?}", health.problems);
    }
}
