//! `debseal seal`.

use std::fs;
use std::path::Path;
use std::time::SystemTime;

use host::{Error, IoContext, Kind, Result};
use maintscript::policy::Policy;
use seal::deb::{self, Deb};
use seal::manifest::{self, HOOKS, Manifest};
use seal::tarball::{self, ControlMember};
use seal::{trailer, version};

use crate::cli::SealArgs;
use crate::{Outcome, elf, output};

pub(crate) fn run(args: &SealArgs) -> Result<Outcome> {
    let mut input = Deb::open(&args.input)?;
    let named = |e: Error| e.context(args.input.display());
    let mut notes = Vec::new();

    let hook = hook(args, &input, &mut notes)?;
    let mut files = kept_files(args, &input).map_err(named)?;
    for name in HOOKS {
        files.push(ControlMember { name: name.to_owned(), mode: 0o755, bytes: hook.clone() });
    }
    let source_date = source_date(args, &input)?;
    let control = input.control();
    let manifest = Manifest {
        format: manifest::FORMAT,
        package: control.package().to_owned(),
        version: control.version().to_owned(),
        architecture: control.architecture().to_owned(),
        minimum_version: minimum_version(args, control.version())?,
        source_date,
        control: files.iter().map(ControlMember::entry).collect(),
        payload: input.payload().map_err(named)?,
    };
    files.push(ControlMember { name: manifest::NAME.to_owned(), mode: 0o644, bytes: manifest.to_bytes()? });
    let archive = tarball::control_archive(&files, source_date)?;
    output::replace(
        &args.output,
        |out| deb::write(out, source_date, &archive, &mut input, None),
        |written| Deb::open(written)?.check_seal().map(drop),
    )?;
    Ok(Outcome { notes, ..Outcome::default() })
}

/// The hook with policy and keys behind it.
fn hook(args: &SealArgs, input: &Deb, notes: &mut Vec<String>) -> Result<Vec<u8>> {
    let control = input.control();
    let architecture = control.architecture();
    if architecture == "all" {
        return Err(Error::new(format!(
            "{}: its architecture is all, but hooks are programs of one architecture; \
             build one package for each",
            args.input.display()
        )));
    }
    let policy = check_policy(&args.hooks, control.package())?;
    let read = |path: &Path| fs::read(path).doing(|| format!("cannot read {}", path.display()));
    let program = read(&args.hook_elf)?;
    elf::check_hook(&args.hook_elf, &program, architecture)?;
    let keyring = output::read_keys(&args.keys)?;
    for cert in keyring.certs(SystemTime::now()) {
        if let Some(defect) = cert.defect {
            return Err(Error::of(Kind::SignatureRefused, format!("the hooks would trust a key in vain: {defect}")));
        }
    }
    if keyring.is_empty() {
        notes.push("no --key: the hooks trust nobody, so they can't judge a successor".to_owned());
    }
    Ok(trailer::append(&program, &policy, &keyring.to_bytes()?))
}

/// `hooks.toml`, when it says something that the hooks understand and speaks of this package.
fn check_policy(path: &Path, package: &str) -> Result<Vec<u8>> {
    let bytes = fs::read(path).doing(|| format!("cannot read {}", path.display()))?;
    let text = std::str::from_utf8(&bytes).map_err(|_| Error::new(format!("{} is not UTF-8", path.display())))?;
    let policy = Policy::parse(text).map_err(|e| e.context(path.display()))?;
    if policy.package != package {
        return Err(Error::new(format!("{} is for package {}, not for {package}", path.display(), policy.package)));
    }
    Ok(bytes)
}

/// The control files that stay, in a fixed order and with canonical modes.
fn kept_files(args: &SealArgs, input: &Deb) -> Result<Vec<ControlMember>> {
    let replaced = |name: &str| HOOKS.contains(&name) || [manifest::NAME, manifest::SIGNATURE_NAME].contains(&name);
    let there = input.control_files().iter().find(|f| replaced(&f.name));
    if let Some(file) = there.filter(|_| !args.replace_hooks) {
        return Err(Error::new(format!("it has a {} already", file.name))
            .way_out("build it without maintainer scripts, or drop them with --replace-hooks"));
    }
    let kept = input.control_files().iter().filter(|f| !replaced(&f.name)).cloned();
    let mut files: Vec<ControlMember> = kept.collect();
    for file in &mut files {
        file.mode = if file.mode & 0o111 == 0 { 0o644 } else { 0o755 };
    }
    let rank = |name: &str| ["control", "md5sums"].iter().position(|n| *n == name).unwrap_or(2);
    files.sort_by(|a, b| rank(&a.name).cmp(&rank(&b.name)).then_with(|| a.name.cmp(&b.name)));
    Ok(files)
}

fn minimum_version(args: &SealArgs, own: &str) -> Result<Option<String>> {
    let usage = |why: String| Error::of(Kind::Usage, format!("--minimum-version: {why}"));
    let Some(minimum) = &args.minimum_version else {
        return Ok(None);
    };
    match version::compare(minimum, own).map_err(|e| usage(e.to_string()))? {
        std::cmp::Ordering::Greater => Err(usage(format!("{minimum} is above the package's own version {own}"))),
        _ => Ok(Some(minimum.clone())),
    }
}

/// The option, else the environment (reproducible-builds.org), else what the package has.
fn source_date(args: &SealArgs, input: &Deb) -> Result<u64> {
    if let Some(date) = args.source_date {
        return Ok(date);
    }
    match std::env::var_os("SOURCE_DATE_EPOCH") {
        None => Ok(input.members().binary.mtime),
        Some(text) => text.to_str().and_then(|t| t.parse().ok()).ok_or_else(|| {
            Error::of(Kind::Usage, format!("SOURCE_DATE_EPOCH={} is no number of seconds", text.display()))
        }),
    }
}
