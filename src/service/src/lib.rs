//! The API daemon and the migration middleware: one program shape, two identities.
//!
//! ```text
//!   options ─► run ─┬─► socket             one owner, removed at the end
//!                   ├─► systemd            READY=1 once bound, STOPPING=1 before draining
//!                   └─► server ─┬─► health ─► standing ─► phase, host
//!                               └─► daemon ─► network::serve
//!
//!   callers ─► middleware ─┬─► Rust: the daemon's socket
//!                          └─► Perl: https
//! ```
//!
//! The daemon answers Proxmox's API of a node's network, in the room `daemon`; the middleware, which decides who is
//! asked, has a room of its own, [`middleware`]. What both share is how they live:
//!
//! - **One socket, one owner.** A socket that a dead process left is replaced, one that answers is
//!   somebody's and is left alone.
//! - **Nothing unbounded.** Connections, header bytes, header time, bodies and the time to drain all
//!   have a limit, so a confused client can cost the node next to nothing.
//! - **The phase is read anew for each request**, from the same files as `migration-ctl` reads, in a
//!   thread of its own: `/etc/pve` is a FUSE mount and may hang, and an answer that says so is
//!   worth more than none.
//! - **Small.** One thread serves; a reading thread exists only while `/etc/pve` is read.
//!
//! Whether the daemon may run at all is asked by its unit (`ExecCondition=`), not by the program:
//! run by hand it serves in every phase, and answers by it.
//!
//! Neither of the two ever raises a phase, and neither reloads the network itself: that is a unit of its own.

mod busy;
mod daemon;
mod health;
mod log;
pub mod middleware;
mod options;
mod run;
mod server;
mod socket;
mod standing;

pub use options::{DAEMON, Identity, cli};
pub use run::main;
