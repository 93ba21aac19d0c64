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

/// Reads the report `named`, or else the one of `/var/log/pve-network/contract*.json` that was begun last.
///
/// # Errors
/// There is none; one can't be read or understood, for it might be the latest.
pub fn read(root: &Root, named: Option<&Path>) -> Result<Contract> {
    let files = match named {
        Some(file) => vec![file.to_owned()],
        None => candidates(&root.path(FOLDER))?,
    };
    let mut newest: Option<Contract> = None;
    for file in files {
        let report = one(root, &file).map_err(|e| e.context(root.inside(&file).display()))?;
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

fn one(root: &Root, file: &Path) -> Result<Contract> {
    let bytes = files::read_plain(file, LIMIT)?.ok_or_else(|| Error::new("there is no such report"))?;
    of(&bytes, &root.inside(file).display().to_string())
}

/// Understands the bytes of a report; `file` is where it lies.
///
/// # Errors
/// It is no report of contract-test.
pub fn of(bytes: &[u8], file: &str) -> Result<Contract> {
    let report: Report = serde_json::from_slice(bytes)
        .map_err(|e| Error::new(format!("this is no report of contract-test that can be understood: {e}")))?;
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
        std::fs::write(folder.join("contract-newest.json"), "{").unwrap();
        let said = read(&root, None).unwrap_err().to_string();
        assert!(said.contains("/var/log/pve-network/contract-newest.json: this is no report"), "{said}");
    }
}
