//! Applying a node's network configuration.
//!
//! ```text
//!   pvenet ─► pvenet ─┬─► kernel   what the kernel has, by netlink
//!                     ├─► model    interfaces(5) as Proxmox reads it, what is wrong with it (pure)
//!                     ├─► api      the same in the form of Proxmox's API (pure)
//!                     └─► apply    over ifupdown2, with a guardian and a way back from every step
//!   daemon ─► serve ─► reload ─► pvenet reload, started by systemd ─► apply
//!
//!   pvenet-legacy ─► cli ─► legacy ─┬─► check    may these files replace those? (model, pure)
//!                                   ├─► history  snapshot, journal: who wrote what, how long it took
//!                                   └─► pvesh ─► task: how Proxmox's task ended (pure)
//! ```
//!
//! There are two ways to apply. [`apply`] is Rust's own. [`legacy`] is Proxmox's own Perl through pvesh(1): the way
//! back, and the baseline that the first is measured against. The node's phase and the feature `rust_cli` decide.
//!
//! Every apply is journaled before anything changes, so that what Perl wrote is known as Perl's and
//! never taken for a Rust state on trial.

pub mod api;
pub mod apply;
mod cli;
pub mod kernel;
pub mod legacy;
pub mod links;
pub mod pvenet;
pub mod reload;
pub mod serve;

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
