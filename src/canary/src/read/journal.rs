//! The operation journal, as a witness.

use std::collections::HashMap;
use std::path::Path;

use history::Journal as File;
use history::journal::{Contents, Event};
use host::{Error, Result};

use crate::facts::{Journal, Operation};

/// By this the exporter tells an apply.
const INTERFACES: &str = "/etc/network/interfaces";

/// Appends are made under a lock, in order; this much is rounding.
const ROUNDING: i64 = 2;

/// Reads it: operations since `since` (seconds since the epoch), and those that have no end.
///
/// # Errors
/// It can't be read, or is not there.
pub fn read(file: &File, since: i64) -> Result<Journal> {
    let contents = file.read()?;
    contents.map(|contents| of(&contents, since)).ok_or_else(|| {
        Error::new(format!("there is no journal {}: nobody knows what was applied", file.path().display()))
    })
}

/// The same of what was read.
pub fn of(contents: &Contents, since: i64) -> Journal {
    let mut operations: Vec<Operation> = Vec::new();
    let mut by_id: HashMap<&str, usize> = HashMap::new();
    let mut backwards = Vec::new();
    let mut latest = i64::MIN;
    for event in &contents.events {
        let at = match event {
            Event::Begin { time, .. }
            | Event::End { time, .. }
            | Event::Accept { time, .. }
            | Event::Note { time, .. } => *time,
            Event::Unknown => continue,
        };
        if at < latest.saturating_sub(ROUNDING) {
            backwards.push(at);
        }
        latest = latest.max(at);
        match event {
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
    operations.retain(|o| o.outcome.is_none() || o.ended.unwrap_or(o.began) >= since);
    Journal { damaged: contents.damaged, backwards, operations }
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
        let journal = of(&Contents::parse(text.as_bytes()), 0);
        assert_eq!(journal.damaged, 1);
        assert_eq!(journal.backwards, [150]);
        let [a, b] = journal.operations.as_slice() else { panic!("{journal:?}") };
        assert_eq!((a.ms, a.ended, a.interfaces, a.files, a.is_apply()), (Some(420), Some(101), false, 0, true));
        assert_eq!((b.ms, b.outcome, b.interfaces), (None, None, true));
        // What is old goes, what has no end stays.
        let recent = of(&Contents::parse(text.as_bytes()), 150).operations;
        assert_eq!(recent.iter().map(|o| o.id.as_str()).collect::<Vec<_>>(), ["b"]);
    }
}
