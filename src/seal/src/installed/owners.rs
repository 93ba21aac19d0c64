//! `/var/lib/dpkg/statoverride` (dpkg-statoverride(1)): `user group mode path`. A static program has
//! no NSS, so names are looked up in the root's own `/etc/passwd` and `/etc/group`.

use std::collections::HashMap;
use std::path::Path;

use host::{Result, Root};

use super::optional;

/// What the admin wants instead of what the package says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Override {
    /// `None` if the name is not in `/etc/passwd`: not comparable.
    pub(super) owner: Option<u32>,
    /// `None` if the name is not in `/etc/group`.
    pub(super) group: Option<u32>,
    pub(super) mode: u32,
}

#[derive(Debug, Default)]
pub(super) struct Overrides {
    by_path: HashMap<Vec<u8>, Override>,
}

impl Overrides {
    pub(super) fn read(root: &Root, file: &Path) -> Result<Self> {
        let bytes = optional(file)?.unwrap_or_default();
        if bytes.is_empty() {
            return Ok(Self::default());
        }
        let users = ids(&optional(&root.path("/etc/passwd"))?.unwrap_or_default());
        let groups = ids(&optional(&root.path("/etc/group"))?.unwrap_or_default());
        let mut by_path = HashMap::new();
        for line in bytes.split(|b| *b == b'\n') {
            let mut parts = line.splitn(4, |b| *b == b' ');
            let fields = (parts.next(), parts.next(), parts.next(), parts.next());
            let (Some(user), Some(group), Some(mode), Some(path)) = fields else {
                continue;
            };
            let mode = std::str::from_utf8(mode).ok().and_then(|m| u32::from_str_radix(m, 8).ok());
            let Some(mode) = mode else {
                continue;
            };
            let (owner, group) = (id(user, &users), id(group, &groups));
            by_path.insert(path.to_vec(), Override { owner, group, mode });
        }
        Ok(Self { by_path })
    }

    pub(super) fn of(&self, path: &[u8]) -> Option<&Override> {
        self.by_path.get(path)
    }
}

/// `#33` is a number, anything else a name.
fn id(text: &[u8], names: &HashMap<Vec<u8>, u32>) -> Option<u32> {
    match text.strip_prefix(b"#") {
        Some(number) => std::str::from_utf8(number).ok()?.parse().ok(),
        None => names.get(text).copied(),
    }
}

/// Name and third field of passwd(5) or group(5); the first of a name counts.
fn ids(table: &[u8]) -> HashMap<Vec<u8>, u32> {
    let mut out = HashMap::new();
    for line in table.split(|b| *b == b'\n') {
        let mut fields = line.split(|b| *b == b':');
        let (name, number) = (fields.next(), fields.nth(1));
        let number = number.and_then(|n| std::str::from_utf8(n).ok()?.parse().ok());
        if let (Some(name), Some(number)) = (name, number) {
            out.entry(name.to_vec()).or_insert(number);
        }
    }
    out
}
