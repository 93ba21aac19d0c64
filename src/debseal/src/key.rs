//! `debseal key`: whose signatures count, without editing files by hand.
//!
//! A certificate lies in `/etc/debseal/keys/<FINGERPRINT>.pgp`; the policy of the package names the
//! file and pins the fingerprint. An updated certificate (a longer life, a revocation) is merged into
//! the one that is there, so that no update can take a revocation away.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use host::files::{self, Attributes};
use host::{Error, IoContext, Kind, Result, Root};
use seal::openpgp::{CertInfo, Keyring};
use seal::policy::{self, Mode, PackagePolicy};
use serde::Serialize;
use toml_edit::{Array, DocumentMut, Item, Table};

use crate::cli::{Format, KeyAddArgs, KeyCommand, KeyListArgs, KeyRemoveArgs, PolicyMode};
use crate::verifying::moment;
use crate::{Outcome, output};

/// Where certificates are put.
const FOLDER: &str = "/etc/debseal/keys";

pub(crate) fn run(command: &KeyCommand) -> Outcome {
    match command {
        KeyCommand::Add(args) => add(args).into(),
        KeyCommand::List(args) => list(args).into(),
        KeyCommand::Remove(args) => remove(args).into(),
    }
}

/// A certificate that a policy names.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Known {
    pub(crate) package: String,
    pub(crate) fingerprint: String,
    pub(crate) name: String,
    /// RFC 3339, if it ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) expires: Option<String>,
    /// Why signatures of it are refused now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) defect: Option<String>,
    pub(crate) policy: String,
    #[serde(skip)]
    pub(crate) ends: Option<SystemTime>,
}

/// The certificates of one policy.
pub(crate) fn known(root: &Root, policy: &PackagePolicy, now: SystemTime) -> Result<Vec<Known>> {
    let one = |info: CertInfo| Known {
        package: policy.name.clone(),
        fingerprint: info.fingerprint,
        name: info.name,
        expires: info.expires.map(moment),
        defect: info.defect,
        policy: policy.file.display().to_string(),
        ends: info.expires,
    };
    Ok(policy.keyring(root)?.certs(now).into_iter().map(one).collect())
}

#[derive(Serialize)]
struct Answer {
    schema_version: u32,
    keys: Vec<Known>,
}

fn list(args: &KeyListArgs) -> Result<Outcome> {
    let root = Root::at(&args.root);
    let now = SystemTime::now();
    let mut keys = Vec::new();
    for policy in policy::load(&root)?.iter().filter(|p| args.package.as_ref().is_none_or(|name| *name == p.name)) {
        keys.extend(known(&root, policy, now)?);
    }
    Ok(Outcome::data(match args.output {
        Format::Json => output::json(&Answer { schema_version: 1, keys })?,
        Format::Text => keys.iter().map(|key| key.line() + "\n").collect(),
    }))
}

impl Known {
    /// As a person reads it.
    pub(crate) fn line(&self) -> String {
        let state = match (&self.defect, &self.expires) {
            (Some(defect), _) => defect.clone(),
            (None, Some(day)) => format!("good until {}", &day[..10.min(day.len())]),
            (None, None) => "good, does not expire".to_owned(),
        };
        format!("{}: {} {}: {state}", self.package, self.fingerprint, self.name)
    }
}

fn add(args: &KeyAddArgs) -> Result<Outcome> {
    let root = Root::at(&args.root);
    let now = SystemTime::now();
    let mut outcome = Outcome::default();
    let given = output::read_keys(&args.files)?;
    if let Some(wanted) = &args.fingerprint {
        let only = given.certs(now).len() == 1 && given.only(wanted).is_some();
        if !only {
            let why = format!("{} holds another certificate than {wanted}", shown(&args.files));
            return Err(Error::of(Kind::SignatureRefused, why).way_out("nothing was changed; ask its maker"));
        }
    }
    for cert in given.certs(now) {
        let one = given.only(&cert.fingerprint).unwrap_or_default();
        let policies = policy::load(&root)?;
        let updated = update(&root, &policies, &one, &cert.fingerprint)?;
        let named = |name: &String| {
            let found = policies.iter().find(|p| p.name == *name);
            found.is_some_and(|p| p.keyring(&root).is_ok_and(|ring| ring.only(&cert.fingerprint).is_some()))
        };
        let target = args.package.as_ref().filter(|name| !named(name));
        if let Some(package) = target {
            let merged = updated.clone().unwrap_or(one);
            let cert = merged.certs(now).into_iter().next().unwrap_or(cert.clone());
            if let Some(defect) = cert.defect {
                return Err(Error::of(Kind::SignatureRefused, defect).way_out("nothing was changed"));
            }
            let file = Path::new(FOLDER).join(format!("{}.pgp", cert.fingerprint));
            write(&root, &file, &merged.to_bytes()?)?;
            trust(&root, &policies, package, &file, &cert.fingerprint, args.mode)?;
            outcome.out += &format!("{package}: {} {} is trusted\n", cert.fingerprint, cert.name);
            if args.fingerprint.is_none() {
                outcome.notes.push("compare this fingerprint with the one that the maker publishes".to_owned());
            }
        } else if let Some(merged) = updated {
            for info in merged.certs(now).into_iter().filter(|c| c.fingerprint == cert.fingerprint) {
                let state = info.defect.unwrap_or_else(|| match info.expires {
                    Some(end) => format!("good until {}", &moment(end)[..10]),
                    None => "good, does not expire".to_owned(),
                });
                outcome.out += &format!("{} {} is up to date: {state}\n", info.fingerprint, info.name);
            }
            let again = policies.iter().find(|p| args.package.as_ref() == Some(&p.name));
            if let (Some(policy), Some(mode)) = (again, args.mode) {
                edit(&root, policy, |table| {
                    table.insert("mode", toml_edit::value(mode.name()));
                })?;
                outcome.out += &format!("{}: {}, by {}\n", policy.name, mode.name(), policy.file.display());
            }
        } else {
            return Err(Error::of(
                Kind::Usage,
                format!("no policy knows {}; say for which package it counts, with --package", cert.fingerprint),
            ));
        }
    }
    Ok(outcome)
}

fn shown(files: &[PathBuf]) -> String {
    files.iter().map(|f| f.display().to_string()).collect::<Vec<_>>().join(", ")
}

/// Merges a certificate into every key file that holds it; the result for this certificate, if any does.
fn update(root: &Root, policies: &[PackagePolicy], one: &Keyring, fingerprint: &str) -> Result<Option<Keyring>> {
    let mut merged = None;
    let mut files: Vec<&PathBuf> = policies.iter().flat_map(|p| &p.keys).collect();
    files.sort();
    files.dedup();
    for file in files {
        let mut ring = read(root, file)?;
        if ring.only(fingerprint).is_some() {
            ring.extend(one.clone())?;
            write(root, file, &ring.to_bytes()?)?;
            merged = ring.only(fingerprint);
        }
    }
    Ok(merged)
}

fn read(root: &Root, file: &Path) -> Result<Keyring> {
    let bytes = fs::read(root.resolve(file)?).doing(|| format!("cannot read {}", file.display()))?;
    Keyring::parse(&bytes).map_err(|e| e.context(file.display()))
}

fn write(root: &Root, file: &Path, bytes: &[u8]) -> Result<()> {
    let path = root.resolve(file)?;
    if let Some(folder) = path.parent() {
        files::create_dirs(folder, 0o755)?;
    }
    files::replace(&path, bytes, &Attributes::mode(0o644))
}

/// Names the key in the package's policy, or makes one.
fn trust(
    root: &Root,
    policies: &[PackagePolicy],
    package: &str,
    key: &Path,
    fingerprint: &str,
    mode: Option<PolicyMode>,
) -> Result<()> {
    let key = key.display().to_string();
    match policies.iter().find(|p| p.name == package) {
        None => {
            let mode = mode.unwrap_or(PolicyMode::Enforce).name();
            let text = format!(
                "# Who may sign {package}: debseal key list. Written by debseal key add.\n[[package]]\n\
                 name = \"{package}\"\nkeys = [\"{key}\"]\nfingerprints = [\"{fingerprint}\"]\nmode = \"{mode}\"\n"
            );
            let file = Path::new(policy::FOLDER).join(format!("{package}.toml"));
            if fs::symlink_metadata(root.resolve(&file)?).is_ok() {
                return Err(Error::new(format!("{} is there and names another package; rename it", file.display())));
            }
            policy::parse(&file, &text)?;
            write(root, &file, text.as_bytes())
        }
        Some(policy) => edit(root, policy, |table| {
            push(table, "keys", &key);
            // Without fingerprints every certificate counts already.
            if !policy.fingerprints.is_empty() {
                push(table, "fingerprints", fingerprint);
            }
            if let Some(mode) = mode {
                table.insert("mode", toml_edit::value(mode.name()));
            }
        }),
    }
}

/// Changes one `[[package]]`, and keeps the rest of the file with its comments.
fn edit(root: &Root, policy: &PackagePolicy, change: impl FnOnce(&mut Table)) -> Result<()> {
    let path = root.resolve(&policy.file)?;
    let text = fs::read_to_string(&path).doing(|| format!("cannot read {}", policy.file.display()))?;
    let wrong = |why: String| Error::new(format!("{}: {why}", policy.file.display()));
    let mut document: DocumentMut = text.parse().map_err(|e: toml_edit::TomlError| wrong(e.message().to_owned()))?;
    {
        let tables = document.get_mut("package").and_then(Item::as_array_of_tables_mut);
        let mut tables = tables.into_iter().flat_map(|tables| tables.iter_mut());
        let table = tables.find(|t| t.get("name").and_then(Item::as_str) == Some(&policy.name));
        change(table.ok_or_else(|| wrong(format!("package {} is gone from it", policy.name)))?);
    }
    let text = document.to_string();
    policy::parse(&policy.file, &text)?;
    write(root, &policy.file, text.as_bytes())
}

fn push(table: &mut Table, key: &str, value: &str) {
    if !table.contains_key(key) {
        table.insert(key, toml_edit::value(Array::new()));
    }
    if let Some(array) = table.get_mut(key).and_then(Item::as_array_mut)
        && array.iter().all(|v| v.as_str() != Some(value))
    {
        array.push(value);
    }
}

fn remove(args: &KeyRemoveArgs) -> Result<Outcome> {
    let root = Root::at(&args.root);
    let now = SystemTime::now();
    let gone = args.fingerprint.replace(' ', "").to_uppercase();
    let mut outcome = Outcome::default();
    for policy in policy::load(&root)?.iter().filter(|p| args.package.as_ref().is_none_or(|name| *name == p.name)) {
        let ring = policy.keyring(&root)?;
        let (removed, left): (Vec<_>, Vec<_>) =
            ring.certs(now).into_iter().map(|c| c.fingerprint).partition(|f| *f == gone);
        if removed.is_empty() {
            continue;
        }
        if left.is_empty() {
            return Err(Error::of(
                Kind::Refused,
                format!("{gone} is the last key of package {}: nobody could sign it any more", policy.name),
            )
            .way_out(format_args!(
                "add its successor first, or delete {} to check the package no more",
                policy.file.display()
            )));
        }
        let mut keys = Vec::new();
        for file in &policy.keys {
            let ring = read(&root, file)?;
            if left.iter().any(|f| ring.only(f).is_some()) {
                keys.push(file.display().to_string());
            }
        }
        edit(&root, policy, |table| {
            table.insert("keys", toml_edit::value(keys.into_iter().collect::<Array>()));
            table.insert("fingerprints", toml_edit::value(left.into_iter().collect::<Array>()));
        })?;
        outcome.out += &format!("{}: {gone} is trusted no more\n", policy.name);
    }
    if outcome.out.is_empty() {
        return Err(Error::of(Kind::Usage, format!("no policy names {gone}; see debseal key list")));
    }
    // A file of ours that no policy names any more.
    let file = Path::new(FOLDER).join(format!("{gone}.pgp"));
    if policy::load(&root)?.iter().all(|p| !p.keys.contains(&file)) {
        files::remove(&root.resolve(&file)?)?;
    }
    Ok(outcome)
}

impl PolicyMode {
    fn name(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Warn => "warn",
        }
    }
}

impl From<Mode> for PolicyMode {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Enforce => Self::Enforce,
            Mode::Warn => Self::Warn,
        }
    }
}
