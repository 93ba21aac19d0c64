//! A node's network configuration: shown, checked, applied with a way back; and Proxmox's API of it.
//!
//! ```text
//!   pvenet ─► pvenet ─┬─► kernel ─► links   what the kernel has, by netlink; what of it reading the files depends on
//!                     ├─► model             interfaces(5) as Proxmox reads it, what is wrong with it (pure)
//!                     ├─► api               the same in the form of Proxmox's API (pure)
//!                     └─► apply             over ifupdown2, with a guardian and a way back from every step
//!
//!   daemon ─► serve ─┬─► api                what a request asks for, and may (pure)
//!                    ├─► reload ─► pvenet reload, started by systemd ─► apply
//!                    └─► answer, fate       what it is told; what became of a write whose answer was lost
//!
//!   pvenet-legacy ─► legacy ─┬─► check      may these files replace those? (model, pure)
//!                            ├─► history    snapshot, journal: who wrote what, how long it took
//!                            └─► pvesh ─► task: how Proxmox's task ended (pure)
//!
//!   pick    which snapshot a person means
//!   files   where all of them find the files, what a reload would make of these, Proxmox's lock
//! ```
//!
//! There are two ways to apply. [`apply`] is Rust's own. [`legacy`] is Proxmox's own Perl through pvesh(1): the way
//! back, and the baseline that the first is measured against. The node's phase and the feature `rust_cli` decide.
//!
//! Every apply is journaled before anything changes, so that what Perl wrote is known as Perl's and
//! never taken for a Rust state on trial.
//!
//! It never changes a phase or a feature, and never writes below `/etc/pve`: SDN is Perl's.

#![deny(clippy::print_stderr, reason = "eprintln! panics where standard error is gone; note! does not")]

pub mod answer;
pub mod api;
pub mod apply;
pub mod fate;
pub mod files;
mod kernel;
pub mod legacy;
pub mod links;
pub mod pick;
pub mod pvenet;
pub mod reload;
pub mod serve;

use history::Store;
use host::{Clock, Error, Result, Root};
use maintscript::Policy;
use phase::{Migration, Switch, read_migration};

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

    /// The cluster's settings, if it has any.
    ///
    /// # Errors
    /// The file is broken or can't be read.
    pub fn migration(&self) -> Result<Option<Migration>> {
        read_migration(&self.switch.root.path(&self.switch.migration))
    }
}
