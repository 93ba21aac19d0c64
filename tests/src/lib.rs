//! The rig: real dpkg, apt and systemd on throw-away Debian machines.
//!
//! ```text
//!   roots     bookworm and trixie, unpacked once, never written to
//!     └─ Node         a fresh overlay of one of them, own namespaces; .boot() starts systemd in it
//!   Chrootless        an empty directory that real dpkg takes for `/`, without root
//!     both are a Machine: run, sh, install, write, read, ls, tree
//!   Pmxcfs            a cluster's /etc/pve, shared by nodes that are .in_cluster(…), with its faults
//!   DebBuilder ► a small .deb     Keyring ► throw-away OpenPGP key     Repo ► signed apt repository
//!   dist ► what `make deb` built          ours ► our package in its variants
//! ```
//!
//! A test reads as a sentence:
//!
//! ```no_run
//! use rig::{DebBuilder, Machine, Node};
//! let node = Node::bookworm();
//! let deb = DebBuilder::new("x", "1.0").file("/usr/bin/x", "#!/bin/sh\n").build();
//! node.install(&deb).ok();
//! assert!(node.exists("/usr/bin/x"));
//! ```
//!
//! What the rig makes goes away with the value that stands for it, also when a test panics, and by
//! itself when the test process is killed. Nothing here touches the host's own `/etc`, packages,
//! units or network: a node has its own mounts, processes, host name and network, and sees no host
//! directory at all.
//!
//! Helpers panic with the whole story (command, output, what changed on the machine) instead of
//! returning errors: they are for tests.

pub mod bash;
mod boot;
pub mod cables;
mod call;
mod chrootless;
pub mod dist;
mod keys;
mod machine;
mod node;
pub mod ours;
pub mod page;
pub mod perl;
mod pkg;
mod repo;
pub mod roots;
mod tree;

pub use call::{Call, Output};
pub use chrootless::Chrootless;
pub use keys::Keyring;
pub use machine::Machine;
pub use node::Node;
pub use pkg::{Deb, DebBuilder};
pub use pmxcfs::{Daemon, Fault, MAX_FILE_SIZE, Pmxcfs, WWW_DATA};
pub use pveproxy::{Authority, Browser, GOOD, Page, TICKET};
pub use repo::Repo;
pub use roots::{Suite, need_fuse, need_root};
pub use tree::{Entry, EntryKind, Tree};
