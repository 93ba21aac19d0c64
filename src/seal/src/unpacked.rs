//! Control files that dpkg has already taken out of the archive: the new version's in `tmp.ci`,
//! before any of its code has run, and the installed version's in `info/`.

use std::fs::{self, File};
use std::io::{Read, Seek};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use host::{IoContext, Result};

use crate::control::Control;
use crate::manifest::{self, ControlFile, Manifest};
use crate::openpgp::{Good, Keyring};
use crate::refuse::refused;
use crate::{hex, policy};

/// How dpkg names control files in a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Naming {
    /// `preinst`, as in `tmp.ci`: the folder holds one package and nothing else.
    Plain,
    /// `<prefix>.preinst`, as in `info/`; the prefix is the package's name, for
    /// `Multi-Arch: same` with `:<architecture>`.
    Info(String),
}

impl Naming {
    /// How the installed `package` is named in `<admindir>/info`; `None` if no file of it that
    /// belongs to a sealed package is there.
    pub fn of_installed(info: &Path, package: &str) -> Result<Option<Self>> {
        if info.join(format!("{package}.{}", manifest::NAME)).exists() {
            return Ok(Some(Self::Info(package.to_owned())));
        }
        let ending = format!(".{}", manifest::NAME);
        let doing = || format!("cannot list {}", info.display());
        for entry in fs::read_dir(info).doing(doing)? {
            let name = entry.doing(doing)?.file_name();
            let prefix = name.to_str().and_then(|n| n.strip_suffix(&ending));
            let ours = prefix.filter(|p| p.split_once(':').is_some_and(|(p, _)| p == package));
            if let Some(prefix) = ours {
                return Ok(Some(Self::Info(prefix.to_owned())));
            }
        }
        Ok(None)
    }

    /// Where the control file `name` lies in `dir`.
    pub fn path(&self, dir: &Path, name: &str) -> PathBuf {
        match self {
            Self::Plain => dir.join(name),
            Self::Info(prefix) => dir.join(format!("{prefix}.{name}")),
        }
    }

    /// The control file that an entry of the folder is; `None` if it belongs to another package.
    fn name<'a>(&self, entry: &'a str) -> Option<&'a str> {
        match self {
            Self::Plain => Some(entry),
            // `foo.bar.preinst` is the `preinst` of package `foo.bar`, not a file of `foo`.
            Self::Info(prefix) => {
                entry.strip_prefix(prefix.as_str())?.strip_prefix('.').filter(|name| !name.contains('.'))
            }
        }
    }
}

/// What a folder of control files turned out to be.
#[derive(Debug, Clone)]
pub struct VerifiedControl {
    /// Its manifest.
    pub manifest: Manifest,
    /// Who signed it.
    pub good: Good,
}

/// Judges the control files in `dir`: the manifest is signed by one of `keys`, belongs to
/// `package` (and `version`, where one is expected), and lists every file with its very bytes.
/// In a folder of its own (`tmp.ci`) nothing else may be there.
pub fn verify_unpacked_control(
    dir: &Path,
    naming: &Naming,
    keys: &Keyring,
    package: &str,
    version: Option<&str>,
    now: SystemTime,
) -> Result<VerifiedControl> {
    verify(dir, naming, keys, package, version, now).map_err(|e| e.context(dir.display()))
}

fn verify(
    dir: &Path,
    naming: &Naming,
    keys: &Keyring,
    package: &str,
    version: Option<&str>,
    now: SystemTime,
) -> Result<VerifiedControl> {
    let (manifest_bytes, good) = signed_manifest(dir, naming, keys, now)?;
    let manifest = compare(dir, naming, &manifest_bytes, package, version)?;
    Ok(VerifiedControl { manifest, good })
}

/// Judges the manifest in `dir` alone: it is signed by one of `keys`. For a caller who has compared
/// the files with it already, as [`crate::installed::check_installed`] does.
pub fn verify_manifest(dir: &Path, naming: &Naming, keys: &Keyring, now: SystemTime) -> Result<Manifest> {
    signed_manifest(dir, naming, keys, now)
        .and_then(|(bytes, _)| Manifest::parse(&bytes))
        .map_err(|e| e.context(dir.display()))
}

fn signed_manifest(dir: &Path, naming: &Naming, keys: &Keyring, now: SystemTime) -> Result<(Vec<u8>, Good)> {
    let bytes = read(dir, naming, manifest::NAME, manifest::MAX_SIZE)?
        .ok_or_else(|| refused("not sealed: it has no manifest"))?;
    let signature = read(dir, naming, manifest::SIGNATURE_NAME, policy::MAX_FILE)?
        .ok_or_else(|| refused("not signed: it has no manifest-sig"))?;
    let good =
        keys.verify_detached(&signature, &mut &bytes[..], now).map_err(|e| e.context(manifest::SIGNATURE_NAME))?;
    Ok((bytes, good))
}

/// Compares the control files in `dir` with their manifest as [`verify_unpacked_control`] does, but
/// asks nobody whether the manifest is genuine: all that can be said of an unsigned package.
pub fn check_unpacked_control(dir: &Path, naming: &Naming, package: &str, version: Option<&str>) -> Result<Manifest> {
    read(dir, naming, manifest::NAME, manifest::MAX_SIZE)
        .and_then(|bytes| bytes.ok_or_else(|| refused("not sealed: it has no manifest")))
        .and_then(|bytes| compare(dir, naming, &bytes, package, version))
        .map_err(|e| e.context(dir.display()))
}

fn compare(
    dir: &Path,
    naming: &Naming,
    manifest_bytes: &[u8],
    package: &str,
    version: Option<&str>,
) -> Result<Manifest> {
    let manifest = Manifest::parse(manifest_bytes)?;
    if manifest.package != package {
        return Err(refused(format!("the manifest belongs to package {}, not to {package}", manifest.package)));
    }
    if let Some(version) = version.filter(|v| *v != manifest.version) {
        return Err(refused(format!("the manifest belongs to version {}, not to {version}", manifest.version)));
    }
    let mut listing = list(dir, naming)?;
    listing.retain(|f| ![manifest::NAME, manifest::SIGNATURE_NAME].contains(&&*f.name));
    if *naming == Naming::Plain {
        manifest.check_control(&listing, false)?;
        let control = read(dir, naming, "control", 1 << 20)?.ok_or_else(|| refused("it has no control file"))?;
        manifest.check_identity(&Control::parse(&control)?)?;
    } else {
        check_info(&manifest, &listing)?;
    }
    Ok(manifest)
}

/// In `info/`, dpkg keeps no `control`, and adds `list` and (where there is none) `md5sums`.
fn check_info(manifest: &Manifest, listing: &[ControlFile]) -> Result<()> {
    let own = |f: &ControlFile| {
        let listed = manifest.control.iter().any(|l| l.name == f.name);
        f.name != "control" && (listed || !["list", "md5sums"].contains(&&*f.name))
    };
    let mut expected = manifest.clone();
    expected.control.retain(|l| l.name != "control");
    let listing: Vec<_> = listing.iter().filter(|f| own(f)).cloned().collect();
    expected.check_control(&listing, false)
}

/// SHA-256 over the sorted lines `<sha256>  <name>` of every file in `dir`: what an operator names
/// to let one unsigned version through, once. Two folders of the same content have the same digest,
/// and `sha256sum * | sha256sum` computes it by hand in the C locale.
pub fn digest_of_control_dir(dir: &Path) -> Result<String> {
    let mut files = list(dir, &Naming::Plain)?;
    files.sort_by(|a, b| a.name.cmp(&b.name));
    let lines: String = files.iter().map(|f| format!("{}  {}\n", f.sha256, f.name)).collect();
    Ok(hex::sha256(lines.as_bytes()))
}

/// Every control file, measured. Anything but plain files with plain names is refused.
fn list(dir: &Path, naming: &Naming) -> Result<Vec<ControlFile>> {
    let doing = || format!("cannot list {}", dir.display());
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).doing(doing)? {
        let entry = entry.doing(doing)?;
        let file_name = entry.file_name();
        let text = file_name.to_string_lossy();
        let Some(name) = naming.name(&text) else {
            continue;
        };
        let path = entry.path();
        if !entry.file_type().doing(doing)?.is_file() {
            return Err(refused(format!("{text} is not a plain file")));
        }
        if file_name.to_str().is_none() {
            return Err(refused(format!("{text} is no name of a control file")));
        }
        let doing = || format!("cannot read {}", path.display());
        let (size, sha256) = measure(dir, naming, &path, &files).doing(doing)?;
        files.push(ControlFile { name: name.to_owned(), mode: 0, size, sha256 });
    }
    Ok(files)
}

/// Size and SHA-256 of `path`. The four maintainer scripts are one program, and comparing two files is
/// quicker than hashing both.
fn measure(dir: &Path, naming: &Naming, path: &Path, done: &[ControlFile]) -> std::io::Result<(u64, String)> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    if let Some(twin) = done.iter().find(|f| f.size == length && length > TWIN) {
        if same_bytes(&naming.path(dir, &twin.name), &mut file)? {
            return Ok((twin.size, twin.sha256.clone()));
        }
        file.rewind()?;
    }
    hex::sha256_reader(&mut file)
}

/// Below this size, in bytes, comparing is not worth a second open file.
const TWIN: u64 = 1 << 16;

/// Whether the file at `path` holds just what `other` gives from here to its end.
fn same_bytes(path: &Path, other: &mut File) -> std::io::Result<bool> {
    let mut one = File::open(path)?;
    let (mut left, mut right) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    loop {
        let n = fill(&mut one, &mut left)?;
        if n != fill(other, &mut right)? || left[..n] != right[..n] {
            return Ok(false);
        }
        if n == 0 {
            return Ok(true);
        }
    }
}

/// Reads until `buffer` is full or the file ends.
fn fill(file: &mut File, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(filled)
}

/// A file of at most `limit` bytes; `None` if it is not there. A link is refused, not followed.
fn read(dir: &Path, naming: &Naming, name: &str, limit: usize) -> Result<Option<Vec<u8>>> {
    let path = naming.path(dir, name);
    let doing = || format!("cannot read {}", path.display());
    let meta = match fs::symlink_metadata(&path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        other => other.doing(doing)?,
    };
    if !meta.is_file() {
        return Err(refused(format!("{name} is not a plain file")));
    }
    if meta.len() > limit as u64 {
        return Err(refused(format!("{name} has {} bytes, more than {limit}", meta.len())));
    }
    fs::read(&path).doing(doing).map(Some)
}

#[cfg(test)]
mod tests;
