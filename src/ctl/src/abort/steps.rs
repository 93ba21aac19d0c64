//! What each step does. A step can be taken any number of times.

use std::time::Duration;

use ::phase::Wish;
use history::{Trigger, Why, restore, snapshot};
use host::{Command, Error, Result, files};
use maintscript::removal::{Resume, restore_choice};
use network::files::PENDING;
use network::legacy;

use super::state::{Outcome, Step, Taken};
use crate::Node;
use crate::diagnostics;
use crate::phase::carry_out;
use crate::units;

/// Where the bundle of an abort goes: with the log, not into whatever folder one happens to be in.
const BUNDLES: &str = "/var/log/pve-network";

const PATIENCE: Duration = Duration::from_secs(30);

/// Takes a step and says what became of it. Never fails: a failure is an outcome.
pub(crate) fn take(node: &Node, step: Step) -> Taken {
    let done = match step {
        Step::Phase => phase(node),
        Step::Stop => stop(node),
        Step::Restore => go_back(node),
        Step::Reapply => reapply(node),
        Step::Diagnostics => bundle(node),
    };
    done.unwrap_or_else(|error| Taken {
        step,
        outcome: Outcome::Failed,
        line: error.to_string(),
        next: Some(next(step).to_owned()),
    })
}

/// What a step would do, a line each.
pub(crate) fn foresee(node: &Node, step: Step) -> Vec<String> {
    match step {
        Step::Phase => {
            let now = node.switch.effective().phase;
            vec![format!("set this node to perl-only (now {now}), its ceiling first")]
        }
        Step::Stop => match running(node) {
            Ok(units) if units.is_empty() => vec!["nothing: no service of ours runs".into()],
            Ok(units) => vec![format!("stop {}", units.join(", "))],
            Err(why) => vec![format!("nothing: {why}")],
        },
        Step::Restore => match plan(node) {
            Ok((plan, _)) if plan.lines().is_empty() => vec!["nothing: nothing of Rust's is on trial".into()],
            Ok((plan, _)) => plan.lines(),
            Err(error) => vec![format!("nothing: {error}")],
        },
        Step::Reapply => match barred(node) {
            Some((line, command)) => vec![format!("leave it to you: {line}; then run {command}")],
            None => vec![format!("run pvesh set /nodes/{}/network", node.store.node)],
        },
        Step::Diagnostics => vec![format!("write a bundle into {BUNDLES}")],
    }
}

fn next(step: Step) -> &'static str {
    match step {
        Step::Phase => "migration-ctl phase set perl-only",
        Step::Stop => "systemctl stop pve-network-migration.service pve-network-rs.service",
        Step::Restore => "migration-ctl rollback --dry-run",
        Step::Reapply => "ifreload -a",
        Step::Diagnostics => "migration-ctl diagnostics",
    }
}

fn done(step: Step, line: impl Into<String>) -> Result<Taken> {
    Ok(Taken { step, outcome: Outcome::Done, line: line.into(), next: None })
}

/// The ceiling needs nobody; the cluster's file may have to wait for quorum, and the ceiling holds
/// meanwhile.
fn phase(node: &Node) -> Result<Taken> {
    let switch = &node.switch;
    let before = switch.effective().phase;
    let safe = ::phase::Phase::PerlOnly;
    let wish = Wish::Node { node: switch.node.clone(), to: safe };
    let changed = carry_out(node, wish, None, "migration-ctl abort")?;
    // An abort is an operator's word: what an earlier failure took away is not to come back by itself.
    Resume::forget(&node.store)?;
    let line = format!("this node is at {safe} (was {before})");
    match changed.cluster {
        None => done(Step::Phase, line),
        // A broken migration.toml counts as perl-only as it is.
        Some(error) => {
            done(Step::Phase, format!("{line} by its own ceiling; its line in migration.toml stays for now: {error}"))
        }
    }
}

/// Our units that are up or on their way.
fn running(node: &Node) -> std::result::Result<Vec<String>, String> {
    match units::of(node) {
        Err(why) => Err(why),
        Ok(units) => {
            let down = |active: &str| matches!(active, "inactive" | "failed" | "");
            Ok(units.into_iter().filter(|u| !down(&u.active)).map(|u| u.name).collect())
        }
    }
}

fn stop(node: &Node) -> Result<Taken> {
    let units = match running(node) {
        Err(why) => return done(Step::Stop, format!("no service to stop: {why}")),
        Ok(units) if units.is_empty() => return done(Step::Stop, "no service of ours runs"),
        Ok(units) => units,
    };
    let command = Command::new("systemctl").args(["--no-ask-password", "stop"]).args(units.clone());
    let out = command.patience(Duration::from_secs(120)).run()?;
    if !out.success() {
        let said = out.stderr.lines().next().unwrap_or("it gave no reason").to_owned();
        return Err(Error::new(format!("cannot stop {}: {said}", units.join(", "))));
    }
    done(Step::Stop, format!("stopped {}", units.join(", ")))
}

/// The plan of a removal: what is on trial goes back, everything else is kept.
fn plan(node: &Node) -> Result<(history::Plan, history::Captured)> {
    let (choice, _) = restore_choice(&node.store.root, &crate::policy()?);
    let present = snapshot::present(&node.store, true)?;
    let decision = restore::decide(&node.store, &Trigger::Removal, choice, present, None)?;
    Ok((decision.plan, decision.present))
}

fn go_back(node: &Node) -> Result<Taken> {
    let store = &node.store;
    // An abort has to work on a damaged state too.
    let _lock = store.make_lock(PATIENCE)?;
    restore::resume(store)?;
    let (plan, present) = plan(node)?;
    if let Some(why) = &plan.refused {
        return Err(Error::new(format!("nothing is restored: {why}")));
    }
    if plan.actions.is_empty() {
        let kept = plan.lines().join("; ");
        let kept = if kept.is_empty() { kept } else { format!(" ({kept})") };
        return done(Step::Restore, format!("nothing of Rust's is on trial{kept}"));
    }
    let phase = node.switch.effective().phase.to_string();
    let why =
        Why { reason: "before abort".into(), undo: true, lenient: true, phase: Some(phase.clone()), ..Why::default() };
    let undo = snapshot::capture(store, &present, &why)?;
    let report = restore::carry_out(store, &plan, &phase)?;
    if let Some(path) = report.foreign.first() {
        return Err(Error::new(format!("{path} was changed by someone else in this very moment and is left alone")));
    }
    let lines = plan.lines().join("; ");
    // The command stands alone, so that it can be copied whole.
    let next = Some(format!("migration-ctl rollback --to {}", undo.id));
    Ok(Taken { step: Step::Restore, outcome: Outcome::Done, line: lines, next })
}

/// Why applying is not ours to do, and the command for whoever decides. Perl would make pending
/// changes the running network, and nobody asked for these now.
fn barred(node: &Node) -> Option<(String, String)> {
    let there = |path: &str| node.store.root.path(path).exists();
    if there(PENDING) {
        let line = format!("{PENDING} holds changes that Perl would apply along with it");
        return Some((line, "ifreload -a".into()));
    }
    let pvesh = ["/usr/bin/pvesh", "/usr/sbin/pvesh"].iter().any(|p| there(p));
    if !pvesh || !node.store.root.is_system() {
        return Some(("pvesh is not installed (package pve-manager)".into(), "ifreload -a".into()));
    }
    None
}

fn reapply(node: &Node) -> Result<Taken> {
    if let Some((line, command)) = barred(node) {
        return Ok(Taken { step: Step::Reapply, outcome: Outcome::Left, line, next: Some(command) });
    }
    let legacy_node = network::Node { store: node.store.clone(), switch: node.switch.clone() };
    // What stands there now is what was before Rust: it is not weighed against itself again.
    let applied = legacy::apply(&legacy_node, &legacy::Asked { force: true, ..legacy::Asked::default() })?;
    done(Step::Reapply, format!("applied by Perl in {} ms", applied.seen.duration_ms))
}

fn bundle(node: &Node) -> Result<Taken> {
    let folder = node.store.root.path(BUNDLES);
    files::create_dirs(&folder, 0o750)?;
    let path = diagnostics::free_path(node, &folder);
    diagnostics::bundle(node, &path)?;
    done(Step::Diagnostics, node.store.root.inside(&path).display().to_string())
}
