//! What the cluster holds: pmxcfs' own database, in memory, with its rules and its errors.
//!
//! Paths are relative to `/etc/pve`, without a slash in front; the folder itself is `""`. Every
//! operation is one step, as in the real one, where each is one message that all nodes apply.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rustix::io::Errno;

/// 1 MiB a file (`MEMDB_MAX_FILE_SIZE` of pve-cluster 7 and newer).
pub const MAX_FILE_SIZE: usize = 1 << 20;
/// What the real one drops a lock after, if somebody asks (`CFS_LOCK_TIMEOUT`).
pub const LOCK_TIMEOUT: Duration = Duration::from_secs(120);

/// A file or folder.
#[derive(Debug, Clone)]
pub struct Entry {
    /// A file's content; a folder has none.
    pub content: Option<Vec<u8>>,
    /// Whole seconds since the epoch.
    pub mtime: u32,
    /// The node that wrote it last: only it may prolong a lock.
    pub writer: String,
    /// When this node's daemon saw it last change: what a lock's age is counted from.
    seen: Instant,
}

impl Entry {
    /// Whether it is a folder.
    pub fn is_dir(&self) -> bool {
        self.content.is_none()
    }
}

/// All files and folders.
#[derive(Debug, Clone)]
pub struct Db {
    entries: BTreeMap<String, Entry>,
    /// Counts changes of each path.
    pub changes: BTreeMap<String, u64>,
    lock_timeout: Duration,
}

type Answer<T = ()> = Result<T, Errno>;

impl Db {
    /// An empty database with the folders that pve-cluster makes for these nodes.
    pub fn new(nodes: &[&str]) -> Self {
        let mut db = Self { entries: BTreeMap::new(), changes: BTreeMap::new(), lock_timeout: LOCK_TIMEOUT };
        db.put("", None, "");
        for dir in ["nodes", "priv", "priv/lock", "sdn", "ha", "virtual-guest"] {
            db.put(dir, None, "");
        }
        for node in nodes {
            for dir in ["", "/lxc", "/qemu-server", "/openvz", "/priv"] {
                db.put(&format!("nodes/{node}{dir}"), None, node);
            }
        }
        db
    }

    /// After what time without a change a lock may be dropped.
    pub fn set_lock_timeout(&mut self, timeout: Duration) {
        self.lock_timeout = timeout;
    }

    fn put(&mut self, path: &str, content: Option<Vec<u8>>, writer: &str) {
        let entry = Entry { content, mtime: now(), writer: writer.to_owned(), seen: Instant::now() };
        self.entries.insert(path.to_owned(), entry);
        *self.changes.entry(path.to_owned()).or_default() += 1;
    }

    /// The entry at `path`.
    pub fn get(&self, path: &str) -> Option<&Entry> {
        self.entries.get(path)
    }

    /// Everything, by its path.
    pub fn all(&self) -> impl Iterator<Item = (&String, &Entry)> {
        self.entries.iter()
    }

    /// Names in a folder.
    pub fn names(&self, path: &str) -> Vec<(&str, &Entry)> {
        let inside = if path.is_empty() { String::new() } else { format!("{path}/") };
        let below = self.entries.range(inside.clone()..).take_while(|(p, _)| p.starts_with(&inside));
        let names = below.map(|(p, entry)| (&p[inside.len()..], entry));
        names.filter(|(name, _)| !name.is_empty() && !name.contains('/')).collect()
    }

    /// The folder above has to be there.
    fn parent(&self, path: &str) -> Answer {
        match self.entries.get(above(path)) {
            None => Err(Errno::NOENT),
            Some(entry) if !entry.is_dir() => Err(Errno::NOTDIR),
            Some(_) => Ok(()),
        }
    }

    fn existing(&self, path: &str) -> Answer<&Entry> {
        self.parent(path)?;
        self.entries.get(path).ok_or(Errno::NOENT)
    }

    /// mkdir(2). Of two nodes that make the same lock, the second is told EEXIST.
    pub fn mkdir(&mut self, path: &str, writer: &str) -> Answer {
        self.parent(path)?;
        if self.entries.contains_key(path) {
            return Err(Errno::EXIST);
        }
        self.put(path, None, writer);
        Ok(())
    }

    /// A new, empty file.
    pub fn create(&mut self, path: &str, writer: &str) -> Answer {
        self.parent(path)?;
        if self.entries.contains_key(path) {
            return Err(Errno::EXIST);
        }
        self.put(path, Some(Vec::new()), writer);
        Ok(())
    }

    /// Writes into a file; the answer is how much.
    pub fn write(&mut self, path: &str, offset: usize, bytes: &[u8], writer: &str) -> Answer<usize> {
        if offset + bytes.len() > MAX_FILE_SIZE {
            return Err(Errno::FBIG);
        }
        let mut content = self.existing(path)?.content.clone().ok_or(Errno::NOTDIR)?;
        content.resize(content.len().max(offset + bytes.len()), 0);
        content[offset..offset + bytes.len()].copy_from_slice(bytes);
        self.put(path, Some(content), writer);
        Ok(bytes.len())
    }

    /// truncate(2).
    pub fn truncate(&mut self, path: &str, size: usize, writer: &str) -> Answer {
        if size > MAX_FILE_SIZE {
            return Err(Errno::FBIG);
        }
        let mut content = self.existing(path)?.content.clone().ok_or(Errno::NOTDIR)?;
        content.resize(size, 0);
        self.put(path, Some(content), writer);
        Ok(())
    }

    /// rename(2). Sets the mtime to now; folders only while they are empty, locks never.
    pub fn rename(&mut self, from: &str, to: &str, writer: &str) -> Answer {
        let moved = self.entries.get(from).ok_or(Errno::NOENT)?.clone();
        if moved.is_dir() && is_lock(from) {
            return Err(Errno::ACCESS);
        }
        self.parent(to)?;
        if !self.names(from).is_empty() || !self.names(to).is_empty() {
            return Err(Errno::NOTEMPTY);
        }
        self.entries.remove(from);
        *self.changes.entry(from.to_owned()).or_default() += 1;
        self.put(to, moved.content, writer);
        Ok(())
    }

    /// unlink(2) and rmdir(2), which are one for pmxcfs.
    pub fn delete(&mut self, path: &str) -> Answer {
        if path.is_empty() {
            return Err(Errno::ACCESS);
        }
        self.existing(path)?;
        if !self.names(path).is_empty() {
            return Err(Errno::NOTEMPTY);
        }
        self.entries.remove(path);
        *self.changes.entry(path.to_owned()).or_default() += 1;
        Ok(())
    }

    /// Sets the time of last change. On a lock, zero asks to drop it if it has not changed for its
    /// time; a later time prolongs it, for the node only that holds it.
    pub fn utime(&mut self, path: &str, mtime: u32, writer: &str) -> Answer {
        let timeout = self.lock_timeout;
        let entry = self.existing(path)?;
        if entry.is_dir() && is_lock(path) {
            if mtime == 0 && entry.seen.elapsed() > timeout {
                // Asked first, then the new time finds nothing to be set on.
                self.delete(path)?;
                return Err(Errno::NOENT);
            }
            if mtime < entry.mtime || entry.writer != writer {
                return Err(Errno::ACCESS);
            }
        }
        let content = entry.content.clone();
        self.put(path, content, writer);
        if let Some(entry) = self.entries.get_mut(path) {
            entry.mtime = mtime;
        }
        Ok(())
    }
}

fn above(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(dir, _)| dir)
}

fn is_lock(path: &str) -> bool {
    above(path) == "priv/lock"
}

/// Whether only root may see it: below `priv/`, and below a node's `priv/`.
pub fn is_private(path: &str) -> bool {
    let mut parts = path.split('/');
    match parts.next() {
        Some("priv") => true,
        Some("nodes") => parts.nth(1) == Some("priv"),
        _ => false,
    }
}

fn now() -> u32 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |d| d.as_secs().try_into().unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_it_refuses() {
        let mut db = Db::new(&["a", "b"]);
        assert_eq!(db.mkdir("x/y", "a"), Err(Errno::NOENT));
        db.create("x", "a").unwrap();
        assert_eq!(db.mkdir("x/y", "a"), Err(Errno::NOTDIR));
        assert_eq!(db.create("x", "a"), Err(Errno::EXIST));
        assert_eq!(db.write("x", MAX_FILE_SIZE, b"1", "a"), Err(Errno::FBIG));
        assert_eq!(db.delete("nodes"), Err(Errno::NOTEMPTY));
        assert_eq!(db.rename("nodes", "y", "a"), Err(Errno::NOTEMPTY));
        assert_eq!(db.delete(""), Err(Errno::ACCESS));
        assert_eq!(db.delete("none"), Err(Errno::NOENT));
    }

    #[test]
    fn a_lock_is_dropped_when_asked_late_and_prolonged_by_its_holder_only() {
        let mut db = Db::new(&["a", "b"]);
        let lock = "priv/lock/x";
        db.mkdir(lock, "a").unwrap();
        assert_eq!(db.mkdir(lock, "b"), Err(Errno::EXIST));
        assert_eq!(db.rename(lock, "y", "a"), Err(Errno::ACCESS));
        assert_eq!(db.utime(lock, 0, "b"), Err(Errno::ACCESS), "not yet");
        assert_eq!(db.utime(lock, u32::MAX, "b"), Err(Errno::ACCESS), "another's");
        db.utime(lock, now() + 1, "a").unwrap();
        db.set_lock_timeout(Duration::ZERO);
        assert_eq!(db.utime(lock, 0, "b"), Err(Errno::NOENT));
        db.mkdir(lock, "b").unwrap();
    }

    #[test]
    fn what_is_private() {
        for path in ["priv", "priv/lock/x", "nodes/a/priv", "nodes/a/priv/key"] {
            assert!(is_private(path), "{path}");
        }
        for path in ["", "privy", "nodes/priv", "nodes/priv/x", "sdn/priv"] {
            assert!(!is_private(path), "{path}");
        }
    }
}
