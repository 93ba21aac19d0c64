//! `removal.json`: what a removal has done so far, so that `postrm` can finish it and an aborted
//! one can be undone. The choice how far to go back is made once, when the removal begins.

use std::path::Path;

use history::{Policy as Restore, Store};
use host::{Error, Result, Root, files};
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
            format: 1,
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

    /// The one on disk, if any; a damaged one counts as none, since a removal must go on.
    pub fn read(store: &Store) -> Option<Self> {
        let bytes = files::read_plain(&store.path(FILE), 1 << 20).ok().flatten()?;
        serde_json::from_slice(&bytes).ok()
    }

    /// Makes it the one on disk, durably.
    pub fn write(&self, store: &Store) -> Result<()> {
        let mut text = serde_json::to_vec_pretty(self).map_err(|e| Error::new(format!("cannot write {FILE}: {e}")))?;
        text.push(b'\n');
        files::replace(&store.path(FILE), &text, &files::Attributes::mode(0o640))
    }

    /// Forgets the one on disk.
    pub fn close(store: &Store) -> Result<()> {
        files::remove(&store.path(FILE)).map(drop)
    }
}

/// How far a removal that begins now would go back: dpkg's environment, then `RESTORE=` in
/// `/etc/default/<package>`, then `hooks.toml`. With what is wrong about a choice that does not hold.
pub fn restore_choice(root: &Root, policy: &Policy) -> (Restore, Option<String>) {
    let file = Path::new("/etc/default").join(&policy.package);
    let text = root.resolve(&file).and_then(|path| files::read_plain(&path, 1 << 16)).ok().flatten();
    let text = String::from_utf8_lossy(&text.unwrap_or_default()).into_owned();
    let in_file = text.lines().filter_map(|l| l.trim().strip_prefix("RESTORE=")).next_back();
    let in_file = in_file.map(|v| v.trim().trim_matches(['"', '\'']).to_owned());
    let in_environment = std::env::var("RESTORE").ok().filter(|v| !v.is_empty());
    match in_environment.or(in_file).map(|choice| choice.parse()) {
        None => (policy.restore, None),
        Some(Ok(choice)) => (choice, None),
        Some(Err(error)) => (policy.restore, Some(format!("{error}; {} holds", policy.restore))),
    }
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
    pub fn remember(store: &Store, ceiling: Phase, node_phase: Phase) -> Result<()> {
        if store.path(Self::FILE).exists() {
            return Ok(());
        }
        let resume = Self { format: 1, ceiling: ceiling.to_string(), node_phase: node_phase.to_string() };
        let mut text =
            serde_json::to_vec_pretty(&resume).map_err(|e| Error::new(format!("cannot write resume.json: {e}")))?;
        text.push(b'\n');
        files::replace(&store.path(Self::FILE), &text, &files::Attributes::mode(0o644))
    }

    /// What was remembered.
    pub fn read(store: &Store) -> Result<Option<Self>> {
        let path = store.path(Self::FILE);
        let Some(bytes) = files::read_plain(&path, 1 << 16)? else { return Ok(None) };
        serde_json::from_slice(&bytes).map(Some).map_err(|e| {
            Error::new(format!("{} is damaged: {e}", path.display()))
                .way_out("'migration-ctl phase set' sets a phase without it")
        })
    }

    /// Forgets it.
    pub fn forget(store: &Store) -> Result<()> {
        files::remove(&store.path(Self::FILE)).map(drop)
    }
}
