//! `apply.json`: how far an apply has come, on disk before each step is taken, so that whoever comes next
//! knows what may have happened.

use std::collections::BTreeMap;

use history::journal::Written;
use history::{PathText, Store, state};
use host::{Error, Result};
use serde::{Deserialize, Serialize};

use super::probe::Target;
use super::wanted::Wanted;
use crate::kernel::Kernel;

/// What may be so: each is recorded before the step that makes it so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// The snapshot is taken and the guardian is being started; nothing has changed.
    Armed,
    /// The files may be the new ones.
    Written,
    /// The kernel may be between the old configuration and the new one.
    Reloaded,
    /// The reload has ended; it is being looked at.
    Checked,
    /// All is well; a person has to say so as well.
    Waiting,
    /// It stays. The end.
    Confirmed,
    /// It is on its way back.
    RollingBack,
    /// It is back. The end.
    RolledBack,
}

impl State {
    /// Every state.
    #[cfg(test)]
    pub(crate) const ALL: [Self; 8] = [
        Self::Armed,
        Self::Written,
        Self::Reloaded,
        Self::Checked,
        Self::Waiting,
        Self::Confirmed,
        Self::RollingBack,
        Self::RolledBack,
    ];

    /// As in the file.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Armed => "armed",
            Self::Written => "written",
            Self::Reloaded => "reloaded",
            Self::Checked => "checked",
            Self::Waiting => "waiting",
            Self::Confirmed => "confirmed",
            Self::RollingBack => "rolling-back",
            Self::RolledBack => "rolled-back",
        }
    }

    /// Whether nothing comes after it.
    pub const fn is_end(self) -> bool {
        matches!(self, Self::Confirmed | Self::RolledBack)
    }

    /// Whether the kernel may differ from what it was.
    pub fn touched_kernel(self) -> bool {
        !matches!(self, Self::Armed | Self::Written)
    }

    /// The states that may come next. From everywhere but the ends the way back is open, and only the way
    /// back leads to `rolled-back`.
    pub fn may_become(self, next: Self) -> bool {
        use State::{Armed, Checked, Confirmed, Reloaded, RolledBack, RollingBack, Waiting, Written};
        match (self, next) {
            (Armed, Written) | (Written, Reloaded) | (Reloaded, Checked) => true,
            (Checked, Waiting | Confirmed) | (Waiting, Confirmed) => true,
            (RollingBack, RolledBack | RollingBack) => true,
            (from, RollingBack) => !from.is_end(),
            _ => false,
        }
    }
}

/// One apply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Version of this format.
    pub format: u64,
    /// The operation's id in the journal.
    pub id: String,
    /// How far it is.
    pub state: State,
    /// How far it had come when it turned back.
    pub reached: State,
    /// Why it went back; for a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// What a person should know besides.
    #[serde(default)]
    pub notes: Vec<String>,
    /// When it began: seconds since the epoch.
    pub started: i64,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<i64>,
    /// Which boot of the machine it began in.
    pub boot: String,
    /// When whoever is at work is overdue: milliseconds since that boot.
    pub deadline: u64,
    /// Seconds in which a person has to confirm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirm: Option<u64>,
    /// The node's phase.
    pub phase: String,
    /// What is applied, for a person.
    pub source: String,
    /// The process that applies.
    pub pid: u32,
    /// The snapshot it goes back to.
    pub snapshot: String,
    /// What it writes.
    pub paths: BTreeMap<PathText, Written>,
    /// What the files wanted of the kernel before.
    pub old: Wanted,
    /// What they want of it now.
    pub new: Wanted,
    /// The kernel before.
    pub before: Kernel,
    /// What could be reached before, or has to be now.
    pub targets: Vec<Target>,
}

/// Whether dpkg purges the package, or has: its lock goes last, after the record, and what an operator put aside in
/// the state folder keeps that folder alone.
pub(super) fn purged(store: &Store) -> bool {
    !store.path(FILE).exists() && (store.fenced() || !store.path("lock").exists())
}

/// What `work` returns; `None` when the package is purged, before or meanwhile: then nothing of ours is there to be
/// written, and nobody to read it.
///
/// # Errors
/// Those of `work` while the package is there.
pub(super) fn unless_purged<T>(store: &Store, work: impl FnOnce() -> Result<T>) -> Result<Option<T>> {
    if purged(store) {
        return Ok(None);
    }
    match work() {
        Ok(value) => Ok(Some(value)),
        Err(_) if purged(store) => Ok(None),
        Err(error) => Err(error),
    }
}

const FILE: &str = "apply.json";
const WISH: &str = "apply.wish.json";

impl Record {
    /// The one on disk, if there ever was one.
    ///
    /// # Errors
    /// It is damaged, or of a newer version.
    pub fn read(store: &Store) -> Result<Option<Self>> {
        let path = store.path(FILE);
        state::read(&path).map_err(|e| e.way_out(format!("look at it, then `rm {}`", path.display())))
    }

    /// Makes it the one on disk, durably; not once the package is purged, when nobody will ask for it.
    ///
    /// # Errors
    /// It can't be written.
    pub fn write(&self, store: &Store) -> Result<()> {
        unless_purged(store, || state::write(&store.path(FILE), self, 0o640)).map(drop)
    }

    /// Goes on to the next state, on disk first.
    ///
    /// # Errors
    /// It can't be written; or that state can't follow.
    pub fn enter(&mut self, store: &Store, next: State, deadline: u64) -> Result<()> {
        if !self.state.may_become(next) {
            return Err(Error::new(format!("an apply that is {} can't become {}", self.state.name(), next.name())));
        }
        let mut after = self.clone();
        if next == State::RollingBack && self.state != State::RollingBack {
            after.reached = self.state;
        }
        after.state = next;
        after.deadline = deadline;
        after.ended = next.is_end().then(|| store.clock.now().seconds());
        after.write(store)?;
        *self = after;
        Ok(())
    }
}

/// What a person wants of the apply that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Wish {
    /// Keep it.
    Confirm,
    /// Take it back.
    RollBack,
}

#[derive(Serialize, Deserialize)]
struct Wished {
    format: u64,
    id: String,
    wish: Wish,
}

impl Wish {
    /// Tells whoever is at work on apply `id`.
    ///
    /// # Errors
    /// It can't be written.
    pub fn make(self, store: &Store, id: &str) -> Result<()> {
        let wished = Wished { format: state::FORMAT, id: id.to_owned(), wish: self };
        state::write(&store.path(WISH), &wished, 0o640)
    }

    /// What was wished for apply `id`; one for another, or that can't be read, is none.
    pub fn of(store: &Store, id: &str) -> Option<Self> {
        let wished: Wished = state::read(&store.path(WISH)).ok()??;
        (wished.id == id).then_some(wished.wish)
    }

    /// Forgets it.
    ///
    /// # Errors
    /// It can't be removed.
    pub fn forget(store: &Store) -> Result<()> {
        state::forget(&store.path(WISH))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn from_everywhere_there_is_one_way_back_and_none_from_an_end() {
        for from in State::ALL {
            assert_eq!(from.may_become(State::RollingBack), !from.is_end(), "{}", from.name());
            assert_eq!(from.may_become(State::RolledBack), from == State::RollingBack, "{}", from.name());
            for to in State::ALL {
                let forward = from < to && to <= State::Confirmed && from < State::Confirmed;
                let skips = State::ALL.iter().filter(|s| **s > from && **s < to).count();
                let whole = (from, to) == (State::Checked, State::Confirmed);
                if forward {
                    assert_eq!(from.may_become(to), skips == 0 || whole, "{} {}", from.name(), to.name());
                } else if to <= State::Confirmed {
                    assert!(!from.may_become(to), "{} {}", from.name(), to.name());
                }
            }
            let text = serde_json::to_string(&from).unwrap();
            assert_eq!(text, format!("\"{}\"", from.name()));
        }
        assert!(State::ALL.iter().filter(|s| s.is_end()).all(|s| State::ALL.iter().all(|t| !s.may_become(*t))));
    }

    #[test]
    fn every_format_ever_shipped_is_read() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/state/1");
        let bytes = std::fs::read(root.join("apply.json")).unwrap();
        let record: Record = state::parse(&bytes, std::path::Path::new("apply.json")).unwrap();
        assert_eq!((record.state, record.confirm), (State::Waiting, Some(60)));
        assert_eq!(record.before.devices["vmbr0"].addresses.len(), 1);
        let later = String::from_utf8(bytes).unwrap().replacen("\"format\": 1", "\"format\": 2", 1);
        assert!(state::parse::<Record>(later.as_bytes(), std::path::Path::new("x")).is_err());
    }
}
