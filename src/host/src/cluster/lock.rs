//! The cluster-wide lock: a folder below `priv/lock` that only one node can make.
//!
//! pmxcfs drops it, when somebody asks by setting its time to zero, once nothing has changed it
//! for 120 s. So a holder that was stopped for longer, such as a virtual machine that was paused,
//! may come back and find the lock another's: before it changes anything it asks for 120 s more,
//! which pmxcfs grants to the node that made the lock and to no other, and it only ever removes
//! the very lock that it made.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use rustix::io::Errno;

use super::MOUNT;
use super::folder::{Folder, failed};
use crate::{Error, Kind, Result};

const PATH: &str = "priv/lock/pve-network-rs";
/// How often it is tried while another has it.
const PAUSE: Duration = Duration::from_millis(100);

pub(super) struct Lock<'f> {
    folder: &'f Folder,
    path: PathBuf,
    /// When it was made: with the next one's, at least 120 s later, it can't be confused.
    made: (i64, i64),
}

impl<'f> Lock<'f> {
    /// The lock that every writer of ours takes.
    pub fn take(folder: &'f Folder, deadline: Instant) -> Result<Self> {
        Self::take_at(folder, PATH.into(), deadline)
    }

    /// Another one, for something that takes longer.
    pub fn take_named(folder: &'f Folder, name: &str, deadline: Instant) -> Result<Self> {
        Self::take_at(folder, format!("{PATH}-{name}").into(), deadline)
    }

    fn take_at(folder: &'f Folder, path: PathBuf, deadline: Instant) -> Result<Self> {
        let shown = format!("{MOUNT}/{}", path.display());
        // pve-cluster makes it at its first start.
        folder.create_dirs(path.parent().unwrap_or(&path))?;
        loop {
            match folder.mkdir(&path) {
                Ok(()) => match folder.changed(&path) {
                    Ok(made) => return Ok(Self { folder, path, made }),
                    Err(error) => return Err(lost(&path, error)),
                },
                // The one that is there may even be ours, made by a try that was answered EBUSY.
                // Nobody can tell, and pmxcfs drops it in two minutes.
                Err(Errno::EXIST) if Instant::now() < deadline => {
                    // The answer says nothing; the next mkdir does.
                    let _ = folder.touch(&path, 0);
                }
                Err(Errno::BUSY) if Instant::now() < deadline => {}
                Err(Errno::EXIST) => {
                    return Err(Error::of(Kind::ClusterNotWritable, format!("{shown} is held by another node"))
                        .way_out("try again in two minutes"));
                }
                Err(error) => return Err(failed(format_args!("cannot take the lock {shown}"), error)),
            }
            std::thread::sleep(PAUSE);
        }
    }

    fn is_ours(&self) -> Result<bool, Errno> {
        match self.folder.changed(&self.path) {
            Ok(now) => Ok(now == self.made),
            Err(Errno::NOENT) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Makes sure that it is ours, and for 120 s more.
    pub fn prolong(&mut self) -> Result<()> {
        let path = self.path.as_path();
        let lost = |error| lost(path, error);
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.as_secs());
        // Never back: pmxcfs takes an earlier time for somebody else's request.
        let second = self.made.0.max(now.try_into().unwrap_or(0));
        if !self.is_ours().map_err(lost)? {
            return Err(lost(Errno::NOENT));
        }
        self.folder.patiently(&mut |_| self.folder.touch(path, second)).map_err(lost)?;
        self.made = self.folder.changed(path).map_err(lost)?;
        Ok(())
    }
}

fn lost(path: &Path, error: Errno) -> Error {
    let path = path.display();
    if error != Errno::NOENT {
        return failed(format_args!("cannot keep the lock {MOUNT}/{path}"), error);
    }
    let why = format!("the lock {MOUNT}/{path} was lost, because it was held for more than two minutes");
    Error::of(Kind::ClusterNotWritable, why).way_out("nothing was changed; try again")
}

impl Drop for Lock<'_> {
    fn drop(&mut self) {
        if self.is_ours() == Ok(true) {
            // One that stays is dropped by pmxcfs after 120 s.
            let _ = self.folder.patiently(&mut |_| self.folder.rmdir(&self.path));
        }
    }
}
