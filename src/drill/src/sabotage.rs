//! Defects that a maintainer script could have, made from outside by altering its calls: the script
//! that is tried stays byte for byte the one that ships. If the drill has no complaint about a
//! sabotaged script, it proves nothing about any.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::cluster;
use crate::syscalls::Effect;
use crate::trace::{Act, Event};

/// What may be broken on purpose, to prove that the drill sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Sabotage {
    /// Nothing that is asked to be made durable is.
    SkipFsync,
    /// Files are copied over their predecessors instead of being renamed.
    CopyForRename,
    /// The journal is written after the rename that it speaks of.
    JournalLate,
    /// Locks are not taken.
    SkipLock,
    /// The cluster's lock is dropped before the rename that it is there for.
    UnlockEarly,
}

/// Alters a script's calls.
#[derive(Debug)]
pub struct Saboteur {
    kind: Sabotage,
    /// A journal line that waits for the next rename of a captured file.
    line: Option<(i32, PathBuf, Vec<u8>)>,
    /// Whether that rename has happened: the line's turn is before the next call.
    due: bool,
    /// Whether the script was killed, and writes nothing any more.
    killed: bool,
    /// Whether the call at hand was altered.
    altered: bool,
    captured: Vec<PathBuf>,
}

/// The file whose lines say who wrote what.
pub const JOURNAL: &str = "operations.jsonl";

impl Saboteur {
    /// One that makes this defect; `captured` are the folders of captured files.
    pub fn new(kind: Sabotage, captured: Vec<PathBuf>) -> Self {
        Self { kind, line: None, due: false, killed: false, altered: false, captured }
    }

    /// Happens ahead of a call, and of whatever others do in that moment.
    pub fn ahead(&mut self, event: &Event) {
        if self.kind == Sabotage::UnlockEarly && event.known.effect == Effect::Rename && cluster::holds(&event.to) {
            let locks = as_seen_by(event.process, Path::new("/etc/pve/priv/lock"));
            for lock in fs::read_dir(locks).into_iter().flatten().flatten() {
                // Nothing depends on it but whether the drill notices.
                let _ = fs::remove_dir(lock.path());
            }
        }
    }

    /// What becomes of a call that would be treated so.
    pub fn before(&mut self, event: &Event, act: Act) -> Act {
        self.altered = false;
        self.killed |= matches!(act, Act::KillScript | Act::KillTree);
        if std::mem::take(&mut self.due) {
            self.write_line();
        }
        let instead = match (self.kind, event.known.effect) {
            (Sabotage::SkipFsync, Effect::Sync) if act == Act::Go => Some(0),
            (Sabotage::SkipLock, Effect::Lock) if act == Act::Go => Some(0),
            (Sabotage::CopyForRename, Effect::Rename) => copy(event, act),
            (Sabotage::JournalLate, Effect::Write) if event.path.ends_with(JOURNAL) && act == Act::Go => {
                self.hold_back(event)
            }
            _ => None,
        };
        self.altered = instead.is_some();
        instead.map_or(act, Act::Return)
    }

    /// A call is over; whether it was not what it seems.
    pub fn after(&mut self, event: &Event, result: i64) -> bool {
        let is_captured = self.captured.iter().any(|c| Path::new(&event.to).starts_with(c));
        self.due |= result >= 0 && event.known.effect == Effect::Rename && is_captured;
        std::mem::take(&mut self.altered)
    }

    fn hold_back(&mut self, event: &Event) -> Option<i64> {
        self.write_line();
        let mut bytes = vec![0; usize::try_from(event.length).ok()?];
        let memory = File::open(format!("/proc/{}/mem", event.process)).ok()?;
        memory.read_exact_at(&mut bytes, event.address).ok()?;
        self.line = Some((event.process, event.path.clone().into(), bytes));
        i64::try_from(event.length).ok()
    }

    fn write_line(&mut self) {
        let Some((process, path, bytes)) = self.line.take().filter(|_| !self.killed) else { return };
        let file = OpenOptions::new().append(true).open(as_seen_by(process, &path));
        // Nothing depends on it but whether the drill notices.
        let _ = file.and_then(|mut f| f.write_all(&bytes));
    }
}

impl Drop for Saboteur {
    fn drop(&mut self) {
        self.write_line();
    }
}

fn as_seen_by(process: i32, path: &Path) -> PathBuf {
    Path::new(&format!("/proc/{process}/root")).join(path.strip_prefix("/").unwrap_or(path))
}

/// Copies half of the file over its predecessor, where a fault may strike, and then the rest.
fn copy(event: &Event, act: Act) -> Option<i64> {
    let (from, to) =
        (as_seen_by(event.process, Path::new(&event.path)), as_seen_by(event.process, Path::new(&event.to)));
    let bytes = fs::metadata(&from).ok().filter(std::fs::Metadata::is_file).and_then(|_| fs::read(&from).ok())?;
    let half = if matches!(act, Act::KillScript | Act::KillTree) { bytes.len() / 2 } else { bytes.len() };
    fs::write(&to, &bytes[..half]).ok()?;
    if half < bytes.len() {
        return None;
    }
    fs::remove_file(&from).ok()?;
    Some(0)
}
