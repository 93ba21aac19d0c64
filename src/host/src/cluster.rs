//! Every byte under `/etc/pve`. That folder is pmxcfs, a database behind FUSE, and not a plain
//! file system: it refuses chmod, chown, links and attributes, loses quorum at any time, and a
//! write to its *unmounted* mount point keeps it from ever starting again.
//! (pve-cluster's pmxcfs(8); docs/pmxcfs.md says what was measured.)

use std::fs;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::io::Errno;

use crate::{Error, Kind, Result, Root, files};

/// Where the cluster's configuration lies.
pub const MOUNT: &str = "/etc/pve";

/// What `/etc/pve` is at this moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// pve-cluster is not installed: a plain folder, or none.
    Plain,
    /// pve-cluster is installed and pmxcfs not mounted: never to be written.
    Unmounted,
    /// Mounted, but this node has no quorum: reads work, writes fail.
    NoQuorum,
    /// Mounted and writable.
    Quorate,
}

/// `/etc/pve` under a root.
#[derive(Debug, Clone)]
pub struct Cluster {
    root: Root,
    node: String,
}

/// How long to wait for another holder of the cluster lock.
const LOCK_PATIENCE: Duration = Duration::from_secs(10);

impl Cluster {
    /// The cluster folder of `root`, written to as `node`.
    pub fn new(root: &Root, node: impl Into<String>) -> Self {
        Self { root: root.clone(), node: node.into() }
    }

    /// Whether and how it can be written now. A node that just lost quorum may still look
    /// quorate for a second.
    pub fn state(&self) -> State {
        match fs::symlink_metadata(self.root.path("/etc/pve/local")) {
            Ok(link) if link.is_symlink() && link.mode() & 0o200 != 0 => State::Quorate,
            Ok(link) if link.is_symlink() => State::NoQuorum,
            _ if self.root.path("/usr/bin/pmxcfs").exists() => State::Unmounted,
            _ => State::Plain,
        }
    }

    /// Replaces the file `inside` (an absolute path under `/etc/pve`) by `bytes`, if it still
    /// holds `expected` (`None`: if there is none), as one step against every other node.
    pub fn replace(&self, inside: &Path, expected: Option<&[u8]>, bytes: &[u8]) -> Result<()> {
        self.under_lock(inside, |path| {
            self.compare(path, inside, expected)?;
            if let Some(parent) = path.parent() {
                self.create_dirs(parent)?;
            }
            let temporary = files::beside(path, &self.node);
            let done = self.write(&temporary, bytes).and_then(|()| {
                fs::rename(&temporary, path)
                    .map_err(|e| not_writable(format!("cannot replace {}", inside.display()), e))
            });
            if done.is_err() {
                // The first error is the one to tell.
                let _ = fs::remove_file(&temporary);
            }
            done
        })
    }

    /// Removes the file `inside` if it still holds `expected`.
    pub fn remove(&self, inside: &Path, expected: &[u8]) -> Result<()> {
        self.under_lock(inside, |path| {
            self.compare(path, inside, Some(expected))?;
            fs::remove_file(path).map_err(|e| not_writable(format!("cannot remove {}", inside.display()), e))
        })
    }

    fn under_lock(&self, inside: &Path, act: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
        if !inside.starts_with(MOUNT) {
            return Err(Error::new(format!("{} is not under {MOUNT}", inside.display())));
        }
        let path = self.root.resolve(inside)?;
        let _lock = match self.state() {
            State::Plain => None,
            State::Quorate => Some(ClusterLock::take(self.root.path("/etc/pve/priv/lock/pve-network-rs"))?),
            State::Unmounted => {
                return Err(closed(inside, "pmxcfs is not mounted", "start pve-cluster.service and try again"));
            }
            State::NoQuorum => {
                return Err(closed(inside, "the cluster has no quorum", "try again when `pvecm status` says quorate"));
            }
        };
        act(&path)
    }

    fn compare(&self, path: &Path, inside: &Path, expected: Option<&[u8]>) -> Result<()> {
        let now = files::read_plain(path, 2 << 20)?;
        if now.as_deref() == expected {
            return Ok(());
        }
        Err(Error::of(
            Kind::Refused,
            format!("{} was changed by someone else meanwhile and is left alone", inside.display()),
        ))
    }

    fn create_dirs(&self, dir: &Path) -> Result<()> {
        if dir.is_dir() {
            return Ok(());
        }
        if let Some(parent) = dir.parent() {
            self.create_dirs(parent)?;
        }
        match fs::create_dir(dir) {
            Err(e) if e.kind() != ErrorKind::AlreadyExists => {
                Err(not_writable(format!("cannot create {}", dir.display()), e))
            }
            _ => Ok(()),
        }
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> Result<()> {
        let failed = |e: std::io::Error| not_writable(format!("cannot write {}", path.display()), e);
        // pmxcfs ignores the mode; in a plain folder it is what pmxcfs would show.
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o640).open(path).map_err(failed)?;
        file.write_all(bytes).and_then(|()| file.sync_all()).map_err(failed)
    }
}

/// The cluster-wide lock: a folder that only one node can create, valid for 120 s.
struct ClusterLock(PathBuf);

impl ClusterLock {
    fn take(path: PathBuf) -> Result<Self> {
        let begin = Instant::now();
        if let Some(parent) = path.parent().filter(|p| !p.is_dir()) {
            // Made by pmxcfs itself at start; a stand-in may lack it.
            fs::create_dir_all(parent).map_err(|e| not_writable(format!("cannot create {}", parent.display()), e))?;
        }
        loop {
            match fs::create_dir(&path) {
                Ok(()) => return Ok(Self(path)),
                Err(e) if e.kind() == ErrorKind::AlreadyExists && begin.elapsed() < LOCK_PATIENCE => {
                    // Asking with a zero mtime makes pmxcfs drop a lock that is past its 120 s.
                    let _ = files::set_mtime(&path, (0, 0));
                    std::thread::sleep(Duration::from_millis(100));
                }
                Err(e) if e.kind() == ErrorKind::AlreadyExists => {
                    return Err(Error::of(
                        Kind::ClusterNotWritable,
                        format!("{} is held by another node; try again in two minutes", path.display()),
                    ));
                }
                Err(e) => return Err(not_writable(format!("cannot take the lock {}", path.display()), e)),
            }
        }
    }
}

impl Drop for ClusterLock {
    fn drop(&mut self) {
        // One that stays is dropped by pmxcfs after 120 s.
        let _ = fs::remove_dir(&self.0);
    }
}

fn closed(inside: &Path, why: &str, way_out: &str) -> Error {
    Error::of(Kind::ClusterNotWritable, format!("cannot write {}: {why}", inside.display())).way_out(way_out)
}

/// EACCES, EPERM, EBUSY, ENOTCONN and a read-only mount mean "not now", not "never".
fn not_writable(doing: String, error: std::io::Error) -> Error {
    let errno = error.raw_os_error().map(Errno::from_raw_os_error);
    let error = Error::io(doing, error);
    match errno {
        Some(Errno::ACCESS | Errno::PERM | Errno::BUSY | Errno::NOTCONN | Errno::ROFS) => {
            error.with_kind(Kind::ClusterNotWritable)
        }
        _ => error,
    }
}

/// Reads a file under `/etc/pve` of at most `limit` bytes; `None` if there is none.
pub fn read(root: &Root, inside: &Path, limit: u64) -> Result<Option<Vec<u8>>> {
    let path = root.resolve(inside)?;
    files::read_plain(&path, limit).map_err(|e| match e.errno().map(Errno::from_raw_os_error) {
        Some(Errno::NOTCONN) => e.way_out("pmxcfs has died: `systemctl restart pve-cluster.service`"),
        _ => e,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn cluster() -> (tempfile::TempDir, Cluster, Root) {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::at(dir.path());
        (dir, Cluster::new(&root, "a"), root)
    }

    #[test]
    fn a_plain_folder_is_written_and_compared() {
        let (_dir, cluster, root) = cluster();
        let file = Path::new("/etc/pve/network/migration.toml");
        cluster.replace(file, None, b"1").unwrap();
        let late = cluster.replace(file, None, b"2").unwrap_err();
        assert_eq!(late.kind(), Kind::Refused);
        cluster.replace(file, Some(b"1"), b"2").unwrap();
        assert_eq!(read(&root, file, 10).unwrap().unwrap(), b"2");
        assert_eq!(fs::read_dir(root.path("/etc/pve/network")).unwrap().count(), 1);
    }

    #[test]
    fn an_unmounted_pmxcfs_is_never_written() {
        let (_dir, cluster, root) = cluster();
        fs::create_dir_all(root.path("/usr/bin")).unwrap();
        fs::write(root.path("/usr/bin/pmxcfs"), "").unwrap();
        assert_eq!(cluster.state(), State::Unmounted);
        let error = cluster.replace(Path::new("/etc/pve/x"), None, b"1").unwrap_err();
        assert_eq!(error.kind(), Kind::ClusterNotWritable);
        assert!(!root.path("/etc/pve").exists());
    }

    #[test]
    fn mounted_means_locked_and_the_lock_goes() {
        let (_dir, cluster, root) = cluster();
        fs::create_dir_all(root.path("/etc/pve/priv/lock")).unwrap();
        symlink("nodes/a", root.path("/etc/pve/local")).unwrap();
        assert_eq!(cluster.state(), State::Quorate);
        cluster.replace(Path::new("/etc/pve/x"), None, b"1").unwrap();
        assert_eq!(fs::read_dir(root.path("/etc/pve/priv/lock")).unwrap().count(), 0);
    }
}
