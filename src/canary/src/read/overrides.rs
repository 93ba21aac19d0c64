//! Passages: the verdict by which a node came to a phase, a file each in the state folder's `gates/`. It is how a
//! later gate, the evidence and the report know what was let through, by whom, why, and until when.

use std::path::PathBuf;

use history::Store;
use host::files::{self, Attributes};
use host::{Error, IoContext, Result};
use phase::Phase;
use serde::{Deserialize, Serialize};

use crate::facts::Override;
use crate::gate::Verdict;

/// Their folder in the state folder.
const FOLDER: &str = "gates";
/// Version of the format.
const FORMAT: u32 = 1;
/// A verdict is far smaller, in bytes.
const LIMIT: u64 = 8 << 20;

/// A node that went on by a gate, or past it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Passage {
    /// [`FORMAT`].
    pub format: u32,
    /// When: seconds since the epoch.
    pub time: i64,
    /// By whom.
    pub by: String,
    /// The node.
    pub node: String,
    /// The phase that it came from.
    pub from: Phase,
    /// The phase that it came to.
    pub to: Phase,
    /// What let it past a gate that did not pass.
    #[serde(rename = "override", default, skip_serializing_if = "Option::is_none")]
    pub overridden: Option<phase::Override>,
    /// What the gate said.
    pub verdict: Verdict,
}

impl Passage {
    /// A passage made now.
    pub fn new(store: &Store, by: String, from: Phase, overridden: Option<phase::Override>, verdict: Verdict) -> Self {
        let time = store.clock.now().seconds();
        Self { format: FORMAT, time, by, node: verdict.node.clone(), from, to: verdict.wanted, overridden, verdict }
    }

    /// Writes it durably, before the phase is changed: what is not recorded is not let through.
    ///
    /// # Errors
    /// It can't be written.
    pub fn write(&self, store: &Store) -> Result<PathBuf> {
        let folder = store.path(FOLDER);
        files::create_dirs(&folder, 0o755)?;
        let stamp = host::Timestamp::from_seconds(self.time).compact();
        let mut path = folder.join(format!("{stamp}-{}.json", self.to));
        let mut count = 1;
        while path.symlink_metadata().is_ok() {
            count += 1;
            path = folder.join(format!("{stamp}-{}-{count}.json", self.to));
        }
        let text = serde_json::to_vec_pretty(self).map_err(|e| Error::new(format!("cannot write a verdict: {e}")))?;
        files::replace(&path, &text, &Attributes::mode(0o640))?;
        Ok(path)
    }
}

/// All of them, oldest first.
///
/// # Errors
/// One can't be read or understood: it might be an override that has expired.
pub fn all(store: &Store) -> Result<Vec<Passage>> {
    let folder = store.path(FOLDER);
    let doing = || format!("cannot list {}", folder.display());
    let entries = match std::fs::read_dir(&folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.doing(doing)?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.doing(doing)?.path();
        if path.extension().is_none_or(|e| e != "json") {
            continue;
        }
        let unreadable = |why: String| Error::new(format!("cannot read {}: {why}", path.display()));
        let bytes = files::read_plain(&path, LIMIT)?.unwrap_or_default();
        let passage: Passage = serde_json::from_slice(&bytes).map_err(|e| unreadable(e.to_string()))?;
        if passage.format != FORMAT {
            return Err(unreadable(format!("format {} is not known to this version", passage.format)));
        }
        found.push(passage);
    }
    found.sort_by_key(|p: &Passage| p.time);
    Ok(found)
}

/// Overrides of gates that still matter to a node at `phase`: those to this phase or a lower one, unless it came to the
/// same phase again later by a gate that passed.
///
/// # Errors
/// As [`all`].
pub fn open(store: &Store, phase: Phase) -> Result<Vec<Override>> {
    let all = all(store)?;
    let open = Phase::ALL.into_iter().filter(|to| *to <= phase).filter_map(|to| {
        let last = all.iter().rfind(|p| p.to == to && p.node == store.node)?;
        let overridden = last.overridden.as_ref()?;
        Some(Override {
            of: "gate".into(),
            to,
            by: last.by.clone(),
            reason: overridden.reason.clone(),
            expires: overridden.expires,
        })
    });
    Ok(open.collect())
}
