//! `migration-ctl abort`: out, in one command. Back to Perl, whatever the state of things.
//!
//! ```text
//! phase perl-only ─► stop ─► restore what is on trial ─► reapply by Perl ─► diagnostics
//!        └────────── abort.json before and after each: a killed run is resumed ─────┘
//! ```
//!
//! A step that fails does not keep the later ones from being taken, unless they would build on it.

mod state;
mod steps;

use std::time::Duration;

use clap::Args;
use history::Store;
use host::{Error, Kind, Lock, Result};

use crate::Node;
use crate::checks::COLUMNS;
use ::cli::screen::{Colours, wrap};
use ::cli::{note, out};
use state::{Abort, Outcome, Step, Taken, may_run};

/// `migration-ctl abort …`.
#[derive(Debug, Args)]
pub(crate) struct Asked {
    /// Take up an abort that was interrupted or failed in part, where it stands.
    #[arg(long)]
    resume: bool,
    /// Show what would be done and change nothing.
    #[arg(long)]
    dry_run: bool,
}

/// When an abort was begun that is not over yet. One that can't be read counts as such.
pub(crate) fn unfinished(store: &Store) -> Option<String> {
    match Abort::read(store) {
        Ok(Some(abort)) if !abort.remaining().is_empty() => Some(abort.time().to_string()),
        Ok(_) => None,
        Err(error) => Some(format!("an unknown time ({error})")),
    }
}

/// Takes all steps, or those that are left.
pub(crate) fn run(node: &Node, asked: &Asked) -> Result<()> {
    let store = &node.store;
    if asked.dry_run {
        let steps = if asked.resume { interrupted(store)?.remaining() } else { Step::ALL.into() };
        return steps.into_iter().try_for_each(|step| show_plan(node, step));
    }
    store.prepare()?;
    let _lock = Lock::take(&store.path("abort.lock"), Duration::from_secs(1))?;
    let now = node.switch.effective().phase;
    let mut recorded = true;
    let mut abort = if asked.resume {
        interrupted(store)?
    } else {
        // Not only overwritten: where the disk is full, `--resume` would take the one before for this one, and say that it
        // is complete.
        unless_noted(Abort::forget(store), &mut recorded);
        Abort::begin(store.clock.now().seconds(), now.to_string())
    };
    if abort.outcome(Step::Phase) == Some(Outcome::Done) && now > ::phase::Phase::PerlOnly {
        let what =
            format!("the abort of {} is over as far as the phase goes: this node is at {now} again", abort.time());
        return Err(Error::of(Kind::Refused, what).way_out("'migration-ctl abort' begins a new one"));
    }
    let steps = abort.remaining();
    if steps.is_empty() {
        note!("the abort of {} is complete", abort.time());
        return Ok(());
    }
    unless_noted(abort.write(store), &mut recorded);
    let mut taken = Vec::new();
    let mut shown = Ok(());
    for step in steps {
        let result = if may_run(&abort, step) { steps::take(node, step) } else { skipped(step) };
        abort.record(result.clone());
        unless_noted(abort.write(store), &mut recorded);
        // Nor must an output that takes no line.
        shown = shown.and(show(&result));
        taken.push(result);
    }
    match taken.iter().filter(|t| t.outcome != Outcome::Done).count() {
        0 => shown,
        _ if abort.remaining().is_empty() => {
            let left: Vec<&str> =
                taken.iter().filter(|t| t.outcome == Outcome::Left).filter_map(|t| t.next.as_deref()).collect();
            Err(Error::new("all is done but what is left to you").way_out(format!("run: {}", left.join("; "))))
        }
        count => {
            let again = if recorded { "migration-ctl abort --resume" } else { "migration-ctl abort" };
            Err(Error::new(format!("{count} of {} steps are not done", taken.len()))
                .way_out(format!("run the commands after '>' above, or mend what they name, then: {again}")))
        }
    }
}

/// A full disk must not keep anyone from going back; what can't be recorded is only repeated. Said once, not at each step.
fn unless_noted(wrote: Result<()>, recorded: &mut bool) {
    if let (Err(error), true) = (&wrote, *recorded) {
        note!("migration-ctl: {error}; the abort goes on, but its steps can't be recorded");
    }
    *recorded = wrote.is_ok();
}

fn interrupted(store: &Store) -> Result<Abort> {
    Abort::read(store)?.ok_or_else(|| {
        Error::of(Kind::Refused, "there is no abort to resume").way_out("'migration-ctl abort' begins one")
    })
}

fn skipped(step: Step) -> Taken {
    Taken {
        step,
        outcome: Outcome::Skipped,
        line: "not tried: what stands in the files is not what it should be".into(),
        next: Some("migration-ctl snapshot list".into()),
    }
}

fn show_plan(node: &Node, step: Step) -> Result<()> {
    let lines = steps::foresee(node, step);
    let lines = lines.iter().flat_map(|line| wrap(line, COLUMNS - 13, 0));
    for (number, line) in lines.enumerate() {
        let name = if number == 0 { step.name() } else { "" };
        out(format_args!("{name:<12} {line}"))?;
    }
    Ok(())
}

fn show(taken: &Taken) -> Result<()> {
    let colours = Colours::of_stdout();
    let mark = match taken.outcome {
        Outcome::Done => colours.green("✓"),
        Outcome::Failed | Outcome::Skipped => colours.alarm("✗"),
        Outcome::Left => colours.yellow("!"),
    };
    for (number, line) in wrap(&taken.line, COLUMNS - 15, 0).iter().enumerate() {
        if number == 0 {
            out(format_args!("{mark} {:<12} {line}", taken.step.name()))?;
        } else {
            out(format_args!("{:15}{line}", ""))?;
        }
    }
    match &taken.next {
        // Not in the form of what is to be run: whoever runs all commands of this list must not undo it.
        Some(undo) if taken.outcome == Outcome::Done => out(format_args!("  to undo that: {undo}")),
        Some(next) => out(format_args!("  > {next}")),
        None => Ok(()),
    }
}
