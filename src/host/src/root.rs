//! Where `/` is. `dpkg --root --force-script-chrootless` runs maintainer scripts outside the
//! root they work on and says so in `DPKG_ROOT` (dpkg(1), "script-chrootless"), so every absolute
//! path of this project is made here.

use std::ffi::OsString;
use std::fs;
use std::path::{Component, Path, PathBuf};

use crate::{Error, Result};

/// The directory that stands for `/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    base: PathBuf,
}

/// More symbolic links than this on one path is a loop (as the kernel's `ELOOP`).
const MAX_LINKS: usize = 40;

impl Root {
    /// The root that dpkg names in `DPKG_ROOT`; `/` if it is unset or empty.
    pub fn from_env() -> Self {
        match std::env::var_os("DPKG_ROOT") {
            Some(dir) if !dir.is_empty() => Self::at(PathBuf::from(dir)),
            _ => Self::system(),
        }
    }

    /// The running system's own `/`.
    pub fn system() -> Self {
        Self::at(PathBuf::from("/"))
    }

    /// A root at `base`, such as a chroot or a test's folder.
    pub fn at(base: impl Into<PathBuf>) -> Self {
        Self { base: base.into() }
    }

    /// Whether this is the running system, so that its services may be talked to.
    pub fn is_system(&self) -> bool {
        self.base == Path::new("/")
    }

    /// The directory itself.
    pub fn base(&self) -> &Path {
        &self.base
    }

    /// Where the absolute path `inside` lies, without following links: for paths whose folders
    /// only root can change. Parent references are dropped rather than climbed.
    pub fn path(&self, inside: impl AsRef<Path>) -> PathBuf {
        let mut out = self.base.clone();
        out.extend(inside.as_ref().components().filter_map(|part| match part {
            Component::Normal(name) => Some(name),
            _ => None,
        }));
        out
    }

    /// Where the absolute path `inside` lies once links in its *parent folders* are followed the
    /// way a chroot would follow them; the last component itself is not followed. Parents that do
    /// not exist are taken as written.
    pub fn resolve(&self, inside: impl AsRef<Path>) -> Result<PathBuf> {
        let inside = inside.as_ref();
        let mut todo: Vec<OsString> = names(inside);
        todo.reverse();
        let mut done: Vec<OsString> = Vec::new();
        let mut links = 0;
        while let Some(name) = todo.pop() {
            if name == ".." {
                done.pop();
                continue;
            }
            done.push(name);
            if todo.is_empty() {
                break;
            }
            let here = self.join(&done);
            let Ok(target) = fs::read_link(&here) else {
                continue;
            };
            links += 1;
            if links > MAX_LINKS {
                return Err(Error::new(format!(
                    "cannot follow {}: too many levels of symbolic links",
                    inside.display()
                )));
            }
            done.pop();
            if target.is_absolute() {
                done.clear();
            }
            todo.extend(names(&target).into_iter().rev());
        }
        Ok(self.join(&done))
    }

    /// The path as someone inside the root would write it.
    pub fn inside(&self, outside: &Path) -> PathBuf {
        match outside.strip_prefix(&self.base) {
            Ok(rest) => Path::new("/").join(rest),
            Err(_) => outside.to_owned(),
        }
    }

    fn join(&self, parts: &[OsString]) -> PathBuf {
        let mut out = self.base.clone();
        out.extend(parts);
        out
    }
}

/// The components that name something, `..` included, in order.
fn names(path: &Path) -> Vec<OsString> {
    path.components()
        .filter_map(|part| match part {
            Component::Normal(name) => Some(name.to_owned()),
            Component::ParentDir => Some("..".into()),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn paths_never_leave_the_root() {
        let root = Root::at("/r");
        assert_eq!(root.path("/etc/x"), Path::new("/r/etc/x"));
        assert_eq!(root.path("/../etc/../x"), Path::new("/r/etc/x"));
        assert_eq!(root.inside(Path::new("/r/etc/x")), Path::new("/etc/x"));
    }

    #[test]
    fn links_in_parents_are_followed_inside_the_root_only() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::at(dir.path());
        fs::create_dir_all(root.path("/etc/pve/nodes/a/lxc")).unwrap();
        symlink("nodes/a/lxc", root.path("/etc/pve/lxc")).unwrap();
        symlink("/etc/pve", root.path("/abs")).unwrap();
        symlink("../../../../etc", root.path("/climb")).unwrap();
        symlink("/nowhere", root.path("/etc/last")).unwrap();
        let at = |p: &str| root.inside(&root.resolve(p).unwrap());
        assert_eq!(at("/etc/pve/lxc/1.conf"), Path::new("/etc/pve/nodes/a/lxc/1.conf"));
        assert_eq!(at("/abs/lxc/1.conf"), Path::new("/etc/pve/nodes/a/lxc/1.conf"));
        assert_eq!(at("/climb/last"), Path::new("/etc/last"));
        assert_eq!(at("/missing/x"), Path::new("/missing/x"));
    }

    #[test]
    fn a_loop_of_links_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::at(dir.path());
        symlink("/b", root.path("/a")).unwrap();
        symlink("/a", root.path("/b")).unwrap();
        let said = root.resolve("/a/x").unwrap_err().to_string();
        assert!(said.contains("too many levels"), "{said}");
    }
}
