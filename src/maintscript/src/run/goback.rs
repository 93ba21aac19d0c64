//! Going back: after a failure, at removal, and forward again when a removal is aborted.

use history::restore::{self, command_line, keep_copies};
use history::{Policy as Restore, Trigger, Why, snapshot};
use host::{Result, files};

use super::Runner;
use crate::call::Script;
use crate::removal::Removal;

impl Runner<'_> {
    /// The admin's choice: dpkg's environment, then `/etc/default/<package>`, then `hooks.toml`.
    pub(super) fn restore_choice(&self) -> Restore {
        let file = std::path::Path::new("/etc/default").join(&self.cx.policy.package);
        // A link there is followed, as a shell would that reads the file.
        let real = self.cx.root.resolve(file.join("x"));
        let read = real.and_then(|real| files::read_plain(real.parent().unwrap_or(&real), 1 << 16));
        let text = read.unwrap_or_else(|error| {
            self.say(error);
            None
        });
        let text = String::from_utf8_lossy(&text.unwrap_or_default()).into_owned();
        let in_file = text.lines().filter_map(|l| l.trim().strip_prefix("RESTORE=")).next_back();
        let in_file = in_file.map(|v| v.split('#').next().unwrap_or(v).trim().trim_matches(['"', '\'']).to_owned());
        let in_environment = std::env::var("RESTORE").ok().filter(|v| !v.is_empty());
        let Some(choice) = in_environment.or(in_file) else { return self.cx.policy.restore };
        choice.parse().unwrap_or_else(|error| {
            self.say(format_args!("{error}; {} holds", self.cx.policy.restore));
            self.cx.policy.restore
        })
    }

    /// Takes back what a failure wrote; says it line by line, and whether all of it went back.
    pub(super) fn restore_after_failure(&self, trigger: &Trigger, choice: Restore) -> Result<bool> {
        let store = &self.cx.store;
        let present = snapshot::present(store, true)?;
        let decision = restore::decide(store, trigger, choice, present, None)?;
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
            match (command_line(&self.cx.store, kept, attic), attic) {
                (Some(command), _) => self.say(format_args!("to take the backup's {} instead: {command}", kept.path)),
                (None, Some(attic)) if kept.instead.exists() && kept.instead.is_leaf() => {
                    self.say(format_args!("the backup's {} is in {}", kept.path, restore::place(attic, kept).display()));
                }
                _ => {}
            }
        }
    }

    /// Records the choice and takes the snapshot by which the removal can be undone.
    pub(super) fn begin_removal(&self) -> Result<()> {
        let store = &self.cx.store;
        store.prepare()?;
        let mut removal = match Removal::known(store) {
            // A run that was killed began it, and may not have come to the snapshot.
            Some(begun) if begun.snapshot.is_some() || begun.gone_back => return Ok(()),
            Some(begun) => begun,
            None => Removal::begin(self.restore_choice()),
        };
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
        if self.cx.invocation.script == Script::Postrm && Removal::known(store).is_none() {
            self.begin_removal()?;
        }
        // Where not even that could be written, what stays is still named.
        let mut removal = Removal::known(store).unwrap_or_else(|| Removal::begin(self.restore_choice()));
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

    /// A removal that was over before stays over.
    pub(super) fn settle(&self) -> Result<()> {
        let store = &self.cx.store;
        if !store.path("").is_dir() || Removal::known(store).is_some() {
            return Ok(());
        }
        Removal { gone_back: true, ..Removal::begin(self.restore_choice()) }.write(store)
    }

    /// The package stays after all: files, phases and units as before.
    pub(super) fn undo_removal(&self) -> Result<()> {
        self.need_lock()?;
        let Some(removal) = Removal::known(&self.cx.store) else { return Ok(()) };
        let operations = removal.operations.iter().cloned().collect();
        // Only what the removal wrote; its snapshot is not what to compare the rest with. That is
        // no restore whose extent the admin chooses: it ends one.
        self.restore_after_failure(&Trigger::Failure { operations, snapshot: None }, Restore::Accepted)?;
        self.phases_again(&removal)?;
        self.start_again(&removal.stopped)
    }
}
