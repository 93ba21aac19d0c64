//! The package transaction: opened by preinst, closed by postinst or an abort. It says which
//! snapshot a failure goes back to, and that it went back already.

use host::Result;
use serde::{Deserialize, Serialize};

use crate::{Store, state};

/// How far a transaction has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Opened; the package is being unpacked or configured.
    Open,
    /// It failed, and what it changed has gone back: that is never done twice.
    Restored,
}

/// `transaction.json`. Fields that a later version adds are ignored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transaction {
    /// Version of this format.
    pub format: u64,
    /// Its name.
    pub id: String,
    /// When it was opened: seconds since the epoch.
    pub opened: i64,
    /// The version that was installed before; empty if none.
    pub from: String,
    /// The version that is being installed.
    pub to: String,
    /// The snapshot it goes back to.
    pub snapshot: String,
    /// How far it has come.
    pub stage: Stage,
}

const FILE: &str = "transaction.json";

impl Transaction {
    /// Whether writes made now belong to it.
    pub fn is_open(&self) -> bool {
        self.stage == Stage::Open
    }

    /// The one on disk, if any. One that is damaged or of a newer version is an error that says
    /// how to get rid of it.
    pub fn read(store: &Store) -> Result<Option<Self>> {
        let path = store.path(FILE);
        state::read(&path).map_err(|e| e.way_out(format!("look at it, then `rm {}`", path.display())))
    }

    /// Makes it the one on disk, durably.
    pub fn write(&self, store: &Store) -> Result<()> {
        state::write(&store.path(FILE), self, 0o640)
    }

    /// Forgets the one on disk.
    pub fn close(store: &Store) -> Result<()> {
        state::forget(&store.path(FILE))
    }
}
