//! Where a package keeps its history, and who may write to it now.

use std::path::{Path, PathBuf};
use std::time::Duration;

use host::{Clock, Error, Kind, Lock, Result, Root, files};

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

    /// Makes the state folder; it is private, since snapshots hold tokens. Only for the maintainer scripts,
    /// and for who holds the lock: what a purge took away no writer makes anew.
    pub fn prepare(&self) -> Result<()> {
        files::create_dirs(&self.path(""), 0o755)?;
        files::create_dirs(&self.backups(), 0o700)
    }

    /// The same lock as [`Store::lock`], made where there is none: for the maintainer scripts,
    /// and for an abort, which has to work on a damaged state too.
    pub fn make_lock(&self, patience: Duration) -> Result<Lock> {
        Lock::take(&self.path("lock"), patience)
    }

    /// Waits for the one lock that every writer of network configuration of ours holds.
    ///
    /// # Errors
    /// [`Kind::Refused`] where there is none, since the package is not installed or is being purged; another
    /// holds it for longer.
    pub fn lock(&self, patience: Duration) -> Result<Lock> {
        let path = self.path("lock");
        Lock::join(&path, patience).map_err(|error| match error.io_kind() {
            Some(std::io::ErrorKind::NotFound) => Error::of(
                Kind::Refused,
                format!("{} is not there: {} is not installed, or being purged", path.display(), self.package),
            )
            .way_out(format_args!("if it is installed, `dpkg-reconfigure {}` makes it anew", self.package)),
            _ => error,
        })
    }

    /// The lock, for who is about to write and has to go by what a removal says.
    ///
    /// # Errors
    /// [`Kind::Refused`] while the package is being removed; [`Store::lock`]'s.
    pub fn enter(&self, patience: Duration) -> Result<Lock> {
        let lock = self.lock(patience)?;
        if self.fenced() {
            return Err(Error::of(
                Kind::Refused,
                format!("{} is being removed: nothing is written any more", self.package),
            ));
        }
        Ok(lock)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_writer_makes_nothing_of_what_a_purge_took_away() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store {
            root: Root::at(dir.path()),
            package: "p".into(),
            state: "/var/lib/p".into(),
            items: Vec::new(),
            node: "n".into(),
            keep: 20,
            keep_accepted: 5,
            clock: Clock::System,
        };
        let refused = |store: &Store| {
            let error = store.enter(Duration::ZERO).unwrap_err();
            assert_eq!(error.kind(), Kind::Refused, "{error}");
            error.to_string()
        };
        assert!(refused(&store).contains("is not installed, or being purged"));
        assert!(!store.path("").exists());
        drop(store.make_lock(Duration::ZERO).unwrap());
        drop(store.enter(Duration::ZERO).unwrap());
        store.fence(true).unwrap();
        assert!(refused(&store).contains("is being removed"));
        // What is left half-way through a purge's last calls lets nobody in.
        std::fs::remove_file(store.path("lock")).unwrap();
        store.fence(false).unwrap();
        assert!(refused(&store).contains("dpkg-reconfigure"));
        assert!(!store.path("lock").exists());
    }
}
