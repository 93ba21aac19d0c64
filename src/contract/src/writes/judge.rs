//! Two answers of Perl to a write, with what they made of the files, and Rust's. Pure.
//!
//! Compared as answers to reads are ([`crate::compare`]), and more strictly where Perl's own two differ: a message may then name
//! another interface, and a line of the file may have its words in another order. Nothing else is noise.

use std::path::Path;

use serde_json::{Map, Value};

use super::tree::Tree;
use crate::compare::{Answer, Difference, Kind, Outcome, Verdict, compare};

/// What Proxmox lets through and Rust refuses on purpose: docs/daemon.md, "Stricter than Proxmox".
const HOLES: [&str; 8] = ["PVN040", "PVN041", "PVN042", "PVN043", "PVN044", "PVN045", "PVN046", "PVN047"];

/// One side's answer, and what it did.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Seen {
    pub answer: Answer,
    /// From [`files`].
    pub files: Value,
}

/// What came out of one case.
#[derive(Debug, PartialEq)]
pub(crate) struct Judged {
    pub outcome: Outcome,
    /// A hole of Proxmox's that Rust refuses to fall into.
    pub stricter: Option<Difference>,
}

/// What a write left in the folder: pending changes line by line, and by name whatever else is not as it was.
pub(crate) fn files(before: &Tree, after: &Tree) -> Value {
    let mut found = Map::new();
    if let Some(pending) = after.file("interfaces.new") {
        found.insert("interfaces.new".into(), lines(pending));
    }
    for path in before.changed(after) {
        if [".pve-interfaces.lock", "interfaces.new"].iter().any(|name| path == Path::new(name)) {
            continue;
        }
        let name = if path.as_os_str().is_empty() { ".".into() } else { path.display().to_string() };
        let now = after.file(&name).map_or_else(|| "changed".into(), lines);
        found.insert(name, now);
    }
    found.into()
}

fn lines(content: &[u8]) -> Value {
    let text = |line: &[u8]| match std::str::from_utf8(line) {
        Ok(line) => line.to_owned(),
        Err(_) => line.escape_ascii().to_string(),
    };
    content.split_inclusive(|b| *b == b'\n').map(text).collect()
}

/// Judges a case. `untouched` is what [`files`] says where nothing was done.
pub(crate) fn judge(perl: [&Seen; 2], rust: &Seen, untouched: &Value) -> Judged {
    if let Some(stricter) = hole(perl, rust, untouched) {
        let outcome = Outcome { verdict: Verdict::Equal, differences: Vec::new(), suppressed: Vec::new() };
        return Judged { outcome, stricter: Some(stricter) };
    }
    let file = |seen: &Seen| Answer { status: 200, body: seen.files.clone() };
    let [first, second] = perl;
    let mut outcome = compare([&first.answer, &second.answer], &rust.answer);
    let more = compare([&file(first), &file(second)], &file(rust));
    outcome.suppressed.extend(more.suppressed);
    outcome.differences.extend(more.differences);
    if !matches!(outcome.verdict, Verdict::Inconclusive(_)) {
        outcome.verdict = more.verdict;
    }
    let (noise, no_noise): (Vec<_>, Vec<_>) = outcome.suppressed.into_iter().partition(|d| is_noise(d, perl));
    outcome.suppressed = noise;
    outcome.differences.extend(no_noise);
    outcome.differences = gathered(outcome.differences, first, rust);
    for seen in [first, second, rust] {
        // Equal, and nobody may do it.
        let Value::Object(all) = &seen.files else { continue };
        for name in all.keys().filter(|name| *name != "interfaces.new") {
            let known = outcome.differences.iter().any(|d| d.field.split('[').next() == Some(name));
            if !known {
                let side = |seen: &Seen| seen.files.get(name).cloned().unwrap_or_default();
                let (perl, rust) = (side(first), side(rust));
                outcome.differences.push(Difference { field: name.clone(), kind: Kind::Value, perl, rust });
            }
        }
    }
    if !matches!(outcome.verdict, Verdict::Inconclusive(_)) {
        outcome.verdict = if outcome.differences.is_empty() { Verdict::Equal } else { Verdict::Differing };
    }
    Judged { outcome, stricter: None }
}

/// Perl did it, and Rust refused with the code of a reviewed hole, and did nothing.
fn hole(perl: [&Seen; 2], rust: &Seen, untouched: &Value) -> Option<Difference> {
    if perl.iter().any(|seen| seen.answer.status != 200) || rust.answer.status != 400 || rust.files != *untouched {
        return None;
    }
    let errors = rust.answer.body["errors"].as_object().filter(|errors| errors.len() == 1)?;
    let (name, text) = errors.iter().find_map(|(name, text)| Some((name, text.as_str()?)))?;
    let code = HOLES.iter().find(|code| text.contains(&format!("({code})")))?;
    let rust = format!("{code}: {text}").into();
    Some(Difference { field: format!("errors.{name}"), kind: Kind::Stricter, perl: 200.into(), rust })
}

/// Whether what [`compare`] takes for noise is no more than that.
fn is_noise(difference: &Difference, perl: [&Seen; 2]) -> bool {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let (Some(theirs), Some(ours)) = (text(&difference.perl), text(&difference.rust)) else {
        return difference.kind == Kind::Order;
    };
    if difference.field.starts_with("interfaces.new[") {
        let sorted = |line: &str| {
            let mut words: Vec<String> = line.split(' ').map(|word| word.trim().to_owned()).collect();
            words.sort_unstable();
            words
        };
        return sorted(&theirs) == sorted(&ours);
    }
    // Words that are the same in both of Perl's texts have to be in ours.
    let field = |seen: &Seen| match difference.field.strip_prefix("errors.") {
        Some(name) => text(&seen.answer.body["errors"][name]),
        None => text(&seen.answer.body[&difference.field]),
    };
    let [Some(first), Some(second)] = perl.map(field) else { return false };
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let (first, second, ours) = (words(&first), words(&second), words(&ours));
    first.len() == ours.len()
        && second.len() == ours.len()
        && (0..ours.len()).all(|n| first[n] != second[n] || first[n] == ours[n])
}

/// More than a few lines that differ are shown as what only one side has.
fn gathered(differences: Vec<Difference>, perl: &Seen, rust: &Seen) -> Vec<Difference> {
    let of_file = |d: &Difference| d.field.starts_with("interfaces.new[");
    if differences.iter().filter(|d| of_file(d)).count() < 4 {
        return differences;
    }
    let mut rest: Vec<Difference> = differences.into_iter().filter(|d| !of_file(d)).collect();
    let all = |seen: &Seen| seen.files["interfaces.new"].as_array().cloned().unwrap_or_default();
    let (theirs, ours) = (all(perl), all(rust));
    let only = |these: &[Value], those: &[Value]| -> Value {
        these.iter().filter(|line| !those.contains(line)).cloned().collect()
    };
    let (perl, rust) = (only(&theirs, &ours), only(&ours, &theirs));
    rest.push(Difference { field: "interfaces.new".into(), kind: Kind::Value, perl, rust });
    rest
}

/// Whether asking Perl again might show that what differs is noise.
pub(crate) fn may_be_noise(outcome: &Outcome) -> bool {
    let text = |value: &Value| value.is_string();
    outcome.verdict == Verdict::Differing
        && outcome.differences.iter().all(|d| {
            d.kind == Kind::Order || matches!(d.kind, Kind::Value | Kind::ErrorBody) && text(&d.perl) && text(&d.rust)
        })
}

/// Why two refusals that differ say nothing: pvesh looks at the parameters before it looks at the name in the path, the API at
/// both at once.
pub(crate) fn blind(method: &str, perl: &Answer, rust: &Answer) -> Option<String> {
    let errors = |answer: &Answer| answer.body["errors"].as_object().cloned().unwrap_or_default();
    let (theirs, mut ours) = (errors(perl), errors(rust));
    let refused = method == "PUT" && perl.status == 400 && rust.status == 400 && !theirs.is_empty();
    let named = !theirs.contains_key("iface") && ours.remove("iface").is_some();
    let same = ours.len() == theirs.len();
    let why = "pvesh looks at the name in the path only when all else is right: ask for one mistake at a time";
    (refused && named && same).then(|| why.to_owned())
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
