//! Carrying a plan out: checked, staged, durable, and finished by the next run if this one is
//! killed.
//!
//! ```text
//! plan ─► check the result ─► copies to /var/backups ─► stage in `restore/` ─► journal
//!      ─► write all beside ─► rename all ─► journal ─► drop `restore/`
//! ```
//!
//! Up to the stage nothing has changed; from then on `restore/` holds all that is needed, and
//! whoever comes next finishes it. Files of the cluster have a stage of their own,
//! `restore-cluster/`, which may wait for quorum without holding up this node's; only a person
//! finishes that one.

mod attic;
mod facts;
mod stage;

pub use attic::{command_line, keep_copies, place, shell_quote};
pub use facts::{Decision, Question, answer, decide, reachable_as_read, stays_reachable};
pub(crate) use stage::TAG;
pub use stage::{Waiting, carry_out, is_pending, resume, resume_cluster, waiting};

use crate::PathText;

/// What going back did.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Report {
    /// The journal's id of the operation; `None` if there was nothing to do.
    pub operation: Option<String>,
    /// Paths that were changed, or stood so already.
    pub done: Vec<PathText>,
    /// Paths that somebody else changed meanwhile: left alone.
    pub foreign: Vec<PathText>,
    /// Cluster files that wait for a cluster that can be written; [`resume_cluster`] puts them in
    /// place.
    pub pending: Vec<PathText>,
    /// Why they wait.
    pub why_pending: Option<String>,
}
