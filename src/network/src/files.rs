//! The files that Proxmox and we apply: where they lie, what a reload would make of them, and who may write.

use std::path::Path;
use std::time::Duration;

use history::snapshot::Captured;
use host::{Lock, Result, files};
use model::NetworkFiles;

use crate::Node;

/// The running configuration.
pub const INTERFACES: &str = model::MAIN;
/// Proxmox's pending changes, which a reload renames over [`INTERFACES`].
pub const PENDING: &str = "/etc/network/interfaces.new";

/// The larger a file, the less it is a network configuration; in bytes.
pub(crate) const MAX_SIZE: u64 = 16 << 20;

/// The lock of everything in Proxmox that writes `interfaces.new`.
const PROXMOX_LOCK: &str = "/etc/network/.pve-interfaces.lock";

/// How long Proxmox itself waits for that lock.
const PROXMOX_PATIENCE: Duration = Duration::from_secs(10);

/// The content of a file of the node; `None` if it is not there.
pub(crate) fn content(node: &Node, path: &str) -> Result<Option<Vec<u8>>> {
    files::read_plain(&node.store.root.path(path), MAX_SIZE)
}

/// The network files as they are, and as a reload would make them.
pub(crate) fn before_and_after(present: &Captured) -> (NetworkFiles, NetworkFiles) {
    let mut before = NetworkFiles::new();
    for (entry, content) in present.entries.iter().zip(&present.contents) {
        let path = entry.path.as_path();
        if let (true, Some(bytes)) = (path.starts_with("/etc/network") && path != Path::new(PENDING), content) {
            before.insert(path, bytes.clone());
        }
    }
    let mut after = before.clone();
    if let Some(bytes) = present.content_of(Path::new(PENDING)) {
        after.insert(INTERFACES, bytes);
    }
    (before, after)
}

/// Proxmox's lock; where `/etc/network` is not there, nobody writes into it.
pub(crate) fn proxmox_lock(node: &Node) -> Result<Option<Lock>> {
    let path = node.store.root.path(PROXMOX_LOCK);
    if !path.parent().is_some_and(Path::is_dir) {
        return Ok(None);
    }
    Lock::take(&path, PROXMOX_PATIENCE).map(Some)
}
