//! The inner archives. Read as dpkg reads them (ustar and GNU tar with its long names, no pax) and
//! more strictly: one header has one meaning, or it is refused.

mod header;
mod read;
mod write;

use std::io::Read;

use host::Result;

use crate::manifest::{ControlFile, Entry};
use crate::refuse::refused;
use crate::{compress, manifest};

/// More control files than any package has; each is compared with all that are listed.
const MAX_CONTROL_FILES: usize = 1000;

pub use write::{control_archive, cut_payload, plain_control_archive};

/// One file of a control archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControlMember {
    /// Plain name.
    pub name: String,
    /// Permission bits.
    pub mode: u32,
    /// Content.
    pub bytes: Vec<u8>,
}

impl ControlMember {
    /// What the manifest says of it.
    pub fn entry(&self) -> ControlFile {
        ControlFile::of(&self.name, self.mode, &self.bytes)
    }
}

/// Reads a control archive: plain files with plain names directly under `./`, nothing twice.
/// `member` is its name in the container and tells the compression.
pub fn control_members(member: &str, source: &mut dyn Read) -> Result<Vec<ControlMember>> {
    let mut files: Vec<ControlMember> = Vec::new();
    let mut reader = compress::Bounded::new(member, source, compress::CONTROL).map_err(|e| e.context(member))?;
    let walked = read::walk(&mut reader, |entry, content| {
        if entry.path == "/" && entry.kind == manifest::Kind::Dir {
            return Ok(None);
        }
        let plain = entry.kind == manifest::Kind::File && entry.target.is_none();
        let name = entry.path.trim_start_matches('/');
        if !plain || !manifest::is_control_name(name) {
            return Err(refused(format!(
                "{} is not a plain file of a plain name without dots (dpkg would drop it)",
                entry.path
            )));
        }
        if files.len() == MAX_CONTROL_FILES {
            return Err(refused(format!("it has more than {MAX_CONTROL_FILES} files")));
        }
        let mut bytes = Vec::new();
        content.read_to_end(&mut bytes).map_err(|e| compress::damaged(&e))?;
        let digest = crate::hex::sha256(&bytes);
        files.push(ControlMember { name: name.to_owned(), mode: entry.mode, bytes });
        Ok(Some(digest))
    });
    walked.and_then(|_| reader.finish()).map_err(|e| e.context(member))?;
    Ok(files)
}

/// Reads a payload in one pass without holding it: every path with the digest of its content.
pub fn payload(member: &str, source: &mut dyn Read) -> Result<Vec<Entry>> {
    let mut reader = compress::Bounded::new(member, source, compress::DATA).map_err(|e| e.context(member))?;
    let walked = read::walk(&mut reader, |_, content| {
        let (_, digest) = crate::hex::sha256_reader(content).map_err(|e| compress::damaged(&e))?;
        Ok(Some(digest))
    });
    let entries = walked.map_err(|e| e.context(member))?;
    reader.finish().map_err(|e| e.context(member))?;
    Ok(entries)
}

#[cfg(test)]
pub(crate) mod tests;
