//! `migration-ctl snapshot`: what there is to go back to, and whether it can be trusted.

use clap::Subcommand;
use history::{Entry, What, manual, snapshot};
use host::{Error, Result, Timestamp};
use serde_json::json;

use crate::Node;
use crate::cli::{Form, Output, out};

/// `migration-ctl snapshot …`.
#[derive(Debug, Subcommand)]
pub(crate) enum Snapshot {
    /// List snapshots and manual backups, oldest first.
    List {
        #[command(flatten)]
        output: Output,
    },
    /// Show what one holds.
    Show {
        /// Its name, or `manual-backups/NAME`.
        id: String,
        #[command(flatten)]
        output: Output,
    },
    /// Check that snapshots are as they were written; all of them without a name.
    Verify {
        /// Their names.
        ids: Vec<String>,
    },
}

/// Runs one of them.
pub(crate) fn run(node: &Node, command: Snapshot) -> Result<()> {
    match command {
        Snapshot::List { output } => list(node, output.output),
        Snapshot::Show { id, output } => show(node, &id, output.output),
        Snapshot::Verify { ids } => verify(node, &ids),
    }
}

/// Lists all, oldest first.
fn list(node: &Node, form: Form) -> Result<()> {
    let all = snapshot::list(&node.store)?;
    let manual = manual::list(&node.store)?;
    if form == Form::Json {
        let automatic: Vec<_> = all.iter().map(describe).collect();
        let by_hand: Vec<_> = manual
            .iter()
            .map(|m| json!({"id": format!("manual-backups/{}", m.name), "changed": m.changed, "paths": m.entries.len(), "unknown": m.unknown}))
            .collect();
        return out(json!({"schema_version": 1, "snapshots": automatic, "manual_backups": by_hand}));
    }
    if all.is_empty() && manual.is_empty() {
        eprintln!("there are no snapshots in {}", node.store.state.join("backups").display());
    }
    for found in &all {
        match &found.manifest {
            Ok(m) => {
                let state = if m.acceptance.accepted { "accepted" } else { "on-trial" };
                let undo = if m.undo { " (undo)" } else { "" };
                out(format_args!("{:<18} {state:<9} {:>3} paths  {}{undo}", found.id, m.entries.len(), m.reason))?;
            }
            Err(error) => out(format_args!("{:<18} damaged   {error}", found.id))?,
        }
    }
    for found in &manual {
        let name = format!("manual-backups/{}", found.name);
        out(format_args!(
            "{name:<18} by hand   {:>3} paths  changed {}",
            found.entries.len(),
            Timestamp::from_seconds(found.changed)
        ))?;
        for unknown in &found.unknown {
            eprintln!("{name} holds {unknown}, which belongs to no captured path and is never restored");
        }
    }
    Ok(())
}

fn describe(found: &history::Snapshot) -> serde_json::Value {
    match &found.manifest {
        Ok(m) => json!({
            "id": found.id, "sequence": m.sequence, "created": m.created, "reason": m.reason, "undo": m.undo, "first": m.first,
            "version": m.version, "phase": m.phase, "node": m.node, "accepted": m.acceptance.accepted, "why": m.acceptance.why,
            "paths": m.entries.len(),
        }),
        Err(error) => json!({"id": found.id, "damaged": error.to_string()}),
    }
}

/// Shows what one holds.
fn show(node: &Node, id: &str, form: Form) -> Result<()> {
    let entries: Vec<Entry> = if id.starts_with("manual-backups/") {
        manual::read(&node.store, &node.store.snapshot_path(id))?.entries
    } else {
        find(node, id)?.manifest?.entries
    };
    if form == Form::Json {
        return out(json!({"schema_version": 1, "id": id, "entries": entries}));
    }
    for entry in entries {
        let what = match &entry.what {
            What::File { meta, size, .. } => format!("{:04o} {}:{} {size} bytes", meta.mode, meta.uid, meta.gid),
            What::Dir { meta } => format!("{:04o} {}:{} folder", meta.mode, meta.uid, meta.gid),
            What::Link { target, .. } => format!("link to {target}"),
            What::Absent => "absent".into(),
            What::Other => "neither file, folder nor link".into(),
            What::Unreadable { why } => format!("could not be read: {why}"),
        };
        out(format_args!("{:<40} {what}", entry.path.to_string()))?;
    }
    Ok(())
}

/// Verifies those named, or all; one that can't be trusted makes it fail.
fn verify(node: &Node, ids: &[String]) -> Result<()> {
    let chosen = if ids.is_empty() {
        snapshot::list(&node.store)?
    } else {
        ids.iter().map(|id| find(node, id)).collect::<Result<_>>()?
    };
    let mut bad = 0;
    for found in &chosen {
        match snapshot::verify(found) {
            Ok(()) => out(format_args!("{} ok", found.id))?,
            Err(error) => {
                bad += 1;
                out(format_args!("{} BAD: {error}", found.id))?;
            }
        }
    }
    match bad {
        0 => Ok(()),
        bad => {
            Err(Error::new(format!("{bad} of {} snapshots can't be trusted and will never be restored", chosen.len())))
        }
    }
}

fn find(node: &Node, id: &str) -> Result<history::Snapshot> {
    if id.starts_with("manual-backups/") {
        return Err(Error::new(format!("{id} was made by hand and has no manifest to be verified against")));
    }
    snapshot::list(&node.store)?
        .into_iter()
        .find(|s| s.id == id)
        .ok_or_else(|| Error::new(format!("there is no snapshot {id:?}; 'migration-ctl snapshot list' shows all")))
}
