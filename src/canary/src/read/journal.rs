//! The operation journal, as a witness.

use std::collections::HashMap;
use std::path::Path;

use history::Journal as File;
use history::journal::{Contents, Event};
use host::{Error, Result, files};
use phase::Phase;

use crate::facts::{Journal, Operation};
use crate::gate::limits;

/// By this the exporter tells an apply.
const INTERFACES: &str = "/etc/network/interfaces";

/// A journal that is larger, in bytes, is not read, nor is it by `history`.
const LIMIT: u64 = 256 << 20;

/// Appends are made under a lock, in order; this much is rounding.
const ROUNDING: i64 = 2;

/// What it is read for.
#[derive(Debug, Clone, Copy)]
pub struct Since {
    /// Operations that ended earlier are left out, in seconds since the epoch.
    pub operations: i64,
    /// What can't be read before the last line that is older than this is of no more interest.
    pub damage: i64,
}

impl Since {
    /// What a gate for `wanted` looks at.
    pub fn of(wanted: Phase, now: i64) -> Self {
        let window = limits::window(wanted, now);
        Self { operations: now - limits::BASELINE_AGE.max(limits::needed(wanted)), damage: window.from }
    }
}

/// Reads it: operations since then, and those that are not finished, of whatever age.
///
/// # Errors
/// It can't be read, or is not there.
pub fn read(file: &File, since: Since) -> Result<Journal> {
    let bytes = files::read_plain(file.path(), LIMIT)?;
    bytes.map(|bytes| of(&bytes, since)).ok_or_else(|| {
        Error::new(format!("there is no journal {}: nobody knows what was applied", file.path().display()))
    })
}

fn time_of(event: &Event) -> Option<i64> {
    match event {
        Event::Begin { time, .. } | Event::End { time, .. } | Event::Accept { time, .. } | Event::Note { time, .. } => {
            Some(*time)
        }
        Event::Unknown => None,
    }
}

/// The times of these lines, as far as they have any.
pub fn times(bytes: &[u8]) -> impl Iterator<Item = i64> {
    Contents::parse(bytes).events.into_iter().filter_map(|event| time_of(&event))
}

/// Lines that can't be read, behind the last one that is older than `since`. A power cut leaves half a line, which stays
/// in the file for ever.
fn damage(bytes: &[u8], since: i64) -> usize {
    bytes.split_inclusive(|b| *b == b'\n').fold(0, |damaged, line| {
        let one = Contents::parse(line);
        let old = one.events.iter().filter_map(time_of).any(|at| at < since);
        if old { 0 } else { damaged + one.damaged }
    })
}

/// The same of what was read.
pub fn of(bytes: &[u8], since: Since) -> Journal {
    let contents = Contents::parse(bytes);
    let mut operations: Vec<Operation> = Vec::new();
    let mut by_id: HashMap<&str, usize> = HashMap::new();
    let mut backwards = Vec::new();
    let mut latest = i64::MIN;
    for event in &contents.events {
        let Some(at) = time_of(event) else { continue };
        if at < latest.saturating_sub(ROUNDING) {
            backwards.push(at);
            latest = at; // from here on the clock is right, or wrong in another way
        }
        latest = latest.max(at);
        match event {
            // A restore that was interrupted is begun anew under its own name: it is one operation, and its end ends it.
            Event::Begin { id, .. } if by_id.contains_key(id.as_str()) => {
                if let Some(operation) = by_id.get(id.as_str()).and_then(|at| operations.get_mut(*at)) {
                    (operation.ended, operation.ms, operation.outcome) = (None, None, None);
                }
            }
            Event::Begin { id, time, backend, tool, paths, .. } => {
                by_id.insert(id, operations.len());
                operations.push(Operation {
                    id: id.clone(),
                    began: *time,
                    ended: None,
                    backend: *backend,
                    tool: tool.clone(),
                    ms: None,
                    outcome: None,
                    interfaces: paths.keys().any(|path| path.as_path() == Path::new(INTERFACES)),
                    files: paths.len(),
                });
            }
            Event::End { id, time, duration_ms, outcome } => {
                if let Some(operation) = by_id.get(id.as_str()).and_then(|at| operations.get_mut(*at)) {
                    operation.ended = Some(*time);
                    operation.ms = Some(*duration_ms);
                    operation.outcome = Some(*outcome);
                }
            }
            _ => {}
        }
    }
    operations.retain(|o| !o.is_finished() || o.ended.unwrap_or(o.began) >= since.operations);
    Journal {
        damaged: damage(bytes, since.damage),
        backwards,
        latest: (latest > i64::MIN).then_some(latest),
        operations,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_put_together_and_clocks_that_were_set_are_seen() {
        let text = r#"{"event":"begin","id":"a","time":100,"backend":"legacy","tool":"pvenet-legacy","phase":"perl-only","snapshot":null,"transaction":null,"paths":{}}
{"event":"end","id":"a","time":101,"duration_ms":420,"outcome":"done"}
{"event":"begin","id":"b","time":200,"backend":"rust","tool":"pvenet","phase":"rust-basic-write","snapshot":null,"transaction":null,"paths":{"/etc/network/interfaces":{"before":"x","after":"y"}}}
half a line
{"event":"note","time":150,"by":"root","text":"set the clock"}
{"event":"invented-later","time":1}
"#;
        let all = |operations, damage| of(text.as_bytes(), Since { operations, damage });
        let journal = all(0, 0);
        assert_eq!(journal.damaged, 1);
        assert_eq!((journal.backwards.as_slice(), journal.latest), (&[150][..], Some(150)));
        // A line older than what is looked at comes after the half one.
        assert_eq!((all(0, 150).damaged, all(0, 151).damaged), (1, 0));
        let [a, b] = journal.operations.as_slice() else { panic!("{journal:?}") };
        assert_eq!((a.ms, a.ended, a.interfaces, a.files, a.is_apply()), (Some(420), Some(101), false, 0, true));
        assert_eq!((b.ms, b.outcome, b.interfaces), (None, None, true));
        // What is old goes, what has no end stays.
        let recent = all(150, 0).operations;
        assert_eq!(recent.iter().map(|o| o.id.as_str()).collect::<Vec<_>>(), ["b"]);
    }

    #[test]
    fn a_restore_that_was_taken_up_again_is_one_operation_and_ends_with_its_end() {
        let begin = |time: i64| {
            format!(
                r#"{{"event":"begin","id":"r","time":{time},"backend":"restore","tool":"restore","phase":"perl-only","snapshot":null,"transaction":null,"paths":{{}}}}"#
            )
        };
        let end = r#"{"event":"end","id":"r","time":201,"duration_ms":1,"outcome":"done"}"#;
        let ended = |text: String| {
            let journal = of(text.as_bytes(), Since { operations: 0, damage: 0 });
            journal.operations.iter().map(|o| (o.began, o.ended, o.outcome)).collect::<Vec<_>>()
        };
        assert_eq!(ended(format!("{}\n{}\n", begin(100), begin(200))), [(100, None, None)]);
        assert_eq!(
            ended(format!("{}\n{}\n{end}\n", begin(100), begin(200))),
            [(100, Some(201), Some(history::journal::Outcome::Done))]
        );
    }
}
