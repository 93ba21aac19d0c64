//! Applying, confirming, going back: the command line's part.

use std::io::{BufRead, IsTerminal};
use std::time::Duration;

use ::cli::{Form, Output, note, out, say};
use clap::Args;
use history::snapshot;
use host::{Error, Kind, Result, Timestamp};
use model::Severity;
use phase::{What, allows};
use serde_json::json;

use super::diff;
use crate::apply::plan::{Plan, Source};
use crate::apply::record::{Record, State, Wish};
use crate::apply::{self, Asked, Progress, Standing};
use crate::kernel::Kernel;
use crate::{Node, legacy, pick};

/// How to apply.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Show what would be done and what it changes, and change nothing.
    #[arg(long)]
    dry_run: bool,
    /// Go back unless somebody runs `pvenet confirm` within so many seconds.
    #[arg(long, value_name = "SECONDS", value_parser = |text: &str| ::cli::seconds(text, 86_400))]
    confirm: Option<u64>,
    /// Do not ask before it begins.
    #[arg(long)]
    yes: bool,
    /// Apply what loses the management address or a guest's bridge.
    #[arg(long)]
    allow_cut_off: bool,
    #[command(flatten)]
    output: Output,
}

/// How to go back.
#[derive(Debug, Args)]
pub(super) struct Back {
    /// List the snapshots.
    #[arg(long, conflicts_with = "to")]
    list: bool,
    /// Apply the network files of this snapshot: its name, the beginning of it, or `latest`.
    #[arg(long, value_name = "ID")]
    to: Option<String>,
    #[command(flatten)]
    how: Arguments,
}

pub(super) fn apply(node: &Node, arguments: &Arguments) -> Result<()> {
    match rust(node) {
        Ok(()) => go(node, Source::Pending, arguments),
        Err(why) => perl(node, arguments, &why),
    }
}

/// Whether Rust applies here, or why not.
fn rust(node: &Node) -> Result<(), String> {
    let effective = node.switch.effective();
    if !allows(What::Apply, effective.phase) {
        return Err(format!("this node is at {effective}; Rust applies from rust-basic-write on"));
    }
    match node.migration() {
        Ok(Some(migration)) if migration.features.rust_cli => Ok(()),
        Ok(_) => Err("the feature rust_cli is off".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// The way that the phase leaves: Proxmox's own.
fn perl(node: &Node, arguments: &Arguments, why: &str) -> Result<()> {
    if arguments.confirm.is_some() {
        return Err(Error::of(Kind::Refused, format!("{why}, and Perl waits for no confirmation"))
            .way_out("apply without --confirm, or raise the phase"));
    }
    note!("pvenet: {why}: applied through Perl");
    let asked = legacy::Asked { force: arguments.allow_cut_off, ..legacy::Asked::default() };
    if arguments.dry_run {
        return legacy::cli::plan(node, &asked, arguments.output.output);
    }
    agree(arguments)?;
    legacy::cli::apply(node, &asked, arguments.output.output, "pvenet")
}

fn go(node: &Node, source: Source, arguments: &Arguments) -> Result<()> {
    let form = arguments.output.output;
    let plan = Plan::make(node, &source, arguments.allow_cut_off)?;
    for finding in plan.findings.iter().filter(|f| f.severity == Severity::Warning) {
        note!("pvenet: warning {}: {}", finding.code, finding.what);
    }
    plan.allowed()?;
    let asked = Asked {
        source,
        confirm: arguments.confirm,
        allow_cut_off: arguments.allow_cut_off,
        ssh: std::env::var("SSH_CONNECTION").ok(),
    };
    if arguments.dry_run {
        return show(node, &plan, &asked, form);
    }
    if !node.store.root.is_system() {
        return Err(Error::of(Kind::Usage, "the running system alone has a network to apply to: apply without --root"));
    }
    if form == Form::Text && !arguments.yes && std::io::stdin().is_terminal() {
        show(node, &plan, &asked, form)?;
    }
    agree(arguments)?;
    let ask = arguments.confirm.is_some() && std::io::stdin().is_terminal();
    let mut line = Line::default();
    let applied = apply::run(node, &plan, &asked, None, &mut |progress| {
        if let (true, Progress::Armed(record)) = (ask, progress) {
            listen(node, &record.id);
        }
        line.tell(progress, ask);
    })?;
    line.end();
    report(node, &applied.record, Some((applied.duration_ms, applied.reload_ms)), form)
}

/// Asks, on a terminal; elsewhere it has to be said.
fn agree(arguments: &Arguments) -> Result<()> {
    if arguments.yes {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        return Err(Error::of(Kind::Usage, "nobody is there to be asked").way_out("--yes applies without asking"));
    }
    say("apply this? [y/N] ");
    let mut answer = String::new();
    let _ = std::io::stdin().lock().read_line(&mut answer); // no answer is no
    match answer.trim() {
        "y" | "Y" | "yes" => Ok(()),
        _ => Err(Error::of(Kind::Refused, "nothing is applied")),
    }
}

/// Grants what is typed while the apply waits. It ends with the program.
fn listen(node: &Node, id: &str) {
    let (store, id) = (node.store.clone(), id.to_owned());
    std::thread::spawn(move || {
        for line in std::io::stdin().lines().map_while(std::io::Result::ok) {
            let wish = match line.trim() {
                "yes" => Wish::Confirm,
                "no" => Wish::RollBack,
                "" => continue,
                _ => {
                    note!("pvenet: that is neither yes nor no, and nothing follows from it");
                    continue;
                }
            };
            if let Err(error) = wish.make(&store, &id) {
                note!("pvenet: {error}");
            }
        }
    });
}

/// What is said while it works, on standard error: a line each, the countdown in one on a terminal.
#[derive(Default)]
struct Line {
    open: bool,
    said: Option<u64>,
}

impl Line {
    fn tell(&mut self, progress: &Progress<'_>, ask: bool) {
        match progress {
            Progress::Turn => return,
            Progress::Waiting(left) => return self.waiting(*left, ask),
            _ => self.end(),
        }
        match progress {
            // Whoever presses it has to know beforehand: the program is gone by then, and can't say.
            Progress::Armed(_) => {
                note!(
                    "pvenet: {progress}; if pvenet ends before it is through (Ctrl-C, a lost session), all goes back"
                );
            }
            _ => note!("pvenet: {progress}"),
        }
    }

    fn waiting(&mut self, left: u64, ask: bool) {
        let way = match ask {
            true => "yes keeps it, no or Ctrl-C takes it back", // a line of 80 columns holds it, and the answer
            false => "pvenet confirm keeps it, pvenet rollback takes it back",
        };
        if std::io::stderr().is_terminal() {
            // A terminal that went away takes the apply back by itself.
            say(format_args!("\rpvenet: {left} s left: {way} "));
            self.open = true;
        } else if self.said.is_none_or(|said| said >= left + 10) || left == 0 {
            note!("pvenet: {left} s left: {way}");
            self.said = Some(left);
        }
    }

    fn end(&mut self) {
        if std::mem::take(&mut self.open) {
            say("\n");
        }
    }
}

fn show(node: &Node, plan: &Plan, asked: &Asked, form: Form) -> Result<()> {
    let system = node.store.root.is_system();
    let kernel = if system { Kernel::read()? } else { Kernel::default() };
    let targets = if system { apply::candidates(node, asked, plan, &kernel) } else { Vec::new() };
    let lines = plan.lines(&kernel, &targets, asked.confirm);
    let patch = diff::patch(&plan.before, &plan.after)?;
    if form == Form::Json {
        let warnings: Vec<_> = plan.findings.iter().map(|f| json!({"code": f.code, "what": f.what})).collect();
        return out(json!({
            "schema_version": 1, "node": node.store.node, "source": plan.source, "steps": lines, "diff": patch,
            "warnings": warnings,
        }));
    }
    lines.into_iter().try_for_each(out)?;
    diff::paint(&patch)
}

fn report(node: &Node, record: &Record, took: Option<(u64, u64)>, form: Form) -> Result<()> {
    if form == Form::Json {
        return out(json!({
            "schema_version": 1, "node": node.store.node, "operation": record.id, "state": record.state,
            "why": record.why, "snapshot": record.snapshot, "changed": record.paths.keys().collect::<Vec<_>>(),
            "notes": record.notes, "duration_ms": took.map(|t| t.0), "reload_ms": took.map(|t| t.1),
        }));
    }
    for (path, written) in &record.paths {
        let what = if written.after == "absent" { "deleted" } else { "changed" };
        out(format_args!("{what} {path}"))?;
    }
    let after = took.map_or_else(String::new, |(ms, _)| format!(" after {}.{:03} s", ms / 1000, ms % 1000));
    note!("pvenet: applied{after}; to undo: pvenet rollback --to {}", record.snapshot);
    Ok(())
}

pub(super) fn confirm(node: &Node, form: Form) -> Result<()> {
    let record = apply::tell(node, Wish::Confirm)?;
    match record.state {
        State::Confirmed => report(node, &record, None, form),
        _ => {
            let why = record.why.unwrap_or_default();
            Err(Error::new(format!("too late: apply {} has been taken back: {why}", record.id)))
        }
    }
}

pub(super) fn rollback(node: &Node, arguments: &Back) -> Result<()> {
    if arguments.list {
        return list(node, arguments.how.output.output);
    }
    if let Some(asked) = &arguments.to {
        return go(node, Source::Snapshot(pick::snapshot(&node.store, asked)?), &arguments.how);
    }
    let last = match apply::standing(&node.store)? {
        Standing::UnderWay(_) => {
            let record = apply::tell(node, Wish::RollBack)?;
            return match record.state {
                State::RolledBack => back_again(node, &record, arguments.how.output.output),
                _ => Err(Error::new(format!("too late: apply {} has been confirmed", record.id))
                    .way_out(format!("pvenet rollback --to {}", record.snapshot))),
            };
        }
        Standing::Open(_) => {
            return match apply::recover(node)? {
                Some(record) => back_again(node, &record, arguments.how.output.output),
                None => Ok(()),
            };
        }
        Standing::Over(record) if record.state == State::Confirmed => record.snapshot,
        Standing::Over(_) | Standing::None => {
            return Err(Error::new("there is no apply of pvenet to take back")
                .way_out("pvenet rollback --list shows the snapshots that --to takes"));
        }
    };
    go(node, Source::Snapshot(last), &arguments.how)
}

fn back_again(node: &Node, record: &Record, form: Form) -> Result<()> {
    if form == Form::Json {
        return report(node, record, None, form);
    }
    for line in &record.notes {
        out(line)?;
    }
    note!("pvenet: apply {} has been taken back", record.id);
    Ok(())
}

fn list(node: &Node, form: Form) -> Result<()> {
    let all = snapshot::list(&node.store)?;
    let rows = all.iter().rev().map(|found| match &found.manifest {
        Ok(manifest) => (found.id.clone(), manifest.time().to_string(), manifest.reason.clone()),
        Err(error) => (found.id.clone(), "-".to_owned(), error.to_string()),
    });
    if form == Form::Json {
        let rows: Vec<_> =
            rows.map(|(id, created, reason)| json!({"id": id, "created": created, "reason": reason})).collect();
        return out(json!({"schema_version": 1, "node": node.store.node, "snapshots": rows}));
    }
    rows.map(|(id, created, reason)| format!("{id}  {created}  {reason}")).try_for_each(out)
}

pub(super) fn recover(node: &Node) -> Result<()> {
    if let Some(record) = apply::recover(node)?
        && record.state == State::RolledBack
        && record.ended.is_some_and(|ended| {
            node.store.clock.now().seconds() - ended < Duration::from_secs(60).as_secs().cast_signed()
        })
    {
        let (when, why) = (Timestamp::from_seconds(record.started), record.why.unwrap_or_default());
        note!("pvenet: the apply of {when} has been taken back: {why}");
    }
    Ok(())
}
