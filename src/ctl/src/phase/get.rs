//! `migration-ctl phase get`. Units, probes and scripts ask it all the time: it reads the two files
//! that make the phase, and nothing else.

use ::phase::{Migration, Phase};
use host::{Error, Kind, Result};
use serde_json::{Value, json};

use super::Whose;
use crate::Node;
use ::cli::{Form, note, out};

/// Prints the effective phase of this node, or what the cluster wants of others.
pub(super) fn run(node: &Node, whose: &Whose, form: Form) -> Result<()> {
    let own = &node.switch.node;
    if !whose.all_nodes && whose.node.as_ref().is_none_or(|name| name == own) {
        return this(node, form);
    }
    let facts = node.switch.facts();
    let migration = facts.migration()?.unwrap_or_default();
    let mut names = facts.known;
    names.extend(migration.nodes.keys().cloned().chain([own.clone()]));
    names.sort();
    names.dedup();
    if let Some(wanted) = &whose.node {
        if !names.contains(wanted) {
            let known = names.join(", ");
            return Err(Error::of(
                Kind::Usage,
                format!("there is no node '{wanted}' in this cluster (there is: {known})"),
            ));
        }
        names.retain(|name| name == wanted);
    }
    if form == Form::Json {
        let nodes: Vec<Value> = names.iter().map(|name| describe(node, name, &migration)).collect();
        return out(json!({"schema_version": 1, "nodes": nodes}));
    }
    let effective = node.switch.effective();
    for problem in effective.problems() {
        note!("migration-ctl: {problem}");
    }
    let width = names.iter().map(String::len).max().unwrap_or_default();
    for name in &names {
        let wanted = migration.node_phase(name);
        match (name == own, whose.node.is_some()) {
            (_, true) => out(wanted)?,
            (true, false) if wanted == effective.phase => out(format_args!("{name:width$}  {wanted}"))?,
            (true, false) => out(format_args!("{name:width$}  {} (wanted: {wanted})", effective.phase))?,
            (false, false) => out(format_args!("{name:width$}  {wanted}"))?,
        }
    }
    if names.iter().any(|name| name != own) {
        note!("that is what migration.toml wants of other nodes; each node's own ceiling may hold it lower");
    }
    Ok(())
}

/// This node; problems go to standard error.
fn this(node: &Node, form: Form) -> Result<()> {
    let effective = node.switch.effective();
    if form == Form::Json {
        let reasons: Vec<String> = effective.reasons.iter().map(ToString::to_string).collect();
        let problems: Vec<String> = effective.problems().map(ToString::to_string).collect();
        return out(json!({
            "schema_version": 1,
            "node": node.switch.node,
            "phase": effective.phase,
            "ceiling": ceiling(node),
            "reasons": reasons,
            "problems": problems,
        }));
    }
    for problem in effective.problems() {
        note!("migration-ctl: {problem}");
    }
    out(effective.phase)
}

fn describe(node: &Node, name: &str, migration: &Migration) -> Value {
    let own = name == node.switch.node;
    let wanted = migration.node_phase(name);
    // Another node's ceiling is on its disk: its effective phase is for it alone to know.
    let phase = own.then(|| node.switch.effective().phase);
    json!({
        "node": name,
        "wanted": wanted,
        "own_line": migration.nodes.contains_key(name),
        "phase": phase,
        "ceiling": if own { ceiling(node) } else { None },
    })
}

fn ceiling(node: &Node) -> Option<Phase> {
    node.switch.ceiling().ok().flatten()
}
