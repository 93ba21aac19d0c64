//! Does what lies on disk agree with the manifest of the installed package?
//!
//! Ordinary machines differ from their packages in ordinary ways, and none of them is damage:
//! dpkg leaves out what `path-exclude` names, moves what is diverted, sets the owner and mode that
//! `dpkg-statoverride` says, keeps edited conffiles, and hands files over to a package that
//! `Replaces` this one. So only what should be there and isn't, or is altered, is an error; a
//! document that is missing is a warning.

mod diversions;
mod filters;
#[cfg(feature = "container")]
mod foreign;
mod owners;

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use host::{IoContext, Result, Root};

use crate::manifest::{self, Entry, Kind, Manifest};
use crate::refuse::refused;
use crate::unpacked::Naming;
use crate::{escape, hex};

use diversions::Diversions;
use filters::Filters;
use owners::{Override, Overrides};

#[cfg(feature = "container")]
pub use foreign::foreign_files;

/// How to compare.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// The files belong to whoever unpacked them (`--force-script-chrootless` without root), so
    /// owners are not compared.
    pub foreign_owners: bool,
}

/// How bad a difference is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// Something that should be there is not, or is altered.
    Error,
    /// Worth a line.
    Warning,
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The path as the package names it, escaped as by [`host::escape`].
    pub path: String,
    /// How bad it is.
    pub severity: Severity,
    /// What differs.
    pub what: String,
}

/// Compares what is on disk with the manifest in `<admindir>/info`. `admindir` is a path as this
/// process sees it (`/var/lib/dpkg` below the root).
///
/// The manifest is taken as it lies there: who needs to know that it is genuine asks
/// [`crate::unpacked::verify_unpacked_control`] first.
pub fn check_installed(root: &Root, admindir: &Path, package: &str, options: Options) -> Result<Vec<Finding>> {
    let info = admindir.join("info");
    let naming = Naming::of_installed(&info, package)?
        .ok_or_else(|| refused(format!("package {package} is not installed, or it is not a sealed one")))?;
    let path = naming.path(&info, manifest::NAME);
    let bytes = fs::read(&path).doing(|| format!("cannot read {}", path.display()))?;
    let manifest = Manifest::parse(&bytes).map_err(|e| e.context(path.display()))?;
    let mut findings = control_files(&manifest, &info, &naming);
    let machine = Machine::read(root, admindir, &info, &naming, options)?;
    findings.extend(manifest.payload.iter().filter_map(|entry| machine.check(&manifest, entry)));
    Ok(findings)
}

/// The control files that dpkg keeps. It keeps no `control`, and those it makes itself are not listed.
fn control_files(manifest: &Manifest, info: &Path, naming: &Naming) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in manifest.control.iter().filter(|f| f.name != "control") {
        let path = naming.path(info, &file.name);
        let what = match measure(&path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => "is missing".to_owned(),
            Err(e) => format!("cannot be read: {e}"),
            Ok(found) if found == (file.size, file.sha256.clone()) => continue,
            Ok(_) => "is altered".to_owned(),
        };
        let path = escape::escape(path.as_os_str().as_bytes());
        findings.push(Finding { path, severity: Severity::Error, what });
    }
    findings
}

fn measure(path: &Path) -> std::io::Result<(u64, String)> {
    hex::sha256_reader(&mut File::open(path)?)
}

/// What the admin and other packages have told dpkg.
struct Machine<'a> {
    root: &'a Root,
    package: String,
    filters: Filters,
    diversions: Diversions,
    overrides: Overrides,
    conffiles: HashSet<Vec<u8>>,
    /// `info/<package>.list`, where there is one: what dpkg says is (still) ours.
    owned: Option<HashSet<Vec<u8>>>,
    options: Options,
}

impl<'a> Machine<'a> {
    fn read(root: &'a Root, admindir: &Path, info: &Path, naming: &Naming, options: Options) -> Result<Self> {
        let lines = |path: PathBuf| -> Result<Option<HashSet<Vec<u8>>>> {
            let Some(bytes) = optional(&path)? else {
                return Ok(None);
            };
            let line = |l: &[u8]| l.trim_ascii_end().to_vec();
            Ok(Some(bytes.split(|b| *b == b'\n').map(line).filter(|l| !l.is_empty()).collect()))
        };
        let package = match naming {
            Naming::Info(prefix) => prefix.split(':').next().unwrap_or(prefix).to_owned(),
            Naming::Plain => String::new(),
        };
        Ok(Self {
            root,
            package,
            filters: Filters::read(root)?,
            diversions: Diversions::read(&admindir.join("diversions"))?,
            overrides: Overrides::read(root, &admindir.join("statoverride"))?,
            conffiles: lines(naming.path(info, "conffiles"))?.unwrap_or_default(),
            owned: lines(naming.path(info, "list"))?,
            options,
        })
    }

    fn check(&self, manifest: &Manifest, entry: &Entry) -> Option<Finding> {
        let path = entry.path_bytes();
        if path == b"/" {
            return None;
        }
        let finding = |severity, what: String| Some(Finding { path: entry.path.clone(), severity, what });
        if self.owned.as_ref().is_some_and(|owned| !owned.contains(&path)) {
            let what = "dpkg's list of this package does not have it: another package took it over";
            return finding(Severity::Warning, what.into());
        }
        let place = self.diversions.place(&path, &self.package);
        let conffile = self.conffiles.contains(&path);
        let missing = match () {
            () if conffile || is_document(&path) => Severity::Warning,
            () => Severity::Error,
        };
        let shown = match place == path {
            true => String::new(),
            false => format!(" (diverted to {})", escape::escape(&place)),
        };
        let inside = PathBuf::from(std::ffi::OsString::from_vec(place));
        let real = match self.root.resolve(&inside) {
            Ok(real) => real,
            Err(e) => return finding(Severity::Error, format!("{e}{shown}")),
        };
        match self.differs(manifest, entry, &path, &real, conffile) {
            Ok(None) => None,
            Ok(Some(what)) => finding(Severity::Error, format!("{what}{shown}")),
            Err(e) if is_absent(&e) && self.filters.excluded(&path) => None,
            Err(e) if is_absent(&e) => finding(missing, format!("is missing{shown}")),
            Err(e) => finding(Severity::Error, format!("cannot be read{shown}: {e}")),
        }
    }

    /// What differs, or nothing. Errors are those of reading.
    fn differs(
        &self,
        manifest: &Manifest,
        entry: &Entry,
        path: &[u8],
        real: &Path,
        conffile: bool,
    ) -> std::io::Result<Option<String>> {
        let meta = fs::symlink_metadata(real)?;
        let kind = meta.file_type();
        if conffile {
            // The admin's to edit, to replace by a link, to protect.
            return Ok(None);
        }
        if entry.kind == Kind::Dir {
            // A link to a folder serves as well: merged /usr, or an admin who moved it.
            let folder = kind.is_dir() || (kind.is_symlink() && self.leads_to_folder(real));
            return Ok((!folder).then(|| "is not a directory".into()));
        }
        let set = self.overrides.of(path);
        if entry.kind == Kind::Link {
            if !kind.is_symlink() {
                return Ok(Some("is not a symbolic link".into()));
            }
            let target = escape::escape(fs::read_link(real)?.as_os_str().as_bytes());
            let expected = entry.target.as_deref().unwrap_or_default();
            let differs = || format!("points to {target} instead of {expected}");
            return Ok((target != expected).then(differs));
        }
        if !kind.is_file() {
            return Ok(Some("is not a regular file".into()));
        }
        if Some(meta.size()) != entry.size || Some(measure(real)?.1) != entry.sha256 {
            return Ok(Some("is altered".into()));
        }
        // Hard links are one file: an override of any of their names changes all of them.
        let shared = meta.nlink() > 1 && manifest.payload.iter().any(|e| self.linked(e, entry));
        let set = set.or_else(|| shared.then(|| self.override_of_group(manifest, entry)).flatten());
        Ok(self.attributes(entry, &meta, set))
    }

    fn linked(&self, other: &Entry, entry: &Entry) -> bool {
        let group = |e: &Entry| match e.kind {
            Kind::File => Some(e.target.clone().unwrap_or_else(|| e.path.clone())),
            _ => None,
        };
        other.path != entry.path && group(other) == group(entry)
    }

    fn override_of_group(&self, manifest: &Manifest, entry: &Entry) -> Option<&Override> {
        let mut group = manifest.payload.iter().filter(|e| self.linked(e, entry));
        group.find_map(|e| self.overrides.of(&e.path_bytes()))
    }

    fn attributes(&self, entry: &Entry, meta: &fs::Metadata, set: Option<&Override>) -> Option<String> {
        let mode = set.map_or(entry.mode, |o| o.mode);
        let found = meta.mode() & 0o7777;
        if found != mode {
            return Some(format!("has mode {found:04o} instead of {mode:04o}"));
        }
        if self.options.foreign_owners {
            return None;
        }
        let (uid, gid) = match set {
            None => (Some(entry.owner), Some(entry.group)),
            Some(o) => (o.owner, o.group),
        };
        let same = |expected: Option<u32>, found: u32| expected.is_none_or(|e| e == found);
        let show = |id: Option<u32>| id.map_or("?".to_owned(), |i| i.to_string());
        (!same(uid, meta.uid()) || !same(gid, meta.gid())).then(|| {
            let (u, g) = (show(uid), show(gid));
            format!("belongs to {}:{} instead of {u}:{g}", meta.uid(), meta.gid())
        })
    }

    /// Follows a link inside the root, as a chroot would.
    fn leads_to_folder(&self, link: &Path) -> bool {
        let probe = self.root.inside(link).join(OsStr::new("x"));
        let behind = self.root.resolve(&probe);
        behind.is_ok_and(|p| p.parent().is_some_and(Path::is_dir))
    }
}

fn is_absent(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory)
}

/// Nothing runs differently without these, and people exclude them.
fn is_document(path: &[u8]) -> bool {
    const FOLDERS: [&str; 8] = [
        "/usr/share/doc/",
        "/usr/share/man/",
        "/usr/share/info/",
        "/usr/share/locale/",
        "/usr/share/lintian/",
        "/usr/share/bash-completion/",
        "/usr/share/zsh/",
        "/usr/share/fish/",
    ];
    FOLDERS.iter().any(|f| path.starts_with(f.as_bytes()) || path == &f.as_bytes()[..f.len() - 1])
}

/// The bytes of a file; `None` if it is not there.
fn optional(path: &Path) -> Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        other => other.doing(|| format!("cannot read {}", path.display())).map(Some),
    }
}

#[cfg(test)]
mod tests;
