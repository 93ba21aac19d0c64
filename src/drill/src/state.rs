//! What a machine looks like at one moment: read once, judged elsewhere.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use history::snapshot;
use host::{Result, files};
use maintscript::Policy;

use crate::cluster;
use crate::machine::{Machine, paths_below};
use crate::seed;
use crate::writer::FOLDER;

/// One moment.
#[derive(Debug, Clone, Default)]
pub struct State {
    /// dpkg's abbreviation of the package's state.
    pub status: String,
    /// The digest of everything captured.
    pub captured: BTreeMap<PathBuf, String>,
    /// Snapshots that show, and why one can't be trusted.
    pub snapshots: Vec<(String, Option<String>)>,
    /// Whether a snapshot says that it is the one from before the first install.
    pub has_first: bool,
    /// Phases of nodes that are not this one; none where there is no phase file.
    pub others: Option<Vec<(String, String)>>,
    /// This node's phase, as the phase file says it.
    pub own_phase: Option<String>,
    /// What only a run that is not over may leave: markers, and files beside their place.
    pub unfinished: Vec<PathBuf>,
    /// Temporary files.
    pub temporary: Vec<PathBuf>,
    /// Units of the package that are enabled.
    pub enabled: Vec<PathBuf>,
    /// Paths that changed and are none of the package's business.
    pub foreign: Vec<PathBuf>,
}

/// Where the package may change things.
#[derive(Debug, Clone)]
pub struct Own {
    paths: Vec<PathBuf>,
    payload: std::collections::BTreeSet<PathBuf>,
}

impl Own {
    /// The paths of this package, besides what dpkg itself writes.
    pub fn of(policy: &Policy, payload: &[PathBuf]) -> Self {
        let mut paths: Vec<PathBuf> =
            ["/var/lib/dpkg", "/var/log/dpkg.log", "/var/log/alternatives.log", FOLDER].map(PathBuf::from).to_vec();
        // Where Debian's own helper notes which units were enabled.
        paths.extend(["enabled", "masked"].map(|n| format!("/var/lib/systemd/deb-systemd-helper-{n}").into()));
        paths.push(policy.state.clone());
        paths.push(Path::new("/var/backups").join(&policy.package));
        paths.extend(policy.log.clone());
        paths.extend(policy.phase.iter().map(|p| p.file.clone()));
        for item in policy.items() {
            let folder = item.pattern().map(|(folder, _)| folder.to_owned());
            paths.push(folder.unwrap_or_else(|| item.path.into()));
        }
        Self { paths, payload: payload.iter().cloned().collect() }
    }

    pub fn covers(&self, path: &Path) -> bool {
        self.payload.contains(&seed::placed(path))
            || self.paths.iter().any(|p| path.starts_with(p) || p.starts_with(path))
    }

    fn may_stay(&self, path: &Path, policy: &Policy) -> bool {
        let ours = path.starts_with(&policy.state) || policy.log.as_ref().is_some_and(|l| path.starts_with(l));
        let phase = policy.phase.as_ref().is_some_and(|p| p.file == path);
        !ours && !phase && !self.payload.contains(path) && self.covers(path)
    }
}

/// Reads a machine.
pub fn read(machine: &Machine, policy: &Policy, own: &Own) -> Result<State> {
    let changed = paths_below(&machine.changes());
    let temporary: Vec<PathBuf> = changed.iter().filter(|p| is_temporary(p)).cloned().collect();
    let foreign = changed.iter().filter(|p| !own.covers(p) && !is_temporary(p)).cloned().collect();
    let (policy, shipped) = (policy.clone(), own.payload.clone());
    let state = machine.inside(move || -> Result<State> {
        let (snapshots, has_first) = snapshots(&policy)?;
        Ok(State {
            status: status(&policy.package),
            captured: seed::digests(&policy, &shipped)?.into_iter().filter(|(p, _)| !is_temporary(p)).collect(),
            snapshots,
            has_first,
            others: others(&policy),
            own_phase: cluster::own_phase(&policy),
            unfinished: unfinished(&policy),
            enabled: enabled(&policy),
            ..State::default()
        })
    })?;
    // One that was there and is gone shows as a whiteout.
    let there = machine.inside(move || temporary.into_iter().filter(|p| fs::symlink_metadata(p).is_ok()).collect());
    Ok(State { foreign, temporary: there, ..state })
}

/// Whether it is a file beside its place: `.name.tag.number.number`, as `host::files` names them.
pub fn is_temporary(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let digits = |part: Option<&str>| part.is_some_and(|p| !p.is_empty() && p.bytes().all(|b| b.is_ascii_digit()));
    let mut parts = name.rsplit('.');
    name.starts_with('.') && digits(parts.next()) && digits(parts.next())
}

/// dpkg's abbreviation of a package's state, from its status file. Runs on the machine.
pub fn status(package: &str) -> String {
    let text = fs::read_to_string("/var/lib/dpkg/status").unwrap_or_default();
    let paragraph = text.split("\n\n").find(|p| p.lines().next() == Some(&format!("Package: {package}")));
    let line = paragraph.and_then(|p| p.lines().find_map(|l| l.strip_prefix("Status: ")));
    let words: Option<[&str; 3]> = line.and_then(|l| l.split(' ').collect::<Vec<_>>().try_into().ok());
    let Some([want, flag, status]) = words else { return "un".to_owned() };
    let want = match want {
        "deinstall" => 'r',
        want => want.chars().next().unwrap_or('u'),
    };
    let short = match status {
        "not-installed" => return "un".to_owned(),
        "config-files" => 'c',
        "half-installed" => 'H',
        "unpacked" => 'U',
        "half-configured" => 'F',
        "triggers-awaited" => 'W',
        "triggers-pending" => 't',
        _ => 'i',
    };
    let flag = if flag == "ok" { "" } else { "R" };
    format!("{want}{short}{flag}")
}

type Snapshots = (Vec<(String, Option<String>)>, bool);

fn snapshots(policy: &Policy) -> Result<Snapshots> {
    let store = seed::store(policy);
    let mut has_first = false;
    let mut out = Vec::new();
    for found in snapshot::list(&store)? {
        has_first |= found.manifest.as_ref().is_ok_and(|m| m.first);
        let sums = found.path.join("SHA256SUMS");
        let judged = if found.path.join(snapshot::MANIFEST).exists() || !sums.exists() {
            snapshot::verify(&found).map_err(|e| e.to_string())
        } else {
            by_sums(&found.path, &sums, policy)
        };
        out.push((found.id, judged.err()));
    }
    Ok((out, has_first))
}

/// A snapshot of a package that doesn't use this toolkit: `sha256sum` wrote down what is in it, and
/// every captured file that is there has to be listed.
fn by_sums(folder: &Path, sums: &Path, policy: &Policy) -> std::result::Result<(), String> {
    let text = fs::read_to_string(sums).map_err(|e| e.to_string())?;
    let mut listed = 0;
    for (sum, name) in text.lines().filter_map(|l| l.split_once("  ")) {
        let bytes = fs::read(folder.join(name.trim_start_matches("./"))).map_err(|e| format!("{name}: {e}"))?;
        if files::sha256(&bytes) != sum {
            return Err(format!("{name} is not what SHA256SUMS says"));
        }
        listed += 1;
    }
    let there = seed::files(policy)
        .iter()
        .filter(|f| f.path.exists())
        .filter(|f| folder.join(f.path.strip_prefix("/").unwrap_or(&f.path)).exists())
        .count();
    if listed == 0 || listed < there {
        return Err(format!("SHA256SUMS lists {listed} files, {there} are there"));
    }
    Ok(())
}

/// A node with a line of its own, and one without.
fn others(policy: &Policy) -> Option<Vec<(String, String)>> {
    let file = &policy.phase.as_ref()?.file;
    let text = fs::read_to_string(file).ok()?;
    Some(match phase::Migration::parse(&text, "the phase file") {
        Ok(migration) => ["other", "third"].map(|n| (n.to_owned(), migration.node_phase(n).to_string())).to_vec(),
        Err(error) => vec![("all".to_owned(), error.to_string())],
    })
}

/// What `postinst configure` or `postrm purge` closes.
fn unfinished(policy: &Policy) -> Vec<PathBuf> {
    let markers =
        ["transaction.json", "removal.json", "restore", "restore-cluster", ".restore.new", ".restore.old", "fence"];
    let marked = markers.map(|m| policy.state.join(m)).into_iter().filter(|p| fs::symlink_metadata(p).is_ok());
    let hidden = fs::read_dir(policy.state.join("backups")).into_iter().flatten().flatten();
    let hidden = hidden.filter(|e| e.file_name().as_encoded_bytes().starts_with(b".")).map(|e| e.path());
    marked.chain(hidden).collect()
}

fn enabled(policy: &Policy) -> Vec<PathBuf> {
    let mut out = Vec::new();
    for folder in fs::read_dir("/etc/systemd/system").into_iter().flatten().flatten().map(|e| e.path()) {
        for unit in &policy.units {
            if fs::symlink_metadata(folder.join(unit)).is_ok() {
                out.push(folder.join(unit));
            }
        }
    }
    out
}

/// What lies at a path, as far as it must come back.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Look {
    Nothing,
    Folder(u32, u32),
    Link(PathBuf),
    File(u32, u32, String),
    Other,
}

fn look(path: &Path) -> Look {
    let Ok(meta) = fs::symlink_metadata(path) else { return Look::Nothing };
    let kind = meta.file_type();
    match () {
        () if kind.is_dir() => Look::Folder(meta.mode() & 0o7777, meta.uid()),
        () if kind.is_symlink() => Look::Link(fs::read_link(path).unwrap_or_default()),
        () if kind.is_file() => {
            Look::File(meta.mode() & 0o7777, meta.uid(), files::sha256(&fs::read(path).unwrap_or_default()))
        }
        () if kind.is_char_device() && meta.rdev() == 0 => Look::Nothing, // a whiteout
        () => Look::Other,
    }
}

/// Paths that are not as in the layers of before (the topmost first), of those that any layer since
/// has touched.
pub fn left_behind(
    machine: &Machine,
    before: &[PathBuf],
    since: &[PathBuf],
    policy: &Policy,
    own: &Own,
) -> Vec<String> {
    let mut paths = paths_below(&machine.changes());
    for layer in since {
        paths.extend(paths_below(layer));
    }
    paths.sort();
    paths.dedup();
    let phase_file = policy.phase.as_ref().map(|p| p.file.clone());
    paths.retain(|path| {
        let kept = phase_file.as_ref() == Some(path) && reference(before, path) != Look::Nothing;
        !own.may_stay(path, policy) && !kept
    });
    let looked = paths.clone();
    let now: Vec<Look> = machine.inside(move || looked.iter().map(|p| look(p)).collect());
    let differs = |(path, now): (&PathBuf, Look)| {
        let then = reference(before, path);
        (then != now).then(|| format!("{}: {then:?} became {now:?}", path.display()))
    };
    paths.iter().zip(now).filter_map(differs).collect()
}

fn reference(layers: &[PathBuf], path: &Path) -> Look {
    let inside = path.strip_prefix("/").unwrap_or(path);
    let there = layers.iter().map(|l| l.join(inside)).find(|p| fs::symlink_metadata(p).is_ok());
    there.map_or(Look::Nothing, |p| look(&p))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn temporaries_are_told_apart() {
        for name in [".interfaces.new.123.4", ".interfaces.pve-network-rs.1.23", ".latest.x.1.2"] {
            assert!(is_temporary(&Path::new("/x").join(name)), "{name}");
        }
        for name in ["interfaces", ".hidden", ".a.1", "a.1.2", ".a.1.b", "20260101-000000"] {
            assert!(!is_temporary(&Path::new("/x").join(name)), "{name}");
        }
    }
}
