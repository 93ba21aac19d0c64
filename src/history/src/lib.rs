//! What stood where, who wrote it, and the way back.
//!
//! ```text
//!            ┌───────────── Store: where a package keeps its history ─────────────┐
//!   present ─┤ snapshot/  what stood there before      Journal  who wrote what    │
//!            │ Transaction  is a dpkg run open?        Operation  a write of ours │
//!            └──────┬──────────────────────────────────────┬──────────────────────┘
//!                   └────────► Facts ► plan (pure) ► Plan ◄┘
//!                                            │
//!                              restore: staged, durable, resumable
//! ```
//!
//! Three rules hold everywhere: what is written is captured and journaled first; what someone else
//! wrote is kept and named; a run that is killed anywhere is finished by the next one.
//! It never talks to systemd or dpkg, never reloads the network, and decides nothing about phases.

mod change;
mod entry;
pub mod journal;
pub mod manual;
mod operation;
mod path_text;
pub mod plan;
mod provenance;
pub mod restore;
pub mod snapshot;
mod spec;
pub mod state;
mod store;
mod transaction;
mod watched;

pub use change::move_tree;
pub use entry::{Entry, FILE_LIMIT, Meta, What, digest_at, read};
pub use journal::Journal;
pub use operation::{Operation, Prepared, accept, finish, new_id, take_back};
pub use path_text::PathText;
pub use plan::{Plan, Policy, Trigger};
pub use provenance::Provenance;
pub use snapshot::{Captured, Manifest, Snapshot, Why};
pub use spec::{Item, Scope, Use};
pub use store::Store;
pub use transaction::{Stage, Transaction};
pub use watched::{Seen, Watched};
