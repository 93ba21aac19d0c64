//! Every byte under `/etc/pve`. That folder is pmxcfs, a database behind FUSE, and not a plain
//! file system: it refuses chmod, chown, links and attributes, loses quorum at any time, and a
//! write to its *unmounted* mount point keeps it from ever starting again.
//! (pve-cluster's pmxcfs(8); docs/pmxcfs.md says what was measured.)

mod folder;
mod lock;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::io::Errno;

use crate::{Error, Kind, Result, Root, files};
use folder::{Folder, failed};
use lock::Lock;

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

impl State {
    /// By the mode of the link `local`, if there is one, and whether pve-cluster is installed.
    fn of(link: Option<u32>, installed: bool) -> Self {
        match link {
            Some(mode) if mode & 0o200 != 0 => State::Quorate,
            Some(_) => State::NoQuorum,
            None if installed => State::Unmounted,
            None => State::Plain,
        }
    }
}

/// `/etc/pve` under a root.
#[derive(Debug, Clone)]
pub struct Cluster {
    root: Root,
    node: String,
}

/// How long to wait for another holder of the cluster lock, and for a cluster that is syncing.
const PATIENCE: Duration = Duration::from_secs(10);
/// What pmxcfs takes at most.
const MAX_SIZE: usize = 1 << 20;

impl Cluster {
    /// The cluster folder of `root`, written to as `node`.
    pub fn new(root: &Root, node: impl Into<String>) -> Self {
        Self { root: root.clone(), node: node.into() }
    }

    /// Whether and how it can be written now. A node that just lost quorum may still look
    /// quorate for a second.
    pub fn state(&self) -> State {
        match self.open(Instant::now()) {
            Ok(Some(folder)) => folder.state(self.installed()),
            _ => State::of(None, self.installed()),
        }
    }

    fn open(&self, deadline: Instant) -> Result<Option<Folder>> {
        Folder::open(&self.root, deadline)
    }

    fn installed(&self) -> bool {
        self.root.path("/usr/bin/pmxcfs").exists()
    }

    /// Replaces the file `inside` (an absolute path under `/etc/pve`) by `bytes`, if it still
    /// holds `expected` (`None`: if there is none), as one step against every other node.
    pub fn replace(&self, inside: &Path, expected: Option<&[u8]>, bytes: &[u8]) -> Result<()> {
        if bytes.len() > MAX_SIZE {
            return Err(Error::new(format!("cannot write {}: it is larger than 1 MiB", inside.display())));
        }
        self.under_lock(inside, expected, |folder, lock, path| {
            if lock.is_some() {
                folder.sweep(&self.root, path, &self.node);
            }
            if let Some(parent) = path.parent() {
                folder.create_dirs(parent)?;
            }
            let temporary = folder.write_beside(path, &self.node, bytes)?;
            let done =
                ready(folder, lock, path, inside, expected).and_then(|()| folder.rename(&temporary, path, bytes));
            if done.is_err() {
                folder.discard(&temporary);
            }
            done?;
            // pmxcfs is a database and has no folders to sync; a plain file system has, new ones too.
            let (file, etc) = (self.root.path(inside), self.root.path("/etc"));
            let mut above = file.ancestors().skip(1).take_while(|dir| lock.is_none() && dir.starts_with(&etc));
            above.try_for_each(files::sync_dir)
        })
    }

    /// Removes the file `inside` if it still holds `expected`.
    pub fn remove(&self, inside: &Path, expected: &[u8]) -> Result<()> {
        self.under_lock(inside, Some(expected), |folder, lock, path| {
            ready(folder, lock, path, inside, Some(expected))?;
            folder
                .patiently(&mut |again| match folder.unlink(path) {
                    Err(Errno::NOENT) if again => Ok(()),
                    done => done,
                })
                .map_err(|e| failed(format_args!("cannot remove {}", inside.display()), e))
        })
    }

    /// Does something that one node of the cluster at a time may do, under a lock of its own named `name`: `act` may
    /// take minutes, and calls what it is given before each step that must not be another's as well.
    ///
    /// Where pve-cluster is not installed this node is alone, and nothing is locked.
    ///
    /// # Errors
    /// [`Kind::ClusterNotWritable`]: another node holds it, there is no quorum, pmxcfs is not mounted; `act`'s own.
    pub fn alone<T>(&self, name: &str, act: impl FnOnce(&mut dyn FnMut() -> Result<()>) -> Result<T>) -> Result<T> {
        let deadline = Instant::now() + PATIENCE;
        let folder = self.open(deadline)?;
        let state = folder.as_ref().map_or(State::of(None, self.installed()), |f| f.state(self.installed()));
        let folder = match (folder, state) {
            (_, State::Plain) => return act(&mut || Ok(())),
            (Some(folder), State::Quorate) => folder,
            (_, State::NoQuorum) => {
                let why = format!("cannot take the lock {name}: the cluster has no quorum");
                return Err(
                    Error::of(Kind::ClusterNotWritable, why).way_out("try again when `pvecm status` says quorate")
                );
            }
            _ => {
                let why = format!("cannot take the lock {name}: pmxcfs is not mounted");
                return Err(Error::of(Kind::ClusterNotWritable, why).way_out("start pve-cluster.service and try again"));
            }
        };
        let mut lock = Lock::take_named(&folder, name, deadline)?;
        act(&mut || lock.prolong())
    }

    fn under_lock(
        &self,
        inside: &Path,
        expected: Option<&[u8]>,
        act: impl FnOnce(&Folder, &mut Option<Lock<'_>>, &Path) -> Result<()>,
    ) -> Result<()> {
        let path = self.below(inside)?;
        let deadline = Instant::now() + PATIENCE;
        let mut folder = self.open(deadline)?;
        if folder.is_none() && !self.installed() && expected.is_none() {
            let plain = self.root.path(MOUNT);
            fs::create_dir_all(&plain).map_err(|e| Error::io(format!("cannot create {MOUNT}"), e))?;
            folder = self.open(deadline)?;
        }
        let state = folder.as_ref().map_or(State::Unmounted, |f| f.state(self.installed()));
        let folder = match (folder, state) {
            (Some(folder), State::Plain | State::Quorate) => folder,
            (None, _) if !self.installed() => return Err(changed(inside)),
            (_, State::NoQuorum) => {
                return Err(closed(inside, "the cluster has no quorum", "try again when `pvecm status` says quorate"));
            }
            _ => return Err(closed(inside, "pmxcfs is not mounted", "start pve-cluster.service and try again")),
        };
        let mut lock = match state {
            State::Plain => None,
            _ => Some(Lock::take(&folder, deadline)?),
        };
        // Before anything is written, so that a change that comes too late leaves no litter.
        compare(&folder, &path, inside, expected)?;
        act(&folder, &mut lock, &path)
    }

    /// The path relative to `/etc/pve`, links in folders followed.
    fn below(&self, inside: &Path) -> Result<PathBuf> {
        let outside = || Error::new(format!("{} is not under {MOUNT}", inside.display()));
        if !inside.starts_with(MOUNT) || inside == Path::new(MOUNT) {
            return Err(outside());
        }
        let path = self.root.resolve(inside)?;
        path.strip_prefix(self.root.path(MOUNT)).map(Path::to_owned).map_err(|_| outside())
    }
}

/// Whether the change may be made now: the lock is ours, and the file still what it was. Between
/// this and the change itself nobody who takes the lock can come.
fn ready(
    folder: &Folder,
    lock: &mut Option<Lock<'_>>,
    path: &Path,
    inside: &Path,
    expected: Option<&[u8]>,
) -> Result<()> {
    if let Some(lock) = lock {
        lock.prolong()?;
    }
    compare(folder, path, inside, expected)
}

fn compare(folder: &Folder, path: &Path, inside: &Path, expected: Option<&[u8]>) -> Result<()> {
    let now = folder.read(path, 2 << 20)?;
    if now.as_deref() == expected { Ok(()) } else { Err(changed(inside)) }
}

fn changed(inside: &Path) -> Error {
    let inside = inside.display();
    Error::of(Kind::Refused, format!("{inside} was changed by someone else meanwhile and is left alone"))
}

fn closed(inside: &Path, why: &str, way_out: &str) -> Error {
    Error::of(Kind::ClusterNotWritable, format!("cannot write {}: {why}", inside.display())).way_out(way_out)
}

/// Reads a file under `/etc/pve` of at most `limit` bytes; `None` if there is none. While pmxcfs is
/// not mounted nobody can know that.
pub fn read(root: &Root, inside: &Path, limit: u64) -> Result<Option<Vec<u8>>> {
    let path = root.resolve(inside)?;
    let away = || inside.starts_with(MOUNT) && Cluster::new(root, "").state() == State::Unmounted;
    match files::read_plain(&path, limit) {
        Ok(None) if away() => {
            Err(Error::of(Kind::ClusterNotWritable, format!("cannot read {}: pmxcfs is not mounted", inside.display()))
                .way_out("start pve-cluster.service and try again"))
        }
        Err(error) => Err(match error.errno().map(Errno::from_raw_os_error) {
            Some(Errno::NOTCONN | Errno::CONNABORTED) => error
                .with_kind(Kind::ClusterNotWritable)
                .way_out("pmxcfs has died: `systemctl restart pve-cluster.service`"),
            _ => error,
        }),
        read => read,
    }
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
        let error = read(&root, Path::new("/etc/pve/x"), 1).unwrap_err();
        assert_eq!(error.kind(), Kind::ClusterNotWritable, "it is not known whether there is one");
    }

    #[test]
    fn one_at_a_time_for_as_long_as_it_takes() {
        let (_dir, cluster, root) = cluster();
        assert_eq!(cluster.alone("promote", |_| Ok(1)).unwrap(), 1, "alone without a cluster");
        fs::create_dir_all(root.path("/etc/pve/priv/lock")).unwrap();
        symlink("nodes/a", root.path("/etc/pve/local")).unwrap();
        let lock = root.path("/etc/pve/priv/lock/pve-network-rs-promote");
        cluster
            .alone("promote", |keep| {
                assert!(lock.is_dir());
                keep()?;
                // Another lock than that of writers: what it does may write.
                cluster.replace(Path::new("/etc/pve/x"), None, b"1")?;
                fs::remove_dir(&lock).unwrap();
                assert!(keep().unwrap_err().to_string().contains("was lost"));
                Ok(())
            })
            .unwrap();
        fs::create_dir(&lock).unwrap();
        let held = cluster.alone("promote", |_| Ok(())).unwrap_err();
        assert_eq!(held.kind(), Kind::ClusterNotWritable);
        assert!(held.to_string().contains("pve-network-rs-promote is held by another node"), "{held}");
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
