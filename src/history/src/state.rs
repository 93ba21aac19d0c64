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
    let Some(bytes) = files::read_plain(path, LIMIT)? else { return Ok(None) };
    let damaged = |e: serde_json::Error| Error::new(format!("{} is damaged: {e}", path.display()));
    let head: Head = serde_json::from_slice(&bytes).map_err(damaged)?;
    if head.format != FORMAT {
        return Err(Error::new(format!(
            "{} has format {}, of another version of the package; this one understands {FORMAT}",
            path.display(),
            head.format
        )));
    }
    serde_json::from_slice(&bytes).map(Some).map_err(damaged)
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
