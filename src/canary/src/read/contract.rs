//! The latest report of contract-test.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use host::{Error, IoContext, Result, Root, files};
use serde::Deserialize;

use super::decisions::FOLDER;
use crate::facts::Contract;

/// A report is far smaller, in bytes.
const LIMIT: u64 = 64 << 20;
/// So many lines are kept of what differs.
const KEPT: usize = 10;

/// As contract-test writes it, as far as it matters.
#[derive(Debug, Deserialize)]
struct Report {
    schema_version: u32,
    /// Absent in reports from before there were others than of what is read.
    #[serde(default)]
    asked: Option<String>,
    node: String,
    started: i64,
    verdict: String,
    endpoints: Vec<Endpoint>,
}

#[derive(Debug, Deserialize)]
struct Endpoint {
    endpoint: String,
    verdict: String,
    why: Option<String>,
    differences: Vec<Difference>,
}

#[derive(Debug, Deserialize)]
struct Difference {
    field: String,
    kind: String,
}

/// Reads the report `named`, or else the one of `/var/log/pve-network/contract*.json` that was begun last. Reports of writes
/// (`--writes`) are passed over there: they say nothing of what is read.
///
/// # Errors
/// There is none; one can't be read or understood, for it might be the latest.
pub fn read(root: &Root, named: Option<&Path>) -> Result<Contract> {
    if let Some(file) = named {
        return of(&content(root, file)?, &root.inside(file).display().to_string())
            .map_err(|e| e.context(file.display()));
    }
    let mut newest: Option<Contract> = None;
    for file in candidates(&root.path(FOLDER))? {
        let bytes = content(root, &file)?;
        if is_of_writes(&bytes) {
            continue;
        }
        let name = root.inside(&file).display().to_string();
        let report = of(&bytes, &name).map_err(|e| e.context(&name))?;
        if newest.as_ref().is_none_or(|known| known.started < report.started) {
            newest = Some(report);
        }
    }
    newest.ok_or_else(|| {
        Error::new(format!(
            "there is no report of contract-test: contract-test --output {FOLDER}/contract-test.json, with a token, \
             makes one"
        ))
    })
}

fn candidates(folder: &Path) -> Result<Vec<PathBuf>> {
    let doing = || format!("cannot list {}", folder.display());
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.doing(doing)?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.doing(doing)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with("contract") && name.ends_with(".json") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn content(root: &Root, file: &Path) -> Result<Vec<u8>> {
    let there = files::read_plain(file, LIMIT);
    there
        .and_then(|bytes| bytes.ok_or_else(|| Error::new("there is no such report")))
        .map_err(|e| e.context(root.inside(file).display()))
}

fn is_of_writes(bytes: &[u8]) -> bool {
    serde_json::from_slice::<Report>(bytes).is_ok_and(|report| report.asked.as_deref() == Some("writes"))
}

/// Understands the bytes of a report; `file` is where it lies.
///
/// # Errors
/// It is no report of contract-test.
pub fn of(bytes: &[u8], file: &str) -> Result<Contract> {
    let report: Report = serde_json::from_slice(bytes)
        .map_err(|e| Error::new(format!("this is no report of contract-test that can be understood: {e}")))?;
    if report.asked.is_some_and(|asked| asked != "reads") {
        return Err(Error::new("this is a report of writes, and says nothing of what is read"));
    }
    let mut endpoints: BTreeMap<String, usize> = BTreeMap::new();
    let mut lines = Vec::new();
    for endpoint in report.endpoints {
        *endpoints.entry(endpoint.verdict).or_default() += 1;
        let why = endpoint.why.into_iter();
        let said = why.chain(endpoint.differences.iter().map(|d| format!("{} {}", d.kind, d.field)));
        lines.extend(said.map(|what| format!("{}: {what}", endpoint.endpoint)));
    }
    lines.truncate(KEPT);
    Ok(Contract {
        file: file.to_owned(),
        sha256: files::sha256(bytes),
        schema_version: report.schema_version,
        node: report.node,
        started: report.started,
        verdict: report.verdict,
        endpoints,
        lines,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_begun_last_counts_and_one_that_is_broken_is_not_passed_over() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::at(dir.path());
        let folder = root.path(FOLDER);
        std::fs::create_dir_all(&folder).unwrap();
        assert!(read(&root, None).unwrap_err().to_string().contains("no report"));
        let report = |started: i64, verdict: &str| {
            format!(
                r#"{{"schema_version":1,"node":"pve1","perl_url":"u","started":{started},"seed":1,"verdict":"{verdict}",
                "endpoints":[{{"endpoint":"/x","verdict":"{verdict}","why":null,"suppressed":[],"perl_ms":[1.0],"rust_ms":[1.0],
                "differences":[{{"field":"data.mtu","kind":"type","perl":1,"rust":"1"}}]}}]}}"#
            )
        };
        std::fs::write(folder.join("contract-test.json"), report(10, "equal")).unwrap();
        std::fs::write(folder.join("contract-older.json"), report(5, "differing")).unwrap();
        let found = read(&root, None).unwrap();
        assert_eq!((found.started, found.verdict.as_str(), found.endpoints["equal"]), (10, "equal", 1));
        assert_eq!(found.lines, ["/x: type data.mtu"]);
        assert_eq!(found.file, "/var/log/pve-network/contract-test.json");
        assert_eq!(read(&root, Some(&folder.join("contract-older.json"))).unwrap().verdict, "differing");
        // One of writes is no evidence for reads, however new and good.
        let writes = report(20, "equal").replacen('{', r#"{"asked":"writes","#, 1);
        std::fs::write(folder.join("contract-writes.json"), &writes).unwrap();
        assert_eq!(read(&root, None).unwrap().started, 10);
        let said = read(&root, Some(&folder.join("contract-writes.json"))).unwrap_err().to_string();
        assert!(said.contains("report of writes"), "{said}");
        std::fs::write(folder.join("contract-newest.json"), "{").unwrap();
        let said = read(&root, None).unwrap_err().to_string();
        assert!(said.contains("/var/log/pve-network/contract-newest.json: this is no report"), "{said}");
    }
}
