//! Passages: the verdict by which a node came to a phase, a file each in the state folder's `gates/`. It is how a
//! later gate, the evidence and the report know what was let through, by whom, why, and until when.

use std::path::PathBuf;

use history::Store;
use host::files::{self, Attributes};
use host::{Error, IoContext, Result};
use phase::{Outcome, Phase};
use serde::{Deserialize, Serialize};

use crate::facts::{Override, Step};
use crate::gate::Verdict;

/// Their folder in the state folder.
pub const FOLDER: &str = "gates";
/// Version of the format.
const FORMAT: u32 = 1;
/// A verdict is far smaller, in bytes.
const LIMIT: u64 = 8 << 20;

/// A node that went on by a gate, or past it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Passage {
    /// `FORMAT`.
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
    pub fn write(&self, store: &Store) -> Result<Written> {
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
        Ok(Written { file: path, sha256: files::sha256(&text) })
    }
}

/// What was written.
#[derive(Debug)]
pub struct Written {
    /// Where.
    pub file: PathBuf,
    /// SHA-256 of it.
    pub sha256: String,
}

/// A passage as it lies on the disk.
#[derive(Debug, Clone, PartialEq)]
pub struct Kept {
    /// Its file's name.
    pub file: String,
    /// SHA-256 of what the file holds.
    pub sha256: String,
    /// What it says.
    pub passage: Passage,
}

/// All of them, oldest first.
///
/// # Errors
/// One can't be read or understood: it might be an override that has expired.
pub fn all(store: &Store) -> Result<Vec<Kept>> {
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
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        found.push(Kept { file, sha256: files::sha256(&bytes), passage });
    }
    found.sort_by_key(|kept| kept.passage.time);
    Ok(found)
}

/// Overrides of gates that still matter to a node at `phase`: those to this phase or a lower one, unless it came to that
/// phase again later, or a later override justifies the way for longer. Pure; `passages` and `steps` oldest first.
pub fn open(passages: &[Passage], steps: &[Step], node: &str, phase: Phase) -> Vec<Override> {
    let own: Vec<&Passage> = passages.iter().filter(|p| p.node == node).collect();
    let open = Phase::ALL.into_iter().filter(|to| *to <= phase).filter_map(|to| {
        let at = own.iter().rposition(|p| p.to == to)?;
        let last = own[at];
        let overridden = last.overridden.as_ref()?;
        // Lowered since, it came up again by a passage of its own, or by hand, which the history judges.
        let left = steps.iter().any(|s| s.time > last.time && s.to < to && s.outcome != Some(Outcome::Failed));
        let renewed =
            own[at + 1..].iter().filter_map(|p| p.overridden.as_ref()).any(|o| o.expires > overridden.expires);
        (!left && !renewed).then(|| Override {
            of: "gate".into(),
            to,
            by: last.by.clone(),
            reason: overridden.reason.clone(),
            expires: overridden.expires,
        })
    });
    open.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::{self, tests::week};

    fn passage(time: i64, to: Phase, expires: Option<i64>) -> Passage {
        let overridden = expires.map(|expires| phase::Override { reason: format!("until {expires}"), expires });
        let verdict = gate::gate(&week::clean("pve1", Phase::RustAdvanced));
        Passage {
            format: FORMAT,
            time,
            by: "root".into(),
            node: "pve1".into(),
            from: Phase::PerlOnly,
            to,
            overridden,
            verdict,
        }
    }

    fn step(time: i64, from: Phase, to: Phase) -> Step {
        Step { time, from, to, outcome: Some(Outcome::Done), why: String::new() }
    }

    #[test]
    fn an_override_matters_until_something_better_came() {
        use Phase::{PerlOnly, RustAdvanced, RustBasicWrite, RustReadOnly};
        let first = || passage(10, RustBasicWrite, Some(100));
        let down = || step(20, RustBasicWrite, RustReadOnly);
        for (what, passages, steps, phase, found) in [
            ("it stands", vec![first()], vec![], RustAdvanced, vec![100]),
            ("below it", vec![first()], vec![], RustReadOnly, vec![]),
            ("of another node", vec![Passage { node: "pve2".into(), ..first() }], vec![], RustAdvanced, vec![]),
            ("passed there since", vec![first(), passage(20, RustBasicWrite, None)], vec![], RustAdvanced, vec![]),
            ("passed further", vec![first(), passage(20, RustAdvanced, None)], vec![], RustAdvanced, vec![100]),
            (
                "further, for longer",
                vec![first(), passage(20, RustAdvanced, Some(200))],
                vec![],
                RustAdvanced,
                vec![200],
            ),
            (
                "further, not longer",
                vec![first(), passage(20, RustAdvanced, Some(50))],
                vec![],
                RustAdvanced,
                vec![100, 50],
            ),
            (
                "lowered, and up by hand",
                vec![first()],
                vec![down(), step(30, RustReadOnly, RustBasicWrite)],
                RustBasicWrite,
                vec![],
            ),
            ("lowered before", vec![first()], vec![step(5, RustBasicWrite, PerlOnly)], RustBasicWrite, vec![100]),
            (
                "lowering failed",
                vec![first()],
                vec![Step { outcome: Some(Outcome::Failed), ..down() }],
                RustBasicWrite,
                vec![100],
            ),
        ] {
            let open: Vec<i64> = open(&passages, &steps, "pve1", phase).iter().map(|o| o.expires).collect();
            assert_eq!(open, found, "{what}");
        }
    }
}
