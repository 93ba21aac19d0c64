//! A folder with all that is in it, held in memory: what each side's scratch copy is made of, and what it is afterwards.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, lchown, symlink};
use std::path::{Path, PathBuf};

use host::{Error, IoContext, Result, files};

/// More is no network configuration: bytes of all files, and their number.
const BYTES: usize = 64 << 20;
const FILES: usize = 10_000;

/// By path below the folder; the folder itself is the empty path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tree(BTreeMap<PathBuf, Entry>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    what: What,
    mode: u32,
    owner: (u32, u32),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum What {
    Folder,
    File(Vec<u8>),
    Link(PathBuf),
}

impl Tree {
    /// Reads it.
    ///
    /// # Errors
    /// It can't be read, is too large, or holds what is neither file, folder nor link.
    pub(crate) fn read(folder: &Path) -> Result<Self> {
        let (mut all, mut todo, mut bytes) = (BTreeMap::new(), vec![PathBuf::new()], 0);
        while let Some(below) = todo.pop() {
            // Without a slash at the end, by which a link would be followed.
            let at = if below.as_os_str().is_empty() { folder.to_owned() } else { folder.join(&below) };
            let doing = || format!("cannot read {}", at.display());
            let meta = if all.is_empty() { fs::metadata(&at) } else { fs::symlink_metadata(&at) }.doing(doing)?;
            let what = if meta.is_dir() {
                for entry in fs::read_dir(&at).doing(doing)? {
                    todo.push(below.join(entry.doing(doing)?.file_name()));
                }
                What::Folder
            } else if meta.is_symlink() {
                What::Link(fs::read_link(&at).doing(doing)?)
            } else {
                let content = files::read_plain(&at, BYTES as u64)?.unwrap_or_default();
                bytes += content.len();
                What::File(content)
            };
            all.insert(below, Entry { what, mode: meta.mode() & 0o7777, owner: (meta.uid(), meta.gid()) });
            if bytes > BYTES || all.len() > FILES {
                let folder = folder.display();
                return Err(Error::new(format!("{folder} holds more than {FILES} files, or more than {BYTES} bytes")));
            }
        }
        Ok(Self(all))
    }

    /// Makes it anew in an empty folder.
    ///
    /// # Errors
    /// Something can't be written.
    pub(crate) fn write(&self, folder: &Path) -> Result<()> {
        // Folders come before what is in them.
        for (below, entry) in &self.0 {
            let at = if below.as_os_str().is_empty() { folder.to_owned() } else { folder.join(below) };
            let doing = || format!("cannot write the copy of {}", at.display());
            match &entry.what {
                What::Folder if below.as_os_str().is_empty() => {}
                What::Folder => DirBuilder::new().mode(0o700).create(&at).doing(doing)?,
                What::Link(target) => symlink(target, &at).doing(doing)?,
                What::File(content) => {
                    let mut file =
                        OpenOptions::new().write(true).create_new(true).mode(0o600).open(&at).doing(doing)?;
                    file.write_all(content).doing(doing)?;
                }
            }
            lchown(&at, Some(entry.owner.0), Some(entry.owner.1)).doing(doing)?;
            if !matches!(entry.what, What::Link(_)) {
                fs::set_permissions(&at, Permissions::from_mode(entry.mode)).doing(doing)?;
            }
        }
        Ok(())
    }

    /// What a file of it holds.
    pub(crate) fn file(&self, name: &str) -> Option<&[u8]> {
        match self.0.get(Path::new(name)).map(|entry| &entry.what) {
            Some(What::File(content)) => Some(content),
            _ => None,
        }
    }

    /// Paths below it that are not the same, modes and owners included.
    pub(crate) fn changed(&self, after: &Self) -> Vec<PathBuf> {
        let of = |tree: &Self, path: &PathBuf| tree.0.get(path).cloned();
        let paths: std::collections::BTreeSet<&PathBuf> = self.0.keys().chain(after.0.keys()).collect();
        paths.into_iter().filter(|path| of(self, path) != of(after, path)).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_made_anew() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        fs::create_dir_all(from.join("interfaces.d/deeper")).unwrap();
        fs::write(from.join("interfaces"), b"auto lo\n\xff").unwrap();
        fs::write(from.join("interfaces.d/sdn"), "x").unwrap();
        fs::set_permissions(from.join("interfaces"), Permissions::from_mode(0o640)).unwrap();
        fs::set_permissions(from.join("interfaces.d"), Permissions::from_mode(0o755)).unwrap();
        symlink("/nowhere", from.join("link")).unwrap();
        fs::create_dir(&to).unwrap();
        let tree = Tree::read(&from).unwrap();
        tree.write(&to).unwrap();
        let again = Tree::read(&to).unwrap();
        assert_eq!(tree.changed(&again), Vec::<PathBuf>::new());
        assert_eq!(again.file("interfaces"), Some(&b"auto lo\n\xff"[..]));
        assert_eq!(again.file("interfaces.d"), None);

        fs::write(to.join("interfaces.new"), "").unwrap();
        fs::remove_file(to.join("link")).unwrap();
        fs::set_permissions(to.join("interfaces"), Permissions::from_mode(0o644)).unwrap();
        let changed = tree.changed(&Tree::read(&to).unwrap());
        assert_eq!(changed, ["interfaces", "interfaces.new", "link"].map(PathBuf::from));
    }

    #[test]
    fn what_can_t_be_copied_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Tree::read(&dir.path().join("missing")).is_err());
        let _socket = std::os::unix::net::UnixListener::bind(dir.path().join("socket")).unwrap();
        assert!(Tree::read(dir.path()).unwrap_err().to_string().contains("plain file"));
    }
}
