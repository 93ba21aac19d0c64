//! Maintainer scripts as one program: dpkg's call becomes a plan, the plan is carried out, and
//! whatever happens in between, the next call finishes it.
//!
//! ```text
//!   dpkg ──► Context  (environment, root, policy sealed into the script)
//!              │
//!   disk ──► Situation ──► decide (pure) ──► Plan: steps, and what a failure does
//!                                              │
//!                                             run ──► history, phase, seal, systemd
//! ```
//!
//! Exit 0, or 1 with one line that names what failed, where, and the command that mends it. It
//! never asks, never needs the network, never enables or starts a unit, and never fails a removal.
//! The rules of going back are in [`history::plan`]; what a package asks for is in [`policy`].

pub mod call;
pub mod context;
pub mod decide;
pub mod policy;
pub mod removal;
mod run;

pub use context::Context;
pub use policy::Policy;
pub use run::main;
