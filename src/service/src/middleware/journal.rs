//! How long applies took, read from the operation journal as it grows: so pvenet's and pvenet-legacy's
//! count as well, those that changed no file among them: Perl's baseline is made of such. An end of 0 ms is a note
//! beside the apply that took the time (`history::Watched`), and no apply. Applies from before this start are counted too; a restart loses none.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use history::journal::{Backend, Event, Outcome};

/// The file by which an apply is told from a write of pending changes.
const APPLIED: &str = "/etc/network/interfaces";

/// How often it is looked at.
pub(crate) const PERIOD: Duration = Duration::from_secs(2);

/// A line is far shorter.
const LONGEST_LINE: u64 = 8 << 20;

/// Operations under way that are remembered; older ones have died.
const OPEN: usize = 1024;

/// A reader that goes on where it stopped.
#[derive(Debug)]
pub(crate) struct Reader {
    path: PathBuf,
    inode: u64,
    offset: u64,
    open: HashMap<String, Backend>,
}

impl Reader {
    pub(crate) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), inode: 0, offset: 0, open: HashMap::new() }
    }

    /// Applies that ended since the last call. A journal that is another, or shorter, is read anew without
    /// counting what it holds: what was counted can't be told from what was not.
    pub(crate) fn read(&mut self, mut each: impl FnMut(Backend, Duration)) -> std::io::Result<()> {
        let file = match File::open(&self.path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            opened => opened?,
        };
        let meta = file.metadata()?;
        if self.inode != 0 && (self.inode != meta.ino() || meta.len() < self.offset) {
            (self.inode, self.offset) = (meta.ino(), meta.len());
            self.open.clear();
            return Ok(());
        }
        self.inode = meta.ino();
        let mut reader = BufReader::new(file);
        reader.seek(SeekFrom::Start(self.offset))?;
        let mut line = Vec::new();
        loop {
            line.clear();
            let read = reader.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line)? as u64;
            // A line without its end is being written.
            if line.last() != Some(&b'\n') && read < LONGEST_LINE {
                return Ok(());
            }
            self.offset += read;
            match Event::parse(&line) {
                Ok(Event::Begin { id, backend, paths, .. })
                    if paths.is_empty() || paths.keys().any(|path| path.as_path() == Path::new(APPLIED)) =>
                {
                    if self.open.len() >= OPEN {
                        self.open.clear();
                    }
                    self.open.insert(id, backend);
                }
                Ok(Event::End { id, duration_ms, outcome, .. }) => {
                    if let Some(backend) = self.open.remove(&id)
                        && outcome == Outcome::Done
                        && duration_ms > 0
                    {
                        each(backend, Duration::from_millis(duration_ms));
                    }
                }
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use history::journal::{Journal, Written};
    use std::collections::BTreeMap;

    fn begin(id: &str, path: &str, backend: Backend) -> Event {
        let written = Written { before: "a".into(), after: "b".into() };
        Event::Begin {
            id: id.into(),
            time: 1,
            backend,
            tool: "t".into(),
            phase: "rust-full".into(),
            snapshot: None,
            transaction: None,
            paths: BTreeMap::from([(PathBuf::from(path).into(), written)]),
        }
    }

    fn end(id: &str, outcome: Outcome) -> Event {
        Event::End { id: id.into(), time: 2, duration_ms: 1500, outcome }
    }

    #[test]
    fn applies_are_counted_once_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("operations.jsonl");
        let journal = Journal::at(path.clone());
        let mut reader = Reader::new(&path);
        let read = |reader: &mut Reader| {
            let mut found = Vec::new();
            reader.read(|backend, took| found.push((backend, took.as_millis()))).unwrap();
            found
        };
        assert_eq!(read(&mut reader), []);
        journal.append(&begin("1", APPLIED, Backend::Legacy)).unwrap();
        assert_eq!(read(&mut reader), []);
        journal.append(&end("1", Outcome::Done)).unwrap();
        journal.append(&begin("2", "/etc/network/interfaces.new", Backend::Rust)).unwrap();
        journal.append(&end("2", Outcome::Done)).unwrap();
        journal.append(&begin("3", APPLIED, Backend::Rust)).unwrap();
        journal.append(&end("3", Outcome::RolledBack)).unwrap();
        // Perl applied, nothing was pending, and a note says what Rust had put there before.
        let Event::Begin { id, time, backend, tool, phase, snapshot, transaction, .. } =
            begin("4", APPLIED, Backend::Legacy)
        else {
            unreachable!()
        };
        let paths = BTreeMap::new();
        journal.append(&Event::Begin { id, time, backend, tool, phase, snapshot, transaction, paths }).unwrap();
        journal.append(&end("4", Outcome::Done)).unwrap();
        journal.append(&begin("5", APPLIED, Backend::Rust)).unwrap();
        journal.append(&Event::End { id: "5".into(), time: 2, duration_ms: 0, outcome: Outcome::Done }).unwrap();
        assert_eq!(read(&mut reader), [(Backend::Legacy, 1500), (Backend::Legacy, 1500)]);
        assert_eq!(read(&mut reader), []);
        // A line that is being written, and damage before it.
        let line = serde_json::to_vec(&begin("4", APPLIED, Backend::Rust)).unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        bytes.extend_from_slice(b"{half\n");
        bytes.extend_from_slice(&line);
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(read(&mut reader), []);
        journal.append(&end("4", Outcome::Done)).unwrap();
        assert_eq!(read(&mut reader), [(Backend::Rust, 1500)], "who appends ends the line before");
        std::fs::write(&path, "").unwrap();
        assert_eq!(read(&mut reader), [], "a journal that is shorter");
        journal.append(&begin("5", APPLIED, Backend::Rust)).unwrap();
        journal.append(&end("5", Outcome::Done)).unwrap();
        assert_eq!(read(&mut reader), [(Backend::Rust, 1500)]);
        assert_eq!(read(&mut Reader::new(&path)), [(Backend::Rust, 1500)], "a new start counts what is there");
    }
}
