//! One writer at a time, by flock(2): the kernel drops the lock with its process, so a killed
//! writer never locks anybody out.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
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
    /// Takes the lock that the file `path` stands for, waiting at most `patience` for another.
    pub fn take(path: &Path, patience: Duration) -> Result<Self> {
        if let Some(parent) = path.parent() {
            files::create_dirs(parent, 0o755)?;
        }
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed())
            .open(path)
            .doing(|| format!("cannot open the lock {}", path.display()))?;
        let begin = Instant::now();
        loop {
            match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Self { _file: file }),
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
}
