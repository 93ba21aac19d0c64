//! `debseal seal`.

use std::fs;
use std::path::Path;
use std::time::SystemTime;

use host::{Error, IoContext, Kind, Result};
use maintscript::policy::Policy;
use seal::deb::{self, Deb};
use seal::manifest::{self, Entry, HOOKS, Manifest};
use seal::provenance::Provenance;
use seal::tarball::{self, ControlMember};
use seal::{trailer, version};

use crate::cli::SealArgs;
use crate::{Outcome, elf, output};

pub(crate) fn run(args: &SealArgs) -> Result<Outcome> {
    let provenance = Provenance::of(&args.provenance)?;
    let mut input = Deb::open(&args.input)?;
    let named = |e: Error| e.context(args.input.display());
    let mut notes = Vec::new();

    let (hook, policy) = hook(args, &input, &mut notes)?;
    let mut files = kept_files(args, &input).map_err(named)?;
    for name in HOOKS {
        files.push(ControlMember { name: name.to_owned(), mode: 0o755, bytes: hook.clone() });
    }
    let source_date = source_date(args, &input)?;
    let payload = input.payload().map_err(named)?;
    notes.extend(units_not_shipped(&policy, &payload));
    let control = input.control();
    let manifest = Manifest {
        format: manifest::FORMAT,
        package: control.package().to_owned(),
        version: control.version().to_owned(),
        architecture: control.architecture().to_owned(),
        minimum_version: minimum_version(args, control.version())?,
        source_date,
        control: files.iter().map(ControlMember::entry).collect(),
        payload,
    };
    files.push(ControlMember { name: manifest::NAME.to_owned(), mode: 0o644, bytes: provenance.write(&manifest)? });
    let archive = tarball::control_archive(&files, source_date)?;
    output::replace(
        &args.output,
        |out| deb::write(out, source_date, &archive, &mut input, None),
        |written| Deb::open(written)?.check_seal().map(drop),
    )?;
    Ok(Outcome { notes, ..Outcome::default() })
}

/// The hook with policy and keys behind it, and what that policy says.
fn hook(args: &SealArgs, input: &Deb, notes: &mut Vec<String>) -> Result<(Vec<u8>, Policy)> {
    let control = input.control();
    let architecture = control.architecture();
    if architecture == "all" {
        return Err(Error::new(format!(
            "{}: its architecture is all, but hooks are programs of one architecture; \
             build one package for each",
            args.input.display()
        )));
    }
    let (bytes, policy) = check_policy(&args.hooks, control.package())?;
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
    Ok((trailer::append(&program, &bytes, &keyring.to_bytes()?), policy))
}

/// `hooks.toml`, when it says something that the hooks understand and speaks of this package.
fn check_policy(path: &Path, package: &str) -> Result<(Vec<u8>, Policy)> {
    let bytes = fs::read(path).doing(|| format!("cannot read {}", path.display()))?;
    let text = std::str::from_utf8(&bytes).map_err(|_| Error::new(format!("{} is not UTF-8", path.display())))?;
    let policy = Policy::parse(text).map_err(|e| by_name(&e, path))?;
    if policy.package != package {
        return Err(Error::new(format!("{} is for package {}, not for {package}", path.display(), policy.package)));
    }
    own_folders(&policy).map_err(|e| e.context(path.display()))?;
    Ok((bytes, policy))
}

/// The hooks call what they carry `hooks.toml`; here the file has a name, and an editor takes `FILE:LINE`.
fn by_name(error: &Error, path: &Path) -> Error {
    let text = error.to_string();
    let place = path.display();
    let named = match text.strip_prefix("hooks.toml") {
        Some(rest) => format!("{place}{rest}"),
        None => format!("{place}: {text}"),
    };
    Error::of(error.kind(), named)
}

/// A unit that the package does not ship is restarted and stopped by nobody: most likely a typing mistake,
/// but another package may ship it.
fn units_not_shipped(policy: &Policy, payload: &[Entry]) -> Vec<String> {
    let ships = |name: &str| payload.iter().any(|entry| entry.path_bytes().ends_with(format!("/{name}").as_bytes()));
    let template = |unit: &str| {
        let (name, instance) = unit.split_once('@')?;
        let (_, kind) = instance.rsplit_once('.')?;
        Some(format!("{name}@.{kind}"))
    };
    let there = |unit: &str| ships(unit) || template(unit).is_some_and(|name| ships(&name));
    let units = policy.units.iter().filter(|unit| !there(unit));
    units.map(|unit| format!("units has {unit}, and the package ships no such file")).collect()
}

/// Purge removes these two folders whole, so they must be the package's and nobody else's: only a name
/// tells. The hooks themselves have no say: where they run, what is sealed into them is fixed.
fn own_folders(policy: &Policy) -> Result<()> {
    let package = policy.package.as_str();
    let family = package.rsplit_once('-').map(|(family, _)| family);
    let refuse = |key: &str, folder: &Path, own: String| {
        Err(Error::new(format!("{key} = {:?} is not this package's own, and purge would remove it", folder.display()))
            .way_out(format!("let it be {own} or below that")))
    };
    let first = |path: &Path, above: &str| {
        path.strip_prefix(above).ok().and_then(|rest| rest.components().next()).map(|c| c.as_os_str().to_owned())
    };
    if first(&policy.state, "/var/lib").is_none_or(|name| name != package) {
        return refuse("state", &policy.state, format!("/var/lib/{package}"));
    }
    let Some(log) = &policy.log else { return Ok(()) };
    // Programs of several packages may write to one folder: pve-network-rs to that of pve-network. One
    // word alone, such as pve, is somebody else's.
    let name = first(log, "/var/log");
    let family = family.filter(|family| family.contains('-'));
    if name.is_none_or(|name| name != package && family.is_none_or(|family| name != family)) {
        return refuse("log", log, format!("/var/log/{package}"));
    }
    Ok(())
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

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]
mod tests {
    use super::*;

    #[test]
    fn purge_may_only_remove_what_is_the_packages_own() {
        let said = |package: &str, state: &str, log: Option<&str>| {
            let log = log.map(|log| format!("log = \"{log}\"\n")).unwrap_or_default();
            let text = format!("format = 1\npackage = \"{package}\"\nstate = \"{state}\"\n{log}");
            let policy = Policy::parse(&text)?;
            own_folders(&policy)
        };
        for (package, state, log) in [
            ("demo", "/var/lib/demo", None),
            ("demo", "/var/lib/demo/state", Some("/var/log/demo")),
            ("demo", "/var/lib/demo", Some("/var/log/demo/hooks")),
            ("pve-network-rs", "/var/lib/pve-network-rs", Some("/var/log/pve-network")),
        ] {
            said(package, state, log).unwrap();
        }
        for (package, state, log, why) in [
            ("demo", "/", None, "a path below /var/lib"),
            ("demo", "/etc", None, "a path below /var/lib"),
            ("demo", "/var/lib", None, "a path below /var/lib"),
            ("demo", "/var/lib/", None, "a path below /var/lib"),
            ("demo", "/var/lib/dpkg", None, "purge would remove it; let it be /var/lib/demo or below that"),
            ("demo", "/var/lib/dpkg/demo", None, "purge would remove it"),
            ("demo", "/var/lib/pve-cluster", None, "purge would remove it"),
            ("demo", "/var/lib/demonstration", None, "purge would remove it"),
            ("demo", "/var/lib/demo/../dpkg", None, "a path below /var/lib"),
            ("pve-demo", "/var/lib/pve", None, "purge would remove it"),
            ("demo", "/var/lib/demo", Some("/var/log"), "a path below /var/log"),
            ("demo", "/var/lib/demo", Some("/var/log/apt"), "let it be /var/log/demo or below that"),
            ("pve-demo", "/var/lib/pve-demo", Some("/var/log/pve"), "purge would remove it"),
            ("apt-x", "/var/lib/apt-x", Some("/var/log/apt"), "purge would remove it"),
        ] {
            let error = said(package, state, log).expect_err(state).to_string();
            assert!(error.contains(why), "{package} {state} {log:?}: {error}");
        }
    }
}
