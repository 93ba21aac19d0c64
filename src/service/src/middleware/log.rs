//! `migration.log`: written by a thread of its own, so that a slow or full disk delays no request. Lines
//! that can't be written are dropped and counted.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use host::{Error, files};
use prometheus::IntCounter;

/// Lines that may wait for the disk.
const WAITING: usize = 4096;

/// The way to the file.
#[derive(Debug, Clone)]
pub(crate) struct Log {
    lines: SyncSender<Vec<u8>>,
    dropped: IntCounter,
}

impl Log {
    /// Starts the thread that writes to `path`.
    pub(crate) fn start(path: PathBuf, dropped: IntCounter) -> std::io::Result<Self> {
        let (lines, waiting) = sync_channel(WAITING);
        let writer = Writer { path, file: None, torn: false, failing: false, dropped: dropped.clone() };
        std::thread::Builder::new().name("log".to_owned()).spawn(move || writer.run(&waiting))?;
        Ok(Self { lines, dropped })
    }

    /// Hands a line over; never waits.
    pub(crate) fn write(&self, line: Vec<u8>) {
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) = self.lines.try_send(line) {
            self.dropped.inc();
        }
    }
}

struct Writer {
    path: PathBuf,
    file: Option<(File, (u64, u64))>,
    /// A line was cut short: the next one begins on a line of its own.
    torn: bool,
    failing: bool,
    dropped: IntCounter,
}

impl Writer {
    fn run(mut self, lines: &Receiver<Vec<u8>>) {
        while let Ok(line) = lines.recv() {
            match self.append(&line) {
                Ok(()) if self.failing => {
                    self.failing = false;
                    tracing::info!("{} is written again", self.path.display());
                }
                Ok(()) => {}
                Err(error) => {
                    self.dropped.inc();
                    self.file = None;
                    if !std::mem::replace(&mut self.failing, true) {
                        let error = Error::io(format!("cannot write {}", self.path.display()), error);
                        tracing::warn!("{error}; decisions are counted, not logged, until it can be written");
                    }
                }
            }
        }
    }

    fn append(&mut self, line: &[u8]) -> std::io::Result<()> {
        // logrotate moves it away; then there is another, or none.
        let there = std::fs::metadata(&self.path).ok().map(|meta| (meta.dev(), meta.ino()));
        let file = match &mut self.file {
            Some((file, identity)) if there == Some(*identity) => file,
            _ => {
                let opened = open(&self.path)?;
                &mut self.file.insert(opened).0
            }
        };
        let mut bytes = Vec::with_capacity(line.len() + 1);
        if self.torn {
            bytes.push(b'\n');
        }
        bytes.extend_from_slice(line);
        let written = file.write(&bytes)?;
        self.torn = written < bytes.len();
        if self.torn { Err(std::io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
}

fn open(path: &Path) -> std::io::Result<(File, (u64, u64))> {
    if let Some(folder) = path.parent() {
        files::create_dirs(folder, 0o755).map_err(|e| e.io_kind().unwrap_or(std::io::ErrorKind::Other))?;
    }
    let flags = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
    let file = OpenOptions::new().append(true).create(true).mode(0o640).custom_flags(flags).open(path)?;
    let meta = file.metadata()?;
    Ok((file, (meta.dev(), meta.ino())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn writer(path: &Path) -> Writer {
        let dropped = IntCounter::new("d", "d").unwrap();
        Writer { path: path.to_owned(), file: None, torn: false, failing: false, dropped }
    }

    fn write_all(mut writer: Writer, between: impl Fn(usize)) -> u64 {
        for i in 0..3 {
            between(i);
            let (send, receive) = sync_channel(1);
            send.send(format!("{i}\n").into_bytes()).unwrap();
            drop(send);
            let dropped = writer.dropped.clone();
            let next = Writer { path: writer.path.clone(), file: writer.file.take(), ..writer };
            writer = Writer { path: next.path.clone(), file: None, torn: next.torn, failing: next.failing, dropped };
            next.run(&receive);
        }
        writer.dropped.get()
    }

    #[test]
    fn a_file_that_was_rotated_is_left_alone_and_one_that_is_a_link_too() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new/migration.log");
        let old = dir.path().join("old");
        let dropped = write_all(writer(&path), |i| {
            if i == 2 {
                std::fs::rename(&path, &old).unwrap();
            }
        });
        assert_eq!(dropped, 0);
        assert_eq!(std::fs::read_to_string(&old).unwrap(), "0\n1\n");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "2\n");
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&old, &link).unwrap();
        assert_eq!(write_all(writer(&link), |_| ()), 3);
    }

    #[test]
    fn a_full_disk_drops_lines_and_counts_them() {
        // /dev/full answers every write with ENOSPC.
        assert_eq!(write_all(writer(Path::new("/dev/full")), |_| ()), 3);
    }
}
