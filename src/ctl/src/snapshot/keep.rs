//! Taking a snapshot by hand, and forgetting old ones.

use std::time::Duration;

use history::{Store, Why, snapshot};
use host::Result;
use maintscript::removal::Removal;

use crate::Node;
use ::cli::{note, out};

const PATIENCE: Duration = Duration::from_secs(30);

/// Takes one, durably, and prints its name.
pub(super) fn take(node: &Node, reason: String) -> Result<()> {
    let store = &node.store;
    let _lock = store.lock(PATIENCE)?;
    let present = snapshot::present(store, false)?;
    let why = Why {
        reason,
        version: crate::dpkg::installed(&store.root, &store.package).map(|i| i.version).unwrap_or_default(),
        phase: Some(node.switch.effective().phase.to_string()),
        ..Why::default()
    };
    let taken = snapshot::capture(store, &present, &why)?;
    let there = present.entries.iter().filter(|e| e.what.exists()).count();
    note!("captured {there} paths in {}", store.state.join("backups").join(&taken.id).display());
    for entry in &present.entries {
        if let history::What::Unreadable { why } = &entry.what {
            note!("migration-ctl: {} is not in it: {why}", entry.path);
        }
    }
    out(taken.id)
}

/// Removes what the rules let go, and prints the names.
pub(super) fn prune(node: &Node, keep: Option<u16>, dry_run: bool) -> Result<()> {
    let store = Store { keep: keep.map_or(node.store.keep, usize::from), ..node.store.clone() };
    // A removal that is not over needs the snapshot by which it can be undone.
    let also: Vec<String> = Removal::read(&store)?.and_then(|r| r.snapshot).into_iter().collect();
    let gone = if dry_run {
        snapshot::prunable(&store, &also)?
    } else {
        let _lock = store.lock(PATIENCE)?;
        snapshot::prune(&store, &also)?
    };
    for id in &gone {
        out(id)?;
    }
    let would = if dry_run { "would be removed" } else { "removed" };
    note!("{} snapshots {would}", gone.len());
    Ok(())
}
