//! Listing, showing and verifying snapshots.

use history::{Entry, What, manual, snapshot};
use host::{Error, Result, Timestamp};
use serde_json::{Value, json};

use crate::Node;
use ::cli::screen::cut;
use ::cli::{Form, note, out};
use network::pick::{MANUAL, find, pick};

/// The widest line of a table.
const WIDTH: usize = 80;

/// Lists all, oldest first.
pub(super) fn list(node: &Node, form: Form) -> Result<()> {
    let all = snapshot::list(&node.store)?;
    let manual = manual::list(&node.store)?;
    if form == Form::Json {
        let automatic: Vec<_> = all.iter().map(describe).collect();
        let by_hand: Vec<_> = manual
            .iter()
            .map(|m| json!({"id": format!("{MANUAL}{}", m.name), "changed": m.changed, "paths": m.entries.len(), "unknown": m.unknown}))
            .collect();
        return out(json!({"schema_version": 1, "snapshots": automatic, "manual_backups": by_hand}));
    }
    if all.is_empty() && manual.is_empty() {
        note!("there are no snapshots in {}", node.store.state.join("backups").display());
        return Ok(());
    }
    out(format_args!("{:<18} {:<9} {:>5}  REASON", "SNAPSHOT", "STATE", "PATHS"))?;
    for found in &all {
        let line = match &found.manifest {
            Ok(m) => {
                let state = if m.acceptance.accepted { "accepted" } else { "on-trial" };
                let undo = if m.undo { " (undo)" } else { "" };
                // The mark is what a person looks for, so the reason gives way.
                let reason = cut(&m.reason, WIDTH - 36 - undo.len());
                format!("{:<18} {state:<9} {:>5}  {reason}{undo}", found.id, m.entries.len())
            }
            Err(_) => format!("{:<18} {:<9} {:>5}  'snapshot verify {}' says why", found.id, "damaged", "-", found.id),
        };
        out(line)?;
    }
    for found in &manual {
        let name = format!("{MANUAL}{}", found.name);
        let changed = Timestamp::from_seconds(found.changed);
        out(format_args!("{name:<28} {:>5}  by hand, changed {changed}", found.entries.len()))?;
        for unknown in &found.unknown {
            note!("{name} holds {unknown}, which belongs to no captured path and is never restored");
        }
    }
    Ok(())
}

fn describe(found: &history::Snapshot) -> Value {
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
pub(super) fn show(node: &Node, asked: &str, form: Form) -> Result<()> {
    let id = pick(&node.store, asked)?;
    let (manifest, entries) = if id.starts_with(MANUAL) {
        (None, manual::read(&node.store, &node.store.snapshot_path(&id))?.entries)
    } else {
        let manifest = find(&node.store, &id)?.manifest?;
        (Some(manifest.clone()), manifest.entries)
    };
    if form == Form::Json {
        let mut value = json!({"schema_version": 1, "id": id, "entries": entries});
        if let (Some(m), Value::Object(map)) = (&manifest, &mut value) {
            map.extend([
                ("created".into(), json!(m.created)),
                ("reason".into(), json!(m.reason)),
                ("undo".into(), json!(m.undo)),
                ("first".into(), json!(m.first)),
                ("version".into(), json!(m.version)),
                ("phase".into(), json!(m.phase)),
                ("node".into(), json!(m.node)),
                ("accepted".into(), json!(m.acceptance.accepted)),
                ("why".into(), json!(m.acceptance.why)),
            ]);
        }
        return out(value);
    }
    if let Some(m) = &manifest {
        note!("{id}, taken {} on {}: {}", m.time(), m.node, m.reason);
        let state = if m.acceptance.accepted { "accepted" } else { "on trial" };
        note!("{state} when it was taken: {}", m.acceptance.why);
    }
    for entry in entries {
        out(format_args!("{:<38} {}", entry.path.to_string(), describe_entry(&entry)))?;
    }
    Ok(())
}

fn describe_entry(entry: &Entry) -> String {
    match &entry.what {
        What::File { meta, size, .. } => format!("{:04o} {}:{} {size} bytes", meta.mode, meta.uid, meta.gid),
        What::Dir { meta } => format!("{:04o} {}:{} folder", meta.mode, meta.uid, meta.gid),
        What::Link { target, .. } => format!("link to {target}"),
        What::Absent => "absent".into(),
        What::Other => "neither file, folder nor link".into(),
        What::Unreadable { why } => format!("could not be read: {why}"),
    }
}

/// Verifies those named, or all; one that can't be trusted makes it fail.
pub(super) fn verify(node: &Node, asked: &[String], form: Form) -> Result<()> {
    let store = &node.store;
    let mut chosen = Vec::new();
    for asked in asked {
        let id = pick(store, asked)?;
        if id.starts_with(MANUAL) {
            let found = snapshot::load_any(&store.snapshot_path(&id));
            if !found.path.join(snapshot::MANIFEST).exists() {
                return Err(Error::new(format!("{id} was made by hand and has no manifest to be verified against")));
            }
            chosen.push(history::Snapshot { id, ..found });
        } else {
            chosen.push(find(store, &id)?);
        }
    }
    if asked.is_empty() {
        chosen = snapshot::list(store)?;
    }
    let checked: Vec<_> = chosen.iter().map(|s| (&s.id, snapshot::verify(s).err().map(|e| e.to_string()))).collect();
    let bad = checked.iter().filter(|(_, error)| error.is_some()).count();
    if form == Form::Json {
        let all: Vec<_> =
            checked.iter().map(|(id, e)| json!({"id": id, "verifies": e.is_none(), "error": e})).collect();
        out(json!({"schema_version": 1, "snapshots": all, "bad": bad}))?;
    } else {
        for (id, error) in &checked {
            match error {
                None => out(format_args!("{id} ok"))?,
                Some(error) => out(format_args!("{id} BAD: {error}"))?,
            }
        }
        if checked.is_empty() {
            note!("there are no snapshots in {}", store.state.join("backups").display());
        }
    }
    match bad {
        0 => Ok(()),
        bad => {
            Err(Error::new(format!("{bad} of {} snapshots can't be trusted and will never be restored", chosen.len())))
        }
    }
}
