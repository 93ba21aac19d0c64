//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use ::phase::What;
use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};
use host::{Result, Root};

use crate::Node;

/// The operator's hand on the switch between Proxmox VE's Perl network stack and Rust.
///
/// Exit codes: 0 done, 1 failed, 2 usage, 3 refused, 5 cluster not writable or locked.
#[derive(Debug, Parser)]
#[command(name = "migration-ctl", version, max_term_width = 100)]
pub struct Cli {
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
    /// Put files back as a snapshot has them.
    Rollback(Rollback),
    /// Show what there is to go back to.
    #[command(subcommand)]
    Snapshot(Snapshot),
}

#[derive(Debug, Subcommand)]
enum Phase {
    /// Print the effective phase of this node.
    Get {
        #[command(flatten)]
        output: Output,
    },
    /// Set the phase of this node: one step up at a time, any number of steps down.
    Set {
        /// The phase.
        #[arg(value_parser = clap::builder::PossibleValuesParser::new(::phase::Phase::ALL.map(::phase::Phase::as_str)))]
        phase: String,
    },
    /// Return to the phase that a failed configure took away.
    Resume,
    /// Exit with 0 if the phase allows WHAT, else say why not and exit with 3.
    Allows {
        /// What is asked for, such as `daemon`.
        #[arg(value_parser = parse_what)]
        what: What,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Rollback {
    /// The snapshot, or `manual-backups/NAME`; without it the last one.
    #[arg(long, value_name = "SNAPSHOT")]
    pub(crate) to: Option<String>,
    /// Only this file, or what lies below this folder.
    #[arg(long, value_name = "PATH")]
    pub(crate) path: Option<PathBuf>,
    /// The cluster's files below /etc/pve as well.
    #[arg(long)]
    pub(crate) cluster: bool,
    /// Show the plan and change nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Subcommand)]
enum Snapshot {
    /// List snapshots and manual backups, oldest first.
    List {
        #[command(flatten)]
        output: Output,
    },
    /// Show what one holds.
    Show {
        /// Its name, or `manual-backups/NAME`.
        id: String,
        #[command(flatten)]
        output: Output,
    },
    /// Check that snapshots are as they were written; all of them without a name.
    Verify {
        /// Their names.
        ids: Vec<String>,
    },
}

#[derive(Debug, Args)]
struct Output {
    /// The form of the output.
    #[arg(long, value_enum, default_value_t, value_name = "FORM")]
    output: Form,
}

/// How data is printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Form {
    /// For people.
    #[default]
    Text,
    /// For programs; carries `schema_version`.
    Json,
}

fn parse_what(text: &str) -> std::result::Result<What, String> {
    What::ALL.into_iter().find(|w| w.as_str() == text).ok_or_else(|| {
        let all = What::ALL.map(What::as_str).join(", ");
        format!("it must be one of {all}")
    })
}

/// The command line as clap knows it: for man pages and completions.
pub fn cli() -> clap::Command {
    Cli::command()
}

/// Runs the program.
pub fn main() -> ExitCode {
    match run(std::env::args_os()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("migration-ctl: {error}");
            ExitCode::from(error.kind().exit_code())
        }
    }
}

fn run(arguments: impl IntoIterator<Item = OsString>) -> Result<()> {
    let cli = Cli::try_parse_from(arguments).unwrap_or_else(|error| error.exit());
    let root = cli.root.map_or_else(Root::system, Root::at);
    let node = Node::at(&root)?;
    match cli.command {
        Command::Phase(Phase::Get { output }) => crate::phase::get(&node, output.output),
        Command::Phase(Phase::Set { phase }) => crate::phase::set(&node, phase.parse()?),
        Command::Phase(Phase::Resume) => crate::phase::resume(&node),
        Command::Phase(Phase::Allows { what }) => crate::phase::allows(&node, what),
        Command::Rollback(rollback) => crate::rollback::run(&node, &rollback),
        Command::Snapshot(Snapshot::List { output }) => crate::snapshot::list(&node, output.output),
        Command::Snapshot(Snapshot::Show { id, output }) => crate::snapshot::show(&node, &id, output.output),
        Command::Snapshot(Snapshot::Verify { ids }) => crate::snapshot::verify(&node, &ids),
    }
}

/// Prints a line of data. A reader that went away, as `head` does, ends the program quietly.
pub(crate) fn out(line: impl std::fmt::Display) -> Result<()> {
    use std::io::Write;
    match writeln!(std::io::stdout(), "{line}") {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => std::process::exit(0),
        done => host::IoContext::doing(done, || "cannot write to standard output"),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_command_line_is_sound() {
        super::cli().debug_assert();
    }
}
