//! The operation journal: one JSON line for each thing that wrote network configuration, durable
//! *before* the rename that makes the write visible. It is how we know who wrote what.
//!
//! A line that can't be read is skipped and counted: what it recorded then counts as somebody
//! else's work, which is kept. A line that a kill cut short ends at the next append.
//!
//! It grows with each write, and each write asks it several questions: whoever asks one takes the
//! events as they come ([`Journal::each`]) and keeps what answers it. [`Contents`] holds them all.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::OpenOptions;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
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

/// One line: written as serde does, read by [`Event::parse`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
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
    Unknown,
}

#[derive(Deserialize)]
struct Tag<'a> {
    #[serde(borrow)]
    event: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Begin {
    id: String,
    time: i64,
    backend: Backend,
    tool: String,
    phase: String,
    snapshot: Option<String>,
    transaction: Option<String>,
    paths: BTreeMap<PathText, Written>,
}

#[derive(Deserialize)]
struct End {
    id: String,
    time: i64,
    duration_ms: u64,
    outcome: Outcome,
}

#[derive(Deserialize)]
struct Accept {
    time: i64,
    by: String,
    reason: String,
    paths: BTreeMap<PathText, String>,
}

#[derive(Deserialize)]
struct Note {
    time: i64,
    by: String,
    text: String,
}

impl Event {
    /// Reads one line.
    ///
    /// What serde derives for a tagged enum takes a line to pieces before it looks at the tag: that is a third
    /// slower, and each write of ours waits for every line that was ever written.
    ///
    /// # Errors
    /// It is no event.
    pub fn parse(line: &[u8]) -> serde_json::Result<Self> {
        // Ours begin with it; other writers' may have it elsewhere.
        let tag = match line.strip_prefix(b"{\"event\":\"") {
            Some(rest) if rest.starts_with(b"begin\",") => "begin".into(),
            Some(rest) if rest.starts_with(b"end\",") => "end".into(),
            _ => serde_json::from_slice::<Tag<'_>>(line)?.event,
        };
        Ok(match &*tag {
            "begin" => {
                let Begin { id, time, backend, tool, phase, snapshot, transaction, paths } =
                    serde_json::from_slice(line)?;
                Self::Begin { id, time, backend, tool, phase, snapshot, transaction, paths }
            }
            "end" => {
                let End { id, time, duration_ms, outcome } = serde_json::from_slice(line)?;
                Self::End { id, time, duration_ms, outcome }
            }
            "accept" => {
                let Accept { time, by, reason, paths } = serde_json::from_slice(line)?;
                Self::Accept { time, by, reason, paths }
            }
            "note" => {
                let Note { time, by, text } = serde_json::from_slice(line)?;
                Self::Note { time, by, text }
            }
            _ => Self::Unknown,
        })
    }
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

/// A line that is longer, in bytes, is not read: it is one that damage made.
const LONGEST_LINE: u64 = 8 << 20;

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

    /// Hands over its events in their order, and holds none of them. Returns how many lines could not
    /// be read; `None` if there is no journal.
    ///
    /// # Errors
    /// It can't be read, wholly or from some line on: what was handed over is then not all of it.
    pub fn each(&self, event: &mut dyn FnMut(Event)) -> Result<Option<usize>> {
        let Some(file) = files::open_plain(&self.path, LIMIT)? else { return Ok(None) };
        each(&mut BufReader::with_capacity(64 << 10, file), event)
            .map(Some)
            .doing(|| format!("cannot read {}", self.path.display()))
    }

    /// Everything in it; `None` if there is no journal.
    ///
    /// # Errors
    /// It can't be read.
    pub fn read(&self) -> Result<Option<Contents>> {
        let mut events = Vec::new();
        let damaged = self.each(&mut |event| events.push(event))?;
        Ok(damaged.map(|damaged| Contents { events, damaged }))
    }
}

/// Events line by line; returns how many lines could not be read.
fn each(from: &mut dyn BufRead, event: &mut dyn FnMut(Event)) -> io::Result<usize> {
    let (mut line, mut damaged) = (Vec::new(), 0);
    loop {
        line.clear();
        if from.take(LONGEST_LINE).read_until(b'\n', &mut line)? == 0 {
            return Ok(damaged);
        }
        if line.last() == Some(&b'\n') {
            line.pop();
        } else if line.len() as u64 == LONGEST_LINE {
            from.skip_until(b'\n')?;
            damaged += 1;
            continue;
        }
        match Event::parse(&line) {
            Ok(read) => event(read),
            Err(_) => damaged += usize::from(!line.is_empty()),
        }
    }
}

impl Contents {
    /// Reads lines; what can't be read is counted.
    pub fn parse(bytes: &[u8]) -> Self {
        let mut events = Vec::new();
        let damaged = each(&mut &bytes[..], &mut |event| events.push(event));
        Self { events, damaged: damaged.unwrap_or_else(|_| unreachable!("what is in memory can be read")) }
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

#[cfg(test)]
mod tests {
    use super::*;

    const NOTE: &str = r#"{"event":"note","time":1,"by":"root","text":"t"}"#;

    fn note() -> Event {
        Event::Note { time: 1, by: "root".into(), text: "t".into() }
    }

    fn journal(content: &[u8]) -> (tempfile::TempDir, Journal) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("operations.jsonl");
        std::fs::write(&path, content).unwrap();
        (dir, Journal::at(path))
    }

    #[test]
    fn each_line_is_an_event_or_counted() {
        let long = |bytes: usize| {
            let frame = NOTE.len() - 1;
            NOTE.replace("\"t\"", &format!("\"{}\"", "x".repeat(bytes - frame)))
        };
        let bound = LONGEST_LINE as usize;
        let cases: &[(&str, String, usize, usize)] = &[
            ("empty", String::new(), 0, 0),
            ("empty lines", "\n\n".into(), 0, 0),
            ("one", format!("{NOTE}\n"), 1, 0),
            ("an end that is being written, or whose end of line was lost", format!("{NOTE}\n{NOTE}"), 2, 0),
            ("cut short at the end", format!("{NOTE}\n{}", &NOTE[..20]), 1, 1),
            ("cut short, and gone on after it", format!("{}\n{NOTE}\n", &NOTE[..20]), 1, 1),
            ("damaged in the midst", format!("{NOTE}\n\0\0\0\n{NOTE}\n{{}}\n{NOTE}\n"), 3, 2),
            ("as long as a line may be", format!("{}\n{NOTE}\n", long(bound - 1)), 2, 0),
            ("longer", format!("{NOTE}\n{}\n{NOTE}\n", long(bound)), 2, 1),
            ("far longer", format!("{}\n{NOTE}\n", "\0".repeat(2 * bound + 1)), 1, 1),
            ("longer, at the end", format!("{NOTE}\n{}", long(bound)), 1, 1),
        ];
        for (name, content, events, damaged) in cases {
            let (_dir, journal) = journal(content.as_bytes());
            let mut seen = Vec::new();
            assert_eq!(journal.each(&mut |event| seen.push(event)).unwrap(), Some(*damaged), "{name}");
            assert_eq!(seen.len(), *events, "{name}");
            let all = journal.read().unwrap().unwrap();
            assert!(all.events == seen && all.damaged == *damaged, "{name}: all at once");
            let parsed = Contents::parse(content.as_bytes());
            assert!(parsed.events == seen && parsed.damaged == *damaged, "{name}: of bytes");
        }
    }

    #[test]
    fn what_is_no_journal_is_refused_and_none_is_none() {
        let (dir, journal) = journal(b"");
        let refused = |name: &str| {
            let error = Journal::at(dir.path().join(name)).each(&mut |_| {}).unwrap_err().to_string();
            assert_eq!(Journal::at(dir.path().join(name)).read().unwrap_err().to_string(), error);
            error
        };
        assert_eq!(Journal::at(dir.path().join("none")).each(&mut |_| {}).unwrap(), None);
        assert_eq!(Journal::at(dir.path().join("operations.jsonl/none")).each(&mut |_| {}).unwrap(), None);
        std::os::unix::fs::symlink(journal.path(), dir.path().join("link")).unwrap();
        std::fs::create_dir(dir.path().join("folder")).unwrap();
        assert!(refused("link").ends_with("link: it is not a plain file"));
        assert!(refused("folder").ends_with("folder: it is not a plain file"));
        std::fs::File::create(dir.path().join("large")).unwrap().set_len(LIMIT + 1).unwrap();
        assert!(refused("large").ends_with(&format!("large: it is larger than {LIMIT} bytes")));
    }

    #[test]
    fn a_line_is_read_by_its_tag_wherever_that_stands() {
        let begin = r#"{"event":"begin","id":"i","time":-1,"backend":"rust","tool":"t","phase":"p","snapshot":"s","transaction":null,"paths":{"/a\\x20b":{"before":"absent","after":"x"}}}"#;
        let written = Written { before: "absent".into(), after: "x".into() };
        let begun = Event::Begin {
            id: "i".into(),
            time: -1,
            backend: Backend::Rust,
            tool: "t".into(),
            phase: "p".into(),
            snapshot: Some("s".into()),
            transaction: None,
            paths: [("/a b".into(), written)].into(),
        };
        let ended = Event::End { id: "i".into(), time: 2, duration_ms: 3, outcome: Outcome::RolledBack };
        let accepted =
            Event::Accept { time: 4, by: "b".into(), reason: "r".into(), paths: [("/a".into(), "x".into())].into() };
        for event in [&begun, &ended, &accepted, &note()] {
            assert_eq!(Event::parse(&serde_json::to_vec(event).unwrap()).unwrap(), *event, "as it is written");
        }
        let end = r#"{"id":"i","outcome":"rolled-back","event":"end","duration_ms":3,"time":2}"#;
        let cases: &[(&str, Option<&Event>)] = &[
            (begin, Some(&begun)),
            (&begin.replace(r#","transaction":null"#, ""), Some(&begun)),
            (&begin.replace(r#""time""#, r#""later":{"a":[1]},"time""#), Some(&begun)),
            (&begin.replace(r#""event":"begin","#, r#" "event" : "be\u0067in" ,"#), Some(&begun)),
            (end, Some(&ended)),
            (&end.replace("end", "beginning"), Some(&Event::Unknown)),
            (r#"{"event":"beginning","id":7}"#, Some(&Event::Unknown)),
            (&begin.replace(r#""time":-1,"#, ""), None),
            (&begin.replace("rust", "perl"), None),
            (&begin.replace(r#""id":"i""#, r#""id":7"#), None),
            (&begin.replace("/a", r"/\\a"), None),
            (&format!("{begin}x"), None),
            (&begin[..begin.len() - 1], None),
            (r#"{"id":"i"}"#, None),
            (r#"{"event":7}"#, None),
            (r#"["note"]"#, None),
        ];
        for (line, event) in cases {
            assert_eq!(Event::parse(line.as_bytes()).ok().as_ref(), *event, "{line}");
        }
    }
}
