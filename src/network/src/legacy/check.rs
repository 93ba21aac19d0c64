//! What Perl doesn't ask before it applies: would the result cut the node or a guest off?

use std::path::Path;

use history::snapshot::Captured;
use history::{Store, restore};
use host::Result;
use model::NetworkFiles;

use crate::files::{PENDING, before_and_after};

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
