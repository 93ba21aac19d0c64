//! What must not be: in the run itself, and in how the machine stands after it.

use std::path::{Path, PathBuf};

use host::Result;

use super::{RESUME, Run};
use crate::case::Case;
use crate::fault::Fault;
use crate::flow::Flow;
use crate::invariants::{Digests, Expected, When, violations};
use crate::machine::Output;
use crate::sabotage::JOURNAL;
use crate::seed;
use crate::shortage::Shortage;
use crate::state::{self, State};
use crate::syscalls::Effect;
use crate::trace::{Event, OUTPUT};

impl Run<'_> {
    /// dpkg itself can't go on without a disk; a script of a removal can, and all can at any time.
    pub(super) fn judge_shortage(&mut self, shortage: Shortage, flow: Flow, exits: &[(String, i32)], output: &Output) {
        let removes = ["prerm:remove", "postrm:remove", "postrm:purge"];
        for (label, _) in
            exits.iter().filter(|(label, code)| *code != 0 && removes.iter().any(|r| label.starts_with(r)))
        {
            self.complain(When::Faulted, vec![format!("{label} failed for {}", shortage.name())]);
        }
        if shortage.clock() != 0 && output.code != Some(0) && flow != Flow::ConfigureBroken {
            self.complain(When::Faulted, vec!["it failed because the clock jumped".to_owned()]);
        }
    }

    /// Who changes captured files or says so in the journal holds the lock: nobody else gets it.
    pub(super) fn judge_lock(&mut self, case: &Case, events: &[Event], wrote: bool) {
        let Some(point) = case.point.as_ref().filter(|_| wrote) else { return };
        let Some(event) = events.iter().find(|e| e.label == point.label && e.number == point.number) else { return };
        let captured = seed::files(&self.setting.subject.policy);
        let changes = matches!(event.known.effect, Effect::Write | Effect::Rename);
        let place = if event.to.is_empty() { &event.path } else { &event.to };
        if changes && (place.ends_with(JOURNAL) || captured.iter().any(|f| f.writable && f.path == Path::new(place))) {
            self.complain("in the run", vec![format!("another writer got the lock while {place} was written")]);
        }
    }

    /// A terminal that is gone stops nothing, and a removal stops for no disk.
    pub(super) fn judge_exit(&mut self, case: &Case, events: &[Event], output: &Output) {
        let Some(point) = case.point.as_ref().filter(|p| matches!(p.fault, Fault::Once(_) | Fault::From(_))) else {
            return;
        };
        if output.code == Some(0) || !case.scenario.failing.is_empty() {
            return;
        }
        let here = events.iter().find(|e| e.label == point.label && e.number == point.number);
        let removes = matches!(case.scenario.flow, Flow::Remove | Flow::Purge | Flow::PurgeRemoved | Flow::Replaced);
        if here.is_some_and(|e| e.path == OUTPUT) && case.scenario.flow != Flow::ConfigureBroken {
            self.complain(When::Faulted, vec!["it failed because nobody could hear it".to_owned()]);
        } else if removes {
            self.complain(When::Faulted, vec!["a removal failed because something could not be written".to_owned()]);
        }
    }

    pub(super) fn check(&mut self, when: When, status: Option<&'static str>) -> Result<()> {
        let mut now = state::read(&self.machine, &self.setting.subject.policy, &self.own)?;
        if let Some(cluster) = &self.cluster {
            let (temporary, there): (Vec<PathBuf>, _) =
                cluster.changed().into_iter().partition(|p| state::is_temporary(p));
            now.temporary.extend(temporary);
            now.foreign.extend(there.into_iter().filter(|p| !self.own.covers(p)));
            if self.expected.tidy && !matches!(when, When::Faulted | When::Healed) {
                now.temporary.extend(cluster.locks());
            } else if when == When::Healed {
                cluster.drop_locks();
            }
            self.judge_own_phase(self.flow, when, &now);
            let pending = now.unfinished.iter().any(|p| p.ends_with("restore-cluster"));
            if when == When::Faulted && self.in_trouble && pending && !self.said.contains(RESUME) {
                self.complain(when, vec![format!("files wait for the cluster, and nobody named {RESUME}")]);
            }
        }
        let whole = when != When::Faulted && (self.expected.tidy || !self.lasting);
        let mut expected = Expected { status, whole, ..self.expected.clone() };
        self.kept_in_trouble(&now, &mut expected);
        self.complain(when, violations(when, &now, &expected));
        Ok(())
    }

    /// Once the package was removed this node's line is the safe one, or it was said that it stays. One that
    /// disappears was not removed: another has taken its place.
    fn judge_own_phase(&mut self, flow: Flow, when: When, now: &State) {
        let Some(safe) = self.setting.subject.policy.phase.as_ref().map(|p| p.safe.to_string()) else { return };
        let removed = when != When::Faulted && matches!(now.status.as_str(), "rc" | "un") && flow != Flow::Disappear;
        let stays = now.own_phase.as_ref().is_some_and(|phase| *phase != safe);
        let said = ["stays for now", "could not set this node's safe phase"].iter().any(|s| self.said.contains(s));
        if removed && stays && !said {
            let line =
                format!("this node's phase is {} and nobody said so", now.own_phase.as_deref().unwrap_or_default());
            self.complain(when, vec![line]);
        }
    }

    /// A file of the cluster's that could not even be read is kept, and was named.
    fn kept_in_trouble(&self, now: &State, expected: &mut Expected) {
        let named = |path: &Path| self.said.contains(&format!("keep {}: it can't be read", path.display()));
        let kept = now.captured.iter().filter(|(path, _)| self.in_trouble && named(path));
        for (path, digest) in kept {
            let with = |(name, set): &(&'static str, Digests)| {
                let mut set = set.clone();
                set.insert(path.clone(), digest.clone());
                (*name, set)
            };
            let more: Vec<_> = expected.sets.iter().map(with).collect();
            expected.sets.extend(more);
        }
    }
}

/// Whether the fault struck while the package's own writer was only about to take its lock. What it replaces it looks
/// at under the lock.
pub(super) fn before_the_lock(case: &Case, events: &[Event]) -> bool {
    let Some(point) = case.point.as_ref().filter(|_| case.scenario.flow == Flow::Write) else { return false };
    let lock = events.iter().find(|e| e.label == point.label && e.known.effect == Effect::Lock);
    lock.is_some_and(|lock| point.number <= lock.number)
}
