//! From a call and what is on disk to the steps to take: a pure function, and the whole of our
//! answer to Debian Policy 6.5 to 6.8 on one page.
//!
//! | call | steps |
//! |---|---|
//! | new `preinst install`, `upgrade` | check our control files, snapshot, open the transaction |
//! | `postinst configure` | check what was unpacked, units, phase file, close the transaction; on failure all back |
//! | old `prerm upgrade` | judge the successor in `tmp.ci` |
//! | `prerm remove` | snapshot, fence, safe phase, stop units, go back |
//! | `postrm remove` | finish what is left of that |
//! | `postrm purge` | the same, put aside what is unique, remove our state |
//! | the aborts | what the transaction or the removal changed goes back; always succeed |
//! | anything else | nothing, successfully |

use std::fmt;

use history::Stage;

use crate::call::Call;

/// What the decision depends on, read from disk beforehand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Situation {
    /// The transaction on disk, if any.
    pub transaction: Option<Stage>,
    /// A successor's control files lie in `tmp.ci`.
    pub successor: bool,
    /// The script runs from `info/`: `dpkg-reconfigure`.
    pub reconfigure: bool,
    /// A removal began and its going-back has not been done.
    pub removal_pending: bool,
    /// A removal began and was not finished by `postrm`.
    pub removal_begun: bool,
    /// The cluster's file could not be written when the removal lowered this node's phase.
    pub phase_pending: bool,
    /// The journal has operations that were killed, or failed and did not go back.
    pub unfinished: bool,
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Finish a restore that a killed run left half-way, and sweep its litter.
    Finish,
    /// Check our own control files against their manifest and signature.
    CheckControl,
    /// What the open transaction and killed operations wrote goes back to its snapshot.
    TakeBack,
    /// Take a snapshot and open a transaction from the version `old`.
    Open {
        /// The installed version; empty if none.
        old: String,
        /// Use the newest snapshot instead of a new one if nothing changed since.
        reuse: bool,
    },
    /// Compare the unpacked files with the manifest.
    CheckFiles,
    /// Write what a first install needs: the ceiling, and the phase file if there is none.
    Defaults,
    /// Let writers in again.
    Unfence,
    /// Tell systemd about units, and restart those that run.
    Units,
    /// Remember that a signed version was installed.
    Remember,
    /// Close the transaction.
    Close,
    /// Forget old snapshots.
    Prune,
    /// Judge the successor `new` in `tmp.ci`.
    Successor {
        /// Its version, as dpkg says.
        new: String,
    },
    /// Begin a removal: snapshot of the state that is about to be undone.
    BeginRemoval,
    /// Shut writers out.
    Fence,
    /// This node's phase becomes the safe one.
    SafePhase,
    /// Stop units.
    Stop,
    /// What is on trial goes back.
    GoBack,
    /// Tell systemd that units are gone.
    Reload,
    /// What an aborted removal changed comes back.
    UndoRemoval,
    /// Record that the removal is over.
    Settle,
    /// Put aside what is unique and remove our state.
    Purge,
    /// Say that this call is not known.
    Unknown,
}

/// What happens when a step fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnError {
    /// The script stops and exits with 1.
    Fail,
    /// It is said, and the script goes on.
    Say,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// In order.
    pub steps: Vec<(Step, OnError)>,
    /// What to do when one fails, before exiting: dpkg calls nobody after a failed configure.
    pub on_failure: Vec<Step>,
}

/// The steps for a call.
pub fn decide(call: &Call, now: Situation) -> Plan {
    use OnError::{Fail, Say};
    let mut plan = Plan::default();
    let take_back = now.transaction == Some(Stage::Open) || now.unfinished;
    let mut push = |step, on_error| plan.steps.push((step, on_error));
    match call {
        Call::Install { old } | Call::Upgrade { old } => {
            if !now.reconfigure {
                push(Step::CheckControl, Fail);
            }
            push(Step::Finish, Say);
            if take_back {
                push(Step::TakeBack, Say);
            }
            push(Step::Open { old: old.clone(), reuse: false }, Fail);
        }
        Call::Configure { old } => {
            push(Step::Finish, Say);
            if now.transaction != Some(Stage::Open) {
                push(Step::Open { old: old.clone(), reuse: true }, Fail);
            }
            for step in [Step::CheckFiles, Step::Defaults, Step::Unfence, Step::Units, Step::Remember, Step::Close] {
                push(step, Fail);
            }
            push(Step::Prune, Say);
            plan.on_failure = vec![Step::TakeBack, Step::SafePhase];
        }
        Call::Replace { new } => {
            if now.successor {
                push(Step::Successor { new: new.clone() }, Fail);
            }
        }
        Call::Abort | Call::AbortReinstall => {
            push(Step::Finish, Say);
            if take_back {
                push(Step::TakeBack, Say);
            }
            if now.transaction.is_some() {
                push(Step::Close, Say);
            }
            // Its removal was over before, and stays so: a purge to come has nothing to go back to.
            if *call == Call::AbortReinstall {
                push(Step::Settle, Say);
            }
        }
        Call::Remove => {
            push(Step::Finish, Say);
            if take_back {
                push(Step::TakeBack, Say);
            }
            if now.transaction.is_some() {
                push(Step::Close, Say);
            }
            for step in [Step::Fence, Step::BeginRemoval, Step::SafePhase, Step::Stop, Step::GoBack] {
                push(step, Say);
            }
        }
        Call::Removed | Call::Purge => {
            push(Step::Finish, Say);
            // dpkg removes what was unpacked and never configured without asking prerm.
            if now.transaction == Some(Stage::Open) {
                push(Step::TakeBack, Say);
            }
            if now.transaction.is_some() {
                push(Step::Close, Say);
            }
            if now.removal_pending && !now.removal_begun {
                for step in [Step::Fence, Step::BeginRemoval, Step::SafePhase, Step::Stop] {
                    push(step, Say);
                }
            } else if now.phase_pending {
                push(Step::SafePhase, Say);
            }
            if now.removal_pending {
                push(Step::GoBack, Say);
            }
            if *call == Call::Purge {
                push(Step::Purge, Say);
            }
            push(Step::Reload, Say);
        }
        Call::AbortRemove => {
            push(Step::Finish, Say);
            if now.removal_begun {
                push(Step::UndoRemoval, Say);
            }
            push(Step::Unfence, Say);
        }
        Call::AbortDeconfigure | Call::Triggered | Call::Nothing => {}
        Call::Unknown => push(Step::Unknown, Say),
    }
    plan
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Step::Finish => "finish a restore that was interrupted",
            Step::CheckControl => "check the package's control files",
            Step::TakeBack => "take back what the open transaction wrote",
            Step::Open { .. } => "take a snapshot and open a transaction",
            Step::CheckFiles => "check the unpacked files",
            Step::Defaults => "write the first phase file and ceiling",
            Step::Unfence => "let writers in again",
            Step::Units => "reload systemd and restart what runs",
            Step::Remember => "remember the signed version",
            Step::Close => "close the transaction",
            Step::Prune => "forget old snapshots",
            Step::Successor { .. } => "judge the new version",
            Step::BeginRemoval => "take a snapshot of what is about to be undone",
            Step::Fence => "shut writers out",
            Step::SafePhase => "set this node's safe phase",
            Step::Stop => "stop units",
            Step::GoBack => "go back to the accepted state",
            Step::Reload => "reload systemd",
            Step::Settle => "record that the removal is over",
            Step::UndoRemoval => "undo the aborted removal",
            Step::Purge => "remove the package's state",
            Step::Unknown => "do nothing for a call that is not known",
        })
    }
}

#[cfg(test)]
mod tests;
