//! Where a package keeps its history, and who may write to it now.

use std::path::{Path, PathBuf};
use std::time::Duration;

use host::{Clock, Lock, Result, Root, files};

use crate::{Item, Journal, state};

/// The state folder of one package under one root.
#[derive(Debug, Clone)]
pub struct Store {
    /// Where `/` is.
    pub root: Root,
    /// The package's name.
    pub package: String,
    /// The state folder as seen inside the root, such as `/var/lib/pve-network-rs`.
    pub state: PathBuf,
    /// What is captured.
    pub items: Vec<Item>,
    /// This node's name.
    pub node: String,
    /// How many snapshots pruning keeps.
    pub keep: usize,
    /// How many accepted snapshots pruning keeps beyond these.
    pub keep_accepted: usize,
    /// Where the time comes from.
    pub clock: Clock,
}

impl Store {
    /// A path in the state folder.
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.root.path(&self.state).join(name)
    }

    /// The folder of automatic snapshots.
    pub fn backups(&self) -> PathBuf {
        self.path("backups")
    }

    /// The folder of backups that operators make by hand.
    pub fn manual_backups(&self) -> PathBuf {
        self.path("manual-backups")
    }

    /// The folder of the snapshot `id`; one made by hand is named `manual-backups/<name>`.
    pub fn snapshot_path(&self, id: &str) -> PathBuf {
        if id.starts_with("manual-backups/") { self.path(id) } else { self.backups().join(id) }
    }

    /// Where what was replaced or is unique is kept, also after purge: `/var/backups/<package>`.
    pub fn attic(&self) -> PathBuf {
        Path::new("/var/backups").join(&self.package)
    }

    /// Makes the state folder; it is private, since snapshots hold tokens.
    pub fn prepare(&self) -> Result<()> {
        files::create_dirs(&self.path(""), 0o755)?;
        files::create_dirs(&self.backups(), 0o700)
    }

    /// Waits for the one lock that every writer of network configuration of ours holds.
    pub fn lock(&self, patience: Duration) -> Result<Lock> {
        Lock::take(&self.path("lock"), patience)
    }

    /// The operation journal.
    pub fn journal(&self) -> Journal {
        Journal::at(self.path("operations.jsonl"))
    }

    /// Whether writers are shut out because the package is being removed.
    pub fn fenced(&self) -> bool {
        self.path("fence").exists()
    }

    /// Shuts writers out, or lets them in again.
    pub fn fence(&self, shut: bool) -> Result<()> {
        let path = self.path("fence");
        if shut {
            files::replace(&path, b"the package is being removed\n", &files::Attributes::mode(0o644))
        } else {
            state::forget(&path)
        }
    }
}
