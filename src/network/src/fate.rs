//! What became of an operation of the daemon, by the journal and the files.

use std::collections::BTreeMap;

use history::journal::{Event, Outcome, Written};
use history::{PathText, Store, digest_at};
use host::{Error, Result};

/// What the daemon is called in the journal.
pub const TOOL: &str = "pve-network-rs-daemon";

/// What became of an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// The journal does not know it: it changed nothing.
    NeverBegun,
    /// It began, and nobody has written how it ended.
    Open(BTreeMap<PathText, Written>),
    /// It is done; these paths it changed.
    Done(Vec<PathText>),
    /// It was taken back, and changed nothing.
    RolledBack(Vec<PathText>),
    /// It failed and could not be taken back.
    Failed(Vec<PathText>),
}

/// What the journal says of an operation.
///
/// # Errors
/// The journal can't be read, or holds lines that can't be read: then nobody knows.
pub fn fate(store: &Store, id: &str) -> Result<Fate> {
    let journal = store.journal();
    let mut fate = Fate::NeverBegun;
    let read = journal.each(&mut |event| match event {
        Event::Begin { id: found, paths, .. } if found == id => fate = Fate::Open(paths),
        Event::End { id: found, outcome, .. } if found == id => {
            let paths = match std::mem::replace(&mut fate, Fate::NeverBegun) {
                Fate::Open(paths) => paths.into_keys().collect(),
                Fate::Done(paths) | Fate::RolledBack(paths) | Fate::Failed(paths) => paths,
                Fate::NeverBegun => Vec::new(),
            };
            fate = match outcome {
                Outcome::Done => Fate::Done(paths),
                Outcome::RolledBack => Fate::RolledBack(paths),
                Outcome::Failed => Fate::Failed(paths),
            };
        }
        _ => {}
    })?;
    match read {
        Some(lines @ 1..) if fate == Fate::NeverBegun => {
            Err(Error::new(format!("{} lines of {} can't be read", lines, journal.path().display())))
        }
        _ => Ok(fate),
    }
}

/// The same for who gives up on the operation: that it never began is asked for with the lock that a writer holds until
/// its line is written. A reload for a daemon that has died meanwhile may be about to begin.
///
/// # Errors
/// [`fate`]'s; another writer holds the lock for a second, and then nobody knows.
pub fn settled_fate(store: &Store, id: &str) -> Result<Fate> {
    let mut found = fate(store, id)?;
    if matches!(found, Fate::Open(_)) {
        settle(store)?;
        found = fate(store, id)?;
    }
    if found == Fate::NeverBegun {
        let _lock = store.lock(std::time::Duration::from_secs(1))?;
        found = fate(store, id)?;
    }
    Ok(found)
}

/// Writes the end of operations of the daemon that a killed daemon left open: what the files hold says which. Returns
/// how many.
///
/// # Errors
/// Another writer holds the lock for 30 s, or the journal can't be read or written.
pub fn settle(store: &Store) -> Result<usize> {
    let _lock = store.lock(std::time::Duration::from_secs(30))?;
    let mut open = Vec::new();
    store.journal().each(&mut |event| match event {
        Event::Begin { id, tool, paths, .. } if tool == TOOL => open.push((id, paths)),
        // Few are ever open, so this goes through few.
        Event::End { id, .. } => open.retain(|(begun, _)| *begun != id),
        _ => {}
    })?;
    let settled = open.len();
    for (id, paths) in open {
        let holds = |path: &PathText, digest: &str| {
            store.root.resolve(path).and_then(|real| digest_at(&real)).is_ok_and(|now| now == digest)
        };
        let outcome = if paths.iter().all(|(path, written)| holds(path, &written.after)) {
            Outcome::Done
        } else if paths.iter().all(|(path, written)| holds(path, &written.before)) {
            Outcome::RolledBack
        } else {
            Outcome::Failed
        };
        store.journal().append(&Event::End { id, time: store.clock.now().seconds(), duration_ms: 0, outcome })?;
    }
    Ok(settled)
}
