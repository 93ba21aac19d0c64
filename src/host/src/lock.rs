//! One writer at a time, by flock(2): the kernel drops the lock with its process, so a killed
//! writer never locks anybody out.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::FlockOperation;

use crate::{Error, IoContext, Result, files};

/// Held until dropped.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock that the file `path` stands for, waiting at most `patience` for another. Makes the
    /// file, and its folder, where there is none.
    pub fn take(path: &Path, patience: Duration) -> Result<Self> {
        if let Some(parent) = path.parent() {
            files::create_dirs(parent, 0o755)?;
        }
        Self::wait(path, patience, true)
    }

    /// The same as [`Lock::take`], but a file that isn't there is not made.
    ///
    /// # Errors
    /// [`Error::io_kind`] is `NotFound` if there is none.
    pub fn join(path: &Path, patience: Duration) -> Result<Self> {
        Self::wait(path, patience, false)
    }

    fn wait(path: &Path, patience: Duration, make: bool) -> Result<Self> {
        let file = OpenOptions::new()
            .write(true)
            .create(make)
            .truncate(false)
            .mode(0o600)
            .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed())
            .open(path)
            .doing(|| format!("cannot open the lock {}", path.display()))?;
        let begin = Instant::now();
        loop {
            match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) if is_still(&file, path) => return Ok(Self { _file: file }),
                // A purge held it and took it away: what this writer was to write nobody would undo.
                Ok(()) => {
                    let path = path.display();
                    return Err(Error::new(format!("{path} was removed meanwhile: the package is being purged")));
                }
                Err(rustix::io::Errno::WOULDBLOCK | rustix::io::Errno::INTR) if begin.elapsed() < patience => {
                    std::thread::sleep(Duration::from_millis(20));
                }
                Err(rustix::io::Errno::WOULDBLOCK) => {
                    return Err(Error::new(format!(
                        "{} is held by another process for more than {} s; see `fuser -v {}`",
                        path.display(),
                        patience.as_secs(),
                        path.display()
                    )));
                }
                Err(error) => return Err(Error::io(format!("cannot lock {}", path.display()), error)),
            }
        }
    }
}

/// A lock whose file stays open, so that it can be asked for again and again, also when its name is gone.
#[derive(Debug)]
pub struct Turn {
    file: File,
}

impl Turn {
    /// Opens the lock that the file `path` stands for; the folder above it must be there.
    ///
    /// # Errors
    /// The file can't be opened or made.
    pub fn at(path: &Path) -> Result<Self> {
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed())
            .open(path)
            .doing(|| format!("cannot open the lock {}", path.display()))?;
        Ok(Self { file })
    }

    /// Takes it if nobody else has it; whether it is ours now.
    ///
    /// # Errors
    /// The file system knows no locks.
    pub fn take(&self) -> Result<bool> {
        match rustix::fs::flock(&self.file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(true),
            Err(rustix::io::Errno::WOULDBLOCK | rustix::io::Errno::INTR) => Ok(false),
            Err(error) => Err(Error::io("cannot lock", error)),
        }
    }

    /// Whether somebody else has it.
    ///
    /// # Errors
    /// As [`Turn::take`].
    pub fn is_taken(&self) -> Result<bool> {
        let free = self.take()?;
        if free {
            rustix::fs::flock(&self.file, FlockOperation::Unlock).doing(|| "cannot unlock")?;
        }
        Ok(!free)
    }
}

/// Whether the open file is the one that the path stands for.
fn is_still(file: &File, path: &Path) -> bool {
    let identity = |meta: std::fs::Metadata| (meta.dev(), meta.ino());
    let same = file.metadata().map(identity).ok().zip(std::fs::symlink_metadata(path).map(identity).ok());
    same.is_some_and(|(open, named)| open == named)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_waits_then_gives_up() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let first = Lock::take(&path, Duration::ZERO).unwrap();
        let said = Lock::take(&path, Duration::from_millis(50)).unwrap_err().to_string();
        assert!(said.contains("held by another process"), "{said}");
        drop(first);
        Lock::take(&path, Duration::ZERO).unwrap();
    }

    #[test]
    fn a_turn_is_taken_or_not_and_outlives_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("turn");
        let (first, second) = (Turn::at(&path).unwrap(), Turn::at(&path).unwrap());
        assert!(first.take().unwrap() && first.take().unwrap(), "twice by the same is once");
        assert!(second.is_taken().unwrap() && !second.take().unwrap());
        std::fs::remove_file(&path).unwrap();
        drop(first);
        assert!(!second.is_taken().unwrap() && second.take().unwrap());
    }

    #[test]
    fn who_waited_for_a_lock_that_went_with_its_package_does_not_get_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let first = Lock::take(&path, Duration::ZERO).unwrap();
        let waits = path.clone();
        let second = std::thread::spawn(move || Lock::take(&waits, Duration::from_secs(10)));
        // Until it has the file open: this thread's descriptor and that one's.
        let open = || {
            let links = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
            links.filter(|l| std::fs::read_link(l.path()).is_ok_and(|to| to == path)).count()
        };
        while open() < 2 {
            std::thread::sleep(Duration::from_millis(5));
        }
        std::fs::remove_file(&path).unwrap();
        drop(first);
        let said = second.join().unwrap().unwrap_err().to_string();
        assert!(said.contains("removed meanwhile"), "{said}");
    }
}
