//! What is read from disk for a verdict.

use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use host::{Command, Error, IoContext, Result, Root, files};
use maintscript::policy::Policy;
use seal::deb::{self, Deb};
use seal::manifest;
use seal::policy::{PackagePolicy, Source, TrustedKeys};
use seal::trailer;

use super::survey::Survey;
use super::verdict::{Identity, names};

/// Fields that name whom a package replaces.
const RELATIONS: [&str; 3] = ["Provides", "Conflicts", "Replaces"];

/// What the file says of itself. Our own reader is strict and quick; what it does not take is asked of
/// dpkg-deb, which reads as dpkg will.
pub(crate) fn identify(path: &Path) -> Result<Identity> {
    let Ok(deb) = Deb::open(path) else {
        return ask_dpkg_deb(path);
    };
    let control = deb.control();
    Ok(Identity {
        package: control.package().to_ascii_lowercase(),
        version: control.version().to_owned(),
        replaces: RELATIONS.iter().filter_map(|field| control.get(field)).flat_map(names).collect(),
        sealed: deb.control_file(manifest::NAME).is_some(),
        ships: Vec::new(),
    })
}

fn ask_dpkg_deb(path: &Path) -> Result<Identity> {
    let file = File::open(path).doing(|| "it can't be opened")?;
    // By our open file: its name need not be text, and can't come to mean another file meanwhile.
    let name = format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd());
    let wanted = ["Package", "Version"].into_iter().chain(RELATIONS).map(str::to_owned);
    let args = ["--field".to_owned(), name.clone()].into_iter().chain(wanted);
    let answer = Command::new("dpkg-deb").args(args).run()?;
    if !answer.success() {
        let why = answer.stderr.lines().next().unwrap_or("dpkg-deb can't read it").replace(&name, "it");
        return Err(Error::new(why));
    }
    let mut fields: Vec<(String, String)> = Vec::new();
    for line in answer.stdout.lines() {
        match (line.starts_with([' ', '\t']), fields.last_mut(), line.split_once(':')) {
            (true, Some((_, value)), _) => *value += line,
            (false, _, Some((name, value))) => fields.push((name.to_ascii_lowercase(), value.trim().to_owned())),
            _ => {}
        }
    }
    let field = |name: &str| fields.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str());
    let package = field("Package").filter(|p| !p.is_empty()).ok_or_else(|| Error::new("it names no package"))?;
    Ok(Identity {
        package: package.to_ascii_lowercase(),
        version: field("Version").unwrap_or_default().to_owned(),
        replaces: RELATIONS.iter().filter_map(|name| field(name)).flat_map(names).collect(),
        sealed: true,
        ships: Vec::new(),
    })
}

/// Judges the file by the policy's keys; its version. Errors do not name the file.
pub(crate) fn genuine(root: &Root, path: &Path, policy: &PackagePolicy) -> Result<String> {
    let keys = TrustedKeys {
        keyring: policy.keyring(root)?,
        source: Source::Policy(policy.file.clone()),
        mode: policy.mode,
        minimum_version: None,
    };
    let verified = deb::verify_deb(path, &|_| Ok(keys.clone()), SystemTime::now()).map_err(|e| {
        let text = e.to_string();
        let prefix = format!("{}: ", path.display());
        Error::of(e.kind(), text.strip_prefix(&prefix).unwrap_or(&text))
    })?;
    Ok(verified.manifest.version)
}

/// dpkg's database, as dpkg told its hook.
pub(crate) fn admindir() -> PathBuf {
    maintscript::context::admindir(&Root::system(), std::env::var_os("DPKG_ADMINDIR"))
}

/// The files of a package in dpkg's info folder with this ending; for `Multi-Arch: same` several.
fn info(admindir: &Path, package: &str, ending: &str) -> Vec<PathBuf> {
    let folder = admindir.join("info");
    let plain = folder.join(format!("{package}.{ending}"));
    if plain.exists() {
        return vec![plain];
    }
    let prefix = format!("{package}:");
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let ours = |name: &str| name.starts_with(&prefix) && name.ends_with(&format!(".{ending}"));
    entries.filter(|e| e.file_name().to_str().is_some_and(ours)).map(|e| e.path()).collect()
}

/// The highest `minimum-version` that a signed version of the package demanded when it was
/// configured. Its `postrm` stays when it is removed, and says where that was written down.
pub(crate) fn least(root: &Root, admindir: &Path, package: &str) -> Option<String> {
    let scripts = info(admindir, package, "postrm");
    let state = scripts.iter().find_map(|script| {
        let carried = trailer::read(script).ok().flatten()?;
        Policy::parse(&String::from_utf8(carried.policy).ok()?).ok()
    })?;
    let bytes = files::read_plain(&root.path(state.state).join("seal.json"), 1 << 16).ok().flatten()?;
    let seen: serde_json::Value = serde_json::from_slice(&bytes).ok()?;
    seen.get("minimum_version")?.as_str().map(str::to_owned)
}

/// Named packages of which this file ships an installed path: looked for only where dpkg is told to
/// overwrite other packages' files.
pub(crate) fn shipped(path: &Path, own: &str, survey: &Survey, admindir: &Path) -> Result<Vec<(String, String)>> {
    let root = Root::system();
    let mut theirs: Vec<(String, String)> = Vec::new();
    for name in survey.named.keys().filter(|name| *name != own) {
        for list in info(admindir, name, "list") {
            let text = fs::read(&list).doing(|| format!("cannot read {}", list.display()))?;
            let text = String::from_utf8_lossy(&text).into_owned();
            let lines = text.lines().filter(|line| !root.path(line).is_dir());
            theirs.extend(lines.map(|line| (name.clone(), line.to_owned())));
        }
    }
    if theirs.is_empty() {
        return Ok(Vec::new());
    }
    let payload = Deb::open(path)?.payload()?;
    let ships = |line: &str| payload.iter().any(|entry| merged(&entry.path) == merged(line));
    Ok(theirs.into_iter().filter(|(_, line)| ships(line)).collect())
}

/// `/bin/x` and `/usr/bin/x` are one file where `/usr` is merged.
fn merged(path: &str) -> &str {
    path.strip_prefix("/usr").unwrap_or(path)
}

/// Whether dpkg is told to overwrite files of other packages (dpkg(1), `DPKG_FORCE`).
pub(crate) fn overwrites(force: &str) -> bool {
    force.split(',').any(|thing| thing == "all" || thing.starts_with("overwrite"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_words_let_dpkg_overwrite() {
        for force in ["security-mac,overwrite", "overwrite-diverted", "all"] {
            assert!(overwrites(force), "{force}");
        }
        for force in ["", "security-mac,downgrade", "unsafe-io"] {
            assert!(!overwrites(force), "{force}");
        }
        assert_eq!(merged("/usr/bin/x"), merged("/bin/x"));
    }
}
