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
use cli::redact::{Form, redact};
use history::journal::Contents;
use history::snapshot;
use host::{Error, Kind, Result, files};
use seal::openpgp::{Good, Keyring};
use serde_json::{Value, json};

use crate::facts::{Facts, Journal, Said};
use crate::gate::{self, Verdict, limits};
use crate::read::{Node, contract, journal, overrides};
use chain::{Bundle, Entry};

/// A file of the node that is larger, in bytes, stays out, and the bundle says so.
const LIMIT: u64 = 256 << 20;

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
    let mut file =
        |name: &str, path: &Path, form: Form, keep: &dyn Fn(&str) -> bool| match files::read_plain(path, LIMIT) {
            Ok(Some(bytes)) => {
                let text = String::from_utf8_lossy(&bytes).into_owned();
                add(name, clean(&text, form, keep));
            }
            Ok(None) => missing.push(format!("{name}: there is no {}", root.inside(path).display())),
            Err(error) => missing.push(format!("{name}: {error}")),
        };
    let all = |_: &str| true;
    let since = facts.now - limits::BASELINE_AGE.max(limits::needed(facts.wanted));
    file("operations.jsonl", node.store.journal().path(), Form::Log, &|line| is_since(line, since));
    file("phase-history.jsonl", node.switch.history(node.store.clock).path(), Form::Log, &all);
    file("migration.toml", &root.path(&node.switch.migration), Form::Config, &all);
    file("ceiling", &root.path(&node.switch.ceiling), Form::Config, &all);
    if let Ok(report) = facts.contract.get() {
        file("contract.json", &root.path(&report.file), Form::Log, &all);
    }
    let info = root.path("/var/lib/dpkg/info");
    file("package/manifest", &info.join("pve-network-rs.manifest"), Form::Log, &all);
    match files::read_plain(&info.join("pve-network-rs.manifest-sig"), LIMIT) {
        Ok(Some(bytes)) => add("package/manifest-sig.base64", STANDARD.encode(bytes)),
        Ok(None) => missing.push("package/manifest-sig: the package is not signed".into()),
        Err(error) => missing.push(format!("package/manifest-sig: {error}")),
    }
    match overrides::all(&node.store) {
        Ok(passages) => {
            for (number, passage) in passages.iter().enumerate() {
                add(&format!("gates/{number}-{}.json", passage.to), clean(&json_of(passage)?, Form::Log, &all));
            }
        }
        Err(error) => missing.push(format!("gates: {error}")),
    }
    match snapshot::list(&node.store) {
        Ok(snapshots) => {
            for one in snapshots {
                let manifest = files::read_plain(&one.path.join(snapshot::MANIFEST), LIMIT).ok().flatten();
                let text = String::from_utf8_lossy(&manifest.unwrap_or_default()).into_owned();
                add(&format!("snapshots/{}.json", one.id), clean(&text, Form::Log, &all));
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

/// The facts have to follow from the records that lie beside them.
fn records(bundle: &Bundle, facts: &Facts) -> Result<()> {
    let disagree =
        |what: &str| Error::of(Kind::SignatureRefused, format!("the facts do not follow from {what} of the bundle"));
    if let Said::Is(told) = &facts.journal {
        let contents = Contents::parse(bundle.get("operations.jsonl")?.as_bytes());
        let since = facts.now - limits::BASELINE_AGE.max(limits::needed(facts.wanted));
        let Journal { damaged, operations, .. } = journal::of(&contents, since);
        let recent: Vec<_> = told.operations.iter().filter(|o| o.began >= since).collect();
        if damaged != told.damaged || !operations.iter().filter(|o| o.began >= since).eq(recent) {
            return Err(disagree("operations.jsonl"));
        }
    }
    if let Said::Is(told) = &facts.contract {
        let found =
            contract::of(bundle.get("contract.json")?.as_bytes(), &told.file).map_err(|_| disagree("contract.json"))?;
        if (&found.verdict, &found.endpoints, found.started, &found.node)
            != (&told.verdict, &told.endpoints, told.started, &told.node)
        {
            return Err(disagree("contract.json"));
        }
    }
    Ok(())
}

/// What people wrote may hold anything. The verdict is judged afterwards, so that it follows from what is sent.
fn without_secrets(facts: &Facts) -> Facts {
    let mut facts = facts.clone();
    if let Said::Is(past) = &mut facts.past {
        let reasons = past.overrides.iter_mut().map(|o| &mut o.reason);
        for text in reasons.chain(past.steps.iter_mut().map(|s| &mut s.why)) {
            *text = redact(text, Form::Log);
        }
    }
    facts
}

/// Text without secrets. A line of JSON that holds none stays as it is, byte for byte: chains hold then.
fn clean(text: &str, form: Form, keep: &dyn Fn(&str) -> bool) -> String {
    if serde_json::from_str::<Value>(text).is_ok_and(|v| v.is_object() || v.is_array()) {
        return same_or(text, form);
    }
    let lines = text.split_inclusive('\n').filter(|line| keep(line));
    if form == Form::Config || text.contains("-----BEGIN") {
        return redact(&lines.collect::<String>(), form);
    }
    lines.map(|line| same_or(line, form)).collect()
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

/// Whether a line of the journal belongs to the time looked at. What can't be read belongs to every time.
fn is_since(line: &str, since: i64) -> bool {
    let time = serde_json::from_str::<Value>(line).ok().and_then(|v| v.get("time").and_then(Value::as_i64));
    time.is_none_or(|time| time >= since)
}

fn json_of(value: &impl serde::Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|e| Error::new(format!("cannot write JSON: {e}")))
}

#[cfg(test)]
mod tests;
