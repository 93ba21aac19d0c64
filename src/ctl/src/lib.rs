//! `migration-ctl`: the operator's one hand on the switch.
//!
//! ```text
//!   cli ──► phase     where this node stands, and the steps up and down
//!       ──► preflight, health   facts ─► judge (pure) ─► checks: a table, JSON, a Nagios line
//!       ──► diagnostics         one file for a helper: collect ─► redact (pure) ─► archive
//!       ──► abort     all the way back, step by step, resumable
//!       ──► feature   which of our programs may write
//!       ──► config    migration.toml as a whole
//!       ──► rollback  going back by hand, through the same plan as a removal
//!       ──► snapshot  what there is to go back to, and whether it can be trusted
//!       ──► promote   one phase up, if the gate passes (crate `canary`)
//!       ──► accept    what Rust wrote and has proven itself
//!       ──► status    one screen for 3 a.m.: facts (read once) ► next step (pure) ► text or JSON
//! ```
//!
//! It decides nothing of its own: phases are `phase`'s, plans are `history`'s, and what is captured
//! is `debian/hooks.toml`, the very file that the maintainer scripts carry; gates are `canary`'s, and only
//! `promote` asks one. Data goes to standard output, everything else to standard error.

mod abort;
mod accept;
mod checks;
mod cli;
mod config;
mod diagnostics;
mod dpkg;
mod feature;
mod health;
mod pending;
mod phase;
mod preflight;
mod promote;
mod rollback;
mod services;
mod snapshot;
mod status;
mod units;

pub use cli::{cli, main};

use history::Store;
use host::{Clock, Result, Root};
use maintscript::Policy;

/// What this package captures and where it keeps its state.
pub fn policy() -> Result<Policy> {
    Policy::parse(include_str!("../../../debian/hooks.toml"))
}

/// Whoever started this program, as journals and tables name them: the kernel's word first, claims named as such.
pub(crate) fn here() -> String {
    ::phase::Who::here("migration-ctl").name()
}

/// The node that a command works on.
pub(crate) struct Node {
    policy: Policy,
    store: Store,
    switch: ::phase::Switch,
}

impl Node {
    fn at(root: &Root) -> Result<Self> {
        let policy = policy()?;
        let store = policy.store(root, Clock::System);
        let (switch, _) = policy.switch(root).ok_or_else(|| host::Error::new("hooks.toml names no phase file"))?;
        Ok(Self { policy, store, switch })
    }
}
