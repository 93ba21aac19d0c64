//! What stands at a path: read once, without following links.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Read};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use host::files::{self, Attributes};
use host::{Error, IoContext, Result};
use serde::{Deserialize, Serialize};

use crate::{PathText, Scope, Use};

/// A file this large is no configuration; it is refused rather than copied.
pub const FILE_LIMIT: u64 = 64 << 20;

/// Owner, mode and what else goes with a file or folder.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meta {
    /// Permission bits, `07777`.
    pub mode: u32,
    /// Owner, by number.
    pub uid: u32,
    /// Group, by number.
    pub gid: u32,
    /// Time of last change: seconds and nanoseconds since the epoch.
    pub mtime: (i64, u32),
    /// Extended attributes: escaped name to hexadecimal value.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub xattrs: BTreeMap<PathText, String>,
}

impl Meta {
    fn read(path: &Path, meta: &fs::Metadata) -> Result<Self> {
        let xattrs = files::xattrs(path)?
            .into_iter()
            .map(|(name, value)| (PathText::from(OsString::from_vec(name)), files::hex(&value)))
            .collect();
        Ok(Self { mode: meta.mode() & 0o7777, uid: meta.uid(), gid: meta.gid(), mtime: files::mtime_of(meta), xattrs })
    }

    /// As [`host::files`] applies them.
    pub fn attributes(&self) -> Attributes {
        let bytes = |hex: &String| -> Vec<u8> {
            (0..hex.len() / 2).filter_map(|i| u8::from_str_radix(hex.get(2 * i..2 * i + 2)?, 16).ok()).collect()
        };
        Attributes {
            mode: self.mode,
            owner: Some((self.uid, self.gid)),
            mtime: Some(self.mtime),
            xattrs: self
                .xattrs
                .iter()
                .map(|(name, value)| (name.0.clone().into_os_string().into_vec(), bytes(value)))
                .collect(),
        }
    }
}

/// What stands at a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum What {
    /// Nothing.
    Absent,
    /// A plain file.
    File {
        /// Owner, mode and the rest.
        #[serde(flatten)]
        meta: Meta,
        /// In bytes.
        size: u64,
        /// Of the content, in lower-case hexadecimal.
        sha256: String,
    },
    /// A folder; what it holds has entries of its own.
    Dir {
        /// Owner, mode and the rest.
        #[serde(flatten)]
        meta: Meta,
    },
    /// A symbolic link, not followed.
    Link {
        /// What it points to.
        target: PathText,
        /// Owner, by number.
        uid: u32,
        /// Group, by number.
        gid: u32,
    },
    /// A device, pipe or socket: noted, neither read nor written back.
    Other,
    /// It could not be read, and why. Never written back, never taken for absent.
    Unreadable {
        /// The reason, for a person.
        why: String,
    },
}

impl What {
    /// One word for comparing content: the SHA-256 of a file, else the kind.
    pub fn digest(&self) -> String {
        match self {
            What::Absent => "absent".into(),
            What::File { sha256, .. } => sha256.clone(),
            What::Dir { .. } => "dir".into(),
            What::Link { target, .. } => format!("link:{target}"),
            What::Other => "other".into(),
            What::Unreadable { .. } => "unreadable".into(),
        }
    }

    /// Whether content, mode, owner and attributes are the same; the time of change may differ.
    pub fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (What::File { meta: a, sha256: x, .. }, What::File { meta: b, sha256: y, .. }) => {
                x == y && (a.mode, a.uid, a.gid) == (b.mode, b.uid, b.gid) && a.xattrs == b.xattrs
            }
            _ => self.digest() == other.digest(),
        }
    }

    /// Whether there is anything.
    pub fn exists(&self) -> bool {
        !matches!(self, What::Absent)
    }

    /// Whether it is a plain file, link or nothing: what going back can put in place.
    pub fn is_leaf(&self) -> bool {
        matches!(self, What::Absent | What::File { .. } | What::Link { .. })
    }
}

/// One path of a snapshot or of the present state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Where it belongs, absolute.
    pub path: PathText,
    /// Where its content lies in the snapshot's folder.
    pub name: PathText,
    /// Whose it is.
    pub scope: Scope,
    /// What it is for.
    #[serde(rename = "use")]
    pub usage: Use,
    /// What stands there.
    #[serde(flatten)]
    pub what: What,
}

/// Reads what stands at `path`, with the content of a plain file: what is hashed is what is
/// returned, whatever writes to the file meanwhile.
pub fn read(path: &Path) -> Result<(What, Option<Vec<u8>>)> {
    let reading = || format!("cannot read {}", path.display());
    let meta = match fs::symlink_metadata(path) {
        Ok(meta) => meta,
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok((What::Absent, None));
        }
        Err(e) => return Err(Error::io(reading(), e)),
    };
    let kind = meta.file_type();
    if kind.is_dir() {
        return Ok((What::Dir { meta: Meta::read(path, &meta)? }, None));
    }
    if kind.is_symlink() {
        let target = fs::read_link(path).doing(reading)?;
        return Ok((What::Link { target: target.into(), uid: meta.uid(), gid: meta.gid() }, None));
    }
    if !kind.is_file() {
        return Ok((What::Other, None));
    }
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let mut file = OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path).doing(reading)?;
    let meta = file.metadata().doing(reading)?;
    let mut bytes = Vec::with_capacity(usize::try_from(meta.len().min(FILE_LIMIT)).unwrap_or(0));
    file.by_ref().take(FILE_LIMIT + 1).read_to_end(&mut bytes).doing(reading)?;
    if bytes.len() as u64 > FILE_LIMIT {
        return Err(Error::new(format!("{}: it is larger than {} MiB", reading(), FILE_LIMIT >> 20)));
    }
    let what = What::File { meta: Meta::read(path, &meta)?, size: bytes.len() as u64, sha256: files::sha256(&bytes) };
    Ok((what, Some(bytes)))
}

/// The digest of what stands at `path` now.
pub fn digest_at(path: &Path) -> Result<String> {
    read(path).map(|(what, _)| what.digest())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::write(at("empty"), "").unwrap();
        std::os::unix::fs::symlink("/x y", at("link")).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
        assert_eq!(digest_at(&at("none")).unwrap(), "absent");
        assert_eq!(digest_at(&at("empty/below")).unwrap(), "absent");
        assert_eq!(digest_at(&at("empty")).unwrap(), files::sha256(b""));
        assert_eq!(digest_at(&at("link")).unwrap(), "link:/x y");
        assert_eq!(digest_at(&at("socket")).unwrap(), "other");
        assert_eq!(digest_at(dir.path()).unwrap(), "dir");
    }

    #[test]
    fn an_entry_reads_back_as_written() {
        let meta = Meta { mode: 0o644, xattrs: [(PathText::from("user.x"), "00ff".into())].into(), ..Meta::default() };
        let entry = Entry {
            path: "/etc/x".into(),
            name: "x".into(),
            scope: Scope::Node,
            usage: Use::Restore,
            what: What::File { meta, size: 0, sha256: files::sha256(b"") },
        };
        let text = serde_json::to_string(&entry).unwrap();
        assert_eq!(serde_json::from_str::<Entry>(&text).unwrap(), entry, "{text}");
        let What::File { meta, .. } = entry.what else { unreachable!() };
        assert_eq!(meta.attributes().xattrs, [(b"user.x".to_vec(), vec![0, 255])]);
    }
}
