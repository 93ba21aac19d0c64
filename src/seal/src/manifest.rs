//! The manifest: every control file and every payload path of a sealed package, in one signed file.
//!
//! It is what lets an installed version judge its successor, and `postinst` judge what was
//! unpacked, when no `.deb` is in sight any more: dpkg keeps control files of unknown names.
//!
//! JSON with one entry a line, so that `diff` of two manifests reads well. Fields that this version
//! does not know are skipped; a higher `format` is refused, because its meaning may have changed.

use std::collections::HashSet;

use host::Result;
use serde::{Deserialize, Serialize};

use crate::refuse::refused;
use crate::version::Version;
use crate::{control, escape, hex};

/// The name of the manifest in the control archive.
pub const NAME: &str = "manifest";
/// The name of the signature over the manifest.
pub const SIGNATURE_NAME: &str = "manifest-sig";
/// The highest format that this program reads, and the one it writes.
pub const FORMAT: u32 = 1;
/// The maintainer scripts of a sealed package, all four always.
pub const HOOKS: [&str; 4] = ["preinst", "postinst", "prerm", "postrm"];
/// A manifest of more bytes is refused unread.
pub const MAX_SIZE: usize = 64 << 20;

/// What a sealed package consists of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of the manifest's own format.
    pub format: u32,
    /// The package's name, as in its control file.
    pub package: String,
    /// The package's version, as in its control file.
    pub version: String,
    /// The package's architecture, as in its control file.
    pub architecture: String,
    /// Once a signed package with this field was installed, no lower version may follow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minimum_version: Option<String>,
    /// Seconds since 1970: the time that every member of the package carries.
    pub source_date: u64,
    /// Every control file but the manifest and its signature.
    pub control: Vec<ControlFile>,
    /// Every path of the payload, in the order of `data.tar`.
    pub payload: Vec<Entry>,
}

/// One file of the control archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ControlFile {
    /// Plain name without dots: dpkg drops others.
    pub name: String,
    /// Permission bits.
    #[serde(with = "octal")]
    pub mode: u32,
    /// Bytes.
    pub size: u64,
    /// SHA-256 in hexadecimal.
    pub sha256: String,
}

impl ControlFile {
    /// The entry of a file with these bytes.
    pub fn of(name: &str, mode: u32, bytes: &[u8]) -> Self {
        Self { name: name.to_owned(), mode, size: bytes.len() as u64, sha256: hex::sha256(bytes) }
    }
}

/// What a path of the payload is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A file; with a `target`, a hard link to that earlier path.
    File,
    /// A directory.
    Dir,
    /// A symbolic link.
    Link,
}

/// One path of the payload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Absolute, escaped as by [`host::escape`].
    pub path: String,
    /// What it is.
    pub kind: Kind,
    /// Permission bits, with set-user-id and the like.
    #[serde(with = "octal")]
    pub mode: u32,
    /// Numeric user id.
    pub owner: u32,
    /// Numeric group id.
    pub group: u32,
    /// Bytes, of a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// SHA-256 in hexadecimal, of a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Where a link points, escaped like `path`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
}

impl Entry {
    /// The path's bytes, absolute.
    pub fn path_bytes(&self) -> Vec<u8> {
        escape::unescape(&self.path).unwrap_or_default()
    }
}

impl Manifest {
    /// Reads and checks a manifest. Whatever passes is safe to use: names without tricks, absolute
    /// canonical paths, nothing twice.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        #[derive(Deserialize)]
        struct Head {
            format: u32,
        }
        let broken = |e: serde_json::Error| refused(format!("the manifest is damaged: {e}"));
        if bytes.len() > MAX_SIZE {
            return Err(refused("the manifest is larger than 64 MiB"));
        }
        let head: Head = serde_json::from_slice(bytes).map_err(broken)?;
        if head.format > FORMAT {
            return Err(refused(format!(
                "the manifest has format {}, this program reads up to {FORMAT}; \
                 upgrade in steps, or with a newer debseal",
                head.format
            )));
        }
        if head.format == 0 {
            return Err(refused("the manifest is damaged: there is no format 0"));
        }
        let manifest: Self = serde_json::from_slice(bytes).map_err(broken)?;
        manifest.check()?;
        Ok(manifest)
    }

    /// The bytes of the manifest; the same manifest always gives the same bytes.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        #[derive(Serialize)]
        struct Head<'a> {
            format: u32,
            package: &'a str,
            version: &'a str,
            architecture: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            minimum_version: &'a Option<String>,
            source_date: u64,
        }
        let head = json(&Head {
            format: self.format,
            package: &self.package,
            version: &self.version,
            architecture: &self.architecture,
            minimum_version: &self.minimum_version,
            source_date: self.source_date,
        })?;
        let head = head.trim_end_matches('}');
        let control = lines(&self.control)?;
        let payload = lines(&self.payload)?;
        Ok(format!("{head},\n\"control\":[{control}],\n\"payload\":[{payload}]}}\n").into_bytes())
    }

    /// Whether `files` are exactly the control files listed here; the first difference is the error.
    /// `manifest` and `manifest-sig` are left out of `files`. Modes are compared where
    /// `with_modes` says that the files still have those of the archive.
    pub(crate) fn check_control(&self, files: &[ControlFile], with_modes: bool) -> Result<()> {
        for file in files {
            let name = escape::escape(file.name.as_bytes());
            let Some(listed) = self.control.iter().find(|l| l.name == file.name) else {
                return Err(refused(format!("control file {name} is not in the manifest")));
            };
            if file.size != listed.size || file.sha256 != listed.sha256 {
                return Err(refused(format!(
                    "control file {name} was altered: the manifest has another SHA-256 for it"
                )));
            }
            if with_modes && file.mode != listed.mode {
                return Err(refused(format!(
                    "control file {name} has mode {:04o}, the manifest says {:04o}",
                    file.mode, listed.mode
                )));
            }
        }
        let missing = self.control.iter().find(|l| !files.iter().any(|f| f.name == l.name));
        match missing {
            Some(file) => Err(refused(format!("control file {} is in the manifest but not there", file.name))),
            None => Ok(()),
        }
    }

    /// Whether `found` is exactly the payload listed here, in the same order.
    #[cfg(feature = "container")]
    pub(crate) fn check_payload(&self, found: &[Entry]) -> Result<()> {
        let differ = self.payload.iter().zip(found).find(|(l, f)| l != f);
        if let Some((listed, found)) = differ {
            return Err(refused(match listed.path == found.path {
                true => format!("payload {} was altered: {}", found.path, difference(listed, found)),
                false => format!("payload {} stands where the manifest has {}", found.path, listed.path),
            }));
        }
        let both = self.payload.len().min(found.len());
        if let Some(extra) = found.get(both) {
            return Err(refused(format!("payload {} is not in the manifest", extra.path)));
        }
        match self.payload.get(both) {
            Some(e) => Err(refused(format!("payload {} is in the manifest but not there", e.path))),
            None => Ok(()),
        }
    }

    /// Whether package, version and architecture are those of the control file.
    pub(crate) fn check_identity(&self, control: &control::Control) -> Result<()> {
        for (what, ours, theirs) in [
            ("package", self.package.as_str(), control.package()),
            ("version", self.version.as_str(), control.version()),
            ("architecture", self.architecture.as_str(), control.architecture()),
        ] {
            if ours != theirs {
                return Err(refused(format!("the manifest belongs to {what} {ours}, the control file says {theirs}")));
            }
        }
        Ok(())
    }

    fn check(&self) -> Result<()> {
        let damaged = |why: String| refused(format!("the manifest is damaged: {why}"));
        if !control::is_package_name(&self.package) {
            return Err(damaged(format!("'{}' is not a package name", self.package)));
        }
        for version in std::iter::once(&self.version).chain(&self.minimum_version) {
            Version::parse(version).map_err(|e| damaged(e.to_string()))?;
        }
        let mut names = HashSet::new();
        for file in &self.control {
            if !is_control_name(&file.name) || [NAME, SIGNATURE_NAME].contains(&&*file.name) {
                return Err(damaged(format!("'{}' is no name of a control file", file.name)));
            }
            if !names.insert(&file.name) {
                return Err(damaged(format!("control file {} is there twice", file.name)));
            }
            if !hex::is_sha256(&file.sha256) {
                return Err(damaged(format!("control file {} has no SHA-256", file.name)));
            }
        }
        let mut paths = HashSet::new();
        for entry in &self.payload {
            if !is_canonical(&entry.path) {
                return Err(damaged(format!("'{}' is no canonical path", entry.path)));
            }
            if !paths.insert(&entry.path) {
                return Err(damaged(format!("payload {} is there twice", entry.path)));
            }
            let digest = entry.sha256.as_deref().is_some_and(hex::is_sha256);
            let complete = match entry.kind {
                Kind::File => digest && entry.size.is_some(),
                Kind::Dir => true,
                Kind::Link => entry.target.as_deref().and_then(escape::unescape).is_some(),
            };
            if !complete {
                return Err(damaged(format!("the entry of {} is incomplete", entry.path)));
            }
        }
        Ok(())
    }
}

#[cfg(feature = "container")]
fn difference(listed: &Entry, found: &Entry) -> String {
    let show = |t: &Option<String>| t.clone().unwrap_or_else(|| "nothing".into());
    if listed.kind != found.kind {
        "it is of another kind".into()
    } else if listed.mode != found.mode {
        format!("its mode is {:04o}, the manifest says {:04o}", found.mode, listed.mode)
    } else if (listed.owner, listed.group) != (found.owner, found.group) {
        let (l, f) = ((listed.owner, listed.group), (found.owner, found.group));
        format!("it belongs to {}:{}, the manifest says {}:{}", f.0, f.1, l.0, l.1)
    } else if listed.target != found.target {
        format!("it points to {}, the manifest says {}", show(&found.target), show(&listed.target))
    } else {
        "the manifest has another SHA-256 for it".into()
    }
}

/// A name that dpkg keeps in its info folder: no dot, no slash, nothing that a terminal obeys.
pub(crate) fn is_control_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_+".contains(c);
    !name.is_empty() && name.len() <= 100 && !name.starts_with('-') && name.chars().all(plain)
}

/// Absolute, without empty, `.` or `..` components; `/` alone is the payload's top folder.
fn is_canonical(path: &str) -> bool {
    let Some(bytes) = escape::unescape(path) else {
        return false;
    };
    let Some(inside) = bytes.strip_prefix(b"/") else {
        return false;
    };
    let odd = |part: &[u8]| matches!(part, b"" | b"." | b"..") || part.contains(&0);
    inside.is_empty() || !inside.split(|b| *b == b'/').any(odd)
}

fn json(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|e| host::Error::new(format!("cannot write the manifest: {e}")))
}

fn lines(entries: &[impl Serialize]) -> Result<String> {
    if entries.is_empty() {
        return Ok(String::new());
    }
    let entries: Vec<String> = entries.iter().map(json).collect::<Result<_>>()?;
    Ok(format!("\n{}\n", entries.join(",\n")))
}

/// Permission bits as people write them: `"0755"`.
mod octal {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(mode: &u32, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&format!("{mode:04o}"))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u32, D::Error> {
        let text = String::deserialize(from)?;
        let mode = u32::from_str_radix(&text, 8).ok().filter(|m| *m <= 0o7777);
        mode.filter(|m| format!("{m:04o}") == text).ok_or_else(|| D::Error::custom(format!("'{text}' is no mode")))
    }
}

#[cfg(test)]
pub(crate) mod tests;
