//! `migration-ctl snapshot`: what there is to go back to, and whether it can be trusted.
//!
//! ```text
//!   keep   take, prune        under the writers' lock, durable
//!   show   list, show, verify reads only
//!   diff   two of them, or one against what stands there now
//! ```
//! `restore` is [`crate::rollback`] by another name.

mod diff;
mod keep;
mod show;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use host::Result;

use crate::Node;
use crate::rollback::{self, Rollback};
use ::cli::Output;

/// `migration-ctl snapshot …`.
#[derive(Debug, Subcommand)]
pub(crate) enum Snapshot {
    /// Take a snapshot now and print its name.
    Take {
        /// What it is for, to be found again.
        #[arg(long, value_name = "TEXT", default_value = "taken by hand", value_parser = ::cli::one_line)]
        reason: String,
    },
    /// List snapshots and manual backups, oldest first.
    List {
        #[command(flatten)]
        output: Output,
    },
    /// Show what one holds.
    Show {
        /// Its name, the beginning of it, `latest`, or `manual-backups/NAME`.
        #[arg(value_name = "SNAPSHOT")]
        id: String,
        #[command(flatten)]
        output: Output,
    },
    /// Show what differs between two of them, or between one and the present state.
    Diff(Diff),
    /// Check that snapshots are as they were written; all of them without a name.
    Verify {
        /// Their names.
        #[arg(value_name = "SNAPSHOT")]
        ids: Vec<String>,
        #[command(flatten)]
        output: Output,
    },
    /// Forget old snapshots: the very rules by which the package does it.
    Prune {
        /// Keep the newest N [default: what the package keeps].
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(2..))]
        keep: Option<u16>,
        /// Say which would go, and remove none.
        #[arg(long)]
        dry_run: bool,
    },
    /// Put files back as a snapshot has them: the same as rollback --to SNAPSHOT.
    Restore {
        /// Its name, the beginning of it, `latest`, or `manual-backups/NAME`.
        #[arg(value_name = "SNAPSHOT")]
        id: String,
        /// Only this file, or what lies below this folder.
        #[arg(long, value_name = "PATH")]
        path: Option<PathBuf>,
        /// The cluster's files below /etc/pve as well.
        #[arg(long)]
        cluster: bool,
        /// Restore even what would cut the node off; says so loudly.
        #[arg(long)]
        force: bool,
        /// Show the plan and change nothing.
        #[arg(long)]
        dry_run: bool,
    },
}

/// `migration-ctl snapshot diff …`.
#[derive(Debug, Args)]
pub(crate) struct Diff {
    /// The older one; the last one if not given.
    #[arg(value_name = "A")]
    from: Option<String>,
    /// The newer one; the present state if not given.
    #[arg(value_name = "B")]
    to: Option<String>,
    /// Show tokens, keys, passwords and files below /etc/pve/priv too.
    #[arg(long)]
    show_secrets: bool,
    #[command(flatten)]
    output: Output,
}

/// Runs one of them.
pub(crate) fn run(node: &Node, command: Snapshot) -> Result<()> {
    match command {
        Snapshot::Take { reason } => keep::take(node, reason),
        Snapshot::List { output } => show::list(node, output.output),
        Snapshot::Show { id, output } => show::show(node, &id, output.output),
        Snapshot::Diff(asked) => diff::run(node, &asked),
        Snapshot::Verify { ids, output } => show::verify(node, &ids, output.output),
        Snapshot::Prune { keep, dry_run } => keep::prune(node, keep, dry_run),
        Snapshot::Restore { id, path, cluster, force, dry_run } => {
            rollback::run(node, &Rollback { to: Some(id), path, cluster, force, resume: false, dry_run })
        }
    }
}
