//! How things stand.

use ::cli::screen::Colours;
use ::cli::{Form, out};
use history::snapshot;
use host::{Result, Timestamp};
use serde_json::json;

use super::diff;
use crate::Node;
use crate::apply::record::{Record, State};
use crate::apply::{self, Standing};
use crate::files::{PENDING, content};

pub(super) fn run(node: &Node, verbose: bool, form: Form) -> Result<()> {
    let store = &node.store;
    let effective = node.switch.effective();
    let rust_cli = node.migration().ok().flatten().is_some_and(|migration| migration.features.rust_cli);
    let pending = content(node, PENDING)?.is_some();
    let lacking = diff::lacking(node)?;
    let (stands, record) = match apply::standing(store)? {
        Standing::None => ("none", None),
        Standing::Over(record) => ("over", Some(record)),
        Standing::UnderWay(record) => ("under way", Some(record)),
        Standing::Open(record) => ("left open", Some(record)),
    };
    let snapshots: Vec<String> = snapshot::list(store)?.into_iter().map(|s| s.id).collect();
    if form == Form::Json {
        let last = record.map(|r| {
            json!({
                "operation": r.id, "state": r.state, "stands": stands, "why": r.why, "notes": r.notes, "started": r.started,
                "ended": r.ended, "snapshot": r.snapshot, "source": r.source, "confirm": r.confirm,
            })
        });
        return out(json!({
            "schema_version": 1, "node": store.node, "phase": effective.phase.to_string(), "rust_cli": rust_cli,
            "pending": pending, "running_differs": lacking, "last_apply": last, "snapshots": snapshots,
        }));
    }
    let colours = Colours::of_stdout();
    out(format_args!("node       {}", store.node))?;
    out(format_args!("phase      {effective}"))?;
    out(format_args!("rust_cli   {}", if rust_cli { "on" } else { "off: an apply goes through Perl" }))?;
    out(format_args!(
        "pending    {}",
        if pending { "changes; pvenet diff shows them, pvenet apply applies them" } else { "nothing" }
    ))?;
    match lacking.as_slice() {
        _ if !store.root.is_system() => out("running    not this system's kernel")?,
        [] => out("running    what is configured")?,
        [first, rest @ ..] => {
            out(format_args!("running    {}", colours.yellow(first)))?;
            rest.iter().try_for_each(|line| out(format_args!("           {}", colours.yellow(line))))?;
        }
    }
    match &record {
        None => out("last apply none of pvenet's")?,
        Some(record) => last(record, stands, verbose, colours)?,
    }
    match snapshots.last() {
        None => out("snapshots  none")?,
        Some(newest) => out(format_args!("snapshots  {}, the newest {newest}", snapshots.len()))?,
    }
    if verbose {
        snapshots.iter().rev().try_for_each(|id| out(format_args!("           {id}")))?;
    }
    Ok(())
}

fn last(record: &Record, stands: &str, verbose: bool, colours: Colours) -> Result<()> {
    let waits = record.state == State::Waiting && stands == "under way";
    let why = record.why.as_deref().map_or_else(String::new, |why| format!(": {why}"));
    let state = format!("{}{why}", record.state.name());
    let state = if record.why.is_some() { colours.yellow(&state) } else { state };
    let stands = if stands == "over" { String::new() } else { format!(" ({stands})") };
    out(format_args!("last apply {} of {}: {state}{stands}", record.id, Timestamp::from_seconds(record.started)))?;
    if waits {
        let left = apply::seconds_left(record);
        out(format_args!("           {left} s left: pvenet confirm keeps it, pvenet rollback takes it back now"))?;
    }
    if stands.contains("left open") {
        out(
            "           its program is gone: its guardian takes it back in a moment; if it stays so, pvenet rollback does",
        )?;
    }
    let wrong = record.notes.iter().filter(|note| verbose || note.starts_with("still wrong"));
    wrong.map(|note| format!("           {note}")).try_for_each(out)?;
    if verbose {
        out(format_args!("           {}, back to snapshot {}", record.source, record.snapshot))?;
        record.paths.keys().try_for_each(|path| out(format_args!("           wrote {path}")))?;
    }
    Ok(())
}
