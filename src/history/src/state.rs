//! The small state files: one JSON object each, with a `format`.
//!
//! Fields that a later version adds are ignored. A later version raises `format` only where an
//! older one must not act on the file: that one then leaves it alone and says so.

use std::path::Path;

use host::{Error, Result, files};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The newest format that this program writes and understands, of every state file.
pub const FORMAT: u64 = 1;
/// Larger than this is no state file.
const LIMIT: u64 = 64 << 20;

#[derive(Deserialize)]
struct Head {
    format: u64,
}

/// What the file holds; `None` if there is none.
///
/// # Errors
/// It can't be read, is damaged, or is of a newer version: then nothing may be done by it.
pub fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    files::read_plain(path, LIMIT)?.map(|bytes| parse(&bytes, path)).transpose()
}

/// The same from its bytes.
pub fn parse<T: DeserializeOwned>(bytes: &[u8], path: &Path) -> Result<T> {
    let damaged = |e: serde_json::Error| Error::new(format!("{} is damaged: {e}", path.display()));
    let head: Head = serde_json::from_slice(bytes).map_err(damaged)?;
    if head.format != FORMAT {
        return Err(Error::new(format!(
            "{} has format {}, of another version of the package; this one understands {FORMAT}",
            path.display(),
            head.format
        )));
    }
    serde_json::from_slice(bytes).map_err(damaged)
}

/// The file's text.
pub fn render(value: &impl Serialize) -> Result<Vec<u8>> {
    let mut text = serde_json::to_vec_pretty(value).map_err(|e| Error::new(format!("cannot write JSON: {e}")))?;
    text.push(b'\n');
    Ok(text)
}

/// Makes `value` the file's content, durably.
pub fn write(path: &Path, value: &impl Serialize, mode: u32) -> Result<()> {
    files::replace(path, &render(value)?, &files::Attributes::mode(mode))
}

/// Removes the file, durably.
pub fn forget(path: &Path) -> Result<()> {
    if files::remove(path)? { files::sync_parent(path) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Stage, Transaction};

    fn fixture(format: u64) -> String {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/state");
        std::fs::read_to_string(root.join(format!("{format}/transaction.json"))).unwrap()
    }

    #[test]
    fn a_later_versions_fields_are_ignored_and_its_format_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("transaction.json");
        let read = |text: &str| {
            std::fs::write(&path, text).unwrap();
            super::read::<Transaction>(&path).map_err(|e| e.to_string())
        };
        assert_eq!(super::read::<Transaction>(&path).unwrap(), None);
        let first = read(&fixture(1)).unwrap().unwrap();
        assert_eq!((first.stage, first.snapshot.as_str()), (Stage::Open, "20261101-000000"));
        let more = fixture(2).replace("\"format\": 2", "\"format\": 1");
        assert!(more.contains("later"));
        assert_eq!(read(&more).unwrap().unwrap(), first);
        assert!(read(&fixture(2)).unwrap_err().contains("has format 2"), "not understood, though its fields would be");
        for damaged in ["", "{", "[]", "null", "{\"format\": 1}", "{\"format\": \"1\"}"] {
            assert!(read(damaged).unwrap_err().contains("is damaged"), "{damaged}");
        }
    }
}
