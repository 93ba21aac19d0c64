//! `migration-ctl`: the operator's one hand on the switch.
//!
//! ```text
//!   cli ──► phase     where this node stands, and the steps up and down
//!       ──► feature   which of our programs may write
//!       ──► config    migration.toml as a whole
//!       ──► rollback  going back by hand, through the same plan as a removal
//!       ──► snapshot  what there is to go back to, and whether it can be trusted
//! ```
//!
//! It decides nothing of its own: phases are `phase`'s, plans are `history`'s, and what is captured
//! is `debian/hooks.toml`, the very file that the maintainer scripts carry. Small on purpose: no
//! web stack, no statistics. Data goes to standard output, everything else to standard error.

mod cli;
mod config;
mod feature;
mod phase;
mod rollback;
mod services;
mod snapshot;

pub use cli::{Cli, cli, main};

use history::Store;
use host::{Clock, Result, Root};
use maintscript::Policy;

/// What this package captures and where it keeps its state.
pub fn policy() -> Result<Policy> {
    Policy::parse(include_str!("../../../debian/hooks.toml"))
}

/// The node that a command works on.
pub(crate) struct Node {
    store: Store,
    switch: ::phase::Switch,
}

impl Node {
    fn at(root: &Root) -> Result<Self> {
        let policy = policy()?;
        let store = policy.store(root, Clock::System);
        let (switch, _) = policy.switch(root).ok_or_else(|| host::Error::new("hooks.toml names no phase file"))?;
        Ok(Self { store, switch })
    }
}
