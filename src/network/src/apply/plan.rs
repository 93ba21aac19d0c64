//! What an apply would do: read from disk, judged, and shown by `--dry-run`. Changes nothing.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use history::snapshot::{self, Captured};
use history::{Use, restore};
use host::{Error, Kind, Result, files};
use model::{Finding, NetworkFiles, Reading, Severity};

use super::ifreload::without_masters;
use super::mend;
use super::probe::Target;
use super::wanted::{Wanted, wanted_as_read};
use crate::files::{INTERFACES, MAX_SIZE, PENDING, before_and_after};
use crate::kernel::Kernel;
use crate::{Node, links};

/// What is applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Pending changes if there are any, else the files as they are.
    Pending,
    /// The network files of a snapshot.
    Snapshot(String),
}

/// What cuts the node or a guest off has no line of its own.
const CUT_OFF: &str = "PVN046";

/// What would be done.
#[derive(Debug, Clone)]
pub struct Plan {
    /// What is applied, for a person.
    pub source: String,
    /// Files to write, or to delete.
    pub changes: Vec<(PathBuf, Option<Vec<u8>>)>,
    /// The network files as they are.
    pub before: NetworkFiles,
    /// The network files as they would be.
    pub after: NetworkFiles,
    /// What is wrong with them; what was so already is a warning.
    pub findings: Vec<Finding>,
    /// What the files want of the kernel now.
    pub old: Wanted,
    /// What they would want.
    pub new: Wanted,
}

impl Plan {
    /// Reads and judges it.
    ///
    /// # Errors
    /// There is nothing to apply, or it can't be read.
    pub fn make(node: &Node, source: &Source, allow_cut_off: bool) -> Result<Self> {
        let store = &node.store;
        let present = snapshot::present(store, true)?;
        let (before, mut after) = before_and_after(&present);
        let (source, changes) = match source {
            Source::Pending => pending(&present)?,
            Source::Snapshot(id) => {
                let changes = of_snapshot(node, id, &present)?;
                after = before.clone();
                for (path, content) in &changes {
                    match content {
                        Some(bytes) => after.insert(path, bytes.clone()),
                        None => after.remove(path),
                    }
                }
                (format!("snapshot {id}"), changes)
            }
        };
        let (was, will) = (before.read(), after.read());
        let findings = judge(node, &was, &will, allow_cut_off)?;
        let (old, new) = (wanted_as_read(&was), wanted_as_read(&will));
        Ok(Self { source, changes, before, after, findings, old, new })
    }

    /// Why it may not be applied.
    ///
    /// # Errors
    /// [`Kind::Refused`] with the first reason.
    pub fn allowed(&self) -> Result<()> {
        let errors: Vec<&Finding> = self.findings.iter().filter(|f| f.severity == Severity::Error).collect();
        let Some(first) = errors.first() else { return Ok(()) };
        let more = if errors.len() > 1 { format!(" (and {} more)", errors.len() - 1) } else { String::new() };
        let place = first.line.map_or_else(String::new, |line| format!("line {line}: "));
        let way = if first.code == CUT_OFF {
            "--allow-cut-off applies it all the same, where somebody can reach the console"
        } else {
            "pvenet validate shows all with a fix each"
        };
        let what = format!("nothing is applied: {place}{} {}{more}", first.code, first.what);
        Err(Error::of(Kind::Refused, what).way_out(way))
    }

    /// What would be done, a line each, in this order.
    pub fn lines(&self, kernel: &Kernel, targets: &[Target], confirm: Option<u64>) -> Vec<String> {
        let mut out = vec!["take a snapshot and start a guardian that goes back to it".to_owned()];
        if self.changes.is_empty() {
            out.push(format!("write no file ({})", self.source));
        }
        for (path, content) in &self.changes {
            out.push(match content {
                Some(_) => format!("write {} ({})", path.display(), self.source),
                None => format!("delete {}", path.display()),
            });
        }
        out.push("run ifreload -a".to_owned());
        let ports = kept_ports(&self.old, &self.new, kernel);
        if !ports.is_empty() {
            out.push(format!("see to it that these stay: {}", ports.join(", ")));
        }
        out.push("compare what the kernel has with what the files want".to_owned());
        out.extend(targets.iter().map(|target| format!("see whether {target} can be reached")));
        out.push(match confirm {
            Some(seconds) => format!("wait {seconds} s for pvenet confirm, and go back without it"),
            None => "keep it if all that is well, else go back".to_owned(),
        });
        out
    }
}

/// Ports of guests, each with its bridge.
fn kept_ports(old: &Wanted, new: &Wanted, kernel: &Kernel) -> Vec<String> {
    let orders = mend::lost_ports(old, new, kernel, &without_masters(kernel));
    let one = |order| match order {
        mend::Order::Enslave(port, bridge) => Some(format!("{port} on {bridge}")),
        _ => None,
    };
    orders.into_iter().filter_map(one).collect()
}

type Changes = Vec<(PathBuf, Option<Vec<u8>>)>;

fn pending(present: &Captured) -> Result<(String, Changes)> {
    if let Some(bytes) = present.content_of(Path::new(PENDING)) {
        let changes = vec![(INTERFACES.into(), Some(bytes.to_vec())), (PENDING.into(), None)];
        return Ok((format!("from {PENDING}"), changes));
    }
    if present.content_of(Path::new(INTERFACES)).is_none() {
        return Err(Error::new(format!("there is no {INTERFACES}"))
            .way_out("pvenet rollback --list shows what a snapshot would put there"));
    }
    Ok(("the files as they are, since nothing is pending".to_owned(), Vec::new()))
}

/// The network files that differ from a snapshot's.
fn of_snapshot(node: &Node, id: &str, present: &Captured) -> Result<Changes> {
    let store = &node.store;
    let missing = || Error::new(format!("there is no snapshot {id}")).way_out("pvenet rollback --list shows them");
    let found = snapshot::list(store)?.into_iter().find(|s| s.id == id).ok_or_else(missing)?;
    snapshot::verify(&found)?;
    let manifest = found.manifest.as_ref().map_err(|e| Error::new(e.to_string()))?;
    let ours = |path: &Path, usage: Use| usage == Use::Restore && path.starts_with("/etc/network");
    let paths: BTreeSet<&Path> = manifest
        .entries
        .iter()
        .chain(&present.entries)
        .filter(|e| ours(e.path.as_path(), e.usage) && (e.what.is_leaf()))
        .map(|e| e.path.as_path())
        .collect();
    let mut out = Vec::new();
    for path in paths {
        let then = manifest.entries.iter().find(|e| e.path.as_path() == path && e.what.exists());
        let content = match then {
            Some(entry) => files::read_plain(&found.path.join(entry.name.as_path()), MAX_SIZE)?,
            None => None,
        };
        if present.content_of(path) != content.as_deref() {
            out.push((path.to_owned(), content));
        }
    }
    Ok(out)
}

/// What is wrong with `after`. What was wrong with `before` already bars nothing: it runs.
fn judge(node: &Node, before: &Reading<'_>, after: &Reading<'_>, allow_cut_off: bool) -> Result<Vec<Finding>> {
    let links = links::read(&node.store.root)?;
    let mut found = model::validate_as_read(after, &links);
    if found.iter().any(|f| f.severity == Severity::Error) && before.files.get(INTERFACES).is_some() {
        let known: BTreeSet<(&'static str, String, String)> =
            model::validate_as_read(before, &links).into_iter().map(|f| (f.code, f.interface, f.what)).collect();
        for finding in &mut found {
            if known.contains(&(finding.code, finding.interface.clone(), finding.what.clone())) {
                finding.severity = Severity::Warning;
            }
        }
    }
    if let Err(refusal) = restore::reachable_as_read(&node.store, before, after) {
        found.push(Finding {
            code: CUT_OFF,
            severity: if allow_cut_off { Severity::Warning } else { Severity::Error },
            line: None,
            interface: String::new(),
            what: refusal.to_string(),
            fix: "keep it, or say --allow-cut-off where somebody can reach the console".into(),
        });
    }
    Ok(found)
}
