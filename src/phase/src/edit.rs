//! New text for `migration.toml`: one value changes, everything the operator wrote stays.

use host::{Error, Kind, Result};
use toml_edit::{DocumentMut, Item, Table, TableLike, Value};

use crate::config::{NODE_NAME, is_node_name};
use crate::{Features, Migration, Phase};

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

/// Sets the phase of nodes that have none of their own.
///
/// # Errors
/// The text is no valid `migration.toml`.
pub fn set_common_phase(text: &str, phase: Phase) -> Result<String> {
    edit(
        text,
        |now| now.phase == phase,
        |root| {
            set(root, "phase", phase.as_str());
            Ok(())
        },
    )
}

/// Switches a feature.
///
/// # Errors
/// The text is no valid `migration.toml`; there is no such feature.
pub fn set_feature(text: &str, name: &str, on: bool) -> Result<String> {
    if Features::default().get(name).is_none() {
        let all = Features::NAMES.join(", ");
        return Err(Error::of(Kind::Usage, format!("there is no feature '{name}' (there is: {all})")));
    }
    edit(
        text,
        |now| now.features.get(name) == Some(on),
        |root| {
            let new = || toml_edit::value(toml_edit::InlineTable::new());
            let features = root.entry("features").or_insert_with(new);
            let features = features.as_table_like_mut();
            set(features.ok_or_else(|| Error::new("migration.toml: 'features' is not a table"))?, name, on);
            Ok(())
        },
    )
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
        return Err(Error::new(format!("cannot edit {name} as it is written; change it by hand")));
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
    set(entry.as_table_like_mut().ok_or_else(not_a_table)?, "phase", phase.as_str());
    Ok(())
}

/// Sets a value and keeps the comment that stands behind it.
fn set(table: &mut dyn TableLike, key: &str, value: impl Into<Value>) {
    let mut value = value.into();
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
