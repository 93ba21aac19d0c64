//! What is captured: the list that a package's `hooks.toml` gives.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Whose files these are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// This node's own.
    Node,
    /// The cluster's, under `/etc/pve`: never written back without being asked.
    Cluster,
}

/// What a captured file is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Use {
    /// May be written back.
    Restore,
    /// May be deleted by going back, but never written: Proxmox applies it at the next boot.
    Discard,
    /// Kept to look at; never written back.
    Evidence,
}

/// One line of the list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// An absolute path: a file, a folder (taken whole), or a folder with a pattern such as
    /// `/etc/pve/sdn/*.cfg` as last component.
    pub path: String,
    /// Its name in a snapshot, flat enough to be copied by hand.
    pub name: String,
    /// Whose it is.
    pub scope: Scope,
    /// What it is for.
    #[serde(rename = "use")]
    pub usage: Use,
}

impl Item {
    /// An item with its usual name: the last component, or the folder's for a pattern.
    pub fn new(path: impl Into<String>, scope: Scope, usage: Use) -> Self {
        let path = path.into();
        let name = Self::usual_name(&path);
        Self { path, name, scope, usage }
    }

    /// The name that a path gets when the list gives none.
    pub fn usual_name(path: &str) -> String {
        let path = path.trim_end_matches('/');
        let (folder, last) = path.rsplit_once('/').unwrap_or(("", path));
        let name = if last.contains('*') { folder.rsplit('/').next().unwrap_or(folder) } else { last };
        name.to_owned()
    }

    /// Folder and pattern, if the last component has a `*`.
    pub fn pattern(&self) -> Option<(&Path, &str)> {
        let (folder, last) = self.path.rsplit_once('/')?;
        last.contains('*').then_some((Path::new(folder), last))
    }

    /// Whether `path` is one that this item captures where it exists.
    pub fn covers(&self, path: &Path) -> bool {
        match self.pattern() {
            Some((folder, pattern)) => {
                path.parent() == Some(folder)
                    && path.file_name().is_some_and(|n| matches(pattern, n.as_encoded_bytes()))
            }
            None => path.starts_with(self.path.trim_end_matches('/')),
        }
    }

    /// The path that a name inside a snapshot stands for, if it is this item's.
    pub fn path_of(&self, name: &Path) -> Option<PathBuf> {
        let rest = name.strip_prefix(&self.name).ok()?;
        match self.pattern() {
            Some((folder, _)) => {
                let path = folder.join(rest);
                self.covers(&path).then_some(path)
            }
            None if rest.as_os_str().is_empty() => Some(PathBuf::from(self.path.trim_end_matches('/'))),
            None => Some(Path::new(self.path.trim_end_matches('/')).join(rest)),
        }
    }
}

/// `*` matches any run of bytes; a leading dot must be given, as in a shell.
fn matches(pattern: &str, name: &[u8]) -> bool {
    if name.first() == Some(&b'.') && !pattern.starts_with('.') {
        return false;
    }
    let mut parts = pattern.split('*').map(str::as_bytes);
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else {
        return false;
    };
    let parts: Vec<&[u8]> = parts.collect();
    let Some((last, middle)) = parts.split_last() else {
        return rest.is_empty();
    };
    for part in middle {
        match rest.windows(part.len().max(1)).position(|w| w == *part) {
            Some(at) => rest = &rest[at + part.len()..],
            None if part.is_empty() => {}
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_a_shell_would() {
        for (pattern, name, yes) in [
            ("*.cfg", "zones.cfg", true),
            ("*.cfg", ".hidden.cfg", false),
            ("*.cfg", "zones.cfg.bak", false),
            ("a*b*c", "a-b-c", true),
            ("a*b*c", "ac", false),
            ("*", "x", true),
            ("*", ".x", false),
        ] {
            assert_eq!(matches(pattern, name.as_bytes()), yes, "{pattern} {name}");
        }
    }

    #[test]
    fn names_and_paths_map_both_ways() {
        let sdn = Item::new("/etc/pve/sdn/*.cfg", Scope::Cluster, Use::Restore);
        assert_eq!(sdn.name, "sdn");
        assert!(sdn.covers(Path::new("/etc/pve/sdn/zones.cfg")));
        assert!(!sdn.covers(Path::new("/etc/pve/sdn/sub/zones.cfg")));
        assert_eq!(sdn.path_of(Path::new("sdn/zones.cfg")), Some("/etc/pve/sdn/zones.cfg".into()));
        let dir = Item::new("/etc/network/interfaces.d/", Scope::Node, Use::Restore);
        assert_eq!(dir.name, "interfaces.d");
        assert!(dir.covers(Path::new("/etc/network/interfaces.d/a/b")));
        assert_eq!(dir.path_of(Path::new("interfaces.d/x")), Some("/etc/network/interfaces.d/x".into()));
        let file = Item::new("/etc/network/interfaces", Scope::Node, Use::Restore);
        assert!(!file.covers(Path::new("/etc/network/interfaces.new")));
    }
}
