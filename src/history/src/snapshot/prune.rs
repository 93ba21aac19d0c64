//! Forgetting old snapshots, after a new one is safely there.

use std::fs;
use std::path::PathBuf;

use host::{Error, Result, files};

use super::list::list;
use crate::provenance::Known;
use crate::{Provenance, Snapshot, Store, Transaction, digest_at, restore};

/// Removes snapshots beyond the store's limits and returns their names. Kept always: the one from
/// before the first install, the last backup that is no undo, the last accepted ones, those that
/// `also` names, that a step that is not finished needs, or that hold what stands to go back, and
/// any that can't be read, since nobody can tell what it holds.
pub fn prune(store: &Store, also: &[String]) -> Result<Vec<String>> {
    prune_knowing(store, also, Known::read(&store.journal(), &mut |_| {})?)
}

/// The same for who has read the journal, if there is one.
pub(crate) fn prune_knowing(store: &Store, also: &[String], known: Option<Known>) -> Result<Vec<String>> {
    let doomed = prunable_knowing(store, also, known)?;
    for id in &doomed {
        // Renamed first, so that no half-removed snapshot is ever visible.
        let (path, away) = (store.backups().join(id), store.backups().join(format!(".old.{id}")));
        fs::rename(&path, &away).map_err(|e| Error::io(format!("cannot prune {}", path.display()), e))?;
        files::remove_tree(&away)?;
    }
    Ok(doomed)
}

/// What [`prune`] would remove.
pub fn prunable(store: &Store, also: &[String]) -> Result<Vec<String>> {
    prunable_knowing(store, also, Known::read(&store.journal(), &mut |_| {})?)
}

fn prunable_knowing(store: &Store, also: &[String], known: Option<Known>) -> Result<Vec<String>> {
    let all = list(store)?;
    let needed: Vec<String> = needed(store, &all, known)?.into_iter().chain(also.iter().cloned()).collect();
    Ok(victims(&all, store.keep, store.keep_accepted, &needed))
}

/// Snapshots that the open transaction, a restore that is not finished, or a trial write goes back
/// to. Where that can't be read, nothing may be removed.
fn needed(store: &Store, all: &[Snapshot], known: Option<Known>) -> Result<Vec<String>> {
    let transaction = Transaction::read(store)?.map(|t| t.snapshot);
    let waiting = restore::waiting(store)?.into_iter().flat_map(|w| w.snapshots);
    let before = known.map(|known| before_trials(store, all, &Provenance::Known(known))).unwrap_or_default();
    Ok(transaction.into_iter().chain(waiting).chain(before).collect())
}

/// Snapshots that hold what stood at a path before the trial write that stands there now.
fn before_trials(store: &Store, all: &[Snapshot], provenance: &Provenance) -> Vec<String> {
    let mut out = Vec::new();
    for path in provenance.written() {
        let now = store.root.resolve(path).and_then(|real| digest_at(&real));
        let Ok(now) = now else { continue };
        if provenance.on_trial(path, &now).is_none() {
            continue;
        }
        let Some(before) = provenance.before_trial(path, &now) else { continue };
        let holds = |s: &&Snapshot| {
            s.manifest.as_ref().is_ok_and(|m| m.state_of(path).is_some_and(|what| what.digest() == before))
        };
        // The newest, and one more should that one turn out to be damaged.
        out.extend(all.iter().rev().filter(holds).take(2).map(|s| s.id.clone()));
    }
    out
}

fn victims(all: &[Snapshot], keep: usize, keep_accepted: usize, needed: &[String]) -> Vec<String> {
    let mut accepted = 0;
    let mut out = Vec::new();
    let backup = all.iter().rev().find(|s| s.manifest.as_ref().is_ok_and(|m| !m.undo)).map(|s| &s.id);
    for (age, snapshot) in all.iter().rev().enumerate() {
        let Ok(manifest) = &snapshot.manifest else { continue };
        let is_accepted = manifest.acceptance.accepted;
        accepted += usize::from(is_accepted);
        let kept = age < keep
            || manifest.first
            || Some(&snapshot.id) == backup
            || needed.contains(&snapshot.id)
            || (is_accepted && accepted <= keep_accepted);
        if !kept {
            out.push(snapshot.id.clone());
        }
    }
    out
}

/// Where all snapshots are on their way out.
pub(crate) const GOING: &str = ".backups.old";

/// Takes all snapshots out of sight in one step, before they are removed: one that is half gone must
/// never be seen.
pub fn hide_all(store: &Store) -> Result<()> {
    let (backups, going) = (store.backups(), store.path(GOING));
    files::remove_tree(&going)?;
    match fs::rename(&backups, &going) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::io(format!("cannot remove {}", backups.display()), e))
        }
        _ => Ok(()),
    }
}

/// Removes what a killed run left: snapshots that were never published, or half pruned. The
/// caller holds the store's lock, so nobody is still writing them.
pub fn sweep(store: &Store) -> Result<()> {
    let Ok(entries) = fs::read_dir(store.backups()) else { return Ok(()) };
    let litter: Vec<PathBuf> = entries
        .flatten()
        .filter(|e| {
            [".new.", ".old.", ".latest."].iter().any(|p| e.file_name().as_encoded_bytes().starts_with(p.as_bytes()))
        })
        .map(|e| e.path())
        .collect();
    litter.iter().try_for_each(|path| files::remove_tree(path))
}
