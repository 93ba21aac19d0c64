//! Everything on a disk, to tell whether a round trip left it as it was.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

/// File systems of the kernel's, not of the disk.
const NOT_ON_DISK: [&str; 3] = ["/dev", "/proc", "/sys"];

/// What lies at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A directory.
    Dir,
    /// A symbolic link.
    Link,
    /// A device, socket or pipe.
    Other,
}

/// One path's state; not its times, which a faithful round trip may change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What it is.
    pub kind: EntryKind,
    /// Permission bits.
    pub mode: u32,
    /// Numeric owner.
    pub uid: u32,
    /// Numeric group.
    pub gid: u32,
    /// SHA-256 in hex of a file, target of a link, nothing for the rest.
    pub content: String,
}

/// Every path below a root but `/dev`, `/proc` and `/sys`, as the machine itself names it.
#[derive(Clone, PartialEq, Eq)]
pub struct Tree {
    entries: BTreeMap<PathBuf, Entry>,
}

impl Tree {
    /// Reads the disk of the machine at `base`, from the directory `start` down.
    pub(crate) fn of(base: &Path, start: &Path) -> Self {
        let mut entries = BTreeMap::new();
        let mut todo = vec![start.to_owned()];
        while let Some(dir) = todo.pop() {
            let at = base.join(dir.strip_prefix("/").unwrap_or(&dir));
            // A directory may go while we look: a booted machine lives.
            for found in fs::read_dir(at).into_iter().flatten().flatten() {
                let path = dir.join(found.file_name());
                if NOT_ON_DISK.iter().any(|skip| path == Path::new(skip)) {
                    continue;
                }
                let Ok(entry) = Entry::of(&found.path()) else { continue };
                if entry.kind == EntryKind::Dir {
                    todo.push(path.clone());
                }
                entries.insert(path, entry);
            }
        }
        Self { entries }
    }

    /// What lies at `path`, if anything.
    pub fn get(&self, path: impl AsRef<Path>) -> Option<&Entry> {
        self.entries.get(path.as_ref())
    }

    /// Every path with what lies there, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&Path, &Entry)> {
        self.entries.iter().map(|(path, entry)| (path.as_path(), entry))
    }

    /// The same without these paths and all below them.
    pub fn without(mut self, paths: &[&str]) -> Self {
        self.entries.retain(|path, _| !paths.iter().any(|prefix| path.starts_with(prefix)));
        self
    }

    /// Only what lies at or below this path.
    pub fn below(mut self, prefix: &str) -> Self {
        self.entries.retain(|path, _| path.starts_with(prefix));
        self
    }

    /// What one would have to do to come from here to `later`, a line for each path: `+ new`,
    /// `- gone`, `~ changed` with what changed. Empty if they are the same.
    pub fn changes(&self, later: &Tree) -> Vec<String> {
        let mut paths: Vec<&PathBuf> = self.entries.keys().chain(later.entries.keys()).collect();
        paths.sort();
        paths.dedup();
        let line = |path: &PathBuf| match (self.entries.get(path), later.entries.get(path)) {
            (Some(old), Some(new)) if old == new => None,
            (Some(old), Some(new)) => Some(format!("~ {}: {old} -> {new}", path.display())),
            (Some(_), None) => Some(format!("- {}", path.display())),
            (None, _) => Some(format!("+ {}", path.display())),
        };
        paths.into_iter().filter_map(line).collect()
    }

    /// Fails, naming every difference, unless `later` is the same.
    #[track_caller]
    pub fn assert_same(&self, later: &Tree) {
        let changes = self.changes(later);
        assert!(changes.is_empty(), "the disk should be as it was, but:\n{}", changes.join("\n"));
    }
}

impl Entry {
    fn of(path: &Path) -> io::Result<Self> {
        let meta = fs::symlink_metadata(path)?;
        let (kind, content) = if meta.is_file() {
            (EntryKind::File, digest(path, &meta)?)
        } else if meta.is_dir() {
            (EntryKind::Dir, String::new())
        } else if meta.is_symlink() {
            (EntryKind::Link, fs::read_link(path)?.to_string_lossy().into_owned())
        } else {
            (EntryKind::Other, String::new())
        };
        Ok(Self { kind, mode: meta.mode() & 0o7777, uid: meta.uid(), gid: meta.gid(), content })
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let content = self.content.get(..12).unwrap_or(&self.content);
        write!(f, "{:?} {:04o} {}:{} {content}", self.kind, self.mode, self.uid, self.gid)
    }
}

/// What tells one state of a file from another without reading it: device, inode, size, and the
/// times of change of content and of inode.
type Look = (u64, u64, u64, (i64, i64), (i64, i64));

/// Most of a root never changes between two looks at it, and reading it all takes a second.
static KNOWN: LazyLock<Mutex<HashMap<Look, String>>> = LazyLock::new(Mutex::default);

/// A file that changed just before it was read may change again within the same tick of the
/// kernel's clock, and look the same: such a one is read again next time.
const SETTLED: Duration = Duration::from_secs(2);

fn digest(path: &Path, meta: &Metadata) -> io::Result<String> {
    let look =
        (meta.dev(), meta.ino(), meta.size(), (meta.mtime(), meta.mtime_nsec()), (meta.ctime(), meta.ctime_nsec()));
    let known = || KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(digest) = known().get(&look) {
        return Ok(digest.clone());
    }
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let digest = host::files::sha256(&fs::read(path)?);
    let changed = Duration::from_secs(u64::try_from(meta.ctime()).unwrap_or(0));
    if changed + SETTLED < now {
        known().insert(look, digest.clone());
    }
    Ok(digest)
}
