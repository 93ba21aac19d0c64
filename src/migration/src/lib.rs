//! Which request Rust answers and which Perl, and what follows where Rust fails. Decisions only: nothing
//! here reads a file, opens a socket or looks at a clock.
//!
//! ```text
//!   method, path, query, node ── route ──► Route ─┐
//!                                                 ├─ choose ──► Rust | Perl, and why
//!   body's type, phase, features ─────────────────┘      │
//!                                                        ▼
//!                     what came of it ── flow ──► pass on | ask Perl | fence | outcome unknown
//!                                                        │
//!                                        breaker: how often is too often?
//! ```
//!
//! - [`route`](mod@route) takes a request apart; what is written in an unusual way is never Rust's.
//! - [`choose()`] knows phases and features.
//! - [`flow`] is the one place that says when Perl may be asked after Rust: reads always, writes only
//!   where it is proven that Rust changed nothing.
//! - [`breaker`] lowers the ceiling of a node whose Rust fails too often.
//! - [`access`] says what Perl has to vouch for before Rust answers a caller.
//! - [`format`](mod@format) is the web interface's form of an answer.
//! - [`decision`] is a line of `migration.log`.

pub mod access;
pub mod breaker;
pub mod choose;
pub mod decision;
pub mod flow;
pub mod format;
pub mod route;

pub use breaker::Breaker;
pub use choose::{Backend, Standing, choose};
pub use decision::Decision;
pub use route::{Operation, Route, Target, route};
