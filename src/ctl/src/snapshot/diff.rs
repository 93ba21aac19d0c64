//! What differs between two states, as `patch -p1` reads it: content, and what else a file carries.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use history::{Entry, What, manual, snapshot};
use host::{Result, files};
use serde_json::{Value, json};
use similar::TextDiff;

use super::Diff;
use crate::Node;
use ::cli::screen::Colours;
use ::cli::{Form, note, out, redact};
use network::pick::{MANUAL, find, pick};

/// What the present state is called.
const PRESENT: &str = "present";

/// One side: its paths, and the content of its plain files where it was read already.
struct Side {
    name: String,
    /// Where the content lies; `None` for the present state.
    folder: Option<PathBuf>,
    entries: BTreeMap<PathBuf, (Entry, Option<Vec<u8>>)>,
    /// Whether a path that it does not have was absent, or nobody looked.
    whole: bool,
}

impl Side {
    fn of(node: &Node, asked: &str) -> Result<Self> {
        let store = &node.store;
        if asked == PRESENT {
            let present = snapshot::present(store, true)?;
            let both = present.entries.into_iter().zip(present.contents);
            let entries = both.map(|(e, content)| (e.path.0.clone(), (e, content))).collect();
            return Ok(Self { name: PRESENT.into(), folder: None, entries, whole: true });
        }
        let id = pick(store, asked)?;
        let folder = store.snapshot_path(&id);
        let by_hand = id.starts_with(MANUAL);
        let all = if by_hand {
            manual::read(store, &folder)?.entries
        } else {
            let found = find(store, &id)?;
            if let Err(error) = snapshot::verify(&found) {
                note!("migration-ctl: {error}; it is shown as it is");
            }
            found.manifest?.entries
        };
        let entries = all.into_iter().map(|e| (e.path.0.clone(), (e, None))).collect();
        Ok(Self { name: id, folder: Some(folder), entries, whole: !by_hand })
    }

    fn what(&self, path: &Path) -> Option<&What> {
        match self.entries.get(path) {
            Some((entry, _)) => Some(&entry.what),
            None => self.whole.then_some(&What::Absent),
        }
    }

    /// The content of the plain file at `path`; what can't be read is said and counts as empty.
    fn content(&self, path: &Path) -> Vec<u8> {
        let Some((entry, content)) = self.entries.get(path) else { return Vec::new() };
        let Some(folder) = &self.folder else { return content.clone().unwrap_or_default() };
        if !matches!(entry.what, What::File { .. }) {
            return Vec::new();
        }
        files::read_plain(&folder.join(entry.name.as_path()), history::FILE_LIMIT)
            .unwrap_or_else(|error| {
                note!("migration-ctl: {error}");
                None
            })
            .unwrap_or_default()
    }
}

/// Shows what differs.
pub(super) fn run(node: &Node, asked: &Diff) -> Result<()> {
    let from = Side::of(node, asked.from.as_deref().unwrap_or("latest"))?;
    let to = Side::of(node, asked.to.as_deref().unwrap_or(PRESENT))?;
    let mut paths: Vec<&PathBuf> = from.entries.keys().chain(to.entries.keys()).collect();
    paths.sort();
    paths.dedup();
    let mut changes = Vec::new();
    for path in paths {
        let (Some(before), Some(after)) = (from.what(path), to.what(path)) else { continue };
        if !before.same(after) || metadata(before, after).next().is_some() {
            changes.push(Change::of(&from, &to, path, before, after, asked.show_secrets));
        }
    }
    if asked.output.output == Form::Json {
        let all: Vec<Value> = changes.iter().map(Change::json).collect();
        return out(json!({"schema_version": 1, "from": from.name, "to": to.name, "changes": all}));
    }
    if changes.is_empty() {
        note!("{} and {} do not differ", from.name, to.name);
    }
    let colours = Colours::of_stdout();
    for change in &changes {
        for line in change.lines(&from.name, &to.name) {
            out(paint(&line, colours))?;
        }
    }
    if changes.iter().any(|c| c.hidden) {
        note!("secrets are hidden; --show-secrets shows them");
    }
    Ok(())
}

/// One path that differs.
struct Change {
    path: String,
    before: What,
    after: What,
    /// The unified diff of the content, without its two head lines; `None` if there is none to show.
    hunks: Option<String>,
    binary: bool,
    hidden: bool,
}

impl Change {
    fn of(from: &Side, to: &Side, path: &Path, before: &What, after: &What, show_secrets: bool) -> Self {
        let mut change = Self {
            path: host::escape::escape(path),
            before: before.clone(),
            after: after.clone(),
            hunks: None,
            binary: false,
            hidden: false,
        };
        let file = |what: &What| matches!(what, What::File { .. } | What::Absent);
        if !file(before) || !file(after) || before.digest() == after.digest() {
            return change;
        }
        if redact::whole(path) && !show_secrets {
            change.hidden = true;
            return change;
        }
        let (old, new) = (from.content(path), to.content(path));
        match (text(&old), text(&new)) {
            // Line by line a private key's body looks like nothing in particular.
            (Some(old), Some(new)) if !show_secrets && [old, new].into_iter().any(redact::has_private_key) => {
                change.hidden = true;
            }
            (Some(old), Some(new)) => {
                let hunks = TextDiff::from_lines(old, new).unified_diff().context_radius(3).to_string();
                let shown: String =
                    if show_secrets { hunks.clone() } else { hunks.split_inclusive('\n').map(redact::line).collect() };
                change.hidden = shown != hunks;
                change.hunks = Some(shown);
            }
            _ => change.binary = true,
        }
        change
    }

    fn lines(&self, from: &str, to: &str) -> Vec<String> {
        let mut out = vec![format!("diff {from} {to} {}", self.path)];
        out.extend(metadata(&self.before, &self.after).map(|(name, old, new)| format!("{name} {old} -> {new}")));
        let size = |what: &What| match what {
            What::File { size, sha256, .. } => format!("{size} bytes, sha256 {}", &sha256[..sha256.len().min(12)]),
            other => other.digest(),
        };
        if self.binary || (self.hidden && self.hunks.is_none()) {
            let what = if self.binary { "binary" } else { "hidden" };
            out.push(format!("{what}: {} -> {}", size(&self.before), size(&self.after)));
        }
        if let Some(hunks) = self.hunks.as_deref().filter(|h| !h.is_empty()) {
            let side = |name: &str, what: &What| {
                if what.exists() { format!("{name}{}", self.path) } else { "/dev/null".to_owned() }
            };
            out.push(format!("--- {}", side(from, &self.before)));
            out.push(format!("+++ {}", side(to, &self.after)));
            out.extend(hunks.lines().map(printable));
        }
        out
    }

    fn json(&self) -> Value {
        json!({
            "path": self.path, "before": self.before, "after": self.after,
            "diff": self.hunks, "binary": self.binary, "hidden": self.hidden,
        })
    }
}

/// What differs besides content: name, before, after.
fn metadata<'a>(before: &'a What, after: &'a What) -> impl Iterator<Item = (&'static str, String, String)> {
    let kind = |what: &What| match what {
        What::Absent => "absent".to_owned(),
        What::File { .. } => "file".into(),
        What::Dir { .. } => "folder".into(),
        What::Link { target, .. } => format!("link to {target}"),
        What::Other => "device, pipe or socket".into(),
        What::Unreadable { why } => format!("unreadable ({why})"),
    };
    let mut out = vec![("kind", kind(before), kind(after))];
    if let (What::File { meta: a, .. }, What::File { meta: b, .. }) | (What::Dir { meta: a }, What::Dir { meta: b }) =
        (before, after)
    {
        out.push(("mode", format!("{:04o}", a.mode), format!("{:04o}", b.mode)));
        out.push(("owner", format!("{}:{}", a.uid, a.gid), format!("{}:{}", b.uid, b.gid)));
        let attributes = |meta: &history::Meta| {
            let all: Vec<String> = meta.xattrs.iter().map(|(name, value)| format!("{name}={value}")).collect();
            if all.is_empty() { "none".to_owned() } else { all.join(",") }
        };
        out.push(("attributes", attributes(a), attributes(b)));
    }
    out.into_iter().filter(|(_, a, b)| a != b)
}

/// Text that a terminal can show; anything else is binary.
fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok().filter(|text| !text.contains('\0'))
}

/// Control characters but tabs are shown, not obeyed.
fn printable(line: &str) -> String {
    line.chars()
        .flat_map(|c| if c.is_control() && c != '\t' { c.escape_default().collect::<Vec<_>>() } else { vec![c] })
        .collect()
}

fn paint(line: &str, colours: Colours) -> String {
    match line.as_bytes().first() {
        _ if line.starts_with("--- ") || line.starts_with("+++ ") || line.starts_with("diff ") => colours.bold(line),
        Some(b'@') => colours.cyan(line),
        Some(b'-') => colours.red(line),
        Some(b'+') => colours.green(line),
        _ => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_of_a_file_do_not_reach_the_terminal() {
        assert_eq!(printable("+a\tb\x1b[31mred\u{9b}x"), "+a\tb\\u{1b}[31mred\\u{9b}x");
    }

    #[test]
    fn colour_by_kind_of_line() {
        assert_eq!(paint("-x", Colours::ALWAYS), "\x1b[31m-x\x1b[0m");
        assert_eq!(paint("-x", Colours::NONE), "-x");
        assert!(paint("--- a", Colours::ALWAYS).starts_with("\x1b[1m"));
    }

    #[test]
    fn what_is_text() {
        assert!(text(b"\xff").is_none() && text(b"a\0").is_none());
        assert_eq!(text("ü".as_bytes()), Some("ü"));
    }
}
