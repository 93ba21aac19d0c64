//! `migration-ctl accept`: what Rust wrote and has proven itself is no longer on trial, so that a
//! removal keeps it. Who said so, when and why stands in the journal.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use history::journal::{Contents, Event};
use history::restore::{self, Question};
use history::{Captured, Policy, Provenance, Store, Trigger, Use, snapshot};
use host::{Error, Kind, Result};
use maintscript::removal;
use serde_json::json;

use crate::{Node, here};
use ::cli::{Form, Output, note, out};

/// `migration-ctl accept …`.
#[derive(Debug, Args)]
pub(crate) struct Accept {
    /// Files, or folders with all below them; everything that is on trial if none is named.
    #[arg(value_name = "PATH", conflicts_with = "operation")]
    paths: Vec<PathBuf>,
    /// What this operation wrote and still stands; the beginning of its id is enough.
    #[arg(long, value_name = "ID")]
    operation: Option<String>,
    /// Why, for the journal.
    #[arg(long, value_name = "TEXT", default_value = "accepted by hand", value_parser = ::cli::one_line)]
    reason: String,
    /// Say what would be accepted, and what a removal would do then; change nothing.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    output: Output,
}

/// A file on trial, and the operation that wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Trial {
    path: PathBuf,
    digest: String,
    operation: String,
}

/// Accepts, or says what it would.
pub(crate) fn run(node: &Node, asked: &Accept) -> Result<()> {
    let store = &node.store;
    let _lock = if asked.dry_run { None } else { Some(store.lock(Duration::from_secs(30))?) };
    let present = snapshot::present(store, true)?;
    let contents = journal(store)?;
    let trials = on_trial(&contents, &present);
    let chosen = choose(asked, &contents, trials)?;
    let paths: BTreeMap<_, _> = chosen.iter().map(|t| (t.path.clone().into(), t.digest.clone())).collect();
    let event = Event::Accept { time: store.clock.now().seconds(), by: here(), reason: asked.reason.clone(), paths };
    let (policy, complaint) = removal::restore_choice(&store.root, &node.policy);
    if let Some(complaint) = complaint {
        note!("migration-ctl: {complaint}");
    }
    let before = removal_lines(store, policy, present.clone(), &[])?;
    let after = removal_lines(store, policy, present, std::slice::from_ref(&event))?;
    if !asked.dry_run && !chosen.is_empty() {
        store.journal().append(&event)?;
    }
    report(asked, &chosen, policy, &before, &after)
}

/// Accepts what these operations wrote and still stands; says which paths those are.
pub(crate) fn proven(node: &Node, operations: &[String], by: &str, reason: &str) -> Result<Vec<String>> {
    if operations.is_empty() {
        return Ok(Vec::new());
    }
    let store = &node.store;
    let _lock = store.lock(Duration::from_secs(30))?;
    let present = snapshot::present(store, true)?;
    let trials = on_trial(&journal(store)?, &present);
    let chosen: Vec<Trial> = trials.into_iter().filter(|t| operations.contains(&t.operation)).collect();
    if chosen.is_empty() {
        return Ok(Vec::new());
    }
    let paths = chosen.iter().map(|t| (t.path.clone().into(), t.digest.clone())).collect();
    let time = store.clock.now().seconds();
    store.journal().append(&Event::Accept { time, by: by.to_owned(), reason: reason.to_owned(), paths })?;
    Ok(chosen.iter().map(|t| host::escape::escape(&t.path).to_string()).collect())
}

fn report(asked: &Accept, chosen: &[Trial], policy: Policy, before: &[String], after: &[String]) -> Result<()> {
    if asked.output.output == Form::Json {
        let accepted: Vec<_> = chosen
            .iter()
            .map(|t| json!({"path": host::escape::escape(&t.path), "digest": t.digest, "operation": t.operation}))
            .collect();
        return out(json!({
            "schema_version": 1, "dry_run": asked.dry_run, "accepted": accepted, "by": here(),
            "reason": asked.reason, "restore": policy, "removal_before": before, "removal_after": after,
        }));
    }
    if chosen.is_empty() {
        note!("nothing is on trial: all that stands there is accepted already");
        return Ok(());
    }
    let accept = if asked.dry_run { "would accept" } else { "accepted" };
    for trial in chosen {
        out(format_args!(
            "{accept} {}, written by Rust operation {}",
            host::escape::escape(&trial.path),
            trial.operation
        ))?;
    }
    if policy != Policy::Accepted {
        note!("mind that RESTORE={policy}: a removal does not ask what is accepted");
    }
    let (was, is) = if asked.dry_run { ("would", "would then") } else { ("would have", "now would") };
    say(&format!("before, a removal {was}:"), before);
    say(&format!("a removal {is}:"), after);
    Ok(())
}

fn say(head: &str, lines: &[String]) {
    note!("{head}");
    for line in lines {
        note!("  {line}");
    }
    if lines.is_empty() {
        note!("  restore nothing");
    }
}

fn removal_lines(store: &Store, policy: Policy, present: Captured, supposing: &[Event]) -> Result<Vec<String>> {
    let question = Question { trigger: &Trigger::Removal, policy, but: None, force: false, supposing };
    Ok(restore::answer(store, &question, present)?.plan.lines())
}

/// Without a journal nothing is known to be on trial, and there is nowhere to say it is not.
fn journal(store: &Store) -> Result<Contents> {
    let journal = store.journal();
    let contents = journal.read()?.ok_or_else(|| {
        Error::of(
            Kind::Refused,
            format!("there is no journal {}, so nothing is known to be on trial", journal.path().display()),
        )
    })?;
    if contents.damaged > 0 {
        note!("migration-ctl: {} lines of the journal can't be read and are passed over", contents.damaged);
    }
    Ok(contents)
}

fn on_trial(contents: &Contents, present: &Captured) -> Vec<Trial> {
    let provenance = Provenance::of(&contents.events);
    let seen: BTreeSet<&Path> = present.entries.iter().map(|e| e.path.as_path()).collect();
    let mut all: Vec<Trial> = Vec::new();
    let mut add = |path: &Path, digest: String| {
        if let Some(operation) = provenance.on_trial(path, &digest) {
            all.push(Trial { path: path.to_owned(), digest: digest.clone(), operation: operation.to_owned() });
        }
    };
    for entry in present.entries.iter().filter(|e| e.usage != Use::Evidence) {
        add(entry.path.as_path(), entry.what.digest());
    }
    // A file that Rust deleted is on trial as well, and is not among what is there.
    let written: BTreeSet<PathBuf> =
        contents.writes().into_iter().flat_map(|(_, paths)| paths.into_keys().map(|p| p.0)).collect();
    for path in written.iter().filter(|p| !seen.contains(p.as_path())) {
        add(path, "absent".to_owned());
    }
    all.sort_by(|a, b| a.path.cmp(&b.path));
    all
}

/// Those that the command means. What is not on trial can't be accepted.
fn choose(asked: &Accept, contents: &Contents, trials: Vec<Trial>) -> Result<Vec<Trial>> {
    let refuse = |what: String| Err(Error::of(Kind::Refused, what));
    let chosen: Vec<Trial> = if let Some(wanted) = &asked.operation {
        let id = operation(contents, wanted)?;
        let of_it: Vec<Trial> = trials.into_iter().filter(|t| t.operation == id).collect();
        if of_it.is_empty() {
            return refuse(format!("nothing that operation {id} wrote stands there and is on trial"));
        }
        of_it
    } else if asked.paths.is_empty() {
        trials
    } else {
        for path in &asked.paths {
            if !trials.iter().any(|t| t.path.starts_with(path)) {
                return refuse(format!(
                    "{} is not on trial: Rust did not write what stands there, or it is accepted already",
                    path.display()
                ));
            }
        }
        trials.into_iter().filter(|t| asked.paths.iter().any(|p| t.path.starts_with(p))).collect()
    };
    let unfinished = contents.unfinished();
    match chosen.iter().find(|t| unfinished.contains(&t.operation)) {
        None => Ok(chosen),
        Some(trial) => refuse(format!(
            "{}: operation {} did not come to its end, and the next run of dpkg takes it back; \
             'dpkg-reconfigure pve-network-rs' does so now",
            trial.path.display(),
            trial.operation
        )),
    }
}

fn operation(contents: &Contents, wanted: &str) -> Result<String> {
    let all = contents.operations(|_| true);
    if all.iter().any(|id| id == wanted) {
        return Ok(wanted.to_owned());
    }
    let fitting: BTreeSet<&String> = all.iter().filter(|id| id.starts_with(wanted)).collect();
    match fitting.iter().collect::<Vec<_>>().as_slice() {
        [one] => Ok((**one).clone()),
        [] => Err(Error::of(Kind::Refused, format!("the journal has no operation {wanted:?}"))),
        many => Err(Error::of(
            Kind::Refused,
            format!("{wanted:?} is the beginning of {} operations; say more of it", many.len()),
        )),
    }
}
