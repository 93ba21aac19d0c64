//! `migration-ctl config`: `migration.toml` as a whole.

use std::path::{Path, PathBuf};

use ::phase::change::{Facts, Seen, settings};
use ::phase::{Migration, Wish, config};
use clap::Subcommand;
use host::files::{self, Attributes};
use host::{Error, Kind, Result};
use serde_json::{Value, json};
use similar::TextDiff;

use crate::Node;
use crate::phase::{Overriding, carry_out};
use ::cli::{Form, Output, note, out};

/// `migration-ctl config …`.
#[derive(Debug, Subcommand)]
pub(crate) enum Config {
    /// Check a file as every node would read it.
    Check {
        /// The file; the cluster's if none is given.
        file: Option<PathBuf>,
    },
    /// Show every setting with its value, and where that comes from.
    Show {
        #[command(flatten)]
        output: Output,
    },
    /// Put a file in the place of the cluster's, as one step; what it replaces is kept.
    Import(Import),
}

/// `migration-ctl config import …`.
#[derive(Debug, clap::Args)]
pub(crate) struct Import {
    /// The file.
    file: PathBuf,
    /// Show the difference and change nothing.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    overriding: Overriding,
}

/// Runs one of them.
pub(crate) fn run(node: &Node, command: Config) -> Result<()> {
    match command {
        Config::Check { file } => check(node, file.as_deref()),
        Config::Show { output } => show(node, output.output),
        Config::Import(asked) => import(node, &asked),
    }
}

fn check(node: &Node, file: Option<&Path>) -> Result<()> {
    let facts = node.switch.facts();
    let (name, migration) = match file {
        Some(file) => (file.display().to_string(), config::read_migration(file)?),
        None => (facts.file.clone(), facts.migration()?),
    };
    let migration = migration.ok_or_else(|| Error::new(format!("there is no {name}")))?;
    strangers(&facts, &migration);
    out(format_args!("{name}: ok"))
}

/// A line for a node that is not there may be a typing mistake, or a node to come: worth a word.
fn strangers(facts: &Facts, migration: &Migration) {
    if facts.known.is_empty() {
        return; // no cluster, whose nodes one could know
    }
    let named = migration.nodes.keys().map(|n| (format!("nodes.{n}.phase"), n));
    let ordered = migration.canary_order.iter().map(|n| ("canary.order".to_owned(), n));
    for (key, name) in named.chain(ordered).filter(|(_, name)| !facts.known.contains(name)) {
        note!("{key}: the cluster has no node '{name}' (there is: {})", facts.known.join(", "));
    }
}

fn show(node: &Node, form: Form) -> Result<()> {
    let facts = node.switch.facts();
    let migration = facts.migration()?;
    let lines = match &facts.cluster {
        Seen::Bytes(bytes) => config::lines(&String::from_utf8_lossy(bytes), &facts.file)?,
        _ => Default::default(),
    };
    let exists = migration.is_some();
    let all = settings(&migration.unwrap_or_default());
    let effective = node.switch.effective();
    if form == Form::Json {
        let all: Vec<Value> =
            all.iter().map(|(key, value)| json!({"key": key, "value": value, "line": lines.get(key)})).collect();
        return out(json!({
            "schema_version": 1, "file": facts.file, "exists": exists, "settings": all,
            "node": node.switch.node, "phase": effective.phase, "ceiling": node.switch.ceiling().ok().flatten(),
        }));
    }
    if !exists {
        note!("there is no {}: these are the defaults", facts.file);
    }
    let width = all.keys().map(String::len).max().unwrap_or_default();
    for (key, value) in &all {
        let place = lines.get(key).map_or_else(|| "default".to_owned(), |line| format!("line {line}"));
        out(format_args!("{key:width$}  {value:<24}  {place}"))?;
    }
    note!("node {} is at {effective}", node.switch.node);
    Ok(())
}

fn import(node: &Node, asked: &Import) -> Result<()> {
    let name = asked.file.display().to_string();
    let bytes = files::read_plain(&asked.file, config::MAX_SIZE)?
        .ok_or_else(|| Error::of(Kind::Usage, format!("there is no file {name}")))?;
    // Checked under its own name, so that the error leads to the line.
    config::parse_bytes(&bytes, &name)?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let facts = node.switch.facts();
    let wish = Wish::Import { text: text.clone() };
    let given = asked.overriding.given();
    let plan = ::phase::change::plan(&wish, &facts, given.as_ref())?;
    let before = match &facts.cluster {
        Seen::Bytes(bytes) => Some(bytes.as_slice()),
        _ => None,
    };
    let old = String::from_utf8_lossy(before.unwrap_or_default());
    let diff = TextDiff::from_lines(old.as_ref(), &text);
    let diff = diff.unified_diff().header(&facts.file, &name).to_string();
    if !diff.is_empty() {
        out(diff.trim_end_matches('\n'))?;
    }
    for step in &plan.steps {
        note!("migration.toml would want {} of node {} (was {})", step.to, step.node, step.from);
    }
    strangers(&facts, &config::parse_bytes(&bytes, &name)?);
    if plan.cluster.is_none() {
        note!("{} has this content already", facts.file);
        return Ok(());
    }
    if asked.dry_run {
        return Ok(());
    }
    let mut kept = before.map(|before| keep(node, before)).transpose()?;
    let why = format!("import of {name}");
    let why = given.as_ref().map_or(why, |given| given.reason.clone());
    let done = carry_out(node, wish, given, &why)?;
    // Another node may have been quicker than our first look.
    if let Some(replaced) = done.replaced.as_deref().filter(|now| Some(*now) != before) {
        kept = Some(keep(node, replaced)?);
    }
    note!("{} is in place, for the whole cluster", facts.file);
    if let Some(kept) = kept {
        note!("what it replaced is kept in {}", kept.display());
    }
    note!("a node's own ceiling is as before: migration-ctl phase set, on that node, raises it");
    Ok(())
}

/// Keeps a copy of what is about to be replaced; says where, as seen inside the root.
fn keep(node: &Node, bytes: &[u8]) -> Result<PathBuf> {
    let folder = node.store.state.join("replaced");
    files::create_dirs(&node.store.root.path(&folder), 0o700)?;
    let stamp = node.store.clock.now().compact();
    let names = std::iter::once(format!("migration.toml-{stamp}"))
        .chain((2..100).map(|number| format!("migration.toml-{stamp}-{number}")));
    for name in names {
        let inside = folder.join(name);
        let path = node.store.root.path(&inside);
        match files::read_plain(&path, config::MAX_SIZE)? {
            Some(there) if there == bytes => return Ok(inside),
            Some(_) => {}
            None => return files::replace(&path, bytes, &Attributes::mode(0o600)).map(|()| inside),
        }
    }
    Err(Error::new(format!("{} is full of copies of this very second", folder.display())))
}
