//! What the gate did, and what it was told to let through: `/var/log/debseal/gate.log`, a JSON line
//! each, oldest first.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;

use host::{Clock, Error, IoContext, Result, Root, files};
use serde::Serialize;

/// Where it lies.
pub(crate) const FILE: &str = "/var/log/debseal/gate.log";

/// One line. A reader skips fields that it doesn't know.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Event {
    /// `refused`, `warned`, `let-through`, `allowed`.
    pub(crate) event: &'static str,
    /// `dpkg`, `apt`, or the command.
    pub(crate) by: String,
    /// The file, as it was named.
    pub(crate) file: String,
    /// The package inside, where that could be read.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) package: String,
    /// Its version.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) version: String,
    /// SHA-256 of the file, where it was computed.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) sha256: String,
    /// Why.
    pub(crate) why: String,
}

#[derive(Serialize)]
struct Line<'a> {
    format: u32,
    time: String,
    #[serde(flatten)]
    event: &'a Event,
}

/// Appends one line and makes it durable.
pub(crate) fn append(root: &Root, event: &Event) -> Result<()> {
    let path = root.path(FILE);
    let doing = || format!("cannot write {FILE}");
    if let Some(folder) = path.parent() {
        files::create_dirs(folder, 0o755)?;
    }
    let line = Line { format: 1, time: Clock::System.now().to_string(), event };
    let mut text = serde_json::to_string(&line).map_err(|e| Error::new(format!("cannot write {FILE}: {e}")))?;
    text.push('\n');
    let mut file = OpenOptions::new().append(true).create(true).mode(0o640).open(&path).doing(doing)?;
    file.write_all(text.as_bytes()).doing(doing)?;
    file.sync_data().doing(doing)
}
