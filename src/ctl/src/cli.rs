//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use host::{Error, Result, Root};

use crate::accept::Accept;
use crate::config::Config;
use crate::feature::Feature;
use crate::phase::Phase;
use crate::rollback::Rollback;
use crate::snapshot::Snapshot;
use crate::status::Status;
use crate::{Node, accept, config, feature, phase, rollback, snapshot, status};

/// The operator's hand on the switch between Proxmox VE's Perl network stack and Rust.
///
/// Every command asks or changes the node that it runs on, and needs root for it.
///
/// Exit codes: 0 done, 1 failed, 2 usage, 3 refused, 4 inconclusive, 5 cluster not writable or locked.
#[derive(Debug, Parser)]
#[command(name = "migration-ctl", version, max_term_width = 100)]
struct Cli {
    /// Work on the system below DIR instead of the running one.
    #[arg(long, value_name = "DIR", global = true, hide = true)]
    root: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show or change how much of this node's network Rust may manage.
    #[command(subcommand)]
    Phase(Phase),
    /// Give the migration up on this node: back to Perl, in one command.
    ///
    /// Sets the phase to perl-only, stops the services, puts back what Rust wrote and nobody has accepted,
    /// applies the result through Perl, and writes a bundle of diagnostics. It can be run again at
    /// any time; what was interrupted is taken up by --resume.
    Abort(crate::abort::Asked),
    /// Write one file with what a helper needs to know about this node, without secrets.
    Diagnostics(crate::diagnostics::Diagnostics),
    /// Say whether this node is as it should be and which command mends what is not.
    ///
    /// Exit code 1 if something is critical, 4 if something could not be asked.
    Health(crate::health::Health),
    /// Say whether anything stands in the way of beginning the migration on this node.
    ///
    /// Exit code 3 if something does. Changes nothing.
    Preflight(crate::preflight::Preflight),
    /// Take this node one phase up, if the gate passes.
    ///
    /// Asks what 'canary gate' asks, under a lock of the whole cluster and inside the change window, and then sets the
    /// phase. What Rust wrote and has proven itself is accepted by it. Exit code 3 if the gate says fail, 4 if it is
    /// inconclusive.
    Promote(crate::promote::Promote),
    /// Let our programs write, or keep them from it.
    #[command(subcommand)]
    Feature(Feature),
    /// Check, show or replace migration.toml as a whole.
    #[command(subcommand)]
    Config(Config),
    /// Put files back as a snapshot has them.
    Rollback(Rollback),
    /// Show what there is to go back to.
    #[command(subcommand)]
    Snapshot(Snapshot),
    /// Accept what Rust wrote, so that a removal keeps it.
    Accept(Accept),
    /// One screen: where this node stands, what a removal would do right now, the next step.
    Status(Status),
}

impl Command {
    /// What asks a file of the caller's own, and nothing of the node.
    const fn is_for_anybody(&self) -> bool {
        matches!(self, Self::Config(Config::Check { file: Some(_) }))
    }

    /// Monitoring reads standard output.
    fn tell_monitoring(&self, error: &Error) {
        if let Self::Health(asked) = self {
            asked.not_asked(error);
        }
    }
}

/// The command line as clap knows it: for man pages and completions.
pub fn cli() -> clap::Command {
    Cli::command()
}

/// Runs the program.
pub fn main() -> ExitCode {
    ::cli::end("migration-ctl", run(std::env::args_os()))
}

fn run(arguments: impl IntoIterator<Item = OsString>) -> Result<()> {
    let cli = Cli::parse_from(arguments);
    let root = cli.root.map_or_else(Root::system, Root::at);
    if !cli.command.is_for_anybody() {
        ::cli::need_root(&root).inspect_err(|error| cli.command.tell_monitoring(error))?;
    }
    let node = Node::at(&root)?;
    match cli.command {
        Command::Abort(asked) => crate::abort::run(&node, &asked),
        Command::Diagnostics(asked) => crate::diagnostics::run(&node, &asked),
        Command::Health(asked) => crate::health::run(&node, &asked),
        Command::Preflight(asked) => crate::preflight::run(&node, &asked),
        Command::Promote(asked) => crate::promote::run(&node, &asked),
        Command::Phase(command) => phase::run(&node, command),
        Command::Feature(command) => feature::run(&node, command),
        Command::Config(command) => config::run(&node, command),
        Command::Rollback(arguments) => rollback::run(&node, &arguments),
        Command::Snapshot(command) => snapshot::run(&node, command),
        Command::Accept(arguments) => accept::run(&node, &arguments),
        Command::Status(arguments) => status::run(&node, &arguments),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_command_line_is_sound() {
        super::cli().debug_assert();
    }
}
