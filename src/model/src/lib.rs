//! What a node's network files say: to whoever goes back, and to whoever shows and changes them as Proxmox does. It never
//! reads or writes a file, and never asks the kernel: bytes come in, and bytes go out.
//!
//! ```text
//!   bytes of one file ──► interfaces::parse  ──► Interfaces      (stanzas, lines; words are the file's own)
//!   NetworkFiles      ──► NetworkFiles::read ──► Reading         (follows `source`: a Configuration, and faults)
//!   a guest's config  ──► guests::bridges_of
//!   two Readings      ──► check              ──► Ok or a Refusal
//!
//!   bytes, Links      ──► proxmox::read      ──► Network ──► (changes) ──► proxmox::write ──► bytes, or a Fault
//!                    └──► validate           ──► Findings        (all at once, each with a way out)
//! ```
//!
//! A restore is worth nothing if it cuts the node off, so [`check`] compares the files as they are
//! with the files as they would be, and refuses a result that no longer parses, that loses the
//! address the node is managed by, or that loses a bridge some guest is plugged into.
//!
//! The grammar is interfaces(5) as ifupdown and ifupdown2 read it, since they, not Proxmox's own
//! reader, configure the kernel; where Proxmox's reader is stricter (it ends a stanza at a blank
//! line) the difference only matters for writing. Reading is lenient on purpose: calling a
//! file damaged that an admin wrote and ifupdown accepts would restore over the admin's work.

pub mod guests;
pub mod interfaces;
pub mod proxmox;

mod check;
mod configuration;
mod files;
mod glob;
mod hosts;
mod validate;

pub use check::{Lost, Refusal, check};
pub use configuration::{Address, Configuration, Gateway, Origin};
pub use files::{FileError, MAIN, NetworkFiles, Reading, bridges, configuration};
pub use validate::{Finding, Severity, validate, validate_as_read};
