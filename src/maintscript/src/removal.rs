//! `removal.json`: what a removal has done so far, so that `postrm` can finish it and an aborted
//! one can be undone. The choice how far to go back is made once, when the removal begins.

use std::path::Path;

use history::restore::{self, Decision};
use history::{Captured, Policy as Restore, Store, Trigger, state};
use host::{Result, Root, files};
use phase::Phase;
use serde::{Deserialize, Serialize};

use crate::Policy;

const FILE: &str = "removal.json";

/// A removal that has begun. Fields that a later version adds are ignored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removal {
    /// Version of this format.
    pub format: u64,
    /// How far it goes back.
    pub restore: Restore,
    /// The snapshot of the state that it undoes.
    pub snapshot: Option<String>,
    /// Whether the going-back has been done.
    pub gone_back: bool,
    /// Ids of journal operations that did it.
    pub operations: Vec<String>,
    /// The ceiling before.
    pub ceiling: Option<String>,
    /// This node's line in the phase file before.
    pub node_phase: Option<String>,
    /// Whether the cluster's file could not be written.
    #[serde(default)]
    pub phase_pending: bool,
    /// Units that were running and were stopped.
    pub stopped: Vec<String>,
}

impl Removal {
    /// A removal that has only just begun.
    pub fn begin(restore: Restore) -> Self {
        Self {
            format: state::FORMAT,
            restore,
            snapshot: None,
            gone_back: false,
            operations: Vec::new(),
            ceiling: None,
            node_phase: None,
            phase_pending: false,
            stopped: Vec::new(),
        }
    }

    /// The one on disk, if any. One that is damaged or of a newer version is an error: nobody can
    /// tell what it did, so nothing is gone back to because of it.
    pub fn read(store: &Store) -> Result<Option<Self>> {
        state::read(&store.path(FILE))
    }

    /// The one on disk, if there is one and it is understood.
    pub fn known(store: &Store) -> Option<Self> {
        Self::read(store).ok().flatten()
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

/// How far a removal that begins now would go back: dpkg's environment, then `RESTORE=` in
/// `/etc/default/<package>`, then `hooks.toml`. With what is wrong about a choice that does not hold.
pub fn restore_choice(root: &Root, policy: &Policy) -> (Restore, Option<String>) {
    let file = Path::new("/etc/default").join(&policy.package);
    // A link there is followed, as a shell would that reads the file.
    let real = root.resolve(file.join("x"));
    let read = real.and_then(|real| files::read_plain(real.parent().unwrap_or(&real), 1 << 16));
    let (text, complaint) = match read {
        Ok(text) => (text.unwrap_or_default(), None),
        Err(error) => (Vec::new(), Some(error.to_string())),
    };
    let text = String::from_utf8_lossy(&text).into_owned();
    let in_file = text.lines().filter_map(|l| l.trim().strip_prefix("RESTORE=")).next_back();
    let in_file = in_file.map(|v| v.split('#').next().unwrap_or(v).trim().trim_matches(['"', '\'']).to_owned());
    let in_environment = std::env::var("RESTORE").ok().filter(|v| !v.is_empty());
    match in_environment.or(in_file).map(|choice| choice.parse()) {
        None => (policy.restore, complaint),
        Some(Ok(choice)) => (choice, complaint),
        Some(Err(error)) => (policy.restore, Some(format!("{error}; {} holds", policy.restore))),
    }
}

/// What a removal does to the state `present`: what `prerm` carries out is what `status` shows.
pub fn decide(store: &Store, removal: &Removal, present: Captured) -> Result<Decision> {
    restore::decide(store, &Trigger::Removal, removal.restore, present, removal.snapshot.as_deref())
}

/// `resume.json`: the phase that a failed configure took away, for `migration-ctl phase resume`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resume {
    /// Version of this format.
    pub format: u64,
    /// The ceiling before.
    pub ceiling: String,
    /// This node's phase in the cluster's file before.
    pub node_phase: String,
}

impl Resume {
    const FILE: &'static str = "resume.json";

    /// Remembers the phases from before, unless an earlier failure's are remembered already.
    pub(crate) fn remember(store: &Store, ceiling: Phase, node_phase: Phase) -> Result<()> {
        if store.path(Self::FILE).exists() {
            return Ok(());
        }
        let resume = Self { format: state::FORMAT, ceiling: ceiling.to_string(), node_phase: node_phase.to_string() };
        state::write(&store.path(Self::FILE), &resume, 0o644)
    }

    /// What was remembered.
    pub fn read(store: &Store) -> Result<Option<Self>> {
        state::read(&store.path(Self::FILE)).map_err(|e| e.way_out("'migration-ctl phase set' sets a phase without it"))
    }

    /// Forgets it.
    pub fn forget(store: &Store) -> Result<()> {
        state::forget(&store.path(Self::FILE))
    }
}
