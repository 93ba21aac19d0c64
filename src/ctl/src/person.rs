//! Who gives the command, for journals and tables: the kernel's word first, claims named as such.

use ::phase::Who;

/// Whoever started this program.
pub(crate) fn here() -> String {
    name(&Who::here("migration-ctl"))
}

/// As it is shown to a person.
pub(crate) fn name(by: &Who) -> String {
    by.name()
}
