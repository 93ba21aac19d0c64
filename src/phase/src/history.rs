//! `phase-history.jsonl` in the state folder: who changed this node's phase, when, and why.

use std::fs::OpenOptions;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use host::{Clock, IoContext, Lock, Result, files};

use crate::record::{self, Contents, Event};

/// The file's name.
pub const FILE: &str = "phase-history.jsonl";

/// A line is far shorter; what is longer is not looked at to chain the next one.
const LONGEST_LINE: u64 = 1 << 20;

/// A history that is larger is not read (64 MiB: a hundred thousand changes).
const LIMIT: u64 = 64 << 20;

/// Everybody who appends holds the file for a moment only.
const PATIENCE: Duration = Duration::from_secs(5);

/// The history's file.
#[derive(Debug, Clone)]
pub struct History {
    path: PathBuf,
    clock: Clock,
}

impl History {
    /// The history at `path`.
    pub fn at(path: PathBuf, clock: Clock) -> Self {
        Self { path, clock }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends one line and makes it durable.
    ///
    /// # Errors
    /// It is not certain that the line will be there after a power cut: nothing may be raised then.
    pub fn append(&self, event: Event) -> Result<()> {
        let doing = || format!("cannot write the phase history {}", self.path.display());
        if let Some(parent) = self.path.parent() {
            files::create_dirs(parent, 0o755)?;
        }
        let new = std::fs::symlink_metadata(&self.path).is_err();
        let mut file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(0o640)
            .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed())
            .open(&self.path)
            .doing(doing)?;
        let _lock = Lock::take(&self.path, PATIENCE)?;
        let size = file.seek(SeekFrom::End(0)).doing(doing)?;
        file.seek(SeekFrom::Start(size.saturating_sub(LONGEST_LINE))).doing(doing)?;
        let mut tail = Vec::new();
        file.read_to_end(&mut tail).doing(doing)?;
        let line = record::append(&tail, self.clock.now().seconds(), event);
        file.write_all(&line).and_then(|()| file.sync_all()).doing(doing)?;
        if new { files::sync_parent(&self.path) } else { Ok(()) }
    }

    /// Everything in it; nothing if there is none.
    ///
    /// # Errors
    /// It can't be read, or is no plain file of at most 64 MiB.
    pub fn read(&self) -> Result<Contents> {
        Ok(record::read(&files::read_plain(&self.path, LIMIT)?.unwrap_or_default()))
    }
}
