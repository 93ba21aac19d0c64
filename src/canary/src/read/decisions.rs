//! `migration.log`, with those that logrotate moved away, as a witness.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use host::{Error, IoContext, Result, Root, files};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::facts::{Bad, Decisions, LogFile, Minute};

/// Where logs lie.
pub const FOLDER: &str = "/var/log/pve-network";
const NAME: &str = "migration.log";
/// The version of a line that is understood.
const LINE: u32 = 1;
/// A line is far shorter, in bytes.
const LONGEST: u64 = 64 << 10;
/// No file is read further, unpacked: logrotate keeps them far smaller.
const LARGEST: u64 = 1 << 30;
/// Requests are logged when they end, with the time when they came: so times go back by as long as one takes, in
/// seconds.
const PATIENCE: i64 = 180;
/// As much before the time looked at is read as well, in seconds: its edge is not sharp.
const BEFORE: i64 = 3600;

/// A line, as far as it matters.
#[derive(Debug, Deserialize)]
struct Line {
    schema_version: u32,
    time: String,
    operation_id: String,
    method: String,
    route: String,
    backend: String,
    used_fallback: bool,
    reason: String,
    status: u16,
}

/// Reads the log back to `since` (seconds since the epoch), and one file further.
///
/// # Errors
/// There is none, or a file can't be read.
pub fn read(root: &Root, since: i64) -> Result<Decisions> {
    let folder = root.path(FOLDER);
    let mut log = Reader::new(since);
    let all = list(&folder)?;
    if all.is_empty() {
        return Err(Error::new(format!("there is no {FOLDER}/{NAME}: no decision was logged")));
    }
    // Older files have nothing to say, nor has what is damaged in them. Not by times of change: a file that was touched or
    // restored says nothing by those.
    let reaches = |path: &PathBuf| first_time(path).is_some_and(|time| time <= since - BEFORE);
    let begin = all.iter().rposition(reaches).unwrap_or(0);
    for path in &all[begin..] {
        log.file(path).map_err(|e| e.context(root.inside(path).display()))?;
    }
    Ok(log.end())
}

/// Opens a file of the log, packed or not.
fn open(path: &Path) -> Result<Box<dyn Read>> {
    let file = std::fs::File::open(path).doing(|| "cannot read it")?;
    let packed = path.extension().is_some_and(|e| e == "gz");
    Ok(if packed { Box::new(flate2::read::MultiGzDecoder::new(file)) } else { Box::new(file) })
}

/// When the first line of a file was written, if that can be told.
fn first_time(path: &Path) -> Option<i64> {
    let mut line = Vec::new();
    BufReader::new(open(path).ok()?).take(LONGEST).read_until(b'\n', &mut line).ok()?;
    seconds(&serde_json::from_slice::<Line>(&line).ok()?.time)
}

/// Every file of the log, oldest first: `.12.gz` … `.2.gz`, `.1`, and the one that is written.
fn list(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.doing(|| format!("cannot list {}", folder.display()))?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.doing(|| format!("cannot list {}", folder.display()))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let Some(rest) = name.strip_prefix(NAME) else { continue };
        let number = rest.strip_suffix(".gz").unwrap_or(rest);
        let number =
            if rest.is_empty() { Some(0) } else { number.strip_prefix('.').and_then(|n| n.parse::<u32>().ok()) };
        found.extend(number.map(|number| (number, path)));
    }
    found.sort_by_key(|(number, _)| std::cmp::Reverse(*number));
    Ok(found.into_iter().map(|(_, path)| path).collect())
}

/// Reads line by line: a week in front mode is tens of megabytes.
struct Reader {
    since: i64,
    out: Decisions,
    minutes: BTreeMap<i64, Minute>,
    latest: i64,
}

impl Reader {
    fn new(since: i64) -> Self {
        let out = Decisions {
            files: Vec::new(),
            unreadable: 0,
            backwards: Vec::new(),
            first: None,
            last: None,
            minutes: Vec::new(),
            bad: Vec::new(),
        };
        Self { since, out, minutes: BTreeMap::new(), latest: i64::MIN }
    }

    fn file(&mut self, path: &Path) -> Result<()> {
        let doing = || "cannot read it".to_owned();
        let packed = path.extension().is_some_and(|e| e == "gz");
        let mut reader = BufReader::new(open(path)?);
        let mut digest = Sha256::new();
        let (mut line, mut lines, mut size) = (Vec::new(), 0, 0);
        loop {
            line.clear();
            let read = reader.by_ref().take(LONGEST).read_until(b'\n', &mut line).doing(doing)?;
            if read == 0 {
                break;
            }
            digest.update(&line);
            lines += 1;
            size += read as u64;
            if size > LARGEST {
                return Err(Error::new(format!("it is larger than {} MiB", LARGEST >> 20)));
            }
            // The last line of the file that is written may have no end yet.
            let Some(text) = line.strip_suffix(b"\n") else {
                let open = !packed && read < usize::try_from(LONGEST).unwrap_or(usize::MAX);
                self.out.unreadable += u64::from(!open);
                continue;
            };
            if !text.is_empty() {
                self.line(text);
            }
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        self.out.files.push(LogFile { name, lines, sha256: files::hex(&digest.finalize()) });
        Ok(())
    }

    fn line(&mut self, text: &[u8]) {
        let line = serde_json::from_slice::<Line>(text).ok().filter(|line| line.schema_version == LINE);
        let Some((line, time)) = line.and_then(|line| seconds(&line.time).map(|time| (line, time))) else {
            self.out.unreadable += 1;
            return;
        };
        if time < self.latest.saturating_sub(PATIENCE) {
            self.out.backwards.push(time);
            self.latest = time; // from here on the clock is right, or wrong in another way
        }
        self.latest = self.latest.max(time);
        self.out.first = Some(self.out.first.map_or(time, |first| first.min(time)));
        self.out.last = Some(self.latest);
        // A request that was refused for its form is none of the network API's, and not in its counters either.
        if line.route == "(refused)" || time < self.since - BEFORE {
            return;
        }
        let at = time.div_euclid(60);
        let minute = self.minutes.entry(at).or_insert(Minute { at, rust: 0, perl: 0, none: 0, fallbacks: 0 });
        minute.fallbacks += u64::from(line.used_fallback);
        let mut bad = line.used_fallback;
        match line.backend.as_str() {
            "rust" => minute.rust += 1,
            "perl" => minute.perl += 1,
            "none" => {
                minute.none += 1;
                bad |= line.status >= 500;
            }
            _ => self.out.unreadable += 1,
        }
        let kept = self.out.bad.iter().filter(|b| b.fallback == line.used_fallback).count();
        if bad && time >= self.since && kept < Decisions::KEPT {
            self.out.bad.push(Bad {
                time,
                operation: line.operation_id,
                request: format!("{} {}", line.method, line.route),
                fallback: line.used_fallback,
                reason: line.reason,
                status: line.status,
            });
        }
    }

    fn end(mut self) -> Decisions {
        self.out.minutes = self.minutes.into_values().collect();
        self.out
    }
}

/// Seconds since the epoch of `2026-01-02T03:04:05.006Z`, as the middleware writes it.
fn seconds(text: &str) -> Option<i64> {
    let whole = text.strip_suffix('Z')?;
    let (whole, fraction) = whole.split_once('.')?;
    if fraction.len() != 3 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let (date, time) = whole.split_once('T')?;
    let compact = format!("{}-{}", date.replace('-', ""), time.replace(':', ""));
    let at = host::Timestamp::parse_compact(&compact)?;
    (at.to_string() == format!("{whole}Z")).then(|| at.seconds())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn line(time: &str, backend: &str, fallback: bool, status: u16) -> String {
        format!(
            "{{\"schema_version\":1,\"time\":\"{time}\",\"operation_id\":\"o\",\"method\":\"GET\",\"route\":\"/nodes/{{node}}/network\",\
             \"phase\":\"rust-read-only\",\"backend\":\"{backend}\",\"used_fallback\":{fallback},\"reason\":\"timeout\",\"status\":{status},\"ms\":1}}\n"
        )
    }

    #[test]
    fn rotated_files_are_read_in_their_order_and_nothing_is_dropped_silently() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::at(dir.path());
        let folder = root.path(FOLDER);
        assert!(read(&root, 0).unwrap_err().to_string().contains("no decision was logged"));
        std::fs::create_dir_all(&folder).unwrap();
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(line("2026-11-01T00:00:10.000Z", "rust", false, 200).as_bytes()).unwrap();
        std::fs::write(folder.join("migration.log.2.gz"), packed.finish().unwrap()).unwrap();
        std::fs::write(folder.join("migration.log.1"), line("2026-11-01T00:00:20.000Z", "perl", true, 200)).unwrap();
        let newest = [
            line("2026-11-01T00:01:10.999Z", "none", false, 503),
            line("2026-11-01T00:01:11.000Z", "none", false, 400),
            "{\"schema_version\":2}\nnonsense\n".to_owned(),
            line("2026-10-31T23:00:00.000Z", "rust", false, 200).replace("/nodes/{node}/network", "(refused)"),
            line("2026-11-01T00:01:12.000Z", "rust", false, 200).trim_end().to_owned(),
        ];
        std::fs::write(folder.join("migration.log"), newest.concat()).unwrap();
        std::fs::write(folder.join("migration.log.bak"), "no log").unwrap();
        let log = read(&root, 1_793_491_200).unwrap();
        let names: Vec<&str> = log.files.iter().map(|f| f.name.as_str()).collect();
        assert_eq!(names, ["migration.log.2.gz", "migration.log.1", "migration.log"]);
        assert_eq!(log.unreadable, 2);
        assert_eq!(log.backwards.len(), 1);
        let counts: Vec<_> = log.minutes.iter().map(|m| (m.rust, m.perl, m.none, m.fallbacks)).collect();
        assert_eq!(counts, [(1, 1, 0, 1), (0, 0, 2, 0)]);
        let bad: Vec<_> = log.bad.iter().map(|b| (b.fallback, b.status)).collect();
        assert_eq!(bad, [(true, 200), (false, 503)]);
        // One kind does not take the other's place.
        let many = line("2026-11-01T00:01:10.999Z", "none", false, 503).repeat(Decisions::KEPT + 9);
        std::fs::write(folder.join("migration.log"), many + &line("2026-11-01T00:01:12.000Z", "perl", true, 200))
            .unwrap();
        let bad = read(&root, 1_793_491_200).unwrap().bad;
        assert_eq!(bad.iter().filter(|b| b.fallback).count(), 2);
        assert_eq!(bad.len(), Decisions::KEPT + 2);
        std::fs::write(folder.join("migration.log"), newest.concat()).unwrap();
        // A file that is older than the time looked at is not read, whatever stands in it.
        std::fs::write(folder.join("migration.log.3"), "nonsense\n").unwrap();
        let later = read(&root, 1_793_491_200 + 7200).unwrap();
        assert_eq!((later.unreadable, later.files.len()), (2, 1), "{:?}", later.files);
        assert_eq!(read(&root, 1_793_491_200).unwrap().unreadable, 3);
        std::fs::write(folder.join("migration.log.2.gz"), "no gzip").unwrap();
        let said = read(&root, 0).unwrap_err().to_string();
        assert!(said.contains("migration.log.2.gz"), "{said}");
    }

    #[test]
    fn times() {
        assert_eq!(seconds("1970-01-02T00:00:01.999Z"), Some(86_401));
        for bad in [
            "",
            "1970-01-02T00:00:01Z",
            "1970-13-02T00:00:01.000Z",
            "1970-01-02 00:00:01.000Z",
            "1970-01-02T00:00:01.000",
        ] {
            assert_eq!(seconds(bad), None, "{bad}");
        }
    }
}
