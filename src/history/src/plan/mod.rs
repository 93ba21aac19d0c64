//! The restore plan: what going back would do, path by path, with a reason each. Pure: the same
//! facts give the same plan, whether it is shown by `--dry-run` or carried out by `prerm`.
//!
//! ```text
//!                 ┌ wrote it: one of the failed operations ──► back to its snapshot   (failure)
//! present content ┤ on trial: only Rust ever wrote it ───────► newest accepted state  (removal)
//!                 │ /etc/network/interfaces gone or broken ──► as on trial
//!                 └ anybody else's ──────────────────────────► kept, and named
//! ```

mod decide;
#[cfg(test)]
mod tests;

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use decide::plan;

use crate::journal::Written;
use crate::{Entry, Manifest, Meta, PathText, Provenance, Scope, What};

/// The file whose loss cuts a node off: only here damage counts as on trial.
pub const INTERFACES: &str = model::MAIN;

/// How far a removal goes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Policy {
    /// What is on trial goes back to the newest accepted state.
    #[default]
    Accepted,
    /// This node's files become the last backup, whatever came after.
    Last,
    /// Nothing is restored.
    Never,
}

impl std::str::FromStr for Policy {
    type Err = host::Error;

    fn from_str(text: &str) -> host::Result<Self> {
        match text {
            "accepted" => Ok(Self::Accepted),
            "last" => Ok(Self::Last),
            "never" => Ok(Self::Never),
            _ => Err(host::Error::new(format!("RESTORE is {text:?}: it must be accepted, last or never"))),
        }
    }
}

impl std::fmt::Display for Policy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Accepted => "accepted",
            Self::Last => "last",
            Self::Never => "never",
        })
    }
}

/// Why we go back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trigger {
    /// These operations failed, or their transaction did.
    Failure {
        /// Ids of the operations whose writes go back.
        operations: BTreeSet<String>,
        /// The snapshot that the transaction took, if there is one.
        snapshot: Option<String>,
    },
    /// The package is being removed.
    Removal,
    /// A person asks for it.
    ByHand {
        /// The snapshot; the last one if `None`.
        to: Option<String>,
        /// Only this path, or what is below it.
        only: Option<PathBuf>,
        /// The cluster's files as well.
        cluster: bool,
    },
}

/// A snapshot that may be gone back to. Its files are read when the plan first asks for them: of
/// two hundred snapshots a plan needs two or three.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// What it holds.
    pub manifest: Manifest,
    folder: PathBuf,
    distrust: OnceCell<Option<String>>,
    interfaces: OnceCell<Option<Vec<u8>>>,
}

impl Candidate {
    /// The snapshot in `folder`, whose manifest was read and whose files were not.
    pub fn at(folder: PathBuf, manifest: Manifest) -> Self {
        Self { manifest, folder, distrust: OnceCell::new(), interfaces: OnceCell::new() }
    }

    /// One of which it is known whether it can be trusted.
    pub fn judged(folder: PathBuf, manifest: Manifest, distrust: Option<String>) -> Self {
        Self { distrust: OnceCell::from(distrust), ..Self::at(folder, manifest) }
    }

    /// Why its files can't be trusted, if they can't.
    pub fn distrust(&self) -> Option<&str> {
        self.distrust.get_or_init(|| crate::snapshot::distrust(&self.folder, &self.manifest)).as_deref()
    }

    /// The content of `/etc/network/interfaces` in it.
    pub fn interfaces(&self) -> Option<&[u8]> {
        let read = || {
            let entry = self.manifest.entries.iter().find(|e| e.path.as_path() == Path::new(INTERFACES))?;
            host::files::read_plain(&self.folder.join(entry.name.as_path()), crate::entry::FILE_LIMIT).ok().flatten()
        };
        self.interfaces.get_or_init(read).as_deref()
    }
}

/// Everything a plan is made from.
#[derive(Debug)]
pub struct Facts<'a> {
    /// Why we go back.
    pub trigger: &'a Trigger,
    /// How far.
    pub policy: Policy,
    /// What stands on disk.
    pub present: &'a [Entry],
    /// The content of `/etc/network/interfaces`.
    pub interfaces: Option<&'a [u8]>,
    /// Snapshots with a readable manifest, oldest first, without the one just taken.
    pub snapshots: &'a [Candidate],
    /// Who wrote what.
    pub provenance: &'a Provenance,
    /// What operations changed, in their order: operation, path, before and after. Those that failed are
    /// among them.
    pub writes: &'a [(String, BTreeMap<PathText, Written>)],
    /// Operations that were taken back.
    pub taken_back: &'a BTreeSet<String>,
}

/// Something to change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Action {
    /// Where.
    pub path: PathText,
    /// Whose it is.
    pub scope: Scope,
    /// Digest of what stands there.
    pub from: String,
    /// What shall stand there.
    pub to: What,
    /// The snapshot that its content comes from.
    pub snapshot: String,
    /// Where in that snapshot.
    pub name: PathText,
    /// Captured folders above it as that snapshot has them, outermost first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub folders: Vec<(PathText, Meta)>,
    /// For a person.
    pub why: String,
}

/// Something left as it is although the backup differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Where.
    pub path: PathText,
    /// Whose it is.
    pub scope: Scope,
    /// What the backup has there instead.
    pub instead: What,
    /// The snapshot that has it.
    pub snapshot: String,
    /// Where in that snapshot.
    pub name: PathText,
    /// Captured folders above it as that snapshot has them, outermost first.
    pub folders: Vec<(PathText, Meta)>,
    /// For a person.
    pub why: String,
}

impl Action {
    /// The same place, left as it is.
    fn kept(self, why: String) -> Kept {
        let Self { path, scope, to: instead, snapshot, name, folders, .. } = self;
        Kept { path, scope, instead, snapshot, name, folders, why }
    }
}

/// What going back would do.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// To be changed, as one set.
    pub actions: Vec<Action>,
    /// Left alone, and named.
    pub kept: Vec<Kept>,
    /// What a person should know besides.
    pub notes: Vec<String>,
    /// Why nothing is restored although something should be.
    pub refused: Option<String>,
    /// What would have been refused, had a person not insisted.
    pub forced: Option<String>,
}

impl Plan {
    /// Gives up the whole set for a reason. What it would have put in place is kept at hand.
    pub fn refuse(&mut self, why: String) {
        self.keep_instead(&why);
        self.refused = Some(why);
    }

    /// Turns what would be done into what is left as it is.
    pub(crate) fn keep_instead(&mut self, because: &str) {
        for action in std::mem::take(&mut self.actions) {
            let why = format!("{because} ({})", action.why);
            self.kept.push(action.kept(why));
        }
    }

    /// One line for each path and note, as `--dry-run` shows it and the hooks say it.
    pub fn lines(&self) -> Vec<String> {
        let mut out = Vec::new();
        for action in &self.actions {
            out.push(match action.to.exists() {
                true => format!("restore {} from {}: {}", action.path, action.snapshot, action.why),
                false => format!("delete {}, which was not there in {}: {}", action.path, action.snapshot, action.why),
            });
        }
        out.extend(self.kept.iter().map(|k| format!("keep {}: {}", k.path, k.why)));
        out.extend(self.notes.iter().cloned());
        out.extend(self.refused.iter().map(|why| format!("nothing is restored: {why}")));
        out.extend(self.forced.iter().map(|why| format!("FORCED, though {why}")));
        out
    }
}

/// Whether `/etc/network/interfaces` is damaged: gone, empty, or no longer parsing. It counts only
/// where a backup `says_something`.
pub fn damage(now: Option<&What>, content: Option<&[u8]>) -> Option<String> {
    match (now, content) {
        (None | Some(What::Absent), _) => Some("it is gone".into()),
        (Some(What::Dir { .. }), _) => Some("it is a folder".into()),
        (Some(What::File { .. }), Some(bytes)) => match model::interfaces::parse(bytes) {
            Ok(parsed) if parsed.is_empty() => Some("it is empty".into()),
            Ok(_) => None,
            Err(error) => Some(format!("it no longer parses ({error})")),
        },
        _ => None,
    }
}

/// Whether a backup of `/etc/network/interfaces` parses and is not empty.
fn says_something(backup: Option<&[u8]>) -> bool {
    backup.is_some_and(|bytes| model::interfaces::parse(bytes).is_ok_and(|i| !i.is_empty()))
}

/// Whether `path` is the one file whose damage counts.
fn is_interfaces(path: &Path) -> bool {
    path == Path::new(INTERFACES)
}
