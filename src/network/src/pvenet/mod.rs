//! `pvenet`: a node's network configuration as Rust reads it.

mod diff;
mod table;
mod validate;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use ::cli::{Form, Output, out};
use clap::{CommandFactory, Parser, Subcommand};
use host::{Error, Kind, Result, Root, files};
use model::proxmox::{Links, Network};
use phase::{What, allows};
use serde_json::json;

use crate::legacy::{INTERFACES, PENDING};
use crate::{Node, api, links};

/// Shows and checks this node's network configuration.
///
/// Reads /etc/network/interfaces as Proxmox VE does; pending changes (interfaces.new) come first where
/// there are any, as in the GUI. Nothing is changed.
///
/// Exit codes: 0 done, 1 failed (or a file with errors), 2 usage, 3 refused.
#[derive(Debug, Parser)]
#[command(name = "pvenet", version, max_term_width = 100)]
struct Cli {
    /// Work on the system below DIR instead of the running one.
    #[arg(long, value_name = "DIR", global = true, hide = true)]
    root: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the interfaces that the configuration and the kernel know.
    List(Output),
    /// Show all settings of one interface.
    Show {
        /// Its name.
        #[arg(value_name = "IFACE")]
        name: String,
        #[command(flatten)]
        output: Output,
    },
    /// Show what the pending changes change, as a patch.
    Diff,
    /// Say what is wrong with the configuration, with a code, a line and a fix for each.
    ///
    /// Finds what Proxmox refuses to write and what it lets through and shouldn't. Works in every phase.
    Validate {
        /// Check FILE in place of the pending or running configuration.
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// Accept a result that loses the management address or a guest's bridge.
        #[arg(long)]
        allow_cut_off: bool,
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
    ::cli::end("pvenet", run(Cli::parse()))
}

fn run(cli: Cli) -> Result<()> {
    let node = Node::at(&cli.root.map_or_else(Root::system, Root::at))?;
    if !matches!(cli.command, Command::Validate { .. }) {
        may_read(&node)?;
    }
    match cli.command {
        Command::List(output) => list(&node, output.output),
        Command::Show { name, output } => show(&node, &name, output.output),
        Command::Diff => diff::run(&node),
        Command::Validate { config, allow_cut_off, output } => {
            validate::run(&node, config.as_deref(), allow_cut_off, output.output)
        }
    }
}

/// In `perl-only` Rust answers nothing.
fn may_read(node: &Node) -> Result<()> {
    let effective = node.switch.effective();
    if allows(What::Read, effective.phase) {
        return Ok(());
    }
    Err(Error::of(Kind::Refused, format!("this node is at {effective}; Rust answers from rust-read-only on"))
        .way_out("migration-ctl phase set rust-read-only"))
}

/// The larger a file, the less it is a network configuration; in bytes.
const MAX_SIZE: u64 = 16 << 20;

/// The content of a file of the node; `None` if it is not there.
fn content(node: &Node, path: &str) -> Result<Option<Vec<u8>>> {
    files::read_plain(&node.store.root.path(path), MAX_SIZE)
}

/// The file that counts, and its content.
fn current(node: &Node) -> Result<(&'static str, Vec<u8>)> {
    if let Some(bytes) = content(node, PENDING)? {
        return Ok((PENDING, bytes));
    }
    match content(node, INTERFACES)? {
        Some(bytes) => Ok((INTERFACES, bytes)),
        None => Err(Error::new(format!("there is no {INTERFACES}"))
            .way_out("migration-ctl rollback --dry-run shows what a snapshot would put there")),
    }
}

fn network(node: &Node) -> Result<(&'static str, Network, Links)> {
    let (file, bytes) = current(node)?;
    let links = links::read(&node.store.root)?;
    let network = model::proxmox::read(&bytes, &links)
        .map_err(|e| Error::new(format!("cannot read {file}: {e}")).way_out("pvenet validate says more"))?;
    Ok((file, network, links))
}

fn list(node: &Node, form: Form) -> Result<()> {
    let (file, network, links) = network(node)?;
    if form == Form::Json {
        return out(json!({
            "schema_version": 1, "node": node.store.node, "file": file, "interfaces": api::list(&network, &links),
        }));
    }
    for line in table::list(&network, |name| links::operational(&node.store.root, name)) {
        out(line)?;
    }
    if Path::new(file) == Path::new(PENDING) {
        eprintln!("pvenet: these are pending changes; pvenet diff shows them");
    }
    Ok(())
}

fn show(node: &Node, name: &str, form: Form) -> Result<()> {
    let (file, network, links) = network(node)?;
    let Some(interface) = network.interfaces.get(name) else {
        return Err(Error::new(format!("neither {file} nor the kernel has an interface {name}"))
            .way_out("pvenet list shows those that there are"));
    };
    let map = api::interface(name, interface, &links);
    if form == Form::Json {
        return out(
            json!({"schema_version": 1, "node": node.store.node, "file": file, "iface": name, "settings": map}),
        );
    }
    for line in table::show(&map) {
        out(line)?;
    }
    Ok(())
}
