//! `migration-ctl rollback`: going back by hand, by the same plan and with the same safety as a
//! removal, and undone the same way.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use history::journal::Event;
use history::restore::{self, Decision, Question, Report};
use history::{PathText, Policy, Store, Trigger, Use, Why, snapshot};
use host::cluster::State;
use host::{Cluster, Error, Kind, Result};

use crate::{Node, here};
use ::cli::{note, out};
use network::apply::{self, Standing};
use network::pick::pick;

const PATIENCE: Duration = Duration::from_secs(30);

/// `migration-ctl rollback …`.
#[derive(Debug, Args)]
pub(crate) struct Rollback {
    /// The snapshot: its name, the beginning of it, `latest`, or `manual-backups/NAME`; without it
    /// the last one that was not taken for an undo.
    #[arg(long, value_name = "SNAPSHOT")]
    pub(crate) to: Option<String>,
    /// Only this file, or what lies below this folder.
    #[arg(long, value_name = "PATH")]
    pub(crate) path: Option<PathBuf>,
    /// The cluster's files below /etc/pve as well, where nobody changed them meanwhile.
    #[arg(long)]
    pub(crate) cluster: bool,
    /// Restore even what would cut the node off; says so loudly. A snapshot that does not verify
    /// is never restored.
    #[arg(long)]
    pub(crate) force: bool,
    /// Finish a restore that was interrupted, or whose cluster files wait for quorum.
    #[arg(long, conflicts_with_all = ["to", "path", "cluster", "force"])]
    pub(crate) resume: bool,
    /// Show the plan and change nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// Carries it out, or shows what it would do.
pub(crate) fn run(node: &Node, asked: &Rollback) -> Result<()> {
    if asked.resume {
        return resume(node, asked.dry_run);
    }
    let store = &node.store;
    if let Some(path) = &asked.path {
        check_path(store, path)?;
    }
    if asked.cluster && Cluster::new(&store.root, &store.node).state() == State::Unmounted {
        return Err(Error::of(Kind::ClusterNotWritable, "nothing was changed: pmxcfs is not mounted")
            .way_out("start pve-cluster.service, or leave --cluster out: this node's files need no cluster"));
    }
    let to = asked.to.as_deref().map(|name| pick(store, name)).transpose()?;
    let trigger = Trigger::ByHand { to, only: asked.path.clone(), cluster: asked.cluster };
    let _lock = if asked.dry_run { None } else { Some(store.lock(PATIENCE)?) };
    if asked.dry_run {
        if restore::is_pending(store) {
            note!("a restore that was interrupted would be finished first; 'rollback --resume --dry-run' shows it");
        }
    } else if let Some(report) = restore::resume(store)? {
        note!("finished a restore that was interrupted: {} paths", report.done.len());
    }
    let present = snapshot::present(store, true)?;
    let question = Question { trigger: &trigger, policy: Policy::Last, but: None, force: asked.force, supposing: &[] };
    let Decision { mut plan, present, .. } = restore::answer(store, &question, present)?;
    let refused = plan.refused.take();
    for line in plan.lines() {
        out(line)?;
    }
    if let Some(why) = refused {
        // The manifest and the files of a snapshot are what `verify` judges; no flag overrides that.
        let forced = if why.contains("the result would") { "; --force restores it all the same" } else { "" };
        return Err(Error::of(Kind::Refused, format!("nothing is restored: {why}{forced}")));
    }
    if plan.actions.is_empty() {
        note!("nothing to restore");
        return Ok(());
    }
    if asked.dry_run {
        return Ok(());
    }
    let phase = node.switch.effective().phase.to_string();
    let mut reason = "before rollback by hand".to_owned();
    if let Some(why) = &plan.forced {
        reason = format!("{reason}, forced though {why}");
    }
    let why = Why {
        reason: reason.clone(),
        undo: true,
        lenient: true,
        phase: Some(phase.clone()),
        version: crate::dpkg::installed(&store.root, &store.package).map(|i| i.version).unwrap_or_default(),
        ..Why::default()
    };
    let undo = snapshot::capture(store, &present, &why)?;
    // Asked before, since an apply whose files change is over soon afterwards.
    let applying = applying(store);
    if plan.forced.is_some() {
        let (time, by) = (store.clock.now().seconds(), here());
        store.journal().append(&Event::Note { time, by, text: reason })?;
    }
    let report = restore::carry_out(store, &plan, &phase)?;
    note!("{} paths restored; to undo: {}", report.done.len(), undo_command(store, &undo.id, asked)?);
    finish(&report, applying)
}

/// Whether somebody applies a configuration at this moment.
fn applying(store: &Store) -> bool {
    matches!(apply::standing(store), Ok(Standing::UnderWay(_)))
}

/// The command that takes back what this one did, and no more. Back to a state that going back
/// would refuse, such as no interfaces at all, it takes `--force`.
fn undo_command(store: &Store, id: &str, asked: &Rollback) -> Result<String> {
    let mut command = format!("migration-ctl rollback --to {id}");
    if let Some(path) = &asked.path {
        command.push_str(&format!(" --path {}", restore::shell_quote(path)));
    }
    if asked.cluster {
        command.push_str(" --cluster");
    }
    let trigger = Trigger::ByHand { to: Some(id.to_owned()), only: asked.path.clone(), cluster: asked.cluster };
    let plan = restore::decide(store, &trigger, Policy::Last, snapshot::present(store, true)?, None)?.plan;
    if plan.refused.is_some() {
        command.push_str(" --force");
    }
    Ok(command)
}

/// What was left alone or waits makes it fail, once what was done has been said.
fn finish(report: &Report, applying: bool) -> Result<()> {
    if report.done.iter().any(|p| p.as_path().starts_with("/etc/network")) {
        note!(
            "{}",
            match applying {
                true =>
                    "an apply was under way: if these are its files it goes back, and reloads the network itself; see pvenet status",
                false => "the running network is unchanged; to make it follow the files: ifreload -a",
            }
        );
    }
    for path in &report.foreign {
        note!("{path} was changed by someone else in this very moment and is left alone");
    }
    if let Some(why) = &report.why_pending {
        return Err(Error::of(
            Kind::ClusterNotWritable,
            format!("{} wait to be restored: {why}", names(&report.pending)),
        )
        .way_out("when `pvecm status` says quorate: migration-ctl rollback --resume"));
    }
    if report.foreign.is_empty() {
        return Ok(());
    }
    Err(Error::new(format!("{} left as someone else made them", names(&report.foreign))))
}

fn names(paths: &[PathText]) -> String {
    paths.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Finishes what an earlier run could not.
fn resume(node: &Node, dry_run: bool) -> Result<()> {
    let store = &node.store;
    let waiting = restore::waiting(store)?;
    for part in &waiting {
        for (path, snapshot) in part.paths.iter().zip(&part.snapshots) {
            let whose = if part.cluster { ", of the cluster" } else { "" };
            out(format_args!("finish {path} from {snapshot}{whose}"))?;
        }
    }
    if waiting.is_empty() {
        note!("no restore waits to be finished");
        return Ok(());
    }
    if dry_run {
        return Ok(());
    }
    let _lock = store.lock(PATIENCE)?;
    let applying = applying(store);
    let mut report = restore::resume(store)?.unwrap_or_default();
    if let Some(cluster) = restore::resume_cluster(store)? {
        report.done.extend(cluster.done);
        report.foreign.extend(cluster.foreign);
        report.pending = cluster.pending;
        report.why_pending = cluster.why_pending;
    }
    note!("{} paths restored", report.done.len());
    finish(&report, applying)
}

/// A path that can't be restored is said before anything is read.
fn check_path(store: &Store, path: &Path) -> Result<()> {
    if !path.is_absolute() {
        return Err(Error::of(Kind::Usage, format!("--path {} must be an absolute path", path.display())));
    }
    let whole = path.components().all(|c| !matches!(c, std::path::Component::ParentDir));
    let covering: Vec<_> =
        store.items.iter().filter(|i| i.covers(path) || Path::new(&i.path).starts_with(path)).collect();
    if !whole || covering.is_empty() {
        return Err(Error::of(Kind::Refused, format!("{} is not captured in snapshots", path.display()))
            .way_out("'migration-ctl snapshot show latest' lists what is"));
    }
    if covering.iter().all(|i| i.usage == Use::Evidence) {
        return Err(Error::of(
            Kind::Refused,
            format!("{} is captured to be looked at, and never restored", path.display()),
        ));
    }
    Ok(())
}
