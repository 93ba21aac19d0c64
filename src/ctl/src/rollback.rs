//! `migration-ctl rollback`: going back by hand, by the same plan and with the same safety as a
//! removal, and undone the same way.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use history::{Policy, Trigger, Why, restore, snapshot};
use host::{Error, Kind, Result};

use crate::Node;
use crate::cli::out;

/// `migration-ctl rollback …`.
#[derive(Debug, Args)]
pub(crate) struct Rollback {
    /// The snapshot, or `manual-backups/NAME`; without it the last one.
    #[arg(long, value_name = "SNAPSHOT")]
    to: Option<String>,
    /// Only this file, or what lies below this folder.
    #[arg(long, value_name = "PATH")]
    path: Option<PathBuf>,
    /// The cluster's files below /etc/pve as well.
    #[arg(long)]
    cluster: bool,
    /// Show the plan and change nothing.
    #[arg(long)]
    dry_run: bool,
}

/// Carries it out, or shows what it would do.
pub(crate) fn run(node: &Node, asked: &Rollback) -> Result<()> {
    let store = &node.store;
    let trigger = Trigger::ByHand { to: asked.to.clone(), only: asked.path.clone(), cluster: asked.cluster };
    let _lock = if asked.dry_run { None } else { Some(store.lock(Duration::from_secs(30))?) };
    if !asked.dry_run
        && let Some(report) = restore::resume(store)?
    {
        eprintln!("finished a restore that was interrupted: {} paths", report.done.len());
    }
    let present = snapshot::present(store, true)?;
    let decision = restore::decide(store, &trigger, Policy::Last, present, None)?;
    let mut plan = decision.plan;
    let refused = plan.refused.take();
    for line in plan.lines() {
        out(line)?;
    }
    if let Some(why) = refused {
        return Err(Error::of(Kind::Refused, format!("nothing is restored: {why}")));
    }
    if plan.actions.is_empty() {
        eprintln!("nothing to restore");
        return Ok(());
    }
    if asked.dry_run {
        return Ok(());
    }
    let phase = node.switch.effective().phase.to_string();
    let why = Why {
        reason: "before rollback by hand".into(),
        undo: true,
        lenient: true,
        phase: Some(phase.clone()),
        ..Why::default()
    };
    let undo = snapshot::capture(store, &decision.present, &why)?;
    let report = restore::carry_out(store, &plan, &phase)?;
    for path in &report.foreign {
        eprintln!("{path} was changed by someone else in this very moment and is left alone");
    }
    eprintln!("{} paths restored; to undo: migration-ctl rollback --to {}", report.done.len(), undo.id);
    if report.done.iter().any(|p| p.as_path().starts_with("/etc/network")) {
        eprintln!("the running network is unchanged; to make it follow the files: ifreload -a");
    }
    Ok(())
}
