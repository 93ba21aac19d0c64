//! What an operator does afterwards: heals, removes, purges, and looks what is left.

use host::Result;

use super::{RESUME, Run};
use crate::case::Case;
use crate::cluster;
use crate::flow::{Flow, Goal, dpkg};
use crate::invariants::{Digests, When};
use crate::machine::Output;
use crate::state;

impl Run<'_> {
    /// Whatever the fault left: first to the end that the flow was to have, then out of it again.
    pub(super) fn heal(&mut self, case: &Case) -> Result<()> {
        let flow = case.scenario.flow;
        let package = self.setting.subject.policy.package.clone();
        let goal = flow.goal();
        if goal == Goal::Installed {
            if let Some(stranger) = flow.stranger() {
                self.dpkg(&["-P", stranger])?;
            }
            // Where nothing waits to be configured, dpkg would only read its database.
            if self.status() != "ii" || self.interrupted() {
                self.dpkg(&["--configure", "-a"])?;
            }
            if self.status() != "ii" || flow == Flow::Write {
                self.dpkg_has_to(When::Healed, &["-i", flow.deb()])?;
            }
        } else if self.status() != goal.status() {
            self.dpkg(&["--configure", "-a"])?;
            let command = flow.command(&package);
            let words: Vec<&str> = command.iter().skip(2).map(String::as_str).collect();
            self.dpkg_has_to(When::Healed, &words)?;
        }
        if goal == Goal::Installed {
            self.resume()?;
        }
        if goal == Goal::Gone && flow != Flow::Disappear && !self.kept_and_said()? {
            self.only_the_admins();
        }
        self.check(When::Healed, Some(goal.status()))?;
        let audit = self.dpkg(&["--audit"])?;
        if !audit.text.trim().is_empty() {
            self.complain(When::Healed, vec![format!("dpkg --audit: {}", audit.text.trim().replace('\n', " "))]);
        }
        if goal == Goal::Installed {
            self.dpkg_has_to(When::Removed, &["-r", &package])?;
            self.only_the_admins();
            self.check(When::Removed, Some("rc"))?;
        } else {
            if let Some(stranger) = flow.stranger() {
                self.dpkg(&["-P", stranger])?;
            }
            self.dpkg_has_to(When::Installed, &["-i", flow.deb()])?;
            self.check(When::Installed, Some("ii"))?;
        }
        self.dpkg_has_to(When::Purged, &["-P", &package])?;
        if !self.stays {
            self.only_the_admins();
        }
        self.check(When::Purged, Some("un"))?;
        let since = self.prepared.layers.len() - self.prepared.before.len();
        let left = state::left_behind(
            &self.machine,
            &self.prepared.before,
            &self.prepared.layers[..since],
            &self.setting.subject.policy,
            &self.own,
        );
        self.complain(When::Purged, left);
        Ok(())
    }

    /// The operator runs the command that finishes what waits for the cluster, once it is well again.
    fn resume(&mut self) -> Result<()> {
        let waiting = self.setting.subject.policy.state.join("restore-cluster");
        if !self.machine.inside(move || waiting.exists()) {
            return Ok(());
        }
        let argv = ["sh", "-c", RESUME].map(str::to_owned).to_vec();
        let output = self.machine.run(&argv)?;
        self.heard(&argv, &output);
        if output.code != Some(0) {
            self.complain(When::Healed, vec![format!("{RESUME} failed: {}", output.text.trim())]);
        }
        Ok(())
    }

    fn dpkg(&mut self, words: &[&str]) -> Result<Output> {
        let argv = dpkg(words);
        let output = self.machine.run(&argv)?;
        let package = &self.setting.subject.policy.package;
        let ran = |line: &str| ["Setting up", "Removing", "Purging"].iter().any(|w| line.starts_with(w));
        self.expected.tidy |= output.text.lines().any(|l| ran(l) && l.contains(package.as_str()));
        self.heard(&argv, &output);
        Ok(output)
    }

    /// The same, where nothing stands in its way.
    fn dpkg_has_to(&mut self, when: When, words: &[&str]) -> Result<()> {
        let output = self.dpkg(words)?;
        if output.code != Some(0) {
            let last = output
                .text
                .lines()
                .filter(|l| !l.starts_with(' '))
                .rfind(|l| l.contains(&self.setting.subject.policy.package));
            // Where nothing was said of the package, what was said last, and how it ended.
            let code = output.code.map_or_else(|| "a signal".to_owned(), |c| c.to_string());
            let end = || format!("{} [{code}]", output.text.lines().last().unwrap_or_default());
            let why = last.map_or_else(end, str::to_owned);
            self.complain(when, vec![format!("dpkg {} is blocked: {why}", words.join(" "))]);
        }
        Ok(())
    }

    fn status(&self) -> String {
        let package = self.setting.subject.policy.package.clone();
        self.machine.inside(move || state::status(&package))
    }

    /// Whether dpkg was cut off in the middle of its own bookkeeping.
    fn interrupted(&self) -> bool {
        self.machine.inside(|| std::fs::read_dir("/var/lib/dpkg/updates").is_ok_and(|mut d| d.next().is_some()))
    }

    /// Where the disk took no byte until the last script was gone, what is on trial stays, each file
    /// that does having been named; a restore that was cut short waits for the next install.
    fn kept_and_said(&mut self) -> Result<bool> {
        let (Some(kept), Some(before), true) = (self.prepared.sets.get("b"), self.prepared.sets.get("a"), self.lasting)
        else {
            return Ok(false);
        };
        let now = state::read(&self.machine, &self.setting.subject.policy, &self.own)?.captured;
        self.stays = now != *before && stays_named(&now, kept, before, &self.said);
        if self.stays {
            // Purge has forgotten what was to go back, and nothing moves it any more.
            self.expected.sets.push(("what stayed", now));
        }
        Ok(self.stays)
    }

    /// Everything captured is what the admin had, or what else may stay. A removal leaves the cluster's
    /// files alone.
    fn only_the_admins(&mut self) {
        self.expected.saved.iter_mut().for_each(|saved| saved.until_removed = None);
        if self.setting.trials {
            self.expected.sets.retain(|(name, _)| *name == "a");
            if self.expected.sets.is_empty() {
                self.expected.sets.extend(self.prepared.sets.get("a").map(|s| ("a", s.clone())));
            }
            if let (Some(a), Some(c), true) =
                (self.prepared.sets.get("a"), self.prepared.sets.get("c"), self.cluster.is_some())
            {
                let mut kept = a.clone();
                kept.extend(
                    c.iter().filter(|(p, _)| cluster::holds(&p.to_string_lossy())).map(|(p, d)| (p.clone(), d.clone())),
                );
                self.expected.sets.push(("the cluster's in c, the rest in a", kept));
            }
        }
    }
}

/// Whether each file is as it was or has gone back, and the ones that are as they were were named.
fn stays_named(now: &Digests, kept: &Digests, before: &Digests, said: &str) -> bool {
    let mut paths = now.keys().chain(kept.keys()).chain(before.keys());
    paths.all(|path| {
        let here = now.get(path);
        here == before.get(path) || (here == kept.get(path) && said.contains(&path.display().to_string()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    #[test]
    fn what_stays_on_trial_was_named() {
        let set = |pairs: &[(&str, &str)]| -> Digests {
            pairs.iter().map(|(path, digest)| (PathBuf::from(path), (*digest).to_owned())).collect()
        };
        let (before, kept) = (set(&[("/x", "a"), ("/y", "a")]), set(&[("/x", "b"), ("/y", "b"), ("/new", "b")]));
        let said = "cannot replace /y: Permission denied";
        for (now, fine) in [
            (set(&[("/x", "a"), ("/y", "b")]), true),
            (set(&[("/x", "b"), ("/y", "b")]), false),
            (set(&[("/x", "a"), ("/y", "?")]), false),
            (set(&[("/x", "a"), ("/y", "b"), ("/new", "b")]), false),
            (set(&[("/x", "a"), ("/y", "b"), ("/else", "b")]), false),
        ] {
            assert_eq!(stays_named(&now, &kept, &before, said), fine, "{now:?}");
        }
    }
}
