//! `pvenet`: a node's network configuration as Rust reads it, checks it and applies it.

mod apply;
mod diff;
mod status;
mod table;
mod validate;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use ::cli::{Form, Output, note, out};
use clap::{CommandFactory, Parser, Subcommand};
use host::{Error, Kind, Result, Root};
use model::proxmox::{Links, Network};
use phase::{What, allows};
use serde_json::json;

use crate::apply::guardian;
use crate::files::{INTERFACES, PENDING, content};
use crate::kernel::Kernel;
use crate::{Node, api, links, reload};

/// Shows, checks and applies this node's network configuration.
///
/// Reads /etc/network/interfaces as Proxmox VE does; pending changes (interfaces.new) come first where
/// there are any, as in the GUI.
///
/// It needs root.
///
/// Exit codes: 0 done, 1 failed (or a file with errors, or an apply that was taken back), 2 usage, 3 refused.
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
    /// Show what the pending changes change, as a patch, and where the kernel differs from the saved files.
    Diff,
    /// Show how things stand: configured against running, pending changes, the phase, the last apply.
    Status {
        /// Name the snapshots and what of the apply is recorded, too.
        #[arg(long)]
        verbose: bool,
        #[command(flatten)]
        output: Output,
    },
    /// Make the pending configuration the running one, with a way back from every step.
    ///
    /// Validates, takes a snapshot, starts a guardian, writes the files, runs ifreload -a, compares the kernel with
    /// the files, and sees whether the default gateway, the cluster's other nodes and the other end of the caller's SSH
    /// session can still be reached. If not, or if this program, its terminal or its package goes away meanwhile, all
    /// goes back to what it was. Where the phase or the feature rust_cli says no, Proxmox's own Perl applies, as
    /// pvenet-legacy does.
    Apply(apply::Arguments),
    /// Keep the apply that waits for it.
    Confirm(Output),
    /// Take the apply that waits back; without one, apply the network files of an earlier snapshot.
    Rollback(apply::Back),
    /// Finish an apply that was left open, in the one direction: back. The boot runs this before the network.
    #[command(hide = true)]
    Recover,
    /// Reload for the daemon, whose connection is standard input: pve-network-reload.socket has this run.
    #[command(hide = true)]
    Reload,
    /// Watch over an apply.
    #[command(hide = true)]
    Guardian {
        /// The apply.
        id: String,
        /// In a session of its own.
        #[arg(long)]
        detach: bool,
    },
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
    let root = cli.root.map_or_else(Root::system, Root::at);
    ::cli::need_root(&root)?;
    let node = Node::at(&root)?;
    // What brings a node back, or says what is wrong, works in every phase.
    if matches!(cli.command, Command::List(_) | Command::Show { .. } | Command::Diff) {
        may_read(&node)?;
    }
    match cli.command {
        Command::List(output) => list(&node, output.output),
        Command::Show { name, output } => show(&node, &name, output.output),
        Command::Diff => diff::run(&node),
        Command::Validate { config, allow_cut_off, output } => {
            validate::run(&node, config.as_deref(), allow_cut_off, output.output)
        }
        Command::Status { verbose, output } => status::run(&node, verbose, output.output),
        Command::Apply(arguments) => apply::apply(&node, &arguments),
        Command::Confirm(output) => apply::confirm(&node, output.output),
        Command::Rollback(arguments) => apply::rollback(&node, &arguments),
        Command::Recover => apply::recover(&node),
        Command::Reload => reload::run(&node),
        Command::Guardian { id, detach } => guardian::run(&node, &id, detach),
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

/// The kernel's devices; none below another root, whose kernel this is not.
fn devices(node: &Node) -> Result<Kernel> {
    if node.store.root.is_system() { Kernel::links() } else { Ok(Kernel::default()) }
}

fn network(node: &Node) -> Result<(&'static str, Network, Links, Kernel)> {
    let (file, bytes) = current(node)?;
    let kernel = devices(node)?;
    let links = links::of(&kernel);
    let network = model::proxmox::read(&bytes, &links)
        .map_err(|e| Error::new(format!("cannot read {file}: {e}")).way_out("pvenet validate says more"))?;
    Ok((file, network, links, kernel))
}

fn list(node: &Node, form: Form) -> Result<()> {
    let (file, network, links, kernel) = network(node)?;
    if form == Form::Json {
        return out(json!({
            "schema_version": 1, "node": node.store.node, "file": file, "interfaces": api::list(&network, &links),
        }));
    }
    for line in table::list(&network, |name| kernel.devices.get(name).map(|d| d.state.clone())) {
        out(line)?;
    }
    if Path::new(file) == Path::new(PENDING) {
        note!("pvenet: these are pending changes; pvenet diff shows them");
    }
    Ok(())
}

fn show(node: &Node, name: &str, form: Form) -> Result<()> {
    let (file, network, links, _) = network(node)?;
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
