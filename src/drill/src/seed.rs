//! What stands at the captured paths before the drill begins, and what is written there during it.
//!
//! | state | who wrote it |
//! |---|---|
//! | `a` | the admin, before the package came |
//! | `b` | the package's own code after its install: on trial |
//! | `c` | the same while a version was unpacked and not configured |
//! | `d` | the same, where that is what the flow is about |
//! | `e` | the same, in the moment of a fault |
//! | `admin` | the admin, in the moment of a fault |
//! | `other` | another node of the cluster, in the moment of a fault |

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use history::journal::Backend;
use history::{Operation, Scope, Store, Use, snapshot};
use host::{Clock, IoContext, Result, Root};
use maintscript::Policy;
use phase::{Phase, Who, Wish};

/// A network configuration in which only a comment differs.
fn interfaces(state: &str) -> String {
    format!(
        "# {state}\nauto lo\niface lo inet loopback\n\nauto vmbr0\niface vmbr0 inet static\n\taddress 192.0.2.10/24\n\
         \tgateway 192.0.2.1\n\tbridge-ports none\n\tbridge-stp off\n\tbridge-fd 0\n\nsource /etc/network/interfaces.d/*\n"
    )
}

/// What a file holds in a state. More than one block, so that a half written one shows.
pub fn content(path: &Path, state: &str) -> Vec<u8> {
    if path == Path::new("/etc/network/interfaces") {
        return interfaces(state).into_bytes();
    }
    format!("# {state}: {}\n", path.display()).repeat(100).into_bytes()
}

/// One captured file that is there.
#[derive(Debug, Clone)]
pub struct Seeded {
    /// Its path.
    pub path: PathBuf,
    /// Whether the package's own code may write it.
    pub writable: bool,
    /// Whether it is the cluster's.
    pub cluster: bool,
    /// Whether it is the cluster's, and a failure takes back what was written there.
    pub shared: bool,
}

/// The captured files that are put there.
pub fn files(policy: &Policy) -> Vec<Seeded> {
    let phase_file = policy.phase.as_ref().map(|p| p.file.clone());
    let wanted = policy.items().into_iter().filter(|i| i.usage != Use::Discard);
    wanted
        .filter(|i| Some(Path::new(&i.path)) != phase_file.as_deref())
        .map(|item| {
            let folder = item.path.ends_with(".d");
            let path = if folder { format!("{}/drill", item.path) } else { item.path.replace('*', "drill") };
            let cluster = item.scope == Scope::Cluster;
            let restored = item.usage == Use::Restore;
            Seeded { path: path.into(), writable: restored && !cluster, cluster, shared: restored && cluster }
        })
        .collect()
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let doing = || format!("cannot write {}", path.display());
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).doing(doing)?;
    }
    fs::write(path, bytes).doing(doing)
}

/// Puts the admin's files there. Runs on the machine.
pub fn admins(policy: &Policy, with_cluster: bool) -> Result<()> {
    for file in files(policy).iter().filter(|f| with_cluster || !f.cluster) {
        write(&file.path, &content(&file.path, "a"))?;
    }
    match &policy.phase {
        Some(phase) if with_cluster => {
            let text = format!(
                "# by the cluster's operator\nphase = \"{}\"\n\n[nodes.other]\nphase = \"{}\"\n",
                phase.safe,
                Phase::RustBasicWrite
            );
            write(&phase.file, text.as_bytes())
        }
        _ => Ok(()),
    }
}

/// The history of the package on the machine that this runs on.
pub fn store(policy: &Policy) -> Store {
    policy.store(&Root::system(), Clock::System)
}

/// Raises this node's phase, so that there is something to lower. Runs on the machine.
pub fn raise(policy: &Policy) -> Result<()> {
    let Some((switch, _)) = policy.switch(&Root::system()) else { return Ok(()) };
    let wish = Wish::Again { ceiling: Some(Phase::RustBasicWrite), line: Some(Phase::RustReadOnly) };
    switch.change(wish, None, Who::here("drill"), "something to lower", Clock::System).map(drop)
}

/// Writes as the package's own code does, as one operation. Runs on the machine.
pub fn trial(policy: &Policy, state: &str) -> Result<()> {
    trial_of(policy, state, &files(policy).into_iter().filter(|f| f.writable).take(3).collect::<Vec<_>>())
}

/// The same, with one of the cluster's files besides.
pub fn trial_with_cluster(policy: &Policy, state: &str) -> Result<()> {
    let files = files(policy);
    let shared = files.iter().filter(|f| f.shared).take(1);
    trial_of(policy, state, &files.iter().filter(|f| f.writable).take(3).chain(shared).cloned().collect::<Vec<_>>())
}

fn trial_of(policy: &Policy, state: &str, files: &[Seeded]) -> Result<()> {
    let store = store(policy);
    let mut operation = Operation::begin(&store, Backend::Rust, "drill", "rust-basic-write")?;
    for file in files {
        operation.stage(&file.path, Some(content(&file.path, state)))?;
    }
    operation.commit().map(drop)
}

/// The same if nobody holds the lock and nobody is shut out; whether it was done.
pub fn trial_if_free(policy: &Policy, state: &str) -> bool {
    let store = store(policy);
    let free = store.path("").is_dir() && store.lock(Duration::ZERO).is_ok();
    free && trial(policy, state).is_ok()
}

/// The admin saves the first file that may be written. Runs on the machine.
pub fn admin_saves(policy: &Policy) -> Result<Option<PathBuf>> {
    let Some(file) = files(policy).into_iter().find(|f| f.writable) else { return Ok(None) };
    let new = file.path.with_file_name(".drill-editor");
    write(&new, &content(&file.path, "admin"))?;
    fs::rename(&new, &file.path).doing(|| format!("cannot replace {}", file.path.display()))?;
    Ok(Some(file.path))
}

/// The digest of everything captured but the phase file and what the package itself ships there, such as
/// a conffile, which comes and goes with it. Runs on the machine.
pub fn digests(policy: &Policy, shipped: &BTreeSet<PathBuf>) -> Result<BTreeMap<PathBuf, String>> {
    let phase_file = policy.phase.as_ref().map(|p| p.file.clone());
    let present = snapshot::present(&store(policy), true)?;
    let entries = present.entries.iter().filter(|e| Some(e.path.as_path()) != phase_file.as_deref());
    let digests = entries.map(|e| (e.path.as_path().to_owned(), e.what.digest()));
    Ok(digests.filter(|(path, digest)| digest != "absent" && !shipped.contains(&placed(path))).collect())
}

/// What dpkg unpacks beside its place, by that place.
pub fn placed(path: &Path) -> PathBuf {
    let name = path.to_string_lossy();
    let place = [".dpkg-new", ".dpkg-tmp"].iter().find_map(|end| name.strip_suffix(end));
    place.map_or_else(|| path.to_owned(), PathBuf::from)
}

/// What a file's digest is in a state.
pub fn digest_of(path: &Path, state: &str) -> String {
    host::files::sha256(&content(path, state))
}

/// Digests of what [`trial`] writes.
pub fn trial_digests(policy: &Policy, state: &str) -> BTreeMap<PathBuf, String> {
    let written = files(policy).into_iter().filter(|f| f.writable).take(3);
    written.map(|f| (f.path.clone(), digest_of(&f.path, state))).collect()
}
