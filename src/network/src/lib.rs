//! Applying a node's network configuration.
//!
//! ```text
//!   pvenet ─► pvenet ─┬─► links    what the kernel has, by ip(8)
//!                     ├─► model    interfaces(5) as Proxmox reads it, what is wrong with it (pure)
//!                     └─► api      the same in the form of Proxmox's API (pure)
//!
//!   pvenet-legacy ─► cli ─► legacy ─┬─► check    may these files replace those? (model, pure)
//!                                   ├─► history  snapshot, journal: who wrote what, how long it took
//!                                   └─► pvesh ─► task: how Proxmox's task ended (pure)
//! ```
//!
//! Today there is one way to apply, Proxmox's own Perl through pvesh(1): the way back, and the
//! baseline that Rust's own apply is measured against. That one comes into this crate beside it.
//!
//! Every apply is journaled before anything changes, so that what Perl wrote is known as Perl's and
//! never taken for a Rust state on trial.

pub mod api;
mod cli;
pub mod legacy;
mod links;
pub mod pvenet;

pub use cli::{cli, main};

use history::Store;
use host::{Clock, Error, Result, Root};
use maintscript::Policy;
use phase::Switch;

/// The node that is worked on.
#[derive(Debug, Clone)]
pub struct Node {
    /// Its history.
    pub store: Store,
    /// Its phase.
    pub switch: Switch,
}

impl Node {
    /// The node whose `/` is `root`, with what the package captures.
    ///
    /// # Errors
    /// The `hooks.toml` that this program was built with is unusable.
    pub fn at(root: &Root) -> Result<Self> {
        let policy = Policy::parse(include_str!("../../../debian/hooks.toml"))?;
        let store = policy.store(root, Clock::System);
        let (switch, _) = policy.switch(root).ok_or_else(|| Error::new("hooks.toml names no phase file"))?;
        Ok(Self { store, switch })
    }
}
