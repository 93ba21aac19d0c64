//! The operation journal: one JSON line for each thing that wrote network configuration, durable
//! *before* the rename that makes the write visible. It is how we know who wrote what.
//!
//! A line that can't be read is skipped and counted: what it recorded then counts as somebody
//! else's work, which is kept. A line that a kill cut short ends at the next append.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::OpenOptions;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use host::{Error, IoContext, Result, files};
use serde::{Deserialize, Serialize};

use crate::PathText;

/// Who did the writing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Backend {
    /// Our own Rust code: on trial until accepted.
    Rust,
    /// Proxmox's Perl, called by us.
    Legacy,
    /// Going back to a snapshot.
    Restore,
}

/// What a path held before and after: digests as [`crate::What::digest`] gives them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Written {
    /// Before.
    pub before: String,
    /// After.
    pub after: String,
}

/// How an operation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Done as wanted.
    Done,
    /// It failed; what it wrote may or may not have gone back.
    Failed,
    /// It was taken back.
    RolledBack,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// A write is about to become visible.
    Begin {
        /// The operation's id.
        id: String,
        /// Seconds since the epoch.
        time: i64,
        /// Who writes.
        backend: Backend,
        /// The program.
        tool: String,
        /// The node's effective phase.
        phase: String,
        /// The snapshot it can go back to.
        snapshot: Option<String>,
        /// The package transaction that was open at the time.
        transaction: Option<String>,
        /// Path by path.
        paths: BTreeMap<PathText, Written>,
    },
    /// An operation is over.
    End {
        /// Which.
        id: String,
        /// Seconds since the epoch.
        time: i64,
        /// In milliseconds.
        duration_ms: u64,
        /// How.
        outcome: Outcome,
    },
    /// A state has proven itself.
    Accept {
        /// Seconds since the epoch.
        time: i64,
        /// Who says so: a person or a gate.
        by: String,
        /// Why.
        reason: String,
        /// Path to digest.
        paths: BTreeMap<PathText, String>,
    },
    /// What a person overrode, and when.
    Note {
        /// Seconds since the epoch.
        time: i64,
        /// Who.
        by: String,
        /// What.
        text: String,
    },
    /// An event of a later version: noted, not understood.
    #[serde(other)]
    Unknown,
}

/// What was read.
#[derive(Debug, Default, Clone)]
pub struct Contents {
    /// In the order of writing.
    pub events: Vec<Event>,
    /// How many lines could not be read.
    pub damaged: usize,
}

/// The journal's file.
#[derive(Debug, Clone)]
pub struct Journal {
    path: PathBuf,
}

/// Larger than this the journal is not read: nothing then is known of who wrote what.
const LIMIT: u64 = 256 << 20;

impl Journal {
    /// The journal at `path`.
    pub fn at(path: PathBuf) -> Self {
        Self { path }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Begins an empty journal if there is none, so that "nothing was written" differs from "the
    /// journal is lost".
    pub fn ensure(&self) -> Result<()> {
        if self.path.exists() {
            return Ok(());
        }
        files::replace(&self.path, b"", &files::Attributes::mode(0o640))
    }

    /// Appends one line and makes it durable.
    pub fn append(&self, event: &Event) -> Result<()> {
        let doing = || format!("cannot write the journal {}", self.path.display());
        let mut line = serde_json::to_vec(event).map_err(|e| Error::new(format!("{}: {e}", doing())))?;
        line.push(b'\n');
        let new = !self.path.exists();
        let mut file =
            OpenOptions::new().read(true).append(true).create(true).mode(0o640).open(&self.path).doing(doing)?;
        if file.seek(SeekFrom::End(-1)).is_ok() {
            let mut last = [0u8];
            file.read_exact(&mut last).doing(doing)?;
            if last != *b"\n" {
                line.insert(0, b'\n');
            }
        }
        file.write_all(&line).and_then(|()| file.sync_all()).doing(doing)?;
        // A journal whose name a power cut forgets would make its first writes nobody's.
        if new { files::sync_parent(&self.path) } else { Ok(()) }
    }

    /// Everything in it; `None` if there is no journal.
    pub fn read(&self) -> Result<Option<Contents>> {
        Ok(files::read_plain(&self.path, LIMIT)?.map(|bytes| Contents::parse(&bytes)))
    }
}

impl Contents {
    /// Reads lines; what can't be read is counted.
    pub fn parse(bytes: &[u8]) -> Self {
        let mut out = Self::default();
        for line in bytes.split(|b| *b == b'\n').filter(|l| !l.is_empty()) {
            match serde_json::from_slice(line) {
                Ok(event) => out.events.push(event),
                Err(_) => out.damaged += 1,
            }
        }
        out
    }

    /// Ids of operations that match, in order.
    pub fn operations(&self, wanted: impl Fn(&Event) -> bool) -> Vec<String> {
        self.events
            .iter()
            .filter(|e| wanted(e))
            .filter_map(|e| match e {
                Event::Begin { id, .. } => Some(id.clone()),
                _ => None,
            })
            .collect()
    }

    /// What each operation changed, in their order.
    pub fn writes(&self) -> Vec<(String, BTreeMap<PathText, Written>)> {
        self.events
            .iter()
            .filter_map(|e| match e {
                Event::Begin { id, paths, .. } => Some((id.clone(), paths.clone())),
                _ => None,
            })
            .collect()
    }

    /// Operations that were taken back.
    pub fn taken_back(&self) -> BTreeSet<String> {
        self.ended(|outcome| *outcome == Outcome::RolledBack)
    }

    fn ended(&self, how: fn(&Outcome) -> bool) -> BTreeSet<String> {
        let ids = self.events.iter().filter_map(|e| match e {
            Event::End { id, outcome, .. } if how(outcome) => Some(id.clone()),
            _ => None,
        });
        ids.collect()
    }

    /// Rust operations that neither came to their end nor went back: their program was killed, or
    /// they failed and taking them back failed as well.
    pub fn unfinished(&self) -> Vec<String> {
        let ended = self.ended(|outcome| *outcome != Outcome::Failed);
        self.operations(|e| matches!(e, Event::Begin { id, backend: Backend::Rust, .. } if !ended.contains(id)))
    }

    /// Rust operations that began while `transaction` was open.
    pub fn of_transaction(&self, wanted: &str) -> Vec<String> {
        self.operations(
            |e| matches!(e, Event::Begin { backend: Backend::Rust, transaction: Some(t), .. } if t == wanted),
        )
    }
}
