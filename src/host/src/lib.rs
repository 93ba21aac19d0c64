//! The machine under the toolkit, and the only crate that knows where it is.
//!
//! ```text
//!   Root ──► every absolute path          Error ──► every message and exit code
//!   files ─► every durable write          Cluster ► every byte under /etc/pve
//!   Lock ──► one writer at a time         Command ► every program that is run
//!   Clock ─► every time stamp             node_name, executable: who and what we are
//! ```
//!
//! It knows nothing of packages, snapshots or phases, and never prints.

mod clock;
pub mod cluster;
mod command;
mod error;
pub mod escape;
pub mod files;
mod lock;
mod node;
mod root;

pub use clock::{Clock, Timestamp};
pub use cluster::Cluster;
pub use command::{Command, Output, quote};
pub use error::{Error, IoContext, Kind, Result};
pub use lock::{Lock, Turn};
pub use node::{executable, node_name};
pub use root::Root;
