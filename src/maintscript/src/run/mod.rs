//! Taking the steps. Each step can be taken twice: a run that was killed is repeated by dpkg's
//! next call.

mod control;
mod goback;
mod phase;
mod purge;
mod units;

use std::collections::BTreeSet;
use std::os::unix::process::CommandExt;
use std::time::Duration;

use history::{Stage, Transaction, Trigger, Why, snapshot};
use host::{Error, Lock, Result};

use crate::call::Call;
use crate::context::Context;
use crate::decide::{OnError, Plan, Situation, Step, decide};
use crate::removal::Removal;

/// How long dpkg is kept waiting for a writer of ours that is at work.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs the script that dpkg started; the exit code is dpkg's answer.
pub fn main() -> std::process::ExitCode {
    without_backtraces();
    let done = Context::from_dpkg().and_then(|context| {
        let name = format!("{} ({})", context.policy.package, context.invocation.script.name());
        Runner::new(&context).run().map_err(|e| e.context(name))
    });
    match done {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            tell(&error);
            std::process::ExitCode::from(1)
        }
    }
}

/// What it is linked with has no unwind tables, so that a library which takes a backtrace, because the admin's environment
/// asks for them, would end it.
fn without_backtraces() {
    const ASKED: [&str; 2] = ["RUST_BACKTRACE", "RUST_LIB_BACKTRACE"];
    let mut arguments = std::env::args_os();
    if let (true, Some(own)) = (ASKED.iter().any(|name| std::env::var_os(name).is_some()), arguments.next()) {
        let mut again = std::process::Command::new(own);
        for name in ASKED {
            again.env_remove(name);
        }
        // It comes back only if that failed, and then it is tried as it is.
        let _ = again.args(arguments).exec();
    }
}

/// One line on standard error, in one piece. That nobody can hear it any more, since the terminal is
/// gone or the log's disk is full, must not stop a removal half-way, as a panic would.
fn tell(line: impl std::fmt::Display) {
    use std::io::Write;
    let _ = std::io::stderr().write_all(format!("{line}\n").as_bytes());
}

/// The steps of one call.
pub(crate) struct Runner<'a> {
    cx: &'a Context,
    lock: Option<Lock>,
    /// Whether nothing stood in the way of taking back what a failure wrote.
    all_back: bool,
}

impl<'a> Runner<'a> {
    fn new(cx: &'a Context) -> Self {
        Self { cx, lock: None, all_back: true }
    }

    /// One line for the person at dpkg's terminal.
    pub(crate) fn say(&self, line: impl std::fmt::Display) {
        tell(format_args!("{}: {line}", self.cx.policy.package));
    }

    fn run(mut self) -> Result<()> {
        let call = Call::parse(self.cx.invocation.script, &self.cx.invocation.arguments);
        let plan = decide(&call, self.situation());
        if plan.steps.is_empty() {
            return Ok(());
        }
        match self.take_lock(&call).and_then(|()| self.steps(&plan)) {
            Ok(()) => Ok(()),
            Err(error) if plan.on_failure.is_empty() => Err(error),
            Err(error) => Err(self.after_failure(&plan, error)),
        }
    }

    fn steps(&mut self, plan: &Plan) -> Result<()> {
        for (step, on_error) in &plan.steps {
            match (self.step(step), on_error) {
                (Ok(()), _) => {}
                (Err(error), OnError::Fail) => return Err(error),
                (Err(error), OnError::Say) => self.say(format_args!("could not {step}: {error}")),
            }
        }
        Ok(())
    }

    /// dpkg calls nobody after a failed configure, so everything goes back here.
    fn after_failure(&mut self, plan: &Plan, error: Error) -> Error {
        self.all_back = true;
        for step in &plan.on_failure {
            if let Err(second) = self.step(step) {
                self.all_back = false;
                self.say(format_args!("could not {step}: {second}"));
            }
        }
        let back = if self.all_back {
            "what was written meanwhile has gone back"
        } else {
            "the lines above say what did not go back"
        };
        let safe = self.cx.switch.as_ref().map_or_else(String::new, |(_, safe)| format!(", this node is at {safe}"));
        error.way_out(format_args!("{back}{safe}; mend the cause, then: dpkg --configure -a"))
    }

    /// A removal goes on without the lock; what needs it is then left to `postrm` and said.
    fn take_lock(&mut self, call: &Call) -> Result<()> {
        let wants = match call {
            Call::Removed | Call::Purge | Call::Abort | Call::AbortReinstall | Call::AbortRemove => {
                self.cx.store.path("").is_dir()
            }
            Call::Replace { .. } | Call::Unknown => false,
            _ => true,
        };
        if !wants {
            return Ok(());
        }
        if *call == Call::Remove {
            // Before waiting: whoever holds the lock now is the last one.
            if let Err(error) = self.cx.store.prepare().and_then(|()| self.cx.store.fence(true)) {
                self.say(format_args!("could not {}: {error}", Step::Fence));
            }
        }
        match self.cx.store.make_lock(PATIENCE) {
            Ok(lock) => self.lock = Some(lock),
            Err(error) if matches!(call, Call::Install { .. } | Call::Upgrade { .. } | Call::Configure { .. }) => {
                return Err(error);
            }
            Err(error) => self.say(error),
        }
        Ok(())
    }

    fn situation(&self) -> Situation {
        let removal = Removal::read(&self.cx.store);
        if let Err(error) = &removal {
            self.say(error);
        }
        let transaction = Transaction::read(&self.cx.store).unwrap_or_else(|error| {
            self.say(error);
            None
        });
        Situation {
            transaction: transaction.map(|t| t.stage),
            successor: self.cx.tmp_ci().is_dir(),
            reconfigure: self.cx.is_installed(),
            removal_pending: match &removal {
                Ok(Some(removal)) => !removal.gone_back,
                // Where prerm could not even record that it began, postrm makes up for it.
                Ok(None) => self.cx.store.path("").is_dir(),
                // What it did nobody can tell, and twice would go over somebody's later work.
                Err(_) => false,
            },
            removal_begun: !matches!(removal, Ok(None)),
            phase_pending: matches!(&removal, Ok(Some(r)) if r.phase_pending),
            unfinished: self.cx.store.journal().read().ok().flatten().is_some_and(|j| !j.unfinished().is_empty()),
        }
    }

    fn step(&mut self, step: &Step) -> Result<()> {
        match step {
            Step::Finish => self.finish(),
            Step::CheckControl => self.check_own_control(),
            Step::TakeBack => self.take_back(),
            Step::Open { old, reuse } => self.open(old, *reuse),
            Step::CheckFiles => self.check_files(),
            Step::Defaults => self.defaults(),
            Step::Unfence => self.unfence(),
            Step::Units => {
                // A daemon that writes as it starts must not wait for us, who wait for it.
                self.lock = None;
                let done = self.reload_and_restart();
                self.lock = Some(self.cx.store.make_lock(PATIENCE)?);
                done
            }
            Step::Remember => self.remember(),
            Step::Close => Transaction::close(&self.cx.store),
            Step::Prune => self.prune(),
            Step::Successor { new } => self.judge_successor(new),
            Step::BeginRemoval => self.begin_removal(),
            Step::Fence => self.cx.store.fence(true),
            Step::SafePhase => self.safe_phase(),
            Step::Stop => self.stop_units(),
            Step::GoBack => self.go_back(),
            Step::Reload => self.reload(),
            Step::Settle => self.settle(),
            Step::UndoRemoval => self.undo_removal(),
            Step::Purge => self.purge(),
            Step::Unknown => {
                self.say(format_args!("{} is not a call this version knows; it does nothing", self.cx.invocation));
                Ok(())
            }
        }
    }

    /// Restoring without the lock could tear a set that somebody else is writing.
    fn need_lock(&self) -> Result<()> {
        if self.lock.is_some() {
            return Ok(());
        }
        let lock = self.cx.store.state.join("lock");
        Err(Error::new("another process is writing network configuration")
            .way_out(format_args!("`fuser -v {}` shows it", lock.display())))
    }

    fn finish(&self) -> Result<()> {
        if !self.cx.store.path("").is_dir() {
            return Ok(());
        }
        self.need_lock()?;
        snapshot::sweep(&self.cx.store)?;
        if let Some(report) = history::restore::resume(&self.cx.store)? {
            self.say(format_args!("finished a restore that was interrupted: {} paths", report.done.len()));
        }
        Ok(())
    }

    fn phase_now(&self) -> Option<String> {
        self.cx.switch.as_ref().map(|(switch, _)| switch.effective().phase.to_string())
    }

    fn open(&self, old: &str, reuse: bool) -> Result<()> {
        let store = &self.cx.store;
        let present = snapshot::present(store, false)?;
        let existing = snapshot::list(store)?;
        let same = existing.iter().rev().find(|s| s.manifest.as_ref().is_ok_and(|m| !m.undo)).filter(|s| {
            reuse && s.manifest.as_ref().is_ok_and(|m| m.same_content(&present.entries)) && snapshot::verify(s).is_ok()
        });
        let id = match same {
            Some(snapshot) => snapshot.id.clone(),
            None => {
                // Nothing was installed: what is here already was left by a purge that a full or failing disk cut
                // short, or by an install that never came to its end, and then the first one is among them.
                let first = if old.is_empty() && !reuse {
                    !existing.iter().any(|s| s.manifest.as_ref().is_ok_and(|m| m.first))
                } else {
                    existing.is_empty() && !store.journal().path().exists()
                };
                let reason = self.cx.invocation.to_string();
                let why = Why { reason, first, version: old.to_owned(), phase: self.phase_now(), ..Why::default() };
                let taken = snapshot::capture(store, &present, &why)?;
                let found = present.entries.iter().filter(|e| e.what.exists()).count();
                let folder = store.state.join("backups").join(&taken.id);
                self.say(format_args!("captured {found} paths in {}", folder.display()));
                taken.id
            }
        };
        store.journal().ensure()?;
        // Whatever an earlier removal left to do is not this package's any more: it is back.
        Removal::close(store)?;
        Transaction {
            format: history::state::FORMAT,
            id: history::new_id(store),
            opened: store.clock.now().seconds(),
            from: old.to_owned(),
            to: self.cx.version.clone(),
            snapshot: id,
            stage: Stage::Open,
        }
        .write(store)
    }

    /// What the open transaction and operations that were killed wrote goes back; never twice.
    fn take_back(&mut self) -> Result<()> {
        self.need_lock()?;
        let store = &self.cx.store;
        // One that can't be understood was said already; operations that were killed go back all the same.
        let transaction = Transaction::read(store).ok().flatten();
        let journal = store.journal().read()?.unwrap_or_default();
        let mut operations: BTreeSet<String> = journal.unfinished().into_iter().collect();
        if let Some(transaction) = transaction.as_ref().filter(|t| t.is_open()) {
            operations.extend(journal.of_transaction(&transaction.id));
        }
        let trigger = Trigger::Failure {
            operations: operations.clone(),
            snapshot: transaction.as_ref().filter(|t| t.is_open()).map(|t| t.snapshot.clone()),
        };
        self.all_back &= self.restore_after_failure(&trigger, self.restore_choice())?;
        // What was killed is not tried again; of what came to its end, only what is gone went back.
        let writes = journal.writes();
        let stands = |id: &String| {
            let mut paths = writes.iter().filter(|(writer, _)| writer == id).flat_map(|(_, paths)| paths);
            paths.any(|(path, written)| {
                let now = store.root.resolve(path).and_then(|real| history::digest_at(&real));
                now.is_ok_and(|now| now == written.after)
            })
        };
        let killed = journal.unfinished();
        for id in operations.into_iter().filter(|id| killed.contains(id) || !stands(id)) {
            store.journal().append(&history::journal::Event::End {
                id,
                time: store.clock.now().seconds(),
                duration_ms: 0,
                outcome: history::journal::Outcome::RolledBack,
            })?;
        }
        match transaction {
            Some(transaction) if transaction.is_open() => {
                Transaction { stage: Stage::Restored, ..transaction }.write(store)
            }
            _ => Ok(()),
        }
    }

    fn unfence(&self) -> Result<()> {
        Removal::close(&self.cx.store)?;
        self.cx.store.fence(false)
    }

    fn prune(&self) -> Result<()> {
        snapshot::prune(&self.cx.store, &[]).map(drop)
    }
}
