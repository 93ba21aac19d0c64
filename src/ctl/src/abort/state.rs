//! `abort.json`: how far an abort has come, written before and after each step.

use history::Store;
use host::{Error, Result, Timestamp, files};
use serde::{Deserialize, Serialize};

const FILE: &str = "abort.json";

/// The steps, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Step {
    /// This node to the safe phase, its ceiling first.
    Phase,
    /// Our services down.
    Stop,
    /// What is on trial back.
    Restore,
    /// The result made the running network, by Perl.
    Reapply,
    /// A bundle for whoever looks into it.
    Diagnostics,
}

impl Step {
    pub(crate) const ALL: [Step; 5] = [Step::Phase, Step::Stop, Step::Restore, Step::Reapply, Step::Diagnostics];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Step::Phase => "phase",
            Step::Stop => "stop",
            Step::Restore => "restore",
            Step::Reapply => "reapply",
            Step::Diagnostics => "diagnostics",
        }
    }
}

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Outcome {
    /// Done.
    Done,
    /// Not done; the next run tries again.
    Failed,
    /// Not tried, since an earlier step failed that it needs.
    Skipped,
    /// Not ours to do: a command is printed for the operator.
    Left,
}

/// A step and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Taken {
    pub(crate) step: Step,
    pub(crate) outcome: Outcome,
    /// For a person.
    pub(crate) line: String,
    /// What to run next where it is not done, or what undoes it.
    pub(crate) next: Option<String>,
}

/// The file. Fields that a later version adds are ignored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Abort {
    /// Version of this format.
    pub(crate) format: u64,
    /// When it was begun: seconds since the epoch.
    pub(crate) began: i64,
    /// The phase from before.
    pub(crate) phase: String,
    /// Steps that were taken, in order, each once.
    pub(crate) steps: Vec<Taken>,
}

impl Abort {
    pub(crate) fn begin(now: i64, phase: String) -> Self {
        Self { format: 1, began: now, phase, steps: Vec::new() }
    }

    /// The one on disk, if any.
    ///
    /// # Errors
    /// It is damaged, or of a format that a newer version wrote: the message says how to get rid of it.
    pub(crate) fn read(store: &Store) -> Result<Option<Self>> {
        let path = store.path(FILE);
        let Some(bytes) = files::read_plain(&path, 1 << 20)? else { return Ok(None) };
        let bad = |why: String| {
            Error::new(format!("{} {why}", path.display()))
                .way_out(format!("look at it, then `rm {}` and begin anew", path.display()))
        };
        let read: Self = serde_json::from_slice(&bytes).map_err(|e| bad(format!("is damaged: {e}")))?;
        match read.format {
            1 => Ok(Some(read)),
            newer => Err(bad(format!("has format {newer}, and this program reads format 1"))),
        }
    }

    /// Makes it the one on disk, durably.
    pub(crate) fn write(&self, store: &Store) -> Result<()> {
        let mut text = serde_json::to_vec_pretty(self).map_err(|e| Error::new(format!("cannot write {FILE}: {e}")))?;
        text.push(b'\n');
        files::replace(&store.path(FILE), &text, &files::Attributes::mode(0o640))
    }

    /// Makes it as if there had never been one. Works on a full disk.
    ///
    /// # Errors
    /// It is there and can't be removed.
    pub(crate) fn forget(store: &Store) -> Result<()> {
        files::remove(&store.path(FILE)).map(drop)
    }

    /// When it was begun, for a person.
    pub(crate) fn time(&self) -> Timestamp {
        Timestamp::from_seconds(self.began)
    }

    /// What became of a step.
    pub(crate) fn outcome(&self, step: Step) -> Option<Outcome> {
        self.steps.iter().find(|t| t.step == step).map(|t| t.outcome)
    }

    /// Records it, in place of what an earlier try recorded.
    pub(crate) fn record(&mut self, taken: Taken) {
        self.steps.retain(|t| t.step != taken.step);
        self.steps.push(taken);
    }

    /// The steps that a resumed run has to take. Pure.
    pub(crate) fn remaining(&self) -> Vec<Step> {
        let settled = |s: &Step| matches!(self.outcome(*s), Some(Outcome::Done | Outcome::Left));
        Step::ALL.into_iter().filter(|s| !settled(s)).collect()
    }
}

/// Whether a step may be taken after what became of the others: applying what could not be put right
/// would make a broken file the running network. Pure.
pub(crate) fn may_run(abort: &Abort, step: Step) -> bool {
    step != Step::Reapply || abort.outcome(Step::Restore) == Some(Outcome::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(outcomes: &[(Step, Outcome)]) -> Abort {
        let mut abort = Abort::begin(0, "rust-sdn".into());
        for (step, outcome) in outcomes {
            abort.record(Taken { step: *step, outcome: *outcome, line: "l".into(), next: None });
        }
        abort
    }

    #[test]
    fn what_is_left_to_do() {
        use Outcome::{Done, Failed, Left, Skipped};
        use Step::{Diagnostics, Phase, Reapply, Restore, Stop};
        for (outcomes, remaining) in [
            (vec![], vec![Phase, Stop, Restore, Reapply, Diagnostics]),
            (vec![(Phase, Done), (Stop, Failed)], vec![Stop, Restore, Reapply, Diagnostics]),
            (
                vec![(Phase, Done), (Stop, Done), (Restore, Failed), (Reapply, Skipped), (Diagnostics, Done)],
                vec![Restore, Reapply],
            ),
            (vec![(Phase, Done), (Stop, Done), (Restore, Done), (Reapply, Left), (Diagnostics, Done)], vec![]),
            (vec![(Phase, Failed), (Phase, Done)], vec![Stop, Restore, Reapply, Diagnostics]),
        ] {
            assert_eq!(after(&outcomes).remaining(), remaining, "{outcomes:?}");
        }
    }

    #[test]
    fn nothing_is_applied_that_was_not_put_right() {
        assert!(may_run(&after(&[(Step::Phase, Outcome::Failed)]), Step::Restore));
        assert!(may_run(&after(&[(Step::Restore, Outcome::Failed)]), Step::Diagnostics));
        assert!(may_run(&after(&[(Step::Restore, Outcome::Done)]), Step::Reapply));
        assert!(!may_run(&after(&[(Step::Restore, Outcome::Failed)]), Step::Reapply));
        assert!(!may_run(&after(&[]), Step::Reapply));
    }

    #[test]
    fn the_format_that_was_shipped_is_read() {
        let text = include_str!("../../tests/fixtures/abort-1.json");
        let abort: Abort = serde_json::from_str(text).unwrap();
        assert_eq!(abort.remaining(), [Step::Restore, Step::Reapply, Step::Diagnostics]);
        assert_eq!(abort.steps[1].next.as_deref(), Some("journalctl -u pve-network-rs.service"));
    }
}
