//! Who gives the command, for journals and tables: the kernel's word first, claims named as such.

use ::phase::Who;

/// Whoever started this program.
pub(crate) fn here() -> String {
    name(&Who::here("migration-ctl"))
}

/// As it is shown to a person: `root`, `root (logged in as alice)`.
pub(crate) fn name(by: &Who) -> String {
    let mut name = by.user.clone().unwrap_or_else(|| format!("uid {}", by.uid));
    if let Some(login) = by.login.as_ref().filter(|login| **login != name) {
        name += &format!(" (logged in as {login})");
    } else if let Some(claimed) = &by.sudo_user {
        name += &format!(" (sudo says {claimed})");
    }
    name
}
