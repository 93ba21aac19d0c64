//! The command line of `pvenet-legacy`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use ::cli::{Form, Output, note, out};
use clap::{CommandFactory, Parser, Subcommand};
use host::{Result, Root};
use serde_json::json;

use super::Asked;
use crate::Node;
use crate::files::{INTERFACES, PENDING};

/// The program.
const NAME: &str = "pvenet-legacy";

/// Applies and validates this node's network configuration through Proxmox VE's own Perl.
///
/// It is the way back: whatever phase the node is in, this is what Proxmox's GUI does when "Apply
/// Configuration" is pressed, with a snapshot before it and a line in the operation journal.
///
/// It needs root.
///
/// Exit codes: 0 done, 1 failed, 2 usage, 3 refused.
#[derive(Debug, Parser)]
#[command(name = NAME, version, max_term_width = 100)]
struct Cli {
    /// Work on the system below DIR instead of the running one.
    #[arg(long, value_name = "DIR", global = true, hide = true)]
    root: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make the pending configuration the running one.
    ///
    /// Takes a snapshot, records what is about to happen, calls pvesh, which renames
    /// /etc/network/interfaces.new to interfaces and runs ifreload, and waits until that is done. It
    /// does not go back by itself when that fails; the message names the command that does.
    Apply {
        /// Show what would be done and change nothing.
        #[arg(long)]
        dry_run: bool,
        /// Apply even what would lose the management address or a guest's bridge.
        #[arg(long)]
        force: bool,
        /// Give up after this long.
        #[arg(long, value_name = "SECONDS", default_value_t = super::PATIENCE.as_secs(), value_parser = |text: &str| ::cli::seconds(text, 3600))]
        timeout: u64,
        #[command(flatten)]
        output: Output,
    },
    /// Ask Perl and our own check about the pending configuration, or else the running one.
    Validate {
        #[command(flatten)]
        output: Output,
    },
}

/// The command line as clap knows it: for man pages and completions.
pub fn cli() -> clap::Command {
    Cli::command()
}

/// Runs the program.
pub fn main() -> ExitCode {
    ::cli::end(NAME, run(Cli::parse()))
}

fn run(cli: Cli) -> Result<()> {
    let root = cli.root.map_or_else(Root::system, Root::at);
    ::cli::need_root(&root)?;
    let node = Node::at(&root)?;
    match cli.command {
        Command::Apply { dry_run: true, force, timeout, output } => {
            plan(&node, &Asked { force, patience: Duration::from_secs(timeout) }, output.output)
        }
        Command::Apply { dry_run: false, force, timeout, output } => {
            apply(&node, &Asked { force, patience: Duration::from_secs(timeout) }, output.output, NAME)
        }
        Command::Validate { output } => validate(&node, output.output),
    }
}

/// Shows what an apply would do.
pub(crate) fn plan(node: &Node, asked: &Asked, form: Form) -> Result<()> {
    let pending = super::plan(node, asked)?;
    let (name, pvesh) = (&node.store.node, format!("pvesh set /nodes/{}/network", node.store.node));
    if form == Form::Json {
        return out(json!({"schema_version": 1, "node": name, "pending": pending, "command": pvesh}));
    }
    if pending {
        out(format_args!("replace {INTERFACES} by {PENDING}"))?;
    }
    out(format_args!("run {pvesh}"))
}

/// Applies and says what was done, as `program`.
pub(crate) fn apply(node: &Node, asked: &Asked, form: Form, program: &str) -> Result<()> {
    let applied = super::apply(node, asked)?;
    let seen = &applied.seen;
    for note in &applied.notes {
        note!("{program}: {note}");
    }
    if form == Form::Json {
        return out(json!({
            "schema_version": 1, "node": node.store.node, "operation": seen.id, "snapshot": seen.snapshot,
            "changed": seen.changed, "duration_ms": seen.duration_ms, "task": applied.upid,
        }));
    }
    for path in &seen.changed {
        out(format_args!("changed {path}"))?;
    }
    note!(
        "applied by Perl in {}.{:03} s; to undo: migration-ctl rollback --to {}",
        seen.duration_ms / 1000,
        seen.duration_ms % 1000,
        seen.snapshot
    );
    Ok(())
}

fn validate(node: &Node, form: Form) -> Result<()> {
    let valid = super::validate(node)?;
    let file = if valid.pending { PENDING } else { INTERFACES };
    if form == Form::Json {
        return out(json!({
            "schema_version": 1, "node": node.store.node, "file": file, "pending": valid.pending,
            "interfaces": valid.interfaces,
        }));
    }
    match valid.interfaces {
        Some(count) => out(format_args!("{file}: Perl reads {count} interfaces; our own check has nothing against it")),
        None => out(format_args!("{file}: our own check has nothing against it; Perl was not asked")),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_command_line_is_sound() {
        super::cli().debug_assert();
    }
}
