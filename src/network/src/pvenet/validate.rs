//! What is wrong with a configuration.

use std::path::Path;

use ::cli::screen::Colours;
use ::cli::{Form, out};
use history::{restore, snapshot};
use host::{Error, Result, files};
use model::{Finding, Reading, Severity};
use serde_json::json;

use super::current;
use crate::files::{INTERFACES, MAX_SIZE, before_and_after};
use crate::{Node, links};

/// What cuts the node or a guest off has no line of its own.
const CUT_OFF: &str = "PVN046";

pub(super) fn run(node: &Node, config: Option<&Path>, allow_cut_off: bool, form: Form) -> Result<()> {
    let (file, bytes) = match config {
        None => current(node).map(|(file, bytes)| (file.to_owned(), bytes))?,
        Some(path) => {
            let bytes = files::read_plain(path, MAX_SIZE)?;
            let missing = || Error::new(format!("there is no {}", path.display()));
            (host::escape::escape(path), bytes.ok_or_else(missing)?)
        }
    };
    let links = links::read(&node.store.root)?;
    let present = snapshot::present(&node.store, true)?;
    let (before, mut after) = before_and_after(&present);
    after.insert(INTERFACES, bytes);
    let will = after.read();
    let mut found = model::validate_as_read(&will, &links);
    // Nothing is lost where nothing changes.
    if before != after {
        found.extend(cut_off(node, &before.read(), &will, allow_cut_off));
    }
    let errors = found.iter().filter(|f| f.severity == Severity::Error).count();
    if form == Form::Json {
        let all: Vec<_> = found.iter().map(shown).collect();
        out(json!({
            "schema_version": 1, "node": node.store.node, "file": file, "errors": errors, "findings": all,
        }))?;
    } else {
        for finding in &found {
            lines(&file, finding, Colours::of_stdout()).into_iter().try_for_each(out)?;
        }
        if found.is_empty() {
            out(format_args!("{file}: nothing wrong was found"))?;
        }
    }
    match errors {
        0 => Ok(()),
        1 => Err(Error::new(format!("{file} has an error"))),
        count => Err(Error::new(format!("{file} has {count} errors"))),
    }
}

/// Whether the management address or a guest's bridge would be lost, against what is there now.
fn cut_off(node: &Node, before: &Reading<'_>, after: &Reading<'_>, allowed: bool) -> Option<Finding> {
    let refusal = restore::reachable_as_read(&node.store, before, after).err()?;
    Some(Finding {
        code: CUT_OFF,
        severity: if allowed { Severity::Warning } else { Severity::Error },
        line: None,
        interface: String::new(),
        what: refusal.to_string(),
        fix: "keep it, or say --allow-cut-off where somebody can reach the console".into(),
    })
}

fn shown(finding: &Finding) -> serde_json::Value {
    json!({
        "code": finding.code, "severity": finding.severity.name(), "line": finding.line,
        "interface": finding.interface, "what": finding.what, "fix": finding.fix,
    })
}

/// As compilers say it: `FILE:LINE: error PVN044: …`, then the fix.
fn lines(file: &str, finding: &Finding, colours: Colours) -> [String; 2] {
    let place = finding.line.map_or_else(|| file.to_owned(), |line| format!("{file}:{line}"));
    let severity = match finding.severity {
        Severity::Error => colours.alarm("error"),
        Severity::Warning => colours.yellow("warning"),
    };
    let about = if finding.interface.is_empty() { String::new() } else { format!("{}: ", finding.interface) };
    [format!("{place}: {severity} {}: {about}{}", finding.code, finding.what), format!("  fix: {}", finding.fix)]
}
