//! Which snapshot a person means: its name, the beginning of it, `latest`, `manual-backups/NAME`; for every command line alike.

use std::path::{Component, Path};

use history::{Snapshot, Store};
use host::{Error, Kind, Result};

/// Where backups that operators make by hand lie.
pub const MANUAL: &str = "manual-backups/";

/// The name of the snapshot, or of the backup made by hand, that `asked` means.
///
/// # Errors
/// [`Kind::Refused`]: there is none, or more than one; [`Kind::Usage`]: it can't be the name of one.
pub fn pick(store: &Store, asked: &str) -> Result<String> {
    match asked.strip_prefix(MANUAL) {
        Some(name) => manual(store, asked, name),
        None => snapshot(store, asked),
    }
}

/// The same of our own snapshots alone.
///
/// # Errors
/// [`Kind::Refused`]: there is none, or more than one.
pub fn snapshot(store: &Store, asked: &str) -> Result<String> {
    let all = history::snapshot::list(store)?;
    if asked == "latest" {
        return latest(&all).map(|s| s.id.clone()).ok_or_else(|| none("there is no snapshot yet".into()));
    }
    if all.iter().any(|s| s.id == asked) {
        return Ok(asked.to_owned());
    }
    let fitting: Vec<&str> = all.iter().map(|s| s.id.as_str()).filter(|id| id.starts_with(asked)).collect();
    match fitting.as_slice() {
        [] => Err(none(format!("there is no snapshot {asked:?}"))),
        [one] => Ok((*one).to_owned()),
        [first, .., last] => Err(none(format!(
            "{asked:?} is the beginning of {} snapshots, from {first} to {last}; say more of it",
            fitting.len()
        ))),
    }
}

/// The newest one that was not taken for an undo, as the link `latest` says.
#[must_use]
pub fn latest(all: &[Snapshot]) -> Option<&Snapshot> {
    all.iter().rev().find(|s| s.manifest.as_ref().is_ok_and(|m| !m.undo))
}

/// One by its full name; it may be damaged.
///
/// # Errors
/// There is none.
pub fn find(store: &Store, id: &str) -> Result<Snapshot> {
    let all = history::snapshot::list(store)?;
    all.into_iter().find(|s| s.id == id).ok_or_else(|| none(format!("there is no snapshot {id:?}")))
}

fn manual(store: &Store, asked: &str, name: &str) -> Result<String> {
    let mut parts = Path::new(name).components();
    if !matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None)) {
        return Err(Error::of(Kind::Usage, format!("{asked:?} must be manual-backups/ and one folder's name")));
    }
    let id = format!("{MANUAL}{}", name.trim_end_matches('/'));
    if store.path(&id).is_dir() { Ok(id) } else { Err(none(format!("there is no backup {id:?}"))) }
}

fn none(what: String) -> Error {
    Error::of(Kind::Refused, what).way_out("'migration-ctl snapshot list' shows all")
}
