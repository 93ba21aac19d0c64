//! Evidence: a verdict with everything that led to it, in one file that anyone can judge again.
//!
//! ```text
//!   facts.json, verdict.json                    what was asked, answered, decided
//!   operations.jsonl, phase-history.jsonl       the node's own records, of the time looked at
//!   contract.json, migration.toml, ceiling      what else was read
//!   gates/*, snapshots/*, package/*             who let what through; what there is to go back to; the seal
//!        └► secrets removed ─► chain ─► signed by gpg ─► judge: signature, chain, facts from records, gate
//! ```

pub mod chain;
pub mod sign;

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cli::redact::{Form, REMOVED, is_secret, redact};
use history::snapshot;
use host::{Error, Kind, Result, files};
use phase::change::Seen;
use phase::record::{Event, Record};
use seal::openpgp::{Good, Keyring};
use serde_json::{Value, json};

use crate::facts::{Contract, Facts, Past, Said, Standing};
use crate::gate::{self, Verdict};
use crate::read::journal::Since;
use crate::read::overrides::Kept;
use crate::read::standing::Here;
use crate::read::{Node, contract, journal, overrides, standing};
use chain::{Bundle, Entry};

/// A file of the node that is larger, in bytes, stays out, and the bundle says so.
const LIMIT: u64 = 256 << 20;

/// What migration.toml and the ceiling are called where facts are read.
const TOML: &str = "/etc/pve/network/migration.toml";
const CEILING: &str = "/var/lib/pve-network-rs/ceiling";

/// Gathers everything around `facts`.
///
/// # Errors
/// JSON can't be written. What can't be read stands in the bundle as missing.
pub fn gather(node: &Node, facts: &Facts) -> Result<Bundle> {
    let facts = &without_secrets(facts);
    let verdict = gate::gate(facts);
    let mut entries = Vec::new();
    let mut add = |name: &str, content: String| entries.push(Entry { name: name.to_owned(), content });
    let head = json!({
        "kind": "pve-network-rs evidence", "node": facts.node, "wanted": facts.wanted, "made": facts.now,
        "tool": concat!("canary ", env!("CARGO_PKG_VERSION")),
    });
    add("bundle.json", head.to_string());
    add("facts.json", json_of(facts)?);
    add("verdict.json", json_of(&verdict)?);
    let mut missing = Vec::new();
    let root = &node.store.root;
    let mut file = |name: &str, path: &Path, shown: &dyn Fn(&str) -> String| match files::read_plain(path, LIMIT) {
        Ok(Some(bytes)) => add(name, shown(&String::from_utf8_lossy(&bytes))),
        Ok(None) => missing.push(format!("{name}: there is no {}", root.inside(path).display())),
        Err(error) => missing.push(format!("{name}: {error}")),
    };
    let since = Since::of(facts.wanted, facts.now).operations;
    let recent = |text: &str| clean(recent(text, since), Form::Log);
    file("operations.jsonl", node.store.journal().path(), &recent);
    file("phase-history.jsonl", node.switch.history(node.store.clock).path(), &|text| {
        text.split_inclusive('\n').map(history_line).collect()
    });
    file("migration.toml", &root.path(&node.switch.migration), &|text| clean(text, Form::Config));
    file("ceiling", &root.path(&node.switch.ceiling), &|text| clean(text, Form::Config));
    let log = |text: &str| clean(text, Form::Log);
    if let Ok(report) = facts.contract.get() {
        file("contract.json", &root.path(&report.file), &contract_report);
    }
    let info = root.path("/var/lib/dpkg/info");
    file("package/manifest", &info.join("pve-network-rs.manifest"), &log);
    match files::read_plain(&info.join("pve-network-rs.manifest-sig"), LIMIT) {
        Ok(Some(bytes)) => add("package/manifest-sig.base64", STANDARD.encode(bytes)),
        Ok(None) => missing.push("package/manifest-sig: the package is not signed".into()),
        Err(error) => missing.push(format!("package/manifest-sig: {error}")),
    }
    match overrides::all(&node.store) {
        Ok(kept) => {
            for one in kept {
                let content = files::read_plain(&node.store.path(overrides::FOLDER).join(&one.file), LIMIT)?;
                let text = String::from_utf8_lossy(&content.unwrap_or_default()).into_owned();
                add(&format!("{}/{}", overrides::FOLDER, one.file), clean(&text, Form::Log));
            }
        }
        Err(error) => missing.push(format!("gates: {error}")),
    }
    match snapshot::list(&node.store) {
        Ok(snapshots) => {
            for one in snapshots {
                let manifest = files::read_plain(&one.path.join(snapshot::MANIFEST), LIMIT).ok().flatten();
                let text = String::from_utf8_lossy(&manifest.unwrap_or_default()).into_owned();
                add(&format!("snapshots/{}.json", one.id), clean(&text, Form::Log));
            }
        }
        Err(error) => missing.push(format!("snapshots: {error}")),
    }
    add("MISSING", missing.join("\n"));
    Bundle::of(entries)
}

/// What came of judging a bundle again.
#[derive(Debug)]
pub struct Judged {
    /// The verdict.
    pub verdict: Verdict,
    /// Who signed; nobody if it is not signed and needn't be.
    pub signer: Option<Good>,
}

/// Judges a bundle as it was judged where it was made. `keys` are those whose signatures count; without any, the
/// bundle need not be signed.
///
/// # Errors
/// [`Kind::SignatureRefused`] if it was altered, is not signed by one of `keys`, or does not hang together.
/// [`Kind::Failed`] if this version judges otherwise.
pub fn judge(bytes: &[u8], keys: Option<&Keyring>) -> Result<Judged> {
    let bundle = Bundle::parse(bytes)?;
    let signer = match (keys, &bundle.signature) {
        (None, _) => None,
        (Some(keys), Some(signature)) => Some(sign::verify(&bundle.covered, signature, keys)?),
        (Some(_), None) => return Err(Error::of(Kind::SignatureRefused, "it is not signed")),
    };
    let broken = |what: &str, why: String| Error::of(Kind::SignatureRefused, format!("{what} of the bundle: {why}"));
    let facts: Facts =
        serde_json::from_str(bundle.get("facts.json")?).map_err(|e| broken("facts.json", e.to_string()))?;
    let told: Verdict =
        serde_json::from_str(bundle.get("verdict.json")?).map_err(|e| broken("verdict.json", e.to_string()))?;
    records(&bundle, &facts)?;
    let verdict = gate::gate(&facts);
    if verdict != told {
        let differs =
            verdict.checks.iter().zip(&told.checks).find(|(a, b)| a != b).map_or("as a whole", |(a, _)| &a.name);
        return Err(Error::new(format!(
            "this version says {} and the bundle {} ({differs}): it was judged by {}",
            verdict.verdict.as_str(),
            told.verdict.as_str(),
            bundle.get("bundle.json")?
        )));
    }
    Ok(Judged { verdict, signer })
}

/// The facts have to follow from the records that lie beside them. The decision log and Prometheus are not there to be
/// compared: what the facts have of them is taken from whoever signed.
fn records(bundle: &Bundle, facts: &Facts) -> Result<()> {
    let disagree =
        |what: &str| Error::of(Kind::SignatureRefused, format!("the facts do not follow from {what} of the bundle"));
    if let Said::Is(told) = &facts.journal {
        let since = Since::of(facts.wanted, facts.now);
        let mut found = journal::of(bundle.get("operations.jsonl")?.as_bytes(), since);
        let mut told = told.clone();
        for journal in [&mut found, &mut told] {
            // Older ones are there for what they left undone, and their lines are not.
            journal.operations.retain(|o| o.began >= since.operations);
            journal.backwards.retain(|time| *time >= since.operations);
        }
        if found != told {
            return Err(disagree("operations.jsonl"));
        }
    }
    if let Said::Is(told) = &facts.contract {
        let found =
            contract::of(bundle.get("contract.json")?.as_bytes(), &told.file).map_err(|_| disagree("contract.json"))?;
        // What was removed from it changed its digest.
        if (Contract { sha256: told.sha256.clone(), lines: told.lines.clone(), ..found }) != *told {
            return Err(disagree("contract.json"));
        }
    }
    let Said::Is(told) = &facts.standing else { return Ok(()) };
    let toml = bundle.get("migration.toml")?;
    let ceiling = || bundle.get("ceiling").ok().map(|text| phase::ceiling::parse(text.as_bytes(), CEILING)).transpose();
    let (cluster, known) = (Seen::Bytes(toml.as_bytes().to_vec()), told.nodes.keys().cloned().collect());
    let disk = phase::change::Facts::new(TOML.into(), facts.node.clone(), known, cluster, ceiling().into());
    let Said::Is(found) = standing::standing_of(&disk) else { return Err(disagree("migration.toml")) };
    let sha256 = if toml.contains(REMOVED) { told.sha256.clone() } else { found.sha256.clone() };
    if (Standing { sha256, ..found }) != *told {
        return Err(disagree("migration.toml and ceiling"));
    }
    let Said::Is(past) = &facts.past else { return Ok(()) };
    // Of a node that never changed its phase there is none.
    let history = bundle.get("phase-history.jsonl").unwrap_or_default();
    let contents = phase::record::read(history.as_bytes());
    let ceiling = ceiling().map_err(|_| disagree("ceiling"))?;
    let here = Here { node: &facts.node, phase: told.phase, ceiling, now: facts.now };
    let found = standing::past_of(&contents, kept(bundle, &contents, &facts.node)?, &here)
        .map_err(|e| Error::of(Kind::SignatureRefused, format!("{e} in the bundle")))?;
    // A line from which something was removed is no longer what the next one follows.
    let broken = if history.contains(REMOVED) { past.broken.clone() } else { found.broken.clone() };
    if past_without_secrets(&Past { broken, ..found }) != *past {
        return Err(disagree("phase-history.jsonl and gates"));
    }
    Ok(())
}

/// The passages in the bundle. From one that held a secret something was removed, so that its digest is another.
fn kept(bundle: &Bundle, contents: &phase::record::Contents, node: &str) -> Result<Vec<Kept>> {
    let steps = standing::steps(contents, node);
    let mut all = Vec::new();
    for entry in &bundle.entries {
        let Some(file) = entry.name.strip_prefix(overrides::FOLDER).and_then(|name| name.strip_prefix('/')) else {
            continue;
        };
        let broken = |e| Error::of(Kind::SignatureRefused, format!("{} of the bundle: {e}", entry.name));
        let passage = serde_json::from_str(&entry.content).map_err(broken)?;
        let mut sha256 = files::sha256(entry.content.as_bytes());
        if entry.content.contains(REMOVED)
            && let Some((_, named)) =
                steps.iter().filter_map(|s| standing::passage_of(&s.why)).find(|(f, _)| *f == file)
        {
            named.clone_into(&mut sha256);
        }
        all.push(Kept { file: file.to_owned(), sha256, passage });
    }
    all.sort_by_key(|kept| kept.passage.time);
    Ok(all)
}

/// What people wrote may hold anything. The verdict is judged afterwards, so that it follows from what is sent.
fn without_secrets(facts: &Facts) -> Facts {
    let mut facts = facts.clone();
    if let Said::Is(past) = &mut facts.past {
        *past = past_without_secrets(past);
    }
    if let Said::Is(contract) = &mut facts.contract {
        contract.lines.iter_mut().for_each(|line| *line = redact(line, Form::Log));
    }
    facts
}

fn past_without_secrets(past: &Past) -> Past {
    let mut past = past.clone();
    let reasons = past.overrides.iter_mut().map(|o| &mut o.reason);
    for text in reasons.chain(past.steps.iter_mut().map(|s| &mut s.why)) {
        *text = redact(text, Form::Log);
    }
    past
}

/// A report of contract-test: what differs in a field that is named as a secret is may be one.
fn contract_report(text: &str) -> String {
    let Ok(mut report) = serde_json::from_str::<Value>(text) else { return clean(text, Form::Log) };
    let mut removed = false;
    for endpoint in report["endpoints"].as_array_mut().into_iter().flatten() {
        for list in ["differences", "suppressed"] {
            for difference in endpoint[list].as_array_mut().into_iter().flatten() {
                let secret = difference["field"].as_str().is_some_and(is_secret);
                for value in ["perl", "rust"].into_iter().filter(|_| secret) {
                    if let Some(value) = difference.get_mut(value).filter(|v| !v.is_null()) {
                        *value = REMOVED.into();
                        removed = true;
                    }
                }
            }
        }
    }
    clean(&if removed { report.to_string() } else { text.to_owned() }, Form::Log)
}

/// The journal behind the last line that is older than `since`.
fn recent(text: &str, since: i64) -> &str {
    let old = |line: &str| journal::times(line.as_bytes()).any(|time| time < since);
    let mut begin = 0;
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        at += line.len();
        if old(line) {
            begin = at;
        }
    }
    &text[begin..]
}

/// A line of the phase history: what a person wrote in it may hold a secret, what it sets does not.
fn history_line(line: &str) -> String {
    let Ok(mut record) = serde_json::from_str::<Record>(line) else { return clean(line, Form::Log) };
    let cleaned = |text: &mut String| {
        let clean = redact(text, Form::Log);
        let same = clean == *text;
        *text = clean;
        same
    };
    let same = match &mut record.event {
        Event::Change { why, overridden, .. } => {
            let same = overridden.as_mut().is_none_or(|o| cleaned(&mut o.reason));
            cleaned(why) && same
        }
        Event::Outcome { error, .. } => error.as_mut().is_none_or(cleaned),
        Event::Unknown => return clean(line, Form::Log),
    };
    let end = if line.ends_with('\n') { "\n" } else { "" };
    match serde_json::to_string(&record) {
        Ok(text) if !same => format!("{text}{end}"),
        _ => line.to_owned(),
    }
}

/// Text without secrets. A line of JSON that holds none stays as it is, byte for byte: chains hold then.
fn clean(text: &str, form: Form) -> String {
    if serde_json::from_str::<Value>(text).is_ok_and(|v| v.is_object() || v.is_array()) {
        return same_or(text, form);
    }
    if form == Form::Config || text.contains("-----BEGIN") {
        return redact(text, form);
    }
    text.split_inclusive('\n').map(|line| same_or(line, form)).collect()
}

fn same_or(text: &str, form: Form) -> String {
    let cleaned = redact(text, form);
    let value = |text: &str| serde_json::from_str::<Value>(text).ok();
    match (value(text), value(&cleaned)) {
        (Some(before), Some(after)) if before == after => text.to_owned(),
        // On one line, as it was.
        (Some(_), Some(after)) => format!("{after}{}", if text.ends_with('\n') { "\n" } else { "" }),
        _ => cleaned,
    }
}

fn json_of(value: &impl serde::Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|e| Error::new(format!("cannot write JSON: {e}")))
}

#[cfg(test)]
mod tests;
