//! Which keys count for which package on this machine: `/etc/debseal/policy.d/*.toml`.
//!
//! ```toml
//! [[package]]
//! name = "pve-network-rs"
//! keys = ["/etc/debseal/keys/release.pgp"]                       # armored or binary
//! fingerprints = ["0123456789ABCDEF0123456789ABCDEF01234567"]     # optional: only these
//! mode = "enforce"                                               # or "warn"
//! minimum_version = "0.2.0-1"                                     # optional: nothing older
//! ```
//!
//! What the admin writes here wins over the keys that a hook carries for its own package. A mistake
//! in any of these files is an error and never an empty policy: a typo must not let packages in.

use std::fs;
use std::path::{Path, PathBuf};

use host::{Error, IoContext, Result, Root};
use toml_edit::{Document, Item, TableLike, Value};

use crate::control::is_package_name;
use crate::openpgp::Keyring;
use crate::version::Version;

/// Where policies lie.
pub const FOLDER: &str = "/etc/debseal/policy.d";
/// Policies, keys and signatures are small; a larger file is refused.
pub const MAX_FILE: usize = 8 << 20;

/// What follows from a refusal at the gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// The package is not installed.
    #[default]
    Enforce,
    /// It is said, and the package is installed.
    Warn,
}

/// One `[[package]]` of a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackagePolicy {
    /// The file that says it.
    pub file: PathBuf,
    /// The package it speaks of.
    pub name: String,
    /// Files of certificates, as absolute paths inside the root.
    pub keys: Vec<PathBuf>,
    /// Primary-key fingerprints that count; all, if it is empty.
    pub fingerprints: Vec<String>,
    /// What follows from a refusal.
    pub mode: Mode,
    /// No version below this one, whoever signed it.
    pub minimum_version: Option<String>,
}

/// Where trusted keys come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// This file of [`FOLDER`].
    Policy(PathBuf),
    /// The hook of the installed package.
    Sealed,
    /// Named on the command line.
    Given,
}

/// The keys that count for a package.
#[derive(Debug, Clone)]
pub struct TrustedKeys {
    /// The certificates; none where nobody is trusted.
    pub keyring: Keyring,
    /// Who named them.
    pub source: Source,
    /// What follows from a refusal.
    pub mode: Mode,
    /// No version below this one, whoever signed it.
    pub minimum_version: Option<String>,
}

/// The keys for `package`: those that a policy names, else those of `sealed_keyring`.
pub fn trusted_keys(root: &Root, package: &str, sealed_keyring: &[u8]) -> Result<TrustedKeys> {
    match load(root)?.into_iter().find(|p| p.name == package) {
        Some(policy) => {
            let keyring = policy.keyring(root)?;
            let minimum_version = policy.minimum_version;
            Ok(TrustedKeys { keyring, source: Source::Policy(policy.file), mode: policy.mode, minimum_version })
        }
        None => Ok(TrustedKeys {
            keyring: Keyring::parse(sealed_keyring).map_err(|e| e.context("sealed-in keys"))?,
            source: Source::Sealed,
            mode: Mode::Enforce,
            minimum_version: None,
        }),
    }
}

/// Every policy under the root, in the order of file names. A package that is named twice is an
/// error, because which of the two counts would depend on the reader.
pub fn load(root: &Root) -> Result<Vec<PackagePolicy>> {
    let mut all: Vec<PackagePolicy> = Vec::new();
    for file in files(root)? {
        for policy in read_file(root, &file)? {
            if let Some(known) = all.iter().find(|p| p.name == policy.name) {
                return Err(named_twice(known, &policy));
            }
            all.push(policy);
        }
    }
    Ok(all)
}

/// Which of the two counts would depend on the reader.
pub fn named_twice(one: &PackagePolicy, other: &PackagePolicy) -> Error {
    Error::new(format!(
        "package {} is named twice, in {} and in {}; keep one of them",
        one.name,
        one.file.display(),
        other.file.display()
    ))
}

/// The policy files under the root, in the order in which they are read; none without the folder.
pub fn files(root: &Root) -> Result<Vec<PathBuf>> {
    let folder = root.resolve(Path::new(FOLDER).join("x"))?;
    let folder = folder.parent().unwrap_or(&folder);
    let doing = || format!("cannot list {}", folder.display());
    let entries = match fs::read_dir(folder) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.doing(doing)?,
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.doing(doing)?.path();
        let hidden = path.file_name().is_some_and(|n| n.to_string_lossy().starts_with('.'));
        if path.extension().is_some_and(|e| e == "toml") && !hidden {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// What one policy file says; `file` is as [`files`] gave it.
pub fn read_file(root: &Root, file: &Path) -> Result<Vec<PackagePolicy>> {
    let shown = root.inside(file);
    let text = String::from_utf8(read(file)?).map_err(|_| Error::new(format!("{} is not UTF-8", shown.display())))?;
    parse(&shown, &text)
}

impl PackagePolicy {
    /// Reads the certificates that this policy names.
    pub fn keyring(&self, root: &Root) -> Result<Keyring> {
        let mut all = Keyring::default();
        for key in &self.keys {
            let bytes = read(&root.resolve(key)?)?;
            let ring = Keyring::parse(&bytes).map_err(|e| e.context(key.display()))?;
            if ring.is_empty() {
                return Err(Error::new(format!("{} holds no certificate", key.display())));
            }
            all.extend(ring)?;
        }
        if self.fingerprints.is_empty() {
            return Ok(all);
        }
        let mut pinned = Keyring::default();
        for fingerprint in &self.fingerprints {
            pinned.extend(all.only(fingerprint).ok_or_else(|| {
                Error::new(format!(
                    "{}: no key file of package {} holds the certificate {fingerprint}",
                    self.file.display(),
                    self.name
                ))
            })?)?;
        }
        Ok(pinned)
    }
}

/// Reads one policy; `file` is for messages.
pub fn parse(file: &Path, text: &str) -> Result<Vec<PackagePolicy>> {
    let at = |offset: usize, why: String| {
        let line = text[..offset.min(text.len())].matches('\n').count() + 1;
        Error::new(format!("{}, line {line}: {why}", file.display()))
    };
    let document = Document::parse(text).map_err(|e| at(e.span().map_or(0, |s| s.start), e.message().to_owned()))?;
    let place = |item: &Item| item.span().map_or(0, |s| s.start);
    let mut policies = Vec::new();
    for (key, item) in document.iter() {
        let tables = item.as_array_of_tables().filter(|_| key == "package");
        let wrong = || at(place(item), format!("unknown key '{key}'; allowed is [[package]]"));
        for table in tables.ok_or_else(wrong)? {
            let start = table.span().map_or(0, |s| s.start);
            policies.push(package(file, table, start, &at)?);
        }
    }
    Ok(policies)
}

fn package(
    file: &Path,
    table: &dyn TableLike,
    start: usize,
    at: &dyn Fn(usize, String) -> Error,
) -> Result<PackagePolicy> {
    let mut policy = PackagePolicy {
        file: file.to_owned(),
        name: String::new(),
        keys: Vec::new(),
        fingerprints: Vec::new(),
        mode: Mode::default(),
        minimum_version: None,
    };
    for (key, item) in table.iter() {
        let here = item.span().map_or(start, |s| s.start);
        let text = || item.as_str().ok_or_else(|| at(here, format!("{key} must be a string")));
        match key {
            "name" => policy.name = text()?.to_owned(),
            "keys" => policy.keys = strings(item, key, here, at)?.map(PathBuf::from).collect(),
            "fingerprints" => policy.fingerprints = strings(item, key, here, at)?.collect(),
            "mode" => {
                policy.mode = match text()? {
                    "enforce" => Mode::Enforce,
                    "warn" => Mode::Warn,
                    other => {
                        let why = format!("mode '{other}' is unknown; allowed are enforce, warn");
                        return Err(at(here, why));
                    }
                }
            }
            "minimum_version" => {
                let version = text()?;
                Version::parse(version).map_err(|e| at(here, e.to_string()))?;
                policy.minimum_version = Some(version.to_owned());
            }
            other => {
                let allowed = "allowed are name, keys, fingerprints, mode, minimum_version";
                return Err(at(here, format!("unknown key '{other}'; {allowed}")));
            }
        }
    }
    if !is_package_name(&policy.name) {
        return Err(at(start, format!("name '{}' is not a package name", policy.name)));
    }
    if policy.keys.is_empty() {
        return Err(at(start, format!("package {} has no keys", policy.name)));
    }
    if let Some(relative) = policy.keys.iter().find(|k| !k.is_absolute()) {
        return Err(at(start, format!("key file {} is not an absolute path", relative.display())));
    }
    for fingerprint in &mut policy.fingerprints {
        let bare = fingerprint.replace(' ', "").to_uppercase();
        if ![40, 64].contains(&bare.len()) || !bare.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(at(start, format!("'{fingerprint}' is not a full fingerprint")));
        }
        *fingerprint = bare;
    }
    Ok(policy)
}

fn strings(
    item: &Item,
    key: &str,
    here: usize,
    at: &dyn Fn(usize, String) -> Error,
) -> Result<impl Iterator<Item = String>> {
    let wrong = || at(here, format!("{key} must be a list of strings"));
    let array = item.as_array().ok_or_else(wrong)?;
    let texts: Option<Vec<String>> = array.iter().map(|v: &Value| v.as_str().map(str::to_owned)).collect();
    Ok(texts.ok_or_else(wrong)?.into_iter())
}

fn read(path: &Path) -> Result<Vec<u8>> {
    let doing = || format!("cannot read {}", path.display());
    let size = fs::metadata(path).doing(doing)?.len();
    if size > MAX_FILE as u64 {
        return Err(Error::new(format!("{} is larger than 8 MiB", path.display())));
    }
    fs::read(path).doing(doing)
}

#[cfg(test)]
mod tests;
