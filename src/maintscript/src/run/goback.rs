//! Going back: after a failure, at removal, and forward again when a removal is aborted.

use history::restore::{self, command_line, keep_copies};
use history::{Policy as Restore, Trigger, Why, snapshot};
use host::Result;

use super::Runner;
use crate::call::Script;
use crate::removal::{self, Removal};

impl Runner<'_> {
    /// How far a removal goes back; a choice that makes no sense is said.
    pub(super) fn restore_choice(&self) -> Restore {
        let (choice, complaint) = removal::restore_choice(&self.cx.root, &self.cx.policy);
        if let Some(complaint) = complaint {
            self.say(complaint);
        }
        choice
    }

    /// Takes back what a failure wrote; says it line by line, and whether all of it went back.
    pub(super) fn restore_after_failure(&self, trigger: &Trigger) -> Result<bool> {
        let store = &self.cx.store;
        let present = snapshot::present(store, true)?;
        let decision = restore::decide(store, trigger, self.restore_choice(), present, None)?;
        if !decision.plan.actions.is_empty() {
            let reason = format!("{}: before going back", self.cx.invocation);
            let why = Why { reason, undo: true, lenient: true, phase: self.phase_now(), ..Why::default() };
            snapshot::capture(store, &decision.present, &why)?;
        }
        for line in decision.plan.lines() {
            self.say(line);
        }
        let attic = if decision.plan.kept.is_empty() { None } else { keep_copies(store, &decision.plan)? };
        self.offer(&decision.plan, attic.as_deref());
        let report = restore::carry_out(store, &decision.plan, &self.phase_now().unwrap_or_default())?;
        Ok(report.foreign.is_empty() && decision.plan.kept.is_empty() && decision.plan.refused.is_none())
    }

    /// For each path that was kept, the command that takes the backup's version.
    fn offer(&self, plan: &history::Plan, attic: Option<&std::path::Path>) {
        for kept in &plan.kept {
            if let Some(command) = command_line(kept, attic) {
                self.say(format_args!("to take the backup's {} instead: {command}", kept.path));
            }
        }
    }

    /// Records the choice and takes the snapshot by which the removal can be undone.
    pub(super) fn begin_removal(&self) -> Result<()> {
        let store = &self.cx.store;
        store.prepare()?;
        if Removal::read(store).is_some() {
            return Ok(()); // a run that was killed began it
        }
        let mut removal = Removal::begin(self.restore_choice());
        removal.write(store)?;
        let present = snapshot::present(store, true)?;
        let reason = self.cx.invocation.to_string();
        let why = Why {
            reason,
            undo: true,
            version: self.cx.version.clone(),
            phase: self.phase_now(),
            lenient: true,
            first: false,
        };
        removal.snapshot = Some(snapshot::capture(store, &present, &why)?.id);
        removal.write(store)
    }

    /// What is on trial goes back; everything else is kept and named.
    pub(super) fn go_back(&self) -> Result<()> {
        let store = &self.cx.store;
        if self.cx.invocation.script == Script::Postrm && Removal::read(store).is_none() {
            self.begin_removal()?;
        }
        // Where not even that could be written, what stays is still named.
        let mut removal = Removal::read(store).unwrap_or_else(|| Removal::begin(self.restore_choice()));
        let present = snapshot::present(store, true)?;
        let decision =
            restore::decide(store, &Trigger::Removal, removal.restore, present, removal.snapshot.as_deref())?;
        let plan = decision.plan;
        for line in plan.lines() {
            self.say(line);
        }
        self.need_lock()?;
        let attic = keep_copies(store, &plan)?;
        if let (Some(attic), false) = (&attic, plan.actions.is_empty()) {
            self.say(format_args!("what was replaced is kept in {}", attic.join("replaced").display()));
        }
        self.offer(&plan, attic.as_deref());
        let report = restore::carry_out(store, &plan, &self.phase_now().unwrap_or_default())?;
        for path in &report.foreign {
            self.say(format_args!("keep {path}: it was changed by someone else in this very moment"));
        }
        if report.done.iter().any(|p| p.as_path().starts_with("/etc/network")) {
            self.say("the running network is unchanged; to make it follow the files: ifreload -a");
        }
        removal.operations.extend(report.operation);
        removal.gone_back = true;
        removal.write(store)
    }

    /// The package stays after all: files, phases and units as before.
    pub(super) fn undo_removal(&self) -> Result<()> {
        self.need_lock()?;
        let Some(removal) = Removal::read(&self.cx.store) else { return Ok(()) };
        let operations = removal.operations.iter().cloned().collect();
        // Only what the removal wrote; its snapshot is not what to compare the rest with.
        self.restore_after_failure(&Trigger::Failure { operations, snapshot: None })?;
        self.phases_again(&removal)?;
        self.start_again(&removal.stopped)
    }
}
