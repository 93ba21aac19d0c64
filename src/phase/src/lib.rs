//! How much of a node's network Rust may manage, and who says so.
//!
//! ```text
//!   /etc/pve/network/migration.toml ── config ──► Migration ── node_phase ──┐
//!                                                                           ├─► effective: the lower
//!   /var/lib/pve-network-rs/ceiling ── ceiling ───────────────────► Phase ──┘        │
//!                                                                                    ▼
//!   edit: new text for migration.toml, the operator's comments kept       allows(what, phase)
//! ```
//!
//! The cluster's file says what the operator wants of every node; a node's *ceiling* says what it
//! may at most do, whatever the cluster says. A reinstall therefore starts at `perl-only`, and
//! demotion works without quorum.
//!
//! A change goes through one [`Machine`], whoever asks for it: a command, a failed configure, a removal.
//!
//! ```text
//!   Wish + Facts ── change ──► Plan ── machine ──► record ─► ceiling / cluster's file ─► outcome
//!                                                    └─ history: a chain of lines, durable before
//! ```
//!
//! Anything that can't be read or understood means `perl-only`, with the reason: a typing mistake
//! must never promote. All decisions are pure functions; only [`Switch`] and [`History`] write, and only
//! [`read_migration`] and [`read_ceiling`] read from disk besides.

pub mod ceiling;
pub mod change;
pub mod config;
pub mod edit;
pub mod history;
pub mod machine;
pub mod record;

mod allows;
mod effective;
mod name;
mod overrides;
mod switch;
mod toml;
mod who;
mod window;

pub use allows::{What, allows};
pub use ceiling::read_ceiling;
pub use change::{Plan, Wish};
pub use config::{Features, Migration, read_migration};
pub use effective::{Effective, Reason, Said, effective};
pub use history::History;
pub use machine::{Done, Machine, Request};
pub use name::{Phase, step_allowed};
pub use overrides::OpenOverride;
pub use record::{Event, Outcome, Override, Setting, Step, Who};
pub use switch::Switch;
pub use window::ChangeWindow;

/// The `migration.toml` of a first install, which is also the shipped example.
pub const DEFAULT_TOML: &str = include_str!("../migration.toml");
