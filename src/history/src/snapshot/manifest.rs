//! `manifest.json`: everything about a snapshot that its files don't say themselves.

use std::path::{Component, Path};

use host::{Error, Result, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Entry, Item, What};

/// Its file name.
pub const MANIFEST: &str = "manifest.json";
/// The newest format that this program writes and reads.
const FORMAT: u64 = 1;
/// Larger than this is no manifest.
pub(crate) const LIMIT: u64 = 64 << 20;

/// Whether the state was one that nobody needs to be saved from, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acceptance {
    /// As judged when it was taken; a later `accept` may have changed it.
    pub accepted: bool,
    /// For a person.
    pub why: String,
}

/// What `manifest.json` holds. Fields that a later version adds are ignored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of this format.
    pub format: u64,
    /// The snapshot's name.
    pub id: String,
    /// Rises by one with each snapshot, whatever the clock says.
    pub sequence: u64,
    /// When it was taken: seconds since the epoch.
    pub created: i64,
    /// What it was taken for, such as `preinst upgrade 1.0-1 to 1.1-1`.
    pub reason: String,
    /// Whether it was taken to undo a going-back; then `latest` passes it over.
    pub undo: bool,
    /// Whether it is from before the package's first install; then it is never pruned.
    pub first: bool,
    /// The package.
    pub package: String,
    /// Its version installed at the time; empty if none was.
    pub version: String,
    /// The node's effective phase at the time, if known.
    pub phase: Option<String>,
    /// The node.
    pub node: String,
    /// Accepted or on trial.
    #[serde(flatten)]
    pub acceptance: Acceptance,
    /// What was looked for: a path that one of these covers and that has no entry was absent.
    pub items: Vec<Item>,
    /// What was found.
    pub entries: Vec<Entry>,
}

impl Manifest {
    /// When it was taken.
    pub fn time(&self) -> Timestamp {
        Timestamp::from_seconds(self.created)
    }

    /// What stood at `path`; `None` if nobody looked there.
    pub fn state_of(&self, path: &Path) -> Option<&What> {
        match self.entries.iter().find(|e| e.path.as_path() == path) {
            Some(entry) => Some(&entry.what),
            None => self.items.iter().any(|i| i.covers(path)).then_some(&What::Absent),
        }
    }

    /// Whether the content is the same, path by path.
    pub fn same_content(&self, entries: &[Entry]) -> bool {
        let of = |entries: &[Entry]| -> Vec<(crate::PathText, What)> {
            let mut all: Vec<_> = entries.iter().map(|e| (e.path.clone(), e.what.clone())).collect();
            all.sort_by(|a, b| a.0.cmp(&b.0));
            all
        };
        of(&self.entries) == of(entries)
    }

    /// The file's text: the manifest with a checksum over everything else in it.
    pub fn render(&self) -> Result<Vec<u8>> {
        let failed = |e: serde_json::Error| Error::new(format!("cannot write {MANIFEST}: {e}"));
        let mut value = serde_json::to_value(self).map_err(failed)?;
        let checksum = checksum(&value);
        if let Value::Object(map) = &mut value {
            map.insert("checksum".into(), checksum.into());
        }
        let mut text = serde_json::to_vec_pretty(&value).map_err(failed)?;
        text.push(b'\n');
        Ok(text)
    }

    /// Reads what [`Manifest::render`] wrote; anything altered is an error that says what.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let manifest = Self::read(bytes)?;
        // What is restored is taken from there.
        let inside = |name: &Path| name.components().all(|c| matches!(c, Component::Normal(_)));
        match manifest.entries.iter().find(|e| !inside(e.name.as_path())) {
            Some(entry) => Err(Error::new(format!("its {MANIFEST} is damaged: {} is outside of it", entry.name))),
            None => Ok(manifest),
        }
    }

    fn read(bytes: &[u8]) -> Result<Self> {
        // Two hundred of them are read for one `status`: the common case takes no detour.
        if as_rendered(bytes)
            && let Ok(manifest) = serde_json::from_slice::<Self>(bytes)
            && manifest.format == FORMAT
        {
            return Ok(manifest);
        }
        let mut value: Value =
            serde_json::from_slice(bytes).map_err(|e| Error::new(format!("its {MANIFEST} is damaged: {e}")))?;
        let claimed = value.as_object_mut().and_then(|map| map.remove("checksum"));
        match value.get("format").and_then(Value::as_u64) {
            Some(FORMAT) => {}
            Some(newer) => {
                return Err(Error::new(format!(
                    "its {MANIFEST} has format {newer}, and this program reads up to {FORMAT}"
                )));
            }
            None => return Err(Error::new(format!("its {MANIFEST} has no format number"))),
        }
        if claimed.as_ref().and_then(Value::as_str) != Some(checksum(&value).as_str()) {
            return Err(Error::new(format!("its {MANIFEST} does not match its own checksum")));
        }
        serde_json::from_value(value).map_err(|e| Error::new(format!("its {MANIFEST} is damaged: {e}")))
    }
}

/// Whether these are, byte for byte but for white space, what [`Manifest::render`] wrote: keys
/// sorted, and without its checksum the text has that checksum. `false` says nothing.
fn as_rendered(bytes: &[u8]) -> bool {
    const KEY: &[u8] = b"\"checksum\":\"";
    let mut compact = Vec::with_capacity(bytes.len());
    let (mut inside, mut escaped) = (false, false);
    for byte in bytes {
        if inside || !byte.is_ascii_whitespace() {
            compact.push(*byte);
        }
        inside ^= *byte == b'"' && !escaped;
        escaped = inside && *byte == b'\\' && !escaped;
    }
    // A quote inside a string is escaped, so this can't be found there.
    let Some(at) = compact.windows(KEY.len()).position(|w| w == KEY) else { return false };
    let (from, to) = (at + KEY.len(), at + KEY.len() + 64);
    let Some((claimed, b"\",")) = compact.get(from..to).zip(compact.get(to..to + 2)) else { return false };
    let claimed = claimed.to_vec();
    compact.drain(at..to + 2);
    host::files::sha256(&compact).as_bytes() == claimed
}

/// SHA-256 of the value as compact JSON with sorted keys.
fn checksum(value: &Value) -> String {
    host::files::sha256(value.to_string().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{PathText, Scope, Use};

    fn manifest() -> Manifest {
        let tricky = "a \\\" , \"checksum\":\"0\", {} \n \u{1} ü";
        Manifest {
            format: 1,
            id: "20261124-201500".into(),
            sequence: 1,
            created: 2,
            reason: tricky.into(),
            undo: false,
            first: true,
            package: "p".into(),
            version: String::new(),
            phase: None,
            node: "n".into(),
            acceptance: Acceptance { accepted: true, why: tricky.into() },
            items: vec![Item::new("/etc/x", Scope::Node, Use::Restore)],
            entries: vec![Entry {
                path: PathText::from("/etc/x"),
                name: "x".into(),
                scope: Scope::Node,
                usage: Use::Restore,
                what: What::Absent,
            }],
        }
    }

    #[test]
    fn what_was_written_takes_the_short_way_and_reads_the_same() {
        let text = manifest().render().unwrap();
        assert!(as_rendered(&text));
        assert_eq!(Manifest::parse(&text).unwrap(), manifest());
        // Written by something else with the same content: the long way.
        let value: Value = serde_json::from_slice(&text).unwrap();
        assert_eq!(Manifest::parse(value.to_string().as_bytes()).unwrap(), manifest());
    }

    #[test]
    fn every_byte_that_is_altered_is_seen() {
        let text = manifest().render().unwrap();
        for at in 0..text.len() {
            for flip in [0x01, 0x20, 0x80] {
                let mut altered = text.clone();
                altered[at] ^= flip;
                if let Ok(read) = Manifest::parse(&altered) {
                    assert_eq!(read, manifest(), "byte {at}");
                }
            }
        }
    }
}
