//! Snapshots: a folder each, with flat names that a person can copy by hand and a manifest that
//! a program can trust.
//!
//! ```text
//! backups/20261123-074622/      0700, UTC, `-2` appended on a collision
//!   interfaces  interfaces.d/  sdn/  lxc/  frr.conf …
//!   manifest.json               what was there, what was absent, who, when, why, checksums
//! backups/latest -> 20261123-074622
//! ```
//!
//! A snapshot is written beside, made durable as a whole, and renamed: one that is visible is
//! complete. Order is by sequence number, so a clock that goes backwards reorders nothing.

mod capture;
mod list;
mod manifest;
mod prune;

pub(crate) use capture::capture_knowing;
pub use capture::{Captured, Why, capture, present};
pub(crate) use list::distrust;
pub use list::{Snapshot, list, load, load_any, verify};
pub use manifest::{Acceptance, MANIFEST, Manifest};
pub(crate) use prune::{GOING, prune_knowing};
pub use prune::{hide_all, prunable, prune, sweep};
