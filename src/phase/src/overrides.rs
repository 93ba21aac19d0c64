//! Steps that were larger than one, and what became of them.
//!
//! An override justifies a phase until it expires. It takes nothing away by itself: a phase that
//! fell at night on its own would be a change nobody made. Once it has expired and the phase still
//! stands, that is a finding, until the phase is lowered to where a single step would have led, or
//! another override justifies it.

use crate::record::{Contents, Outcome};
use crate::{Phase, step_allowed};

/// An override whose effect still stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenOverride {
    /// The change that it let through.
    pub id: String,
    /// The node whose phase it raised.
    pub node: String,
    /// The phase from before the first larger step.
    pub from: Phase,
    /// The phase that stands.
    pub to: Phase,
    /// The operator's reason.
    pub reason: String,
    /// Seconds since the epoch.
    pub expires: i64,
    /// Whether it no longer justifies the phase.
    pub expired: bool,
}

impl Contents {
    /// Overrides whose effect still stands, as far as this node's history knows; `now` in seconds since
    /// the epoch.
    pub fn open_overrides(&self, now: i64) -> Vec<OpenOverride> {
        let mut open: Vec<OpenOverride> = Vec::new();
        for change in self.changes().into_iter().filter(|c| c.outcome != Some(Outcome::Failed)) {
            for step in change.steps {
                let before = open.iter().position(|o| o.node == step.node).map(|at| open.remove(at));
                // What was earned before the first larger step that is not made good yet.
                let earned = before.as_ref().map_or(step.from, |open| open.from);
                if step_allowed(earned, step.to).is_ok() {
                    continue;
                }
                let new = change.overridden.map(|overridden| OpenOverride {
                    id: change.id.to_owned(),
                    node: step.node.clone(),
                    from: earned,
                    to: step.to,
                    reason: overridden.reason.clone(),
                    expires: overridden.expires,
                    expired: now >= overridden.expires,
                });
                // Without a new override the old one has to justify this phase, too.
                open.extend(new.or(before.map(|old| OpenOverride { to: step.to, ..old })));
            }
        }
        open
    }
}

#[cfg(test)]
#[path = "overrides_tests.rs"]
mod tests;
