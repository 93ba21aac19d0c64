//! New text for `migration.toml`: one value changes, everything the operator wrote stays.

use host::{Error, Kind, Result};
use toml_edit::{DocumentMut, Item, Table, TableLike, Value};

use crate::config::{NODE_NAME, is_node_name};
use crate::{Migration, Phase};

/// Gives one node a phase of its own. The same text comes back if it has that phase already.
///
/// # Errors
/// The text is no valid `migration.toml`: it is never edited blindly; `node` is no node name.
pub fn set_node_phase(text: &str, node: &str, phase: Phase) -> Result<String> {
    if !is_node_name(node) {
        return Err(Error::of(Kind::Usage, format!("'{node}' is no node name (allowed: {NODE_NAME})")));
    }
    edit(text, |now| now.nodes.get(node) == Some(&phase), |root| set_node(root, node, phase))
}

/// Gives every node a phase: the common one and each that a node has of its own.
///
/// # Errors
/// The text is no valid `migration.toml`.
pub fn set_every_phase(text: &str, phase: Phase) -> Result<String> {
    let done = |now: &Migration| now.phase == phase && now.nodes.values().all(|p| *p == phase);
    edit(text, done, |root| {
        set(root, "phase", phase);
        let nodes: Vec<String> = match root.get("nodes").and_then(Item::as_table_like) {
            Some(nodes) => nodes.iter().filter(|(_, n)| n.get("phase").is_some()).map(|(n, _)| n.to_owned()).collect(),
            None => Vec::new(),
        };
        nodes.iter().try_for_each(|node| set_node(root, node, phase))
    })
}

fn edit(
    text: &str,
    done: impl Fn(&Migration) -> bool,
    change: impl FnOnce(&mut Table) -> Result<()>,
) -> Result<String> {
    let name = "migration.toml";
    if done(&Migration::parse(text, name)?) {
        return Ok(text.to_owned());
    }
    let mut document: DocumentMut =
        text.parse().map_err(|e: toml_edit::TomlError| Error::new(format!("{name}: {}", e.message())))?;
    change(document.as_table_mut())?;
    let edited = document.to_string();
    // What is written governs every node of the cluster: it is read once more before.
    if !done(&Migration::parse(&edited, name)?) {
        return Err(Error::new(format!("cannot edit {name} as it is written; set the phase by hand")));
    }
    Ok(edited)
}

fn set_node(root: &mut Table, node: &str, phase: Phase) -> Result<()> {
    let implicit = || {
        let mut nodes = Table::new();
        nodes.set_implicit(true); // no empty [nodes] above [nodes.a]
        Item::Table(nodes)
    };
    let not_a_table = || Error::new("migration.toml: 'nodes' is not a table");
    let nodes = root.entry("nodes").or_insert_with(implicit);
    let inline = nodes.is_inline_table();
    let nodes = nodes.as_table_like_mut().ok_or_else(not_a_table)?;
    let new = || if inline { toml_edit::value(toml_edit::InlineTable::new()) } else { toml_edit::table() };
    let entry = nodes.entry(node).or_insert_with(new);
    set(entry.as_table_like_mut().ok_or_else(not_a_table)?, "phase", phase);
    Ok(())
}

/// Sets a value and keeps the comment that stands behind it.
fn set(table: &mut dyn TableLike, key: &str, phase: Phase) {
    let mut value = Value::from(phase.as_str());
    match table.get_mut(key) {
        Some(Item::Value(old)) => {
            *value.decor_mut() = old.decor().clone();
            *old = value;
        }
        _ => drop(table.insert(key, Item::Value(value))),
    }
}

#[cfg(test)]
#[path = "edit_tests.rs"]
mod tests;
