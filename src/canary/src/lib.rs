//! `canary`: may a node go one phase further? And how would anyone know?
//!
//! ```text
//!   this node's disk                       Prometheus, elsewhere
//!   migration.toml, ceiling, history ─┐    ┌─ scrapes: up, start, phase
//!   operations.jsonl, migration.log  ─┼─ read ─► Facts ─► gate (pure) ─► Verdict ─► exit 0, 3, 4
//!   contract-test's report           ─┘    └─ counters
//! ```
//!
//! Two witnesses have to say the same. Whoever writes on the node can make its files say anything, a restart makes
//! Prometheus forget, and a scrape that did not come looks like silence: so nothing that is missing, reset, or not a
//! number is ever taken for good, and [`gate`](gate::gate) has no default that passes. Everything that decides is in
//! [`Facts`](facts::Facts); whoever has them can judge again, without the node.
//!
//! It never raises a phase, never writes network configuration, and never talks to another node: `migration-ctl
//! promote` asks it and acts. `watch` looks at alerts, and lowers this node's phase if it is told to.
//!
//! | to add | look at |
//! |---|---|
//! | a rule | [`gate`], with a row in `gate/tests` |
//! | a threshold | `gate::limits` |
//! | a source | [`read`], [`facts`] |
//! | an alert that takes a node down | `debian/prometheus/rules.yml`: `demote: "yes"` |

mod alerts;
pub mod evidence;
pub mod facts;
pub mod gate;
mod keys;
mod latency;
pub mod read;
mod report;
pub mod shown;
mod watch;

mod cli;

pub use cli::{Asked, cli, ended, main};
