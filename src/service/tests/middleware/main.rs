//! The real middleware between a daemon that can be killed and Perl's stand-in: who answers, what the files
//! say afterwards, and what log and metrics say of it.
#![allow(clippy::unwrap_used, reason = "the rig of tests")]

mod access;
mod failures;
mod framing;
mod life;
#[path = "../rig/mod.rs"]
mod rig;

/// A write: a new interface.
const CREATE: &str = "type=eth&iface=eno9";
