//! What Perl doesn't ask before it applies: would the result cut the node or a guest off?

use std::path::Path;

use history::snapshot::Captured;
use history::{Store, restore};
use host::Result;
use model::NetworkFiles;

/// The running configuration.
pub const INTERFACES: &str = model::MAIN;
/// Proxmox's pending changes, which a reload renames over [`INTERFACES`].
pub const PENDING: &str = "/etc/network/interfaces.new";

/// Whether there are pending changes.
pub(super) fn is_pending(present: &Captured) -> bool {
    present.state_of(Path::new(PENDING)).is_some_and(history::What::exists)
}

/// Whether what a reload would make of the files still parses and keeps the node's management
/// address and the bridges that guests name.
///
/// # Errors
/// The reason, with [`host::Kind::Refused`].
pub(super) fn check(store: &Store, present: &Captured) -> Result<()> {
    let (before, after) = before_and_after(present);
    restore::stays_reachable(store, &before, &after)?;
    // Nothing pending replaces nothing; that the files parse is asked all the same.
    restore::stays_reachable(store, &NetworkFiles::new(), &after)
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
