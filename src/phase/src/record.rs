//! One line of `phase-history.jsonl`, and the chain that holds the lines together.
//!
//! Each line carries the SHA-256 of the line before it, byte for byte. A line is written and synced
//! *before* what it speaks of becomes visible, and an outcome follows. A line that a power cut left
//! half-written is ended with `#cut` by the next append and stays part of the chain, as often as that
//! happens: it announced a change that was never made. Everything here is pure; [`History`](crate::History) reads and writes the file.

use host::files::sha256;
use serde::{Deserialize, Serialize};

use crate::Phase;

/// Version of the format of a line.
const FORMAT: u64 = 1;

/// Who asked for a change, as far as a process can tell.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Who {
    /// The real user id of the process.
    pub uid: u32,
    /// Its name in `/etc/passwd`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Who logged in, by the kernel's audit id (`/proc/self/loginuid`), which outlives `su` and `sudo`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub login: Option<String>,
    /// What `SUDO_USER` says: a claim, which root can set to anything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sudo_user: Option<String>,
    /// The terminal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tty: Option<String>,
    /// The program: `migration-ctl`, or a maintainer script with its arguments.
    pub tool: String,
}

/// One setting that changes. Keys are those of `migration.toml` (`nodes.pve1.phase`), besides
/// `ceiling`, this node's own, and `migration.toml`, the SHA-256 of the file as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    /// Which.
    pub key: String,
    /// Its value before; none if it was not there, or can't be told.
    pub from: Option<String>,
    /// Its value afterwards; none if it goes.
    pub to: Option<String>,
}

/// A node's phase before and after a change, as the node that made it could tell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// The node.
    pub node: String,
    /// Its phase before.
    pub from: Phase,
    /// Its phase afterwards; another node's ceiling may hold it lower.
    pub to: Phase,
}

/// Why a larger step than one was let through.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Override {
    /// In the operator's words.
    pub reason: String,
    /// When it ends to justify the phase, in seconds since the epoch.
    pub expires: i64,
}

/// How a change ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// All of it is done.
    Done,
    /// This node's ceiling is done; the cluster's file could not be written.
    CeilingOnly,
    /// The cluster's file is done; this node's ceiling could not be written.
    ClusterOnly,
    /// None of it is done.
    Failed,
    /// A word of a later version.
    #[serde(other)]
    Unknown,
}

/// What a line says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// A change is about to be made.
    Change {
        /// Its name, by which the outcome refers to it.
        id: String,
        /// The node on which it is made.
        node: String,
        /// By whom.
        by: Box<Who>,
        /// Why: the operator's reason, or what called for it.
        why: String,
        /// Phases that change.
        #[serde(default)]
        steps: Vec<Step>,
        /// What is written for it.
        changes: Vec<Setting>,
        /// What lets a larger step than one through.
        #[serde(rename = "override", default, skip_serializing_if = "Option::is_none")]
        overridden: Option<Override>,
    },
    /// A change is over.
    Outcome {
        /// Which.
        id: String,
        /// How it ended.
        outcome: Outcome,
        /// What went wrong.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<String>,
    },
    /// An event of a later version: part of the chain, not understood.
    #[serde(other)]
    Unknown,
}

/// A line as it is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Version of the line's format.
    pub format: u64,
    /// SHA-256 of the line before; none for the first.
    pub previous: Option<String>,
    /// Seconds since the epoch.
    pub time: i64,
    /// What it says.
    #[serde(flatten)]
    pub event: Event,
}

/// How a line ends that was left half-written. No JSON object does.
const CUT: &[u8] = b"#cut";

/// The bytes to append to a history that ends in `tail` (all of it, or at least its last lines).
pub fn append(tail: &[u8], time: i64, event: Event) -> Vec<u8> {
    let mut line = Vec::new();
    let mut before = tail.strip_suffix(b"\n").unwrap_or(tail).to_vec();
    if !tail.is_empty() && tail.last() != Some(&b'\n') {
        before.extend(CUT);
        line.extend(CUT);
        line.push(b'\n');
    }
    let previous = (!before.is_empty()).then(|| sha256(since_last_whole(&before)));
    let record = Record { format: FORMAT, previous, time, event };
    // Strings, numbers and options of them: there is nothing in it that JSON could not hold.
    line.extend(serde_json::to_vec(&record).unwrap_or_default());
    line.push(b'\n');
    line
}

/// The last line that was not cut short, with those after it that were.
fn since_last_whole(bytes: &[u8]) -> &[u8] {
    let mut end = bytes.len();
    loop {
        let begin = bytes[..end].iter().rposition(|b| *b == b'\n').map_or(0, |newline| newline + 1);
        if begin == 0 || !bytes[begin..end].ends_with(CUT) {
            return &bytes[begin..];
        }
        end = begin - 1;
    }
}

/// What a history holds, and whether its chain is whole.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Contents {
    /// Its lines in order, each with its number from 1.
    pub records: Vec<(usize, Record)>,
    /// Numbers of lines that a power cut left half-written: what they announced was never made.
    pub cut: Vec<usize>,
    /// The first line at which the chain breaks, and how.
    pub broken: Option<(usize, String)>,
    /// What the next line will carry: to be noted elsewhere, since a chain can't tell that its end is missing.
    pub head: Option<String>,
    lines: usize,
    /// The last whole line and those cut short after it.
    since: Vec<u8>,
    /// A line that has no end yet.
    open: Vec<u8>,
}

/// Understands a history, as far as its chain is whole and beyond.
pub fn read(bytes: &[u8]) -> Contents {
    let mut out = Contents::default();
    out.extend(bytes);
    out
}

impl Contents {
    /// Reads on: `bytes` follow what was read before.
    pub fn extend(&mut self, bytes: &[u8]) {
        let mut all = std::mem::take(&mut self.open);
        all.extend_from_slice(bytes);
        let whole = all.iter().rposition(|b| *b == b'\n').map_or(0, |end| end + 1);
        self.open = all.split_off(whole);
        for line in all.strip_suffix(b"\n").into_iter().flat_map(|all| all.split(|b| *b == b'\n')) {
            self.line(line);
        }
        if self.lines > 0 {
            self.head = Some(sha256(&self.since));
        }
    }

    /// Whether it ends in a half-written line, which the next append ends.
    pub fn ends_cut(&self) -> bool {
        !self.open.is_empty()
    }

    fn line(&mut self, line: &[u8]) {
        self.lines += 1;
        let number = self.lines;
        if line.ends_with(CUT) {
            // The next whole line vouches for it as it is.
            self.cut.push(number);
            if number > 1 {
                self.since.push(b'\n');
            }
        } else {
            match serde_json::from_slice::<Record>(line) {
                Ok(record) => {
                    // Only here: hashed at each cut line, a history of those would take forever.
                    let head = (number > 1).then(|| sha256(&self.since));
                    if record.previous != head {
                        self.breaks(number, "it does not follow the line before it");
                    }
                    if record.format != FORMAT {
                        self.breaks(number, &format!("format {} is not known to this version", record.format));
                    }
                    self.records.push((number, record));
                }
                Err(_) => self.breaks(number, "it can't be read"),
            }
            self.since.clear();
        }
        self.since.extend_from_slice(line);
    }

    fn breaks(&mut self, number: usize, how: &str) {
        if self.broken.is_none() {
            self.broken = Some((number, how.to_owned()));
        }
    }

    /// Each change with its line and how it ended; `None` if it was interrupted or is still under way.
    pub fn changes(&self) -> Vec<Change<'_>> {
        let mut out: Vec<Change<'_>> = Vec::new();
        for (line, record) in &self.records {
            match &record.event {
                Event::Change { id, node, by, why, steps, changes, overridden } => out.push(Change {
                    line: *line,
                    time: record.time,
                    id,
                    node,
                    by,
                    why,
                    steps,
                    settings: changes,
                    overridden: overridden.as_ref(),
                    outcome: None,
                    error: None,
                }),
                Event::Outcome { id, outcome, error } => {
                    if let Some(change) = out.iter_mut().rev().find(|c| c.id == id) {
                        change.outcome = Some(*outcome);
                        change.error = error.as_deref();
                    }
                }
                Event::Unknown => {}
            }
        }
        out
    }

    /// Values that this node's ceiling may have, as far as the history knows; several if a change was
    /// interrupted. `None` means that there is no ceiling.
    pub fn ceilings(&self) -> Vec<Option<String>> {
        self.follow_ceiling().0
    }

    /// Lines before which the ceiling was changed by something that left no line.
    pub fn gaps(&self) -> Vec<usize> {
        self.follow_ceiling().1
    }

    fn follow_ceiling(&self) -> (Vec<Option<String>>, Vec<usize>) {
        let (mut known, mut gaps) = (vec![None], Vec::new());
        for change in self.changes() {
            let Some(set) = change.settings.iter().find(|s| s.key == CEILING) else { continue };
            if !known.contains(&set.from) {
                gaps.push(change.line);
            }
            known = match change.outcome {
                Some(Outcome::Done | Outcome::CeilingOnly) => vec![set.to.clone()],
                Some(Outcome::ClusterOnly | Outcome::Failed) => vec![set.from.clone()],
                Some(Outcome::Unknown) | None => vec![set.from.clone(), set.to.clone()],
            };
        }
        (known, gaps)
    }
}

/// The key of this node's ceiling in a [`Setting`].
pub const CEILING: &str = "ceiling";

/// A change as the history tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change<'a> {
    /// The number of its line, from 1.
    pub line: usize,
    /// Seconds since the epoch.
    pub time: i64,
    /// Its name.
    pub id: &'a str,
    /// The node on which it was made.
    pub node: &'a str,
    /// By whom.
    pub by: &'a Who,
    /// Why.
    pub why: &'a str,
    /// Phases that changed.
    pub steps: &'a [Step],
    /// What was written for it.
    pub settings: &'a [Setting],
    /// What let a larger step than one through.
    pub overridden: Option<&'a Override>,
    /// How it ended; `None` if nobody wrote that down.
    pub outcome: Option<Outcome>,
    /// What went wrong.
    pub error: Option<&'a str>,
}

#[cfg(test)]
#[path = "record_tests.rs"]
mod tests;
