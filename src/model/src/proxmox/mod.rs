//! interfaces(5) as Proxmox VE reads and writes it, byte for byte.
//!
//! ```text
//!   bytes, Links ──► read ──► Network ──► (changes) ──► write ──► bytes
//!                                                  └──► or a Fault with its code
//! ```
//!
//! [`crate::interfaces`] reads the file as ifupdown2 does, which configures the kernel. This module
//! reads it as Proxmox's GUI and API do, which write it: a stanza ends at a blank line, options have
//! one spelling, ports of bridges are sorted, interfaces have a type that follows from their name and
//! options. Names of settings are those of Proxmox's API.
//!
//! Where Proxmox's own writing depends on the order of a hash table, and so differs from run to run,
//! this one keeps the order that it read. Bytes that are not UTF-8 are refused; to letters beyond ASCII
//! the same happens as in Proxmox, which decodes comments and nothing else. Reference: PVE 9, beside whose
//! own code `network/tests/perl.rs` tries this one.

mod interface;
mod kind;
mod links;
mod ovs;
mod read;
mod rules;
mod settings;
mod write;

pub(crate) use interface::of_family;
pub use interface::{Family, Interface, Network, Value};
pub use kind::Kind;
pub use links::{Link, Links};
pub use read::{Unreadable, read};
pub use rules::Fault;
pub use settings::Settings;
pub use write::{Flavour, Written, refusal, write};
