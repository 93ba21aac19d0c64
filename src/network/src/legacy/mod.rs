//! The same apply and validate through Proxmox's own stack: the way back, and the baseline.
//!
//! Proxmox's handler takes `/etc/network/.pve-interfaces.lock` itself. We hold that lock only while
//! we read, so that a snapshot never shows a half-written file, and let go of it before pvesh runs:
//! holding it would make Perl wait for us until it gives up.

mod check;
pub(crate) mod cli;
mod pvesh;
mod task;

use std::path::Path;
use std::time::Duration;

use history::journal::Outcome;
use history::snapshot::{self, Captured};
use history::{Seen, Watched};
use host::{Error, Kind, Result};

use crate::Node;
use crate::files::{INTERFACES, PENDING, proxmox_lock};
use pvesh::Pvesh;

pub use cli::{cli, main};

/// How long an apply may take unless said otherwise.
pub const PATIENCE: Duration = Duration::from_secs(300);

/// What this is called in the journal.
pub const TOOL: &str = "pvenet-legacy";

/// How to apply.
#[derive(Debug, Clone, Copy)]
pub struct Asked {
    /// Apply although our own check refuses.
    pub force: bool,
    /// How long it may take.
    pub patience: Duration,
}

impl Default for Asked {
    fn default() -> Self {
        Self { force: false, patience: PATIENCE }
    }
}

/// What an apply did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// What changed, and how long it took.
    pub seen: Seen,
    /// Proxmox's name for the task; none where it ran without one.
    pub upid: Option<String>,
    /// For a person.
    pub notes: Vec<String>,
}

/// What validate found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Valid {
    /// Whether there are pending changes.
    pub pending: bool,
    /// How many interfaces Perl reads; none if it was not asked.
    pub interfaces: Option<usize>,
}

/// Whether there is something to apply, and whether our own check lets it pass. Changes nothing.
///
/// # Errors
/// [`Kind::Refused`] with the reason, unless `asked.force`.
pub fn plan(node: &Node, asked: &Asked) -> Result<bool> {
    let present = read(node)?;
    judged(node, &present, asked)?;
    Ok(check::is_pending(&present))
}

/// Asks our own check and, on the running system, Perl. Changes nothing.
pub fn validate(node: &Node) -> Result<Valid> {
    let present = read(node)?;
    let interfaces = if node.store.root.is_system() {
        Some(Pvesh::new(&node.store.node)?.interfaces().map_err(|e| e.context("Perl can't read the configuration"))?)
    } else {
        None
    };
    check::check(&node.store, &present)?;
    Ok(Valid { pending: check::is_pending(&present), interfaces })
}

/// Makes the pending configuration the running one, through Perl.
///
/// # Errors
/// pvesh is not installed, fails, or does not end in time; our own check refuses
/// ([`Kind::Refused`]). What was there before is in the snapshot that the message names.
pub fn apply(node: &Node, asked: &Asked) -> Result<Applied> {
    let store = &node.store;
    if !store.root.is_system() {
        return Err(Error::of(Kind::Usage, "pvesh works on the running system only: apply without --root"));
    }
    let pvesh = Pvesh::new(&store.node)?;
    let phase = node.switch.effective().phase.to_string();
    let ours = proxmox_lock(node)?;
    judged(node, &snapshot::present(store, true)?, asked)?;
    let (mut watched, killed) = Watched::begin(store, TOOL, &phase)?;
    drop(ours);
    let pending = check::is_pending(watched.before());
    let moves = [(Path::new(PENDING), Path::new(INTERFACES))];
    watched.announce(if pending { &moves } else { &[] })?;
    let done = pvesh.reload(asked.patience).and_then(|reloaded| {
        if pending && store.root.path(PENDING).exists() {
            return Err(Error::new(format!("Perl says it is done, but {PENDING} is still there")));
        }
        Ok(reloaded)
    });
    let seen = watched.finish(if done.is_ok() { Outcome::Done } else { Outcome::Failed })?;
    let reloaded = done.map_err(|e| failed(e, &seen))?;
    let mut notes: Vec<String> =
        killed.iter().map(|id| format!("the earlier apply {id} was killed; it is recorded as failed")).collect();
    notes.extend(reloaded.warnings.map(|w| format!("Proxmox's task ended with {w}")));
    Ok(Applied { seen, upid: reloaded.upid, notes })
}

/// Proxmox renames before it reloads and does not go back by itself.
fn failed(error: Error, seen: &Seen) -> Error {
    if seen.changed.is_empty() {
        return error.way_out("no file was changed");
    }
    let paths = seen.changed.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    error.way_out(format!(
        "changed: {paths}; what stood there before: migration-ctl rollback --to {}, then ifreload -a",
        seen.snapshot
    ))
}

fn judged(node: &Node, present: &Captured, asked: &Asked) -> Result<()> {
    match check::check(&node.store, present) {
        Err(error) if !asked.force => Err(error.context("nothing is applied").way_out("--force applies all the same")),
        _ => Ok(()),
    }
}

fn read(node: &Node) -> Result<Captured> {
    let _lock = proxmox_lock(node)?;
    snapshot::present(&node.store, true)
}
