//! A stand-in for Proxmox's pveproxy, whose Perl can't be had on a plain Debian, and a browser that comes to it or to
//! what stands in its place. For tests and the bench; nothing of it is shipped.
//!
//! ```text
//!   Browser ─► TLS, kept connection, cookie, websocket ─► (the middleware) ─► Perl: https by a Pair of an Authority
//!                                                                              └─ Network: what Proxmox says of it
//! ```
//!
//! - It answers in Proxmox's words and types, lists and keys **in random order**, as Perl's hashes are.
//! - It fails on demand: errors, resets, silence, foreign certificates.
//! - It knows nothing of how this project reads a network file: what it answers was written down by hand, from what
//!   Proxmox answers. So it can disagree with Rust.
//! - It never touches a network configuration.

#![allow(clippy::unwrap_used, reason = "a rig of tests: what cannot go on panics")]

mod authority;
mod browser;
mod network;
mod program;
mod server;

pub use authority::{Authority, Pair};
pub use browser::{Browser, Page, WebSocket};
pub use network::Network;
pub use program::main;
pub use server::{Came, GOOD, NOBODY, Perl, READER, State, TICKET, WWW_KEY};
