//! The migration middleware: between the callers of the network API and its two implementations.
//!
//! ```text
//!   listen ─► proxy ─┬─► (crate migration: whose is it? what follows?)
//!   Unix socket      ├─► daemon   Rust, over its Unix socket; what became of a write
//!   loopback         ├─► perl     https, the cluster's CA, connections kept
//!   front (TLS)      ├─► access   Perl vouches for the caller
//!                    └─► ledger   decision log, metrics, breaker
//!   watch: node, phase, settings, certificates, once a second    exporter: /metrics /health /ready
//! ```
//!
//! - **Whatever is not the network's or the SDN's passes through**, as a stream, upgrades included.
//! - **A write has a task of its own**: that its client went away stops nothing half-way.
//! - **Perl is asked after Rust only by the rules of [`migration::flow`].** No client used here repeats
//!   a request by itself.
//! - **Credentials are passed on and nothing else**: never logged, never kept but as a digest, for 10 s.

mod access;
mod answer;
mod daemon;
mod exporter;
mod heads;
mod journal;
mod keys;
mod ledger;
mod listen;
mod log;
mod metrics;
mod options;
mod perl;
mod proxy;
mod run;
mod tls;
mod watch;

pub use options::{MIDDLEWARE, cli};
pub use run::main;
