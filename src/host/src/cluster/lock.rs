//! The cluster-wide lock: a folder below `priv/lock` that only one node can make.
//!
//! pmxcfs drops it, when somebody asks by setting its time to zero, once nothing has changed it
//! for 120 s. So a holder that was stopped for longer, such as a virtual machine that was paused,
//! may come back and find the lock another's: before it changes anything it asks for 120 s more,
//! which pmxcfs grants to the node that made the lock and to no other, and it only ever removes
//! the very lock that it made.

use std::path::Path;
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
    /// When it was made: with the next one's, at least 120 s later, it can't be confused.
    made: Option<(i64, i64)>,
}

impl<'f> Lock<'f> {
    pub fn take(folder: &'f Folder, deadline: Instant) -> Result<Self> {
        let path = Path::new(PATH);
        // pve-cluster makes it at its first start.
        folder.create_dirs(path.parent().unwrap_or(path))?;
        loop {
            match folder.mkdir(path) {
                Ok(()) => return Ok(Self { folder, made: folder.changed(path) }),
                // The one that is there may even be ours, made by a try that was answered EBUSY.
                // Nobody can tell, and pmxcfs drops it in two minutes.
                Err(Errno::EXIST) if Instant::now() < deadline => {
                    // The answer says nothing; the next mkdir does.
                    let _ = folder.touch(path, 0);
                }
                Err(Errno::BUSY) if Instant::now() < deadline => {}
                Err(Errno::EXIST) => {
                    return Err(Error::of(Kind::ClusterNotWritable, format!("{MOUNT}/{PATH} is held by another node"))
                        .way_out("try again in two minutes"));
                }
                Err(error) => return Err(failed(format_args!("cannot take the lock {MOUNT}/{PATH}"), error)),
            }
            std::thread::sleep(PAUSE);
        }
    }

    fn is_ours(&self) -> bool {
        let now = self.folder.changed(Path::new(PATH));
        now.is_some() && now == self.made
    }

    /// Makes sure that it is ours, and for 120 s more.
    pub fn prolong(&mut self) -> Result<()> {
        let path = Path::new(PATH);
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.as_secs());
        // Never back: pmxcfs takes an earlier time for somebody else's request.
        let second = self.made.map_or(0, |(second, _)| second).max(now.try_into().unwrap_or(0));
        let ours = self.is_ours();
        let done =
            self.folder.patiently(&mut |_| if ours { self.folder.touch(path, second) } else { Err(Errno::NOENT) });
        match done {
            Ok(()) => {
                self.made = self.folder.changed(path);
                Ok(())
            }
            Err(Errno::NOENT) => Err(Error::of(
                Kind::ClusterNotWritable,
                format!("the lock {MOUNT}/{PATH} was lost, because it was held for more than two minutes"),
            )
            .way_out("nothing was changed; try again")),
            Err(error) => Err(failed(format_args!("cannot keep the lock {MOUNT}/{PATH}"), error)),
        }
    }
}

impl Drop for Lock<'_> {
    fn drop(&mut self) {
        if self.is_ours() {
            // One that stays is dropped by pmxcfs after 120 s.
            let _ = self.folder.patiently(&mut |_| self.folder.rmdir(Path::new(PATH)));
        }
    }
}
