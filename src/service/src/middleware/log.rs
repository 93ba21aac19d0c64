//! `migration.log`: written by a thread of its own, so that a slow or full disk delays no request. Lines
//! that can't be written are dropped and counted.
//!
//! To wake a thread costs a request more than to write its line. So the thread rests for a moment once it has written
//! all there was, and what comes meanwhile wakes nobody: a line may be that much later in the file.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use host::{Error, files};
use prometheus::IntCounter;

/// Lines that may wait for the disk.
const WAITING: usize = 4096;

/// How long the thread rests.
const REST: Duration = Duration::from_millis(5);

/// What the thread is told.
#[derive(Debug)]
enum Message {
    Line(Vec<u8>),
    /// To say when all that came before is written.
    Flush(SyncSender<()>),
}

/// The way to the file.
#[derive(Debug, Clone)]
pub(crate) struct Log {
    lines: SyncSender<Message>,
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
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) = self.lines.try_send(Message::Line(line)) {
            self.dropped.inc();
        }
    }

    /// Waits until what was handed over is written, but no longer than `patience`.
    pub(crate) fn flush(&self, patience: Duration) {
        let (written, wait) = sync_channel(1);
        if self.lines.try_send(Message::Flush(written)).is_ok() {
            let _ = wait.recv_timeout(patience); // a disk that hangs keeps nobody from ending
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
    fn run(mut self, lines: &Receiver<Message>) {
        while let Ok(first) = lines.recv() {
            let mut next = Some(first);
            while let Some(message) = next {
                match message {
                    Message::Line(line) => self.write(&line),
                    Message::Flush(written) => drop(written.try_send(())),
                }
                next = lines.try_recv().ok();
            }
            std::thread::sleep(REST);
        }
    }

    fn write(&mut self, line: &[u8]) {
        match self.append(line) {
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
            writer.write(format!("{i}\n").as_bytes());
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

    #[test]
    fn whoever_ends_waits_for_the_last_line_and_not_for_a_disk_that_hangs() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("migration.log");
        let log = Log::start(path.clone(), IntCounter::new("d", "d").unwrap()).unwrap();
        for i in 0..100 {
            log.write(format!("{i}\n").into_bytes());
        }
        log.flush(Duration::from_secs(10));
        assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 100);

        let (lines, _nobody_reads) = sync_channel(1);
        let log = Log { lines, dropped: IntCounter::new("d", "d").unwrap() };
        let began = std::time::Instant::now();
        log.flush(Duration::from_millis(20));
        assert!(began.elapsed() < Duration::from_secs(5));
    }
}
