//! `/etc/pve`, held open while something is done in it.
//!
//! Everything goes by a path relative to the open folder: should pmxcfs be unmounted meanwhile,
//! as when pve-cluster is upgraded, a call fails, where one by the full path would write into the
//! mount point and keep pmxcfs from ever starting again.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Timespec, Timestamps};
use rustix::io::Errno;

use super::{MOUNT, State};
use crate::{Error, IoContext, Kind, Result, Root, files};

/// How often a busy cluster is asked again.
const PAUSE: Duration = Duration::from_millis(100);

/// The open folder. Paths are relative to it.
pub(super) struct Folder {
    fd: OwnedFd,
    /// When to stop waiting for others.
    deadline: Instant,
}

impl Folder {
    /// Opens `/etc/pve` of `root`; `None` if there is none.
    pub fn open(root: &Root, deadline: Instant) -> Result<Option<Self>> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        match rustix::fs::open(root.path(MOUNT), flags, Mode::empty()) {
            Ok(fd) => Ok(Some(Self { fd, deadline })),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(failed(format_args!("cannot open {MOUNT}"), error)),
        }
    }

    /// What it is now: see [`super::Cluster::state`].
    pub fn state(&self, installed: bool) -> State {
        let link = rustix::fs::statat(&self.fd, "local", AtFlags::SYMLINK_NOFOLLOW).ok();
        let link = link.filter(|s| FileType::from_raw_mode(s.st_mode) == FileType::Symlink);
        State::of(link.map(|s| s.st_mode), installed)
    }

    /// Tries again while the cluster is syncing, until the deadline. `try_once` is told whether a
    /// try was answered with EBUSY before: such a one may have been carried out all the same,
    /// since pmxcfs says EBUSY when the answer is lost because a member came or went.
    pub fn patiently(&self, try_once: &mut dyn FnMut(bool) -> Result<(), Errno>) -> Result<(), Errno> {
        let mut again = false;
        loop {
            match try_once(again) {
                Err(Errno::BUSY) if Instant::now() < self.deadline => again = true,
                done => return done,
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// The content of a plain file of at most `limit` bytes; `None` if there is none.
    pub fn read(&self, path: &Path, limit: u64) -> Result<Option<Vec<u8>>> {
        let reading = || format!("cannot read {MOUNT}/{}", path.display());
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match rustix::fs::openat(&self.fd, path, flags, Mode::empty()) {
            Ok(fd) => File::from(fd),
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
            Err(error) => return Err(failed(reading(), error)),
        };
        if !file.metadata().doing(reading)?.is_file() {
            return Err(Error::new(format!("{}: it is not a plain file", reading())));
        }
        let mut bytes = Vec::new();
        file.take(limit).read_to_end(&mut bytes).doing(reading)?;
        Ok(Some(bytes))
    }

    /// Makes a folder and those above it. Never by a call that sets a mode.
    pub fn create_dirs(&self, dir: &Path) -> Result<()> {
        if dir.as_os_str().is_empty() || rustix::fs::statat(&self.fd, dir, AtFlags::empty()).is_ok() {
            return Ok(());
        }
        if let Some(above) = dir.parent() {
            self.create_dirs(above)?;
        }
        self.patiently(&mut |_| match self.mkdir(dir) {
            Err(Errno::EXIST) => Ok(()),
            done => done,
        })
        .map_err(|e| failed(format_args!("cannot create {MOUNT}/{}", dir.display()), e))
    }

    pub fn mkdir(&self, dir: &Path) -> Result<(), Errno> {
        // The umask's work, or pmxcfs'.
        rustix::fs::mkdirat(&self.fd, dir, Mode::from_raw_mode(0o777))
    }

    pub fn rmdir(&self, dir: &Path) -> Result<(), Errno> {
        rustix::fs::unlinkat(&self.fd, dir, AtFlags::REMOVEDIR)
    }

    /// Writes a new file beside `path`; its name.
    pub fn write_beside(&self, path: &Path, tag: &str, bytes: &[u8]) -> Result<PathBuf> {
        let mut made = PathBuf::new();
        let done = self.patiently(&mut |_| {
            // A new name each time: one that was answered EBUSY may be there.
            made = files::beside(path, tag);
            let wrote = self.write_new(&made, bytes);
            if wrote.is_err() {
                self.discard(&made);
            }
            wrote
        });
        done.map_err(|e| failed(format_args!("cannot write {MOUNT}/{}", path.display()), e))?;
        Ok(made)
    }

    fn write_new(&self, path: &Path, bytes: &[u8]) -> Result<(), Errno> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        // pmxcfs ignores the mode; in a plain folder it is what pmxcfs would show.
        let mut file = File::from(rustix::fs::openat(&self.fd, path, flags, Mode::from_raw_mode(0o640))?);
        let wrote = file.write_all(bytes).and_then(|()| file.sync_all());
        // Only a write of nothing, which is none of ours, has an error without a number.
        wrote.map_err(|e| e.raw_os_error().map_or(Errno::IO, Errno::from_raw_os_error))
    }

    /// Renames `from`, which holds `bytes`, over `to`.
    pub fn rename(&self, from: &Path, to: &Path, bytes: &[u8]) -> Result<()> {
        self.patiently(&mut |again| match rustix::fs::renameat(&self.fd, from, &self.fd, to) {
            Err(Errno::NOENT) if again && self.read(to, u64::MAX).is_ok_and(|now| now.as_deref() == Some(bytes)) => {
                Ok(())
            }
            done => done,
        })
        .map_err(|e| failed(format_args!("cannot replace {MOUNT}/{}", to.display()), e))
    }

    /// Removes what must not stay. The error that led here is the one to tell, and what stays all
    /// the same is swept by the next write.
    pub fn discard(&self, path: &Path) {
        let _ = self.patiently(&mut |_| self.unlink(path));
    }

    pub fn unlink(&self, path: &Path) -> Result<(), Errno> {
        rustix::fs::unlinkat(&self.fd, path, AtFlags::empty())
    }

    /// Removes what a write of `path` by this node left that was cut off. Only to be called by the
    /// holder of the cluster's lock: nobody is writing then.
    pub fn sweep(&self, root: &Root, path: &Path, tag: &str) {
        let Some(name) = path.file_name() else { return };
        let above = path.parent().unwrap_or(Path::new(""));
        // Only names are taken from it; what is gone by the open folder is gone.
        for entry in std::fs::read_dir(root.path(MOUNT).join(above)).into_iter().flatten().flatten() {
            let found = entry.file_name();
            if files::is_temporary(Path::new(&found), &[tag]) && belongs_to(&found, name) {
                // One that can't go today goes another day.
                let _ = self.unlink(&above.join(found));
            }
        }
    }

    /// The time of last change, and only of a folder.
    pub fn changed(&self, dir: &Path) -> Option<(i64, i64)> {
        let stat = rustix::fs::statat(&self.fd, dir, AtFlags::SYMLINK_NOFOLLOW).ok()?;
        // The types differ between architectures.
        #[allow(clippy::useless_conversion, reason = "they are the same on this one")]
        Some((stat.st_mtime.into(), stat.st_mtime_nsec.try_into().unwrap_or(0)))
    }

    /// Sets both times to a whole second: with one of them alone pmxcfs does nothing.
    pub fn touch(&self, path: &Path, second: i64) -> Result<(), Errno> {
        let time = Timespec { tv_sec: second, tv_nsec: 0 };
        let times = Timestamps { last_access: time, last_modification: time };
        rustix::fs::utimensat(&self.fd, path, &times, AtFlags::SYMLINK_NOFOLLOW)
    }
}

/// Whether `.name.…` is a temporary of `name`.
fn belongs_to(temporary: &OsStr, name: &OsStr) -> bool {
    let rest = temporary.as_encoded_bytes().strip_prefix(b".");
    let rest = rest.and_then(|t| t.strip_prefix(name.as_encoded_bytes()));
    rest.is_some_and(|t| t.starts_with(b"."))
}

/// A failed call, of the kind that says whether it is worth to try again.
pub(super) fn failed(doing: impl std::fmt::Display, errno: Errno) -> Error {
    let error = Error::io(doing, errno);
    let way_out = match errno {
        Errno::ACCESS | Errno::PERM => "try again when `pvecm status` says quorate",
        Errno::BUSY => "the cluster is syncing; try again in a minute",
        Errno::NOTCONN | Errno::CONNABORTED => "pmxcfs has died: `systemctl restart pve-cluster.service`",
        Errno::ROFS => return error.with_kind(Kind::ClusterNotWritable),
        _ => return error,
    };
    error.with_kind(Kind::ClusterNotWritable).way_out(way_out)
}
